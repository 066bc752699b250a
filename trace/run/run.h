// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RUN_H
#define TR_RUN_H

#include "base/status.h"
#include "mpi/dist.h"
#include "run/fit.h"
#include "run/settings.h"
#include "store/store.h"

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

// What comes behind the traces, on the same ranks, into the same store: `run` is called on all of
// them, collectively, when every checkpoint is a row of the store or has failed, and not after a
// dry run or a job that stopped. It may add to the outcome, on rank 0, and its error is as that of
// tr_run.
struct tr_run_state {
    const struct tr_job *job;
    struct kn_backend *kn;
    struct dist *dist;
    struct tr_rank_bytes memory; // that this rank may take
    struct tr_store *store;      // rank 0; NULL elsewhere
};
struct tr_run_more {
    void *user;
    enum tr_status (*run)(void *user, const struct tr_run_state *state,
                          struct tr_run_outcome *outcome, struct tr_err *err);
};
enum tr_status tr_run_then(const struct tr_run_settings *settings, struct dist *dist,
                           const struct tr_run_more *more, struct tr_run_outcome *outcome,
                           struct tr_err *err);

#endif
