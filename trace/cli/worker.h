// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WORKER_H
#define TR_WORKER_H

#include <stdint.h>

#include "dist.h"
#include "job.h"
#include "kernels.h"
#include "protocol.h"

// One rank's work: asks rank 0 for items, runs them, commits whole checkpoints, sends pieces.

// Sequences whose streams fit into `memory` bytes beside scratch and slabs: a multiple of the
// micro-batch, at least one of them. Longer items go through in waves.
int64_t tr_worker_wave(const struct tr_job *job, double memory);

// Bytes a rank keeps to for an item of `sequences` sequences.
double tr_worker_bytes(const struct tr_job *job, int64_t sequences);

// Runs until rank 0 has no more work. Not collective. An error is one of this rank or of the store;
// checkpoints that fail are recorded rows, not errors.
enum tr_status tr_worker_run(const struct tr_job *job, struct kn_backend *kn, struct dist *dist,
                             int64_t wave, struct tr_err *err);

#endif
