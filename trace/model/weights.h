// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WEIGHTS_H
#define TR_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/drop_set.h"
#include "base/status.h"
#include "ckpt/checkpoint.h"
#include "model/config.h"
#include "model/steps.h"

// How a checkpoint's tensors become slabs. A slab is one sublayer's weights (or a panel of the
// embedding or of the head, or a group of experts) in one piece of memory, in the one layout the
// forward pass knows:
//
//   attention: norm, in = [q heads | k heads | v heads] x hidden, out = hidden x heads*v_dim
//              latent: in = the query's projection (or its first half), see the slots below
//   scan:      norm, in = [gate | what is scanned | what writes and reads the state | steps] x
//              hidden, out = hidden x width, the convolution and the state's vectors
//   MLP:       norm, in = [gate | up] or up x hidden,             out = hidden x ffn
//   router:    norm, router = experts x hidden, in and out of the shared expert if there is one
//   experts:   in = expert by expert [gate | up] x hidden, out = expert by expert hidden x ffn, and
//              their biases in that order
//   embedding: in = a panel of vocabulary rows x hidden
//   positions: in = seq_len rows of the position table; and the norm of the embedding
//   before the head: norm (the final one), in = hidden x hidden, the norm after it
//   head:      norm (the final one, unless the slab before has it), in = a panel of vocabulary rows
//   x hidden, bias
//
// Matrices keep their stored type (f64 and mixed types become f32); vectors become f32.

enum tr_slab_kind {
    TR_SLAB_EMBED,
    TR_SLAB_POSITIONS,
    TR_SLAB_EMBED_NORM,
    TR_SLAB_ATTN,
    TR_SLAB_SCAN,
    TR_SLAB_MLP,
    TR_SLAB_ROUTER,
    TR_SLAB_EXPERTS,
    TR_SLAB_HEAD_DENSE,
    TR_SLAB_HEAD
};

enum tr_slot {
    TR_SLOT_NONE, // no slab has it: what a step asks for where the model has no bias
    TR_SLOT_NORM,
    TR_SLOT_NORM_BIAS,
    TR_SLOT_IN,
    TR_SLOT_IN_BIAS,
    TR_SLOT_OUT,
    TR_SLOT_OUT_BIAS,
    TR_SLOT_POST_NORM,
    TR_SLOT_Q_NORM, // [qk_dim], [heads * qk_dim]
    TR_SLOT_Q_NORM_BIAS,
    TR_SLOT_K_NORM,
    TR_SLOT_K_NORM_BIAS,
    TR_SLOT_Q_LATENT,      // latent attention: [query_rank, hidden]; in = [.., query_rank] then
    TR_SLOT_Q_LATENT_NORM, // [query_rank]
    TR_SLOT_KV_LATENT,     // [kv_rank + rope_dim, hidden]
    TR_SLOT_KV_LATENT_NORM,
    TR_SLOT_KV,        // [heads * (nope_dim + v_dim), kv_rank]
    TR_SLOT_TAPS,      // layers that scan: [taps cols * taps], f32
    TR_SLOT_TAPS_BIAS, // [taps cols]
    TR_SLOT_SCAN_RATE, // [scan heads], as are the next two
    TR_SLOT_SCAN_SKIP,
    TR_SLOT_SCAN_STEP_BIAS,
    TR_SLOT_SCAN_NORM,         // [scan width]
    TR_SLOT_ALPHAS,            // xIELU: [2]
    TR_SLOT_ROUTER,            // [experts, hidden]
    TR_SLOT_ROUTER_BIAS,       // [experts]
    TR_SLOT_ROUTER_CORRECTION, // [experts]
    TR_SLOT_SINKS,             // [heads]
    TR_SLOT_SHARED_GATE,       // [1, hidden]
    TR_SLOTS
};

// Where a slot lies in its slab; rows == 0: the slab has no such slot. A vector has one column.
struct tr_slot_plan {
    enum kn_type type;
    int64_t rows, cols;
    size_t offset; // bytes from the slab's start, a multiple of 64
};

