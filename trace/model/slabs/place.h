// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PLACE_H
#define TR_PLACE_H

#include "slabs/bind.h"

// Where in a slab's slots tensors go. Roles that the family lacks are passed over: *placement_p is
// NULL then.

// Adds the tensor as rows [to, to + rows) of a slot; the slot grows to hold them and takes the
// common type of its tensors. The caller refines the segments of a fused tensor.
enum tr_status tr_place(struct tr_slab_plan *slab, enum tr_slot slot,
                        const struct tr_tensor *tensor, int64_t rows, int64_t cols, int64_t to,
                        struct tr_placement **placement_p, struct tr_err *err);

// Multiplies what the placement of a role gives, which is f32 then, by the role's learned
// multiplier, where the family has one.
enum tr_status tr_bind_times(const struct tr_binder *binder, struct tr_slab_plan *slab,
                             enum tr_weight weight, struct tr_placement *placement);

// Binds a role's tensor of an expert or head as rows [to, to + rows) of a slot.
enum tr_status tr_bind_index(const struct tr_binder *binder, struct tr_slab_plan *slab,
                             enum tr_slot slot, enum tr_weight weight, int64_t index, int64_t rows,
                             int64_t cols, int64_t to, struct tr_placement **placement_p);

// The same of a layer's only one.
enum tr_status tr_bind(const struct tr_binder *binder, struct tr_slab_plan *slab, enum tr_slot slot,
                       enum tr_weight weight, int64_t rows, int64_t cols, int64_t to);

// A norm's weights, to which 1 is added in some families.
enum tr_status tr_bind_norm(const struct tr_binder *binder, struct tr_slab_plan *slab,
                            enum tr_slot slot, enum tr_weight weight, int64_t size);

#endif
