// SPDX-License-Identifier: Apache-2.0
// The list of steps of a model, and the slabs that they need.
#include <stdlib.h>

#include "base/alloc.h"
#include "slabs/bind.h"
#include "slabs/role.h"
#include "unused.h"

// Elements of a panel of the embedding or head: 64 MiB in f32. Fixed, because the loss is combined
// panel by panel and its last bits must not depend on the machine. Of a group of experts as many,
// and on a device more, for its products are fast where a group has many rows. What experts add
// does not depend on their groups. No more, for the reader's ring has to hold several.
enum { PANEL_ELEMENTS = 1 << 24, DEVICE_EXPERTS_ELEMENTS = 1 << 28 };

static bool keeps(const struct tr_binder *b, enum tr_module sublayer, int layer) {
    return tr_config_keeps(b->config, b->wanted->drop, sublayer, layer);
}

static enum tr_status add_step(const struct tr_binder *b, struct tr_step step) {
    struct tr_weight_plan *plan = b->plan;
    step.has_attn = keeps(b, TR_ATTN, step.layer);
    step.has_mlp = keeps(b, TR_MLP, step.layer);
    TR_TRY(tr_grow((void **)&plan->steps, &plan->step_capacity, (uint64_t)plan->step_count + 1,
                   sizeof *plan->steps, "the plan of the steps", b->err));
    plan->steps[plan->step_count++] = step;
    return TR_OK;
}

// A step that needs no weights.
static enum tr_status add_bare(const struct tr_binder *b, enum tr_step_kind kind, int layer) {
    return add_step(b, (struct tr_step){.kind = kind, .layer = layer, .slab = -1});
}

static void count_bytes(struct tr_weight_plan *plan, const struct tr_slab_plan *slab) {
    plan->largest = slab->bytes > plan->largest ? slab->bytes : plan->largest;
    for (int type = KN_F32; type <= KN_BF16; type++) {
        size_t bytes = tr_slab_converted_bytes(slab, (enum kn_type)type);
        plan->converted[type] = bytes > plan->converted[type] ? bytes : plan->converted[type];
    }
    for (uint64_t i = 0; i < slab->placement_count; i++) {
        const struct tr_placement *p = &slab->placements[i];
        double all = (double)tr_shape_elements(p->tensor->shape, p->tensor->dims);
        double used = (double)(p->rows * slab->slots[p->slot].cols);
        plan->bytes_read += used / all * (double)tr_tensor_stored_bytes(p->tensor);
    }
}

// A slab, and the step that needs it.
static enum tr_status add_slab(const struct tr_binder *b, enum tr_step_kind kind,
                               struct tr_slab_plan slab) {
    struct tr_weight_plan *plan = b->plan;
    TR_TRY(tr_grow((void **)&plan->slabs, &plan->capacity, (uint64_t)plan->count + 1,
                   sizeof *plan->slabs, "the plan of the weights", b->err));
    struct tr_slab_plan *added = &plan->slabs[plan->count++];
    *added = slab;
    TR_TRY(tr_bind_slab(b, added));
    count_bytes(plan, added);
    return add_step(b,
                    (struct tr_step){.kind = kind, .layer = slab.layer, .slab = plan->count - 1});
}

// Adds slabs for rows [0, total) of a table, each with as many rows as fit into a panel.
static enum tr_status add_panels(const struct tr_binder *b, enum tr_step_kind step,
                                 enum tr_slab_kind kind, int layer, int64_t total, int64_t each) {
    each = each > 1 ? each : 1;
    for (int64_t first = 0; first < total; first += each) {
        int64_t last = total - first < each ? total : first + each;
        TR_TRY(add_slab(b, step,
                        (struct tr_slab_plan){
                            .kind = kind, .layer = layer, .first_id = first, .last_id = last}));
    }
    return TR_OK;
}

static enum tr_status add_experts(const struct tr_binder *b, int layer) {
    const struct tr_config *c = b->config;
    int64_t expert = (tr_config_in_rows(c, c->expert_ffn) + c->expert_ffn) * c->hidden;
    TR_TRY(
        add_slab(b, TR_STEP_ROUTER, (struct tr_slab_plan){.kind = TR_SLAB_ROUTER, .layer = layer}));
    TR_TRY(add_bare(b, TR_STEP_SHARED_EXPERT, layer));
    int64_t elements = b->wanted->device ? DEVICE_EXPERTS_ELEMENTS : PANEL_ELEMENTS;
    int64_t slabs = (c->experts * expert + elements - 1) / elements;
    TR_TRY(add_panels(b, TR_STEP_EXPERTS, TR_SLAB_EXPERTS, layer, c->experts,
                      (c->experts + slabs - 1) / slabs));
    return add_bare(b, TR_STEP_EXPERTS_END, layer);
}

