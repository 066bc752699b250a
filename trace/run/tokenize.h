// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TOKENIZE_H
#define TR_TOKENIZE_H

#include "base/strings.h"
#include "run/job.h"

// Rank 0 only. job->calibration from the job's text, or the built-in one, by the tokenizer that the
// settings name or the series has; `first` is the checkpoint in job->first. A note says whose it is
// unless it is that one's own.
enum tr_status tr_job_tokenize(struct tr_job *job, int64_t first,
                               const struct tr_calibration_options *options,
                               struct tr_string *notes, struct tr_err *err);

#endif
