// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WORKER_H
#define TR_WORKER_H

#include <stdint.h>

#include "dist.h"
#include "job.h"
#include "kernels.h"
#include "protocol.h"

// One rank's work: asks rank 0 for items, runs them, commits whole checkpoints, sends pieces.

// Bytes of a rank: of its host, and of its device if it has one.
struct tr_rank_bytes {
    double host, device;
};

// Sequences whose streams fit into `memory` beside scratch and slabs: a multiple of the
// micro-batch, at least one of them. Longer items go through in waves.
int64_t tr_worker_wave(const struct tr_job *job, const struct kn_backend *kn,
                       struct tr_rank_bytes memory);

// What a rank keeps to for an item of `sequences` sequences.
struct tr_rank_bytes tr_worker_bytes(const struct tr_job *job, const struct kn_backend *kn,
                                     int64_t sequences);

// Runs until rank 0 has no more work. Not collective. An error is one of this rank or of the store;
// checkpoints that fail are recorded rows, not errors.
enum tr_status tr_worker_run(const struct tr_job *job, struct kn_backend *kn, struct dist *dist,
                             int64_t wave, struct tr_err *err);

#endif
