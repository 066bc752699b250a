// SPDX-License-Identifier: Apache-2.0
#include "slabs/place.h"

#include "base/alloc.h"
#include "slabs/role.h"

static enum kn_type bound_type(enum tr_dtype dtype) {
    return dtype == TR_F16 ? KN_F16 : dtype == TR_BF16 ? KN_BF16 : KN_F32;
}

enum tr_status tr_place(struct tr_slab_plan *slab, enum tr_slot slot,
                        const struct tr_tensor *tensor, int64_t rows, int64_t cols, int64_t to,
                        struct tr_placement **placement_p, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&slab->placements, &slab->placement_capacity, slab->placement_count + 1,
                   sizeof *slab->placements, "the plan of the weights", err));
    struct tr_slot_plan *at = &slab->slots[slot];
    enum kn_type type = cols == 1 ? KN_F32 : bound_type(tensor->dtype);
    at->type = at->rows == 0 || at->type == type ? type : KN_F32;
    at->cols = cols;
    at->rows = at->rows > to + rows ? at->rows : to + rows;
    *placement_p = &slab->placements[slab->placement_count++];
    **placement_p = (struct tr_placement){.tensor = tensor,
                                          .slot = slot,
                                          .rows = rows,
                                          .group_rows = rows,
                                          .segment_count = 1,
                                          .segments = {{rows, to}}};
    return TR_OK;
}

// The role of the learned multiplier of a role; 0, which is no multiplier, where it has none.
static const enum tr_weight times_of[TR_WEIGHTS] = {
    [TR_W_ATTN_NORM] = TR_W_ATTN_NORM_TIMES,
    [TR_W_Q] = TR_W_Q_TIMES,
    [TR_W_Q_BIAS] = TR_W_Q_TIMES,
    [TR_W_K] = TR_W_K_TIMES,
    [TR_W_K_BIAS] = TR_W_K_TIMES,
    [TR_W_V] = TR_W_V_TIMES,
    [TR_W_V_BIAS] = TR_W_V_TIMES,
    [TR_W_O] = TR_W_O_TIMES,
    [TR_W_MLP_NORM] = TR_W_MLP_NORM_TIMES,
    [TR_W_GATE] = TR_W_GATE_UP_TIMES,
    [TR_W_UP] = TR_W_GATE_UP_TIMES,
    [TR_W_DOWN] = TR_W_DOWN_TIMES,
    [TR_W_FINAL_NORM] = TR_W_FINAL_NORM_TIMES,
    [TR_W_HEAD] = TR_W_HEAD_TIMES,
};

static bool is_of_norm(enum tr_weight times) {
    return times == TR_W_ATTN_NORM_TIMES || times == TR_W_MLP_NORM_TIMES ||
           times == TR_W_FINAL_NORM_TIMES;
}

enum tr_status tr_bind_times(const struct tr_binder *b, struct tr_slab_plan *slab,
                             enum tr_weight weight, struct tr_placement *p) {
    enum tr_weight times = times_of[weight];
    bool there = is_of_norm(times) ? b->config->norm_multipliers : b->config->multipliers;
    if (!times || !b->config->family->weights[times] || !there)
        return TR_OK;
    TR_TRY(tr_role_find(b, times, slab->layer, 0, 1, 1, &p->times));
    slab->slots[p->slot].type = KN_F32;
    return TR_OK;
}

enum tr_status tr_bind_index(const struct tr_binder *b, struct tr_slab_plan *slab,
                             enum tr_slot slot, enum tr_weight weight, int64_t index, int64_t rows,
                             int64_t cols, int64_t to, struct tr_placement **placement_p) {
    const struct tr_tensor *tensor;
    bool transposed;
    *placement_p = NULL;
    if (!b->config->family->weights[weight])
        return TR_OK;
    TR_TRY(tr_role_side(b, weight, slab->layer, index, &transposed));
    TR_TRY(tr_role_find(b, weight, slab->layer, index, transposed ? cols : rows,
                        transposed ? rows : cols, &tensor));
    TR_TRY(tr_place(slab, slot, tensor, rows, cols, to, placement_p, b->err));
    if (transposed)
        (*placement_p)->transform = TR_TRANSPOSED;
    return tr_bind_times(b, slab, weight, *placement_p);
}

enum tr_status tr_bind(const struct tr_binder *b, struct tr_slab_plan *slab, enum tr_slot slot,
                       enum tr_weight weight, int64_t rows, int64_t cols, int64_t to) {
    struct tr_placement *placement;
    return tr_bind_index(b, slab, slot, weight, 0, rows, cols, to, &placement);
}

enum tr_status tr_bind_norm(const struct tr_binder *b, struct tr_slab_plan *slab, enum tr_slot slot,
                            enum tr_weight weight, int64_t size) {
    struct tr_placement *placement;
    TR_TRY(tr_bind_index(b, slab, slot, weight, 0, size, 1, 0, &placement));
    if (placement && b->config->family->norm_plus_one)
        placement->transform = TR_PLUS_ONE;
    return TR_OK;
}
