// SPDX-License-Identifier: Apache-2.0
#include "weights.h"

#include <stdio.h>
#include <stdlib.h>

#include "alloc.h"

// Elements of a panel of the embedding or head: 64 MiB in f32. Fixed, because the loss is combined
// panel by panel and its last bits must not depend on the machine.
enum { PANEL_ELEMENTS = 1 << 24 };

struct binder {
    const struct tr_config *config;
    const struct tr_checkpoint *checkpoint;
    const char *folder;
    struct tr_err *err;
};

static void shape_text(const int64_t *shape, int dims, char out[128]) {
    int at = snprintf(out, 128, "[");
    for (int i = 0; i < dims && at < 100; i++)
        at += snprintf(out + at, 128 - (size_t)at, i ? ", %lld" : "%lld", (long long)shape[i]);
    snprintf(out + at, 128 - (size_t)at, "]");
}

// The tensor of a role in a layer; cols == 1 asks for a vector [rows], else for [rows, cols].
static enum tr_status find_tensor(const struct binder *b, enum tr_weight weight, int layer,
                                  int64_t rows, int64_t cols, const struct tr_tensor **tensor_p) {
    char name[256], expected[128], found[128];
    snprintf(name, sizeof name, b->config->family->weights[weight], layer);
    const struct tr_tensor *tensor = tr_checkpoint_find(b->checkpoint, name);
    if (!tensor)
        return tr_fail(b->err, TR_EFORMAT,
                       "%s: tensor %s is missing (config.json: %s with %lld layers)", b->folder,
                       name, b->config->family->model_type, (long long)b->config->layers);
    int dims = cols == 1 ? 1 : 2;
    const int64_t shape[2] = {rows, cols};
    bool fits = tensor->dims == dims;
    for (int i = 0; fits && i < dims; i++)
        fits = tensor->shape[i] == shape[i];
    if (!fits) {
        shape_text(shape, dims, expected);
        shape_text(tensor->shape, tensor->dims, found);
        return tr_fail(b->err, TR_EFORMAT, "%s: tensor %s has shape %s, config.json asks for %s",
                       tr_checkpoint_file(b->checkpoint, tensor), name, found, expected);
    }
    if (tensor->dtype == TR_OTHER_DTYPE)
        return tr_fail(b->err, TR_EUNSUPPORTED,
                       "%s: tensor %s has type %s; known: F64, F32, F16, BF16",
                       tr_checkpoint_file(b->checkpoint, tensor), name, tensor->dtype_text);
    *tensor_p = tensor;
    return TR_OK;
}

static enum kn_type bound_type(enum tr_dtype dtype) {
    return dtype == TR_F16 ? KN_F16 : dtype == TR_BF16 ? KN_BF16 : KN_F32;
}

// Adds the tensor's rows to a slot at row `to`; the slot grows to hold them and takes the common
// type of its tensors. The caller refines the segments of a fused tensor.
static struct tr_placement *place(struct tr_slab_plan *slab, enum tr_slot slot,
                                  const struct tr_tensor *tensor, int64_t rows, int64_t cols,
                                  int64_t to) {
    struct tr_slot_plan *at = &slab->slots[slot];
    enum kn_type type = cols == 1 ? KN_F32 : bound_type(tensor->dtype);
    at->type = at->rows == 0 || at->type == type ? type : KN_F32;
    at->cols = cols;
    at->rows = at->rows > to + rows ? at->rows : to + rows;
    struct tr_placement *placement = &slab->placements[slab->placement_count++];
    *placement = (struct tr_placement){.tensor = tensor,
                                       .slot = slot,
                                       .rows = rows,
                                       .group_rows = rows,
                                       .segment_count = 1,
                                       .segments = {{rows, to}},
                                       .digested = true};
    return placement;
}

// Binds one role as rows [to, to + rows) of a slot. Roles the family lacks are skipped.
static enum tr_status bind(const struct binder *b, struct tr_slab_plan *slab, enum tr_slot slot,
                           enum tr_weight weight, int64_t rows, int64_t cols, int64_t to) {
    if (!b->config->family->weights[weight])
        return TR_OK;
    const struct tr_tensor *tensor;
    TR_TRY(find_tensor(b, weight, slab->layer, rows, cols, &tensor));
    place(slab, slot, tensor, rows, cols, to);
    return TR_OK;
}

