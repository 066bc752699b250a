// SPDX-License-Identifier: Apache-2.0
#ifndef TR_JOB_COSTS_H
#define TR_JOB_COSTS_H

#include "run/job.h"

// Private to this folder.

// A malformed file that an option names is the option's fault, not a checkpoint's.
static inline enum tr_status tr_as_usage(enum tr_status status) {
    return status == TR_EFORMAT || status == TR_EUNSUPPORTED ? TR_EUSAGE : status;
}

// Rank 0 only, when the layout of the trace and the micro-batch are known: reads the drop sets,
// plans costs and search, and labels them in the store's info. What a store has already of costs is
// gone on with, unless the settings say otherwise.
enum tr_status tr_job_meet_costs(struct tr_job *job, struct tr_err *err);

#endif
