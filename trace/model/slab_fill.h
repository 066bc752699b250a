// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SLAB_FILL_H
#define TR_SLAB_FILL_H

#include "base/digest.h"
#include "base/status.h"
#include "model/weights.h"

// The disk's side of a slab: reads tensors in order in large pieces, digests the bytes as they lie
// in the file, and puts rows where the plan wants them.

struct tr_filler; // for one checkpoint after the other; not thread-safe

// `readers` threads, at least 1, read what can go straight from the file into the slab.
enum tr_status tr_filler_new(struct tr_filler **filler_p, int readers, struct tr_err *err);
void tr_filler_free(struct tr_filler *filler); // accepts NULL

// Starts a checkpoint: forgets the digests of the one before.
void tr_filler_start(struct tr_filler *filler);

// Fills memory[0, plan->bytes).
enum tr_status tr_filler_fill(struct tr_filler *filler, struct tr_checkpoint *checkpoint,
                              const struct tr_slab_plan *plan, char *memory, struct tr_err *err);

// The digest of all tensors read since tr_filler_start.
enum tr_status tr_filler_digest(struct tr_filler *filler, char out[TR_DIGEST_MAX],
                                struct tr_err *err);

#endif
