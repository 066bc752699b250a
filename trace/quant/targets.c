// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

// The stage of a slot and 1, so that 0 is none. Where queries have a latent of their own, their
// second projection comes behind it.
static const char stages[][TR_SLOTS] = {[TR_SLAB_ATTN] = {[TR_SLOT_Q_LATENT] = 1,
                                                          [TR_SLOT_KV_LATENT] = 1,
                                                          [TR_SLOT_IN] = 1,
                                                          [TR_SLOT_KV] = 2,
                                                          [TR_SLOT_OUT] = 3},
                                        [TR_SLAB_SCAN] = {[TR_SLOT_IN] = 1, [TR_SLOT_OUT] = 2},
                                        [TR_SLAB_MLP] = {[TR_SLOT_IN] = 1, [TR_SLOT_OUT] = 2},
                                        [TR_SLAB_ROUTER] = {[TR_SLOT_IN] = 1, [TR_SLOT_OUT] = 2},
                                        [TR_SLAB_EXPERTS] = {[TR_SLOT_IN] = 1, [TR_SLOT_OUT] = 2},
                                        [TR_SLAB_HEAD] = {0}};

int tr_target_stage(const struct tr_slab_plan *slab, enum tr_slot slot) {
    if (!slab->slots[slot].rows)
        return -1;
    if (slot == TR_SLOT_IN && slab->slots[TR_SLOT_Q_LATENT].rows)
        return 1;
    return stages[slab->kind][slot] - 1;
}

int64_t tr_target_matrices(const struct tr_slab_plan *slab) {
    return slab->kind == TR_SLAB_EXPERTS ? slab->last_id - slab->first_id : 1;
}

bool tr_target_fits(const struct tr_slab_plan *slab, const struct tr_placement *placement) {
    const struct tr_tensor *tensor = placement->tensor;
    return placement->transform == TR_AS_STORED && tensor->dims == 2 && !placement->first_row &&
           tensor->shape[0] == placement->rows &&
           tensor->shape[1] == slab->slots[placement->slot].cols;
}