// What happens to a tensor's values on the way into the slab.
enum tr_transform {
    TR_AS_STORED,
    TR_TRANSPOSED, // the tensor is [cols, rows]
    TR_PLUS_ONE,   // a norm weight stored minus 1
    TR_UNIT_ROWS   // every row is scaled to length 1
};

// Which rows of which tensor go where. The rows (of a transposed tensor: its columns) come in
// groups of group_rows; within a group, segment s holds segments[s].rows rows, and those of group g
// go to segments[s].to + g * rows of the slot. A plain tensor is one group with one segment.
enum { TR_MAX_SEGMENTS = 3 };
struct tr_placement {
    const struct tr_tensor *tensor;
    const struct tr_tensor *times; // one number that all values are multiplied by, or NULL
    enum tr_slot slot;
    enum tr_transform transform;
    int64_t first_row, rows; // of the slot's rows that this tensor gives
    int64_t group_rows;
    int segment_count;
    struct {
        int64_t rows, to;
    } segments[TR_MAX_SEGMENTS];
};

// The slot's row where row `row` of the placement goes.
int64_t tr_placement_row(const struct tr_placement *placement, int64_t row);

struct tr_slab_plan {
    enum tr_slab_kind kind;
    int layer;                 // of sublayers
    int64_t first_id, last_id; // embedding and head: vocabulary rows; experts: which; [first, last)
    struct tr_slot_plan slots[TR_SLOTS];
    struct tr_placement *placements; // [placement_count]
    uint64_t placement_count, placement_capacity;
    size_t bytes;
};

// What of a checkpoint is wanted: the head and the final norm with it, or not, and the head once
// more for candidates that are compared; all sublayers but those of `drop` (borrowed; NULL: all);
// and so many rows of the embedding and head, where the file has more (0: all). For a device: slabs
// of many experts.
struct tr_wanted {
    bool head, comparisons, device;
    const struct tr_drop_set *drop;
    int64_t vocabulary;
    bool wide;          // matrices of products are f32, whatever the files have
    const char *config; // a file that says the configuration, in place of the checkpoint's own
};

struct tr_weight_plan {
    struct tr_slab_plan *slabs; // [count] in the order of the forward pass
    int64_t count;
    uint64_t capacity;
    struct tr_step *steps; // [step_count], see steps.h
    int64_t step_count;
    uint64_t step_capacity;
    size_t largest;      // bytes of the largest slab
    size_t converted[3]; // the most that tr_slab_converted_bytes is, by enum kn_type
    double bytes_read;   // from disk, for all slabs
    bool own_head;       // the head is not the embedding, whatever config.json says
    bool others;         // tensors of something else than the model are there, see unused.h
};

// Finds every tensor that the forward pass needs, checks its shape against the config, and plans
// slabs and steps. A sublayer that is not wanted has neither, and its tensors may be missing. The
// plan borrows tensors from the checkpoint. TR_EUSAGE when `drop` names a layer that is not there.
// Tensors that it leaves over are looked at, see unused.h.
// Where a file has a tensor more than once, the copies are read and compared.
enum tr_status tr_weight_plan_new(struct tr_weight_plan *plan, const struct tr_config *config,
                                  struct tr_checkpoint *checkpoint, const char *folder,
                                  const struct tr_wanted *wanted, struct tr_err *err);
// Whether a slot is the matrix of a product. The others are vectors, or tables that rows are picked
// from.
bool tr_slab_multiplies(const struct tr_slab_plan *slab, enum tr_slot slot);

// Bytes of a slab's matrices of products that are not of `type`, once they are, each on a multiple
// of 256 bytes.
size_t tr_slab_converted_bytes(const struct tr_slab_plan *slab, enum kn_type type);

void tr_weight_plan_free(struct tr_weight_plan *plan);

#endif