// Binds a fused query, key and value tensor: its groups' parts go to [q heads | k heads | v heads].
static enum tr_status bind_fused_qkv(const struct binder *b, struct tr_slab_plan *slab,
                                     enum tr_slot slot, enum tr_weight weight, int64_t cols) {
    const struct tr_config *c = b->config;
    int64_t q_rows = c->heads * c->head_dim, kv_rows = c->kv_heads * c->head_dim;
    int64_t groups = c->family->qkv == TR_QKV_PER_HEAD      ? c->heads
                     : c->family->qkv == TR_QKV_PER_KV_HEAD ? c->kv_heads
                                                            : 1;
    const struct tr_tensor *tensor;
    TR_TRY(find_tensor(b, weight, slab->layer, q_rows + 2 * kv_rows, cols, &tensor));
    struct tr_placement *p = place(slab, slot, tensor, q_rows + 2 * kv_rows, cols, 0);
    p->group_rows = p->rows / groups;
    p->segment_count = 3;
    p->segments[0].rows = q_rows / groups;
    p->segments[1].rows = p->segments[2].rows = kv_rows / groups;
    p->segments[1].to = q_rows;
    p->segments[2].to = q_rows + kv_rows;
    return TR_OK;
}

static enum tr_status bind_qkv(const struct binder *b, struct tr_slab_plan *slab, enum tr_slot slot,
                               bool bias) {
    const struct tr_config *c = b->config;
    int64_t q_rows = c->heads * c->head_dim, kv_rows = c->kv_heads * c->head_dim;
    int64_t cols = bias ? 1 : c->hidden;
    if (c->family->qkv != TR_QKV_SEPARATE)
        return bind_fused_qkv(b, slab, slot, bias ? TR_W_QKV_BIAS : TR_W_QKV, cols);
    TR_TRY(bind(b, slab, slot, bias ? TR_W_Q_BIAS : TR_W_Q, q_rows, cols, 0));
    TR_TRY(bind(b, slab, slot, bias ? TR_W_K_BIAS : TR_W_K, kv_rows, cols, q_rows));
    return bind(b, slab, slot, bias ? TR_W_V_BIAS : TR_W_V, kv_rows, cols, q_rows + kv_rows);
}

static enum tr_status plan_attention(const struct binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    TR_TRY(bind(b, slab, TR_SLOT_NORM, TR_W_ATTN_NORM, c->hidden, 1, 0));
    TR_TRY(bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_ATTN_NORM_BIAS, c->hidden, 1, 0));
    TR_TRY(bind_qkv(b, slab, TR_SLOT_IN, false));
    TR_TRY(bind(b, slab, TR_SLOT_OUT, TR_W_O, c->hidden, c->heads * c->head_dim, 0));
    if (!c->attention_bias)
        return TR_OK;
    TR_TRY(bind_qkv(b, slab, TR_SLOT_IN_BIAS, true));
    return bind(b, slab, TR_SLOT_OUT_BIAS, TR_W_O_BIAS, c->hidden, 1, 0);
}

static enum tr_status plan_mlp(const struct binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t up = c->family->gated ? c->ffn : 0; // the up rows follow the gate's
    TR_TRY(bind(b, slab, TR_SLOT_NORM, TR_W_MLP_NORM, c->hidden, 1, 0));
    TR_TRY(bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_MLP_NORM_BIAS, c->hidden, 1, 0));
    TR_TRY(bind(b, slab, TR_SLOT_IN, TR_W_GATE, c->ffn, c->hidden, 0));
    TR_TRY(bind(b, slab, TR_SLOT_IN, TR_W_UP, c->ffn, c->hidden, up));
    TR_TRY(bind(b, slab, TR_SLOT_OUT, TR_W_DOWN, c->hidden, c->ffn, 0));
    if (!c->mlp_bias)
        return TR_OK;
    TR_TRY(bind(b, slab, TR_SLOT_IN_BIAS, TR_W_GATE_BIAS, c->ffn, 1, 0));
    TR_TRY(bind(b, slab, TR_SLOT_IN_BIAS, TR_W_UP_BIAS, c->ffn, 1, up));
    return bind(b, slab, TR_SLOT_OUT_BIAS, TR_W_DOWN_BIAS, c->hidden, 1, 0);
}

