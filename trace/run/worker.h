// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WORKER_H
#define TR_WORKER_H

#include <stdint.h>

#include "kernels/backend.h"
#include "kernels/ops.h"
#include "mpi/dist.h"
#include "run/job.h"
#include "run/protocol.h"

// One rank's work: asks rank 0 for items, runs them, commits whole checkpoints, sends pieces.

// Bytes of a rank: of its host, and of its device if it has one.
struct tr_rank_bytes {
    double host, device;
};

// How a rank makes do with its memory.
struct tr_fit {
    int64_t wave;  // sequences whose streams it holds; longer items go through in waves
    int64_t slabs; // of weights that its reader holds
    double device; // bytes it may take of its device
};

// Finds the longest wave that fits into `memory` beside scratch and the fewest slabs: all
// sequences, or a multiple of the micro-batch, at least one of them. The rest of the host's memory
// goes to as many slabs as are of use.
struct tr_fit tr_worker_fit(const struct tr_job *job, const struct kn_backend *kn,
                            struct tr_rank_bytes memory);

// What a rank takes for a wave of `wave` sequences beside `slabs` slabs.
struct tr_rank_bytes tr_worker_bytes(const struct tr_job *job, const struct kn_backend *kn,
                                     int64_t wave, int64_t slabs);

// Runs until rank 0 has no more work. Not collective. An error is one of this rank or of the store;
// checkpoints that fail are recorded rows, not errors.
enum tr_status tr_worker_run(const struct tr_job *job, struct kn_backend *kn, struct dist *dist,
                             const struct tr_fit *fit, struct tr_err *err);

#endif
