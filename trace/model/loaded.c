// SPDX-License-Identifier: Apache-2.0
#include "loaded.h"

#include <string.h>

// The type that the first product's matrices have in memory.
static enum kn_type weight_type(const struct tr_weight_plan *plan) {
    for (int64_t i = 0; i < plan->count; i++)
        if (plan->slabs[i].kind == TR_SLAB_ATTN || plan->slabs[i].kind == TR_SLAB_MLP)
            return plan->slabs[i].slots[TR_SLOT_OUT].type;
    return KN_F32;
}

enum tr_status tr_opened_open(struct tr_opened *opened, const char *folder,
                              const struct tr_wanted *wanted, struct tr_err *err) {
    struct tr_loaded *loaded = &opened->loaded;
    struct tr_weight_plan *plan = &opened->plan;
    TR_TRY(tr_checkpoint_open(&opened->checkpoint, folder, err));
    const struct tr_checkpoint *checkpoint = opened->checkpoint;
    size_t size;
    const char *json = tr_checkpoint_config(checkpoint, &size);
    const char *path = tr_checkpoint_config_path(checkpoint);
    TR_TRY(tr_config_parse(&loaded->config, json, size, path, err));
    TR_TRY(tr_weight_plan_new(plan, &loaded->config, checkpoint, folder, wanted, err));
    tr_config_note_head(&loaded->config, plan->own_head);
    tr_checkpoint_identity(checkpoint, loaded->identity);
    strcpy(loaded->config_digest, tr_checkpoint_config_digest(checkpoint));
    loaded->slabs = plan->count;
    loaded->largest_slab = plan->largest;
    memcpy(loaded->converted, plan->converted, sizeof loaded->converted);
    loaded->weights = weight_type(plan);
    loaded->bytes_read = plan->bytes_read;
    loaded->bytes_stored = (double)tr_checkpoint_bytes(checkpoint);
    return TR_OK;
}

void tr_opened_close(struct tr_opened *opened) {
    tr_weight_plan_free(&opened->plan);
    tr_checkpoint_close(opened->checkpoint);
    *opened = (struct tr_opened){0};
}

enum tr_status tr_loaded_examine(struct tr_loaded *loaded, const char *folder,
                                 const struct tr_wanted *wanted, struct tr_err *err) {
    struct tr_opened opened = {0};
    enum tr_status status = tr_opened_open(&opened, folder, wanted, err);
    if (status == TR_OK)
        *loaded = opened.loaded;
    tr_opened_close(&opened);
    return status;
}
