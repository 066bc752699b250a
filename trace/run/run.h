// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RUN_H
#define TR_RUN_H

#include "base/status.h"
#include "mpi/dist.h"
#include "run/settings.h"

// A whole job: which checkpoints, over which text, planned, shared among the ranks, traced, and
// published.

// How a job ended, on rank 0; zeros elsewhere and after a dry run.
// The exit statuses of a job that is ended in the middle: by --grace, and by a rank's silence.
enum { TR_RUN_EXIT_STOPPED = 75, TR_RUN_EXIT_SILENT = 3 };

struct tr_run_outcome {
    int64_t failed; // checkpoints, each recorded and named in the messages
    bool stopped;   // it was asked to stop and left work
};

// Collective. An error of a rank is returned on that rank alone, one of the running job on rank 0;
// all ranks return together. Checkpoints that fail are recorded rows, not errors.
enum tr_status tr_run(const struct tr_run_settings *settings, struct dist *dist,
                      struct tr_run_outcome *outcome, struct tr_err *err);

#endif
