// SPDX-License-Identifier: Apache-2.0
#include "loaded.h"

#include <string.h>

// The type that the first product's matrices have in memory.
static enum kn_type weight_type(const struct tr_weight_plan *plan) {
    for (int64_t i = 0; i < plan->count; i++)
        if (plan->slabs[i].kind >= TR_SLAB_ATTN && plan->slabs[i].kind <= TR_SLAB_MLP)
            return plan->slabs[i].slots[TR_SLOT_OUT].type;
    return KN_F32;
}

static enum tr_status parse_config(const struct tr_checkpoint *checkpoint, struct tr_config *config,
                                   struct tr_err *err) {
    size_t size;
    const char *json = tr_checkpoint_config(checkpoint, &size);
    return tr_config_parse(config, json, size, tr_checkpoint_config_path(checkpoint), err);
}

enum tr_status tr_glance_at(struct tr_glance *glance, const char *folder, const char *config,
                            struct tr_err *err) {
    struct tr_checkpoint *checkpoint;
    TR_TRY(tr_checkpoint_peek(&checkpoint, folder, config, err));
    enum tr_status status = parse_config(checkpoint, &glance->config, err);
    snprintf(glance->choice, sizeof glance->choice, "%s", tr_checkpoint_choice(checkpoint));
    tr_checkpoint_close(checkpoint);
    return status;
}

enum tr_status tr_opened_open(struct tr_opened *opened, const char *folder,
                              const struct tr_wanted *wanted, struct tr_err *err) {
    struct tr_loaded *loaded = &opened->loaded;
    struct tr_weight_plan *plan = &opened->plan;
    struct tr_config *config = &loaded->config;
    TR_TRY(tr_checkpoint_open_with(&opened->checkpoint, folder, wanted->config, err));
    struct tr_checkpoint *checkpoint = opened->checkpoint;
    TR_TRY(parse_config(checkpoint, config, err));
    if (wanted->vocabulary && wanted->vocabulary < config->vocabulary)
        config->vocabulary = wanted->vocabulary;
    TR_TRY(tr_weight_plan_new(plan, &loaded->config, checkpoint, folder, wanted, err));
    tr_config_note_head(&loaded->config, plan->own_head);
    config->remarks |= plan->others ? TR_REMARK_OTHERS : 0;
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
