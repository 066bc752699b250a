// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TARGETS_H
#define TR_TARGETS_H

#include "model/weights.h"

// Which matrices of a slab are put into few bits, and in which order: routers, gates of shared
// experts, embeddings, heads, norms and biases stay as they are. Private to this folder.

// Matrices of a slab come in stages: those of a stage are multiplied with what no other matrix of
// the slab at the same or a later stage has been multiplied into.
enum { TR_STAGES = 3 };

// The stage of a slot of a slab; -1: it is not put into few bits.
int tr_target_stage(const struct tr_slab_plan *slab, enum tr_slot slot);

// How many matrices lie one below the other in a slot: of experts as many as the slab has.
int64_t tr_target_matrices(const struct tr_slab_plan *slab);

// Whether a placement is a weight [out, in] that becomes the rows of matrices as it is.
bool tr_target_fits(const struct tr_slab_plan *slab, const struct tr_placement *placement);

#endif
