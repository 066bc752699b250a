// SPDX-License-Identifier: Apache-2.0
#ifndef NX_JOB_ANALYSIS_H
#define NX_JOB_ANALYSIS_H

#include "analysis/result.h"
#include "export/export.h"

// What trace-analyze says of attention, MLP and block with the same --by, --count, --below, --from
// and --level, with fewer resamples where they would take long: what is exported from a large store
// is there in seconds; with the fewest where no `intervals` and probabilities are shown, since
// order and sets rest on none. Freed with an_result_free. TR_EUSAGE also when an option is no such
// number.
enum tr_status nx_analyze(struct an_result *result, const struct nx_job *job, bool intervals,
                          struct tr_err *err);

#endif
