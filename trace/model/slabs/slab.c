// SPDX-License-Identifier: Apache-2.0
// A slab of any kind: its tensors, its layout, and what its products need.
#include "slabs/planners.h"

static tr_plan_func *const planners[] = {
    [TR_SLAB_EMBED] = tr_plan_panel,
    [TR_SLAB_POSITIONS] = tr_plan_positions,
    [TR_SLAB_EMBED_NORM] = tr_plan_embed_norm,
    [TR_SLAB_ATTN] = tr_plan_attention,
    [TR_SLAB_SCAN] = tr_plan_scan,
    [TR_SLAB_MLP] = tr_plan_mlp,
    [TR_SLAB_ROUTER] = tr_plan_router,
    [TR_SLAB_EXPERTS] = tr_plan_experts,
    [TR_SLAB_HEAD_DENSE] = tr_plan_head_dense,
    [TR_SLAB_HEAD] = tr_plan_panel,
};

static void lay_out(struct tr_slab_plan *slab) {
    for (int s = 0; s < TR_SLOTS; s++) {
        struct tr_slot_plan *slot = &slab->slots[s];
        slot->offset = slab->bytes;
        size_t bytes = (size_t)(slot->rows * slot->cols) * kn_type_size(slot->type);
        slab->bytes += (bytes + 63) & ~(size_t)63;
    }
}

enum tr_status tr_bind_slab(const struct tr_binder *b, struct tr_slab_plan *slab) {
    TR_TRY(planners[slab->kind](b, slab));
    for (int s = 0; s < TR_SLOTS; s++)
        if (b->wanted->wide && tr_slab_multiplies(slab, (enum tr_slot)s))
            slab->slots[s].type = KN_F32;
    lay_out(slab);
    return TR_OK;
}

bool tr_slab_multiplies(const struct tr_slab_plan *slab, enum tr_slot slot) {
    static const bool is_matrix[TR_SLOTS] = {
        [TR_SLOT_IN] = true,         [TR_SLOT_OUT] = true, [TR_SLOT_Q_LATENT] = true,
        [TR_SLOT_KV_LATENT] = true,  [TR_SLOT_KV] = true,  [TR_SLOT_ROUTER] = true,
        [TR_SLOT_SHARED_GATE] = true};
    return is_matrix[slot] && slab->slots[slot].rows && slab->kind != TR_SLAB_EMBED &&
           slab->kind != TR_SLAB_POSITIONS;
}

size_t tr_slab_converted_bytes(const struct tr_slab_plan *slab, enum kn_type type) {
    size_t bytes = 0;
    for (int s = 0; s < TR_SLOTS; s++) {
        const struct tr_slot_plan *slot = &slab->slots[s];
        if (slot->type != type && tr_slab_multiplies(slab, (enum tr_slot)s))
            bytes += ((size_t)(slot->rows * slot->cols) * kn_type_size(type) + 255) & ~(size_t)255;
    }
    return bytes;
}
