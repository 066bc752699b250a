// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WORKER_H
#define TR_WORKER_H

#include <stdint.h>

#include "kernels/backend.h"
#include "mpi/dist.h"
#include "run/fit.h"
#include "run/job.h"
#include "run/protocol.h"

// One rank's work: asks rank 0 for items, runs them, commits whole checkpoints, sends pieces.

// Runs until rank 0 has no more work. Not collective. An error is one of this rank or of the store;
// checkpoints that fail are recorded rows, not errors.
enum tr_status tr_worker_run(const struct tr_job *job, struct kn_backend *kn, struct dist *dist,
                             const struct tr_fit *fit, struct tr_err *err);

#endif