static enum tr_status add_mlp(const struct tr_binder *b, int layer) {
    if (tr_config_has(b->config, layer, TR_LAYER_EXPERTS))
        return add_experts(b, layer);
    return add_slab(b, TR_STEP_MLP, (struct tr_slab_plan){.kind = TR_SLAB_MLP, .layer = layer});
}

static enum tr_status add_attention(const struct tr_binder *b, int layer) {
    bool scans = tr_config_has(b->config, layer, TR_LAYER_SCAN);
    enum tr_slab_kind kind = scans ? TR_SLAB_SCAN : TR_SLAB_ATTN;
    return add_slab(b, scans ? TR_STEP_SCAN : TR_STEP_ATTENTION,
                    (struct tr_slab_plan){.kind = kind, .layer = layer});
}

static enum tr_status add_block(const struct tr_binder *b, int layer) {
    if (keeps(b, TR_ATTN, layer))
        TR_TRY(add_attention(b, layer));
    if (keeps(b, TR_MLP, layer))
        TR_TRY(add_mlp(b, layer));
    TR_TRY(add_bare(b, TR_STEP_BLOCK_END, layer));
    return add_bare(b, TR_STEP_LAYER_END, layer);
}

static enum tr_status add_all(const struct tr_binder *b) {
    const struct tr_config *c = b->config;
    if (b->wanted->drop)
        TR_TRY(tr_drop_set_check(b->wanted->drop, c->layers, b->err));
    int64_t rows = PANEL_ELEMENTS / c->hidden;
    TR_TRY(add_panels(b, TR_STEP_EMBED, TR_SLAB_EMBED, 0, c->vocabulary, rows));
    if (c->family->weights[TR_W_POSITIONS])
        TR_TRY(add_slab(b, TR_STEP_POSITIONS, (struct tr_slab_plan){.kind = TR_SLAB_POSITIONS}));
    if (c->family->weights[TR_W_EMBED_NORM])
        TR_TRY(add_slab(b, TR_STEP_EMBED_NORM, (struct tr_slab_plan){.kind = TR_SLAB_EMBED_NORM}));
    if (c->family->embedding_normed)
        TR_TRY(add_bare(b, TR_STEP_EMBED_NORM, 0));
    TR_TRY(add_bare(b, TR_STEP_BLOCKS, 0));
    for (int layer = 0; layer < c->layers; layer++)
        TR_TRY(add_block(b, layer));
    if (!b->wanted->head)
        return TR_OK;
    if (c->family->weights[TR_W_HEAD_DENSE])
        TR_TRY(add_slab(b, TR_STEP_HEAD_DENSE, (struct tr_slab_plan){.kind = TR_SLAB_HEAD_DENSE}));
    TR_TRY(add_panels(b, TR_STEP_HEAD, TR_SLAB_HEAD, 0, c->vocabulary, rows));
    if (b->wanted->comparisons)
        TR_TRY(add_panels(b, TR_STEP_COMPARE, TR_SLAB_HEAD, 0, c->vocabulary, rows));
    return add_bare(b, TR_STEP_LOSSES, 0);
}

enum tr_status tr_weight_plan_new(struct tr_weight_plan *plan_p, const struct tr_config *config,
                                  struct tr_checkpoint *checkpoint, const char *folder,
                                  const struct tr_wanted *wanted, struct tr_err *err) {
    struct tr_weight_plan plan = {0};
    struct tr_binder binder = {config, checkpoint, folder, wanted, &plan, err};
    enum tr_status status = add_all(&binder);
    if (status == TR_OK)
        status = tr_check_unused(&plan, config, checkpoint, wanted, err);
    if (status == TR_OK && wanted->head)
        status = tr_has_own_head(&binder, &plan.own_head);
    if (status != TR_OK) {
        tr_weight_plan_free(&plan);
        return status;
    }
    *plan_p = plan;
    return TR_OK;
}

void tr_weight_plan_free(struct tr_weight_plan *plan) {
    for (int64_t i = 0; i < plan->count; i++)
        free(plan->slabs[i].placements);
    free(plan->slabs);
    free(plan->steps);
    *plan = (struct tr_weight_plan){0};
}
