// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WEIGHTS_H
#define TR_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint.h"
#include "config.h"
#include "status.h"

// How a checkpoint's tensors become slabs. A slab is one sublayer's weights (or a panel of the
// embedding or of the head) in one piece of memory, in the one layout the forward pass knows:
//
//   attention: norm, in = [q heads | k heads | v heads] x hidden, out = hidden x heads*head_dim
//   MLP:       norm, in = [gate | up] or up x hidden,             out = hidden x ffn
//   embedding: in = a panel of vocabulary rows x hidden
//   head:      norm (the final one), in = a panel of vocabulary rows x hidden
//
// Matrices keep their stored type (f64 and mixed types become f32); vectors become f32.

enum tr_slab_kind { TR_SLAB_EMBED, TR_SLAB_ATTN, TR_SLAB_MLP, TR_SLAB_HEAD };
enum tr_slot {
    TR_SLOT_NORM,
    TR_SLOT_NORM_BIAS,
    TR_SLOT_IN,
    TR_SLOT_IN_BIAS,
    TR_SLOT_OUT,
    TR_SLOT_OUT_BIAS,
    TR_SLOTS
};

// Where a slot lies in its slab; rows == 0: the slab has no such slot. A vector has one column.
struct tr_slot_plan {
    enum kn_type type;
    int64_t rows, cols;
    size_t offset; // bytes from the slab's start, a multiple of 64
};

// Which rows of which tensor go where. The rows come in groups of group_rows; within a group,
// segment s holds segments[s].rows rows, and those of group g go to segments[s].to + g * rows of
// the slot. A plain tensor is one group with one segment.
enum { TR_MAX_SEGMENTS = 3, TR_MAX_PLACEMENTS = 12 };
struct tr_placement {
    const struct tr_tensor *tensor;
    enum tr_slot slot;
    int64_t first_row, rows; // of the tensor
    int64_t group_rows;
    int segment_count;
    struct {
        int64_t rows, to;
    } segments[TR_MAX_SEGMENTS];
    bool digested; // this reading counts for the weights digest (a tied table is read twice)
};

struct tr_slab_plan {
    enum tr_slab_kind kind;
    int layer;        // attention and MLP
    int64_t first_id; // embedding and head: the panel's first vocabulary row
    struct tr_slot_plan slots[TR_SLOTS];
    struct tr_placement placements[TR_MAX_PLACEMENTS];
    int placement_count;
    size_t bytes;
};

struct tr_weight_plan {
    struct tr_slab_plan *slabs; // [count] in the order of the forward pass
    int64_t count;
    size_t largest;    // bytes of the largest slab
    double bytes_read; // from disk, for all slabs
};

// Finds every tensor the forward pass needs, checks its shape against the config, and plans the
// slabs; `head`: with the final norm and the head. The plan borrows tensors from the checkpoint.
enum tr_status tr_weight_plan_new(struct tr_weight_plan *plan, const struct tr_config *config,
                                  const struct tr_checkpoint *checkpoint, const char *folder,
                                  bool head, struct tr_err *err);
void tr_weight_plan_free(struct tr_weight_plan *plan);

#endif
