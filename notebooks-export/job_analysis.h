// SPDX-License-Identifier: Apache-2.0
#ifndef NX_JOB_ANALYSIS_H
#define NX_JOB_ANALYSIS_H

#include "analysis/result.h"
#include "export/export.h"

// What trace-analyze says by default of attention, MLP and block over the whole run, with fewer
// resamples where they would take long: what is exported from a large store is there in seconds.
// Freed with an_result_free.
enum tr_status nx_analyze(struct an_result *result, const struct nx_job *job, struct tr_err *err);

#endif