// One panel of the embedding or head table: vocabulary rows [first_id, first_id + rows).
static enum tr_status plan_panel(const struct binder *b, struct tr_slab_plan *slab, int64_t rows) {
    const struct tr_config *c = b->config;
    bool head = slab->kind == TR_SLAB_HEAD;
    if (head) {
        TR_TRY(bind(b, slab, TR_SLOT_NORM, TR_W_FINAL_NORM, c->hidden, 1, 0));
        TR_TRY(bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_FINAL_NORM_BIAS, c->hidden, 1, 0));
        for (int i = 0; i < slab->placement_count; i++)
            slab->placements[i].digested = slab->first_id == 0;
    }
    const struct tr_tensor *table;
    enum tr_weight weight = head && !c->tied ? TR_W_HEAD : TR_W_EMBED;
    TR_TRY(find_tensor(b, weight, 0, c->vocabulary, c->hidden, &table));
    struct tr_placement *placement = place(slab, TR_SLOT_IN, table, rows, c->hidden, 0);
    placement->first_row = slab->first_id;
    placement->digested = !(head && c->tied);
    return TR_OK;
}

static enum tr_status plan_slab(const struct binder *b, struct tr_slab_plan *slab, int64_t rows) {
    switch (slab->kind) {
    case TR_SLAB_ATTN:
        return plan_attention(b, slab);
    case TR_SLAB_MLP:
        return plan_mlp(b, slab);
    default:
        return plan_panel(b, slab, rows);
    }
}

static void lay_out(struct tr_slab_plan *slab) {
    for (int s = 0; s < TR_SLOTS; s++) {
        struct tr_slot_plan *slot = &slab->slots[s];
        slot->offset = slab->bytes;
        size_t bytes = (size_t)(slot->rows * slot->cols) * kn_type_size(slot->type);
        slab->bytes += (bytes + 63) & ~(size_t)63;
    }
}

static void account(struct tr_weight_plan *plan, const struct tr_slab_plan *slab) {
    if (slab->bytes > plan->largest)
        plan->largest = slab->bytes;
    for (int i = 0; i < slab->placement_count; i++) {
        const struct tr_placement *p = &slab->placements[i];
        double share = (double)p->rows / (double)p->tensor->shape[0];
        plan->bytes_read += share * (double)p->tensor->bytes;
    }
}

// The slabs' kinds in order: panels of the embedding, attention and MLP by layer, panels of the
// head.
static enum tr_status plan_all(struct tr_weight_plan *plan, const struct binder *b, int64_t panels,
                               int64_t panel_rows) {
    int64_t head_start = panels + 2 * b->config->layers;
    for (int64_t i = 0; i < plan->count; i++) {
        struct tr_slab_plan *slab = &plan->slabs[i];
        int64_t rows = 0;
        if (i >= panels && i < head_start) {
            slab->kind = (i - panels) % 2 ? TR_SLAB_MLP : TR_SLAB_ATTN;
            slab->layer = (int)((i - panels) / 2);
        } else {
            slab->kind = i < panels ? TR_SLAB_EMBED : TR_SLAB_HEAD;
            slab->first_id = (i < panels ? i : i - head_start) * panel_rows;
            rows = b->config->vocabulary - slab->first_id;
            rows = rows < panel_rows ? rows : panel_rows;
        }
        TR_TRY(plan_slab(b, slab, rows));
        lay_out(slab);
        account(plan, slab);
    }
    return TR_OK;
}

enum tr_status tr_weight_plan_new(struct tr_weight_plan *plan_p, const struct tr_config *config,
                                  const struct tr_checkpoint *checkpoint, const char *folder,
                                  bool head, struct tr_err *err) {
    struct binder binder = {config, checkpoint, folder, err};
    int64_t panel_rows = PANEL_ELEMENTS / config->hidden;
    int64_t panels = (config->vocabulary + panel_rows - 1) / panel_rows;
    struct tr_weight_plan plan = {.count = panels * (head ? 2 : 1) + 2 * config->layers};
    TR_TRY(TR_NEW(&plan.slabs, plan.count, "the plan of the weights", err));
    enum tr_status status = plan_all(&plan, &binder, panels, panel_rows);
    if (status != TR_OK) {
        tr_weight_plan_free(&plan);
        return status;
    }
    *plan_p = plan;
    return TR_OK;
}

void tr_weight_plan_free(struct tr_weight_plan *plan) {
    free(plan->slabs);
    *plan = (struct tr_weight_plan){0};
}
