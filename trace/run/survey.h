// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SURVEY_H
#define TR_SURVEY_H

#include "base/strings.h"
#include "run/job.h"

// Rank 0 only. Looks at all checkpoints; `first` is the one in job->first. Where vocabularies
// differ in size and nothing else does, the rows that all have are wanted of all, and a note says
// so. Another note says which file is read where a folder has several that could be meant.
enum tr_status tr_job_survey(struct tr_job *job, int64_t first, struct tr_string *notes,
                             struct tr_err *err);

#endif
