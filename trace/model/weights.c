// SPDX-License-Identifier: Apache-2.0
#include "bind.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ckpt/name_pattern.h"

int64_t tr_shape_elements(const int64_t *shape, int dims) {
    int64_t count = 1;
    for (int i = 0; i < dims; i++)
        count *= shape[i];
    return count;
}

// Roles whose tensors have two dimensions, be one of them 1; the others are vectors, but for norms
// of a weight for each head.
static const bool has_two_dimensions[TR_WEIGHTS] = {
    [TR_W_EMBED] = true,
    [TR_W_POSITIONS] = true,
    [TR_W_QKV] = true,
    [TR_W_Q] = true,
    [TR_W_K] = true,
    [TR_W_V] = true,
    [TR_W_Q_A] = true,
    [TR_W_Q_B] = true,
    [TR_W_KV_A] = true,
    [TR_W_KV_B] = true,
    [TR_W_O] = true,
    [TR_W_SCAN_IN] = true,
    [TR_W_SCAN_OUT] = true,
    [TR_W_GATE_UP] = true,
    [TR_W_GATE] = true,
    [TR_W_UP] = true,
    [TR_W_DOWN] = true,
    [TR_W_ROUTER] = true,
    [TR_W_EXPERT_GATE] = true,
    [TR_W_EXPERT_UP] = true,
    [TR_W_EXPERT_DOWN] = true,
    [TR_W_SHARED_GATE] = true,
    [TR_W_SHARED_UP] = true,
    [TR_W_SHARED_DOWN] = true,
    [TR_W_SHARED_SWITCH] = true,
    [TR_W_HEAD_DENSE] = true,
    [TR_W_HEAD] = true,
};

// Whether the tensor is a matrix [rows, cols], or a vector [rows] (a scalar counts as [1]).
static bool fits(const struct tr_tensor *tensor, bool vector, int64_t rows, int64_t cols) {
    if (vector)
        return tensor->dims <= 1 && tr_shape_elements(tensor->shape, tensor->dims) == rows;
    return tensor->dims == 2 && tensor->shape[0] == rows && tensor->shape[1] == cols;
}

// What a whole model puts before the names of the base model within it: the prefix that the row
// names, or else the first part of the embedding's name. Files may have it or not.
static const char *root_of(const struct tr_family *family, char out[64]) {
    const char *embed = family->weights[TR_W_EMBED], *dot = strchr(embed, '.');
    if (family->prefix)
        return family->prefix;
    bool nested = dot && strchr(dot + 1, '.');
    snprintf(out, 64, "%.*s", nested ? (int)(dot + 1 - embed) : 0, embed);
    return out;
}

// A tensor of that name behind a word that is not known; NULL when there is none.
static const char *behind_a_word(const struct tr_checkpoint *checkpoint, const char *name) {
    for (int64_t i = 0; i < tr_checkpoint_tensor_count(checkpoint); i++) {
        const char *other = tr_checkpoint_tensor(checkpoint, i)->name;
        size_t size = strlen(other), tail = strlen(name);
        if (size > tail && other[size - tail - 1] == '.' && !strcmp(other + size - tail, name))
            return other;
    }
    return NULL;
}

static enum tr_status missing(const struct tr_binder *b, enum tr_weight weight, const char *name) {
    bool loss = weight == TR_W_HEAD || weight == TR_W_HEAD_BIAS;
    const char *sign = NULL, *whose = tr_checkpoint_whose(b->checkpoint, &sign);
    const char *wrapped = behind_a_word(b->checkpoint, name);
    char hint[256] = "";
    if (loss)
        snprintf(hint, sizeof hint, "; --no-nll leaves out the loss, which alone needs it");
    else if (whose)
        snprintf(hint, sizeof hint, "; the names are %s (%.128s)", whose, sign);
    else if (wrapped)
        snprintf(hint, sizeof hint, "; the files hold %.128s: save the language model alone",
                 wrapped);
    return tr_fail(b->err, TR_EFORMAT,
                   "%s: tensor %s is missing (config.json: %s with %lld layers)%s", b->folder, name,
                   b->config->family->model_type, (long long)b->config->layers, hint);
}

// The tensor of a role in a layer (`index`: the expert or head), NULL when there is none, and the
// name that the family gives it.
static enum tr_status look_for(const struct tr_binder *b, enum tr_weight weight, int layer,
                               int64_t index, char name[256], const struct tr_tensor **tensor_p) {
    const char *pattern = b->config->family->weights[weight];
    char root[64];
    *tensor_p = NULL;
    if (!pattern)
        return TR_OK;
    const struct tr_name_numbers numbers = {{layer, index, index}};
    if (!tr_pattern_expand(pattern, &numbers, name, 256))
        return tr_fail(b->err, TR_EUNSUPPORTED, "%s: the name %s is too long", b->folder, pattern);
    return tr_checkpoint_want(b->checkpoint, name, root_of(b->config->family, root), tensor_p,
                              b->err);
}

static enum tr_status check_type(const struct tr_binder *b, const struct tr_tensor *tensor,
                                 const char *name) {
    if (tensor->dtype != TR_OTHER_DTYPE)
        return TR_OK;
    return tr_fail(b->err, TR_EUNSUPPORTED, "%s: tensor %s has type %s; known: F64, F32, F16, BF16",
                   tr_checkpoint_file(b->checkpoint, tensor), name, tensor->dtype_text);
}

// Finds the same tensor, which must be there and have this shape.
static enum tr_status find_tensor(const struct tr_binder *b, enum tr_weight weight, int layer,
                                  int64_t index, int64_t rows, int64_t cols,
                                  const struct tr_tensor **tensor_p) {
    char name[256], expected[TR_INDEX_MAX], found[TR_INDEX_MAX];
    bool vector = cols == 1 && !has_two_dimensions[weight];
    const struct tr_tensor *tensor = NULL;
    TR_TRY(look_for(b, weight, layer, index, name, &tensor));
    if (!tensor)
        return missing(b, weight, name);
    if (!fits(tensor, vector, rows, cols)) {
        const int64_t shape[2] = {rows, cols};
        return tr_fail(b->err, TR_EFORMAT, "%s: tensor %s has shape %s, config.json asks for %s",
                       tr_checkpoint_file(b->checkpoint, tensor), name,
                       tr_index_text(tensor->dims, tensor->shape, found),
                       tr_index_text(vector ? 1 : 2, shape, expected));
    }
    TR_TRY(check_type(b, tensor, name));
    *tensor_p = tensor;
    return TR_OK;
}

// Whether a role's tensor lies transposed. Quantized ones never do, whatever the family's do.
static enum tr_status find_side(const struct tr_binder *b, enum tr_weight weight, int layer,
                                int64_t index, bool *transposed_p) {
    const struct tr_tensor *tensor;
    char name[256];
    *transposed_p = b->config->family->transposed && has_two_dimensions[weight];
    if (!*transposed_p)
        return TR_OK;
    TR_TRY(look_for(b, weight, layer, index, name, &tensor));
    *transposed_p = !tensor || !tensor->packed;
    return TR_OK;
}

static enum kn_type bound_type(enum tr_dtype dtype) {
    return dtype == TR_F16 ? KN_F16 : dtype == TR_BF16 ? KN_BF16 : KN_F32;
}

// Adds the tensor as rows [to, to + rows) of a slot; the slot grows to hold them and takes the
// common type of its tensors. The caller refines the segments of a fused tensor.
static enum tr_status place(struct tr_slab_plan *slab, enum tr_slot slot,
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

// Binds one role as rows [to, to + rows) of a slot. Roles the family lacks are skipped.
static enum tr_status bind_index(const struct tr_binder *b, struct tr_slab_plan *slab,
                                 enum tr_slot slot, enum tr_weight weight, int64_t index,
                                 int64_t rows, int64_t cols, int64_t to,
                                 struct tr_placement **placement_p) {
    const struct tr_tensor *tensor;
    bool transposed;
    *placement_p = NULL;
    if (!b->config->family->weights[weight])
        return TR_OK;
    TR_TRY(find_side(b, weight, slab->layer, index, &transposed));
    TR_TRY(find_tensor(b, weight, slab->layer, index, transposed ? cols : rows,
                       transposed ? rows : cols, &tensor));
    TR_TRY(place(slab, slot, tensor, rows, cols, to, placement_p, b->err));
    if (transposed)
        (*placement_p)->transform = TR_TRANSPOSED;
    return TR_OK;
}

static enum tr_status bind(const struct tr_binder *b, struct tr_slab_plan *slab, enum tr_slot slot,
                           enum tr_weight weight, int64_t rows, int64_t cols, int64_t to) {
    struct tr_placement *placement;
    return bind_index(b, slab, slot, weight, 0, rows, cols, to, &placement);
}

static enum tr_status bind_norm(const struct tr_binder *b, struct tr_slab_plan *slab,
                                enum tr_slot slot, enum tr_weight weight, int64_t size) {
    struct tr_placement *placement;
    TR_TRY(bind_index(b, slab, slot, weight, 0, size, 1, 0, &placement));
    if (placement && b->config->family->norm_plus_one)
        placement->transform = TR_PLUS_ONE;
    return TR_OK;
}

// ---- attention ---------------------------------------------------------------------------------

// Binds a fused query, key and value tensor: its groups' parts go to [q heads | k heads | v heads].
static enum tr_status bind_fused_qkv(const struct tr_binder *b, struct tr_slab_plan *slab,
                                     enum tr_slot slot, enum tr_weight weight, int64_t cols) {
    const struct tr_config *c = b->config;
    int64_t q_rows = c->heads * c->qk_dim, kv_rows = c->kv_heads * c->qk_dim;
    int64_t groups = c->family->qkv == TR_QKV_PER_HEAD      ? c->heads
                     : c->family->qkv == TR_QKV_PER_KV_HEAD ? c->kv_heads
                                                            : 1;
    struct tr_placement *p;
    TR_TRY(bind_index(b, slab, slot, weight, 0, q_rows + 2 * kv_rows, cols, 0, &p));
    p->group_rows = p->rows / groups;
    p->segment_count = 3;
    p->segments[0].rows = q_rows / groups;
    p->segments[1].rows = p->segments[2].rows = kv_rows / groups;
    p->segments[1].to = q_rows;
    p->segments[2].to = q_rows + kv_rows;
    return TR_OK;
}

static enum tr_status bind_qkv(const struct tr_binder *b, struct tr_slab_plan *slab,
                               enum tr_slot slot, bool bias) {
    const struct tr_config *c = b->config;
    int64_t q_rows = c->heads * c->qk_dim;
    int64_t kv_rows = tr_config_kv_heads(c, slab->layer) * c->qk_dim;
    int64_t cols = bias ? 1 : c->hidden;
    if (c->family->qkv != TR_QKV_SEPARATE)
        return bind_fused_qkv(b, slab, slot, bias ? TR_W_QKV_BIAS : TR_W_QKV, cols);
    TR_TRY(bind(b, slab, slot, bias ? TR_W_Q_BIAS : TR_W_Q, q_rows, cols, 0));
    TR_TRY(bind(b, slab, slot, bias ? TR_W_K_BIAS : TR_W_K, kv_rows, cols, q_rows));
    return bind(b, slab, slot, bias ? TR_W_V_BIAS : TR_W_V, kv_rows, cols, q_rows + kv_rows);
}

static enum tr_status bind_latent(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t queries = c->heads * c->qk_dim, rank = c->query_rank, kv = c->kv_rank;
    if (rank) {
        TR_TRY(bind(b, slab, TR_SLOT_Q_LATENT, TR_W_Q_A, rank, c->hidden, 0));
        TR_TRY(bind_norm(b, slab, TR_SLOT_Q_LATENT_NORM, TR_W_Q_A_NORM, rank));
        TR_TRY(bind(b, slab, TR_SLOT_IN, TR_W_Q_B, queries, rank, 0));
    } else {
        TR_TRY(bind(b, slab, TR_SLOT_IN, TR_W_Q, queries, c->hidden, 0));
    }
    TR_TRY(bind(b, slab, TR_SLOT_KV_LATENT, TR_W_KV_A, kv + c->rope_dim, c->hidden, 0));
    TR_TRY(bind_norm(b, slab, TR_SLOT_KV_LATENT_NORM, TR_W_KV_A_NORM, kv));
    return bind(b, slab, TR_SLOT_KV, TR_W_KV_B, c->heads * (c->nope_dim + c->v_dim), kv, 0);
}

static enum tr_status bind_qk_norm(const struct tr_binder *b, struct tr_slab_plan *slab,
                                   enum tr_slot slot, enum tr_weight weight, int64_t heads) {
    const struct tr_config *c = b->config;
    switch (c->family->qk_norm) {
    case TR_QK_PER_HEAD:
        return bind_norm(b, slab, slot, weight, c->qk_dim);
    case TR_QK_PER_HEAD_OWN: {
        const struct tr_tensor *tensor; // [heads, qk_dim]: as one vector, head by head
        struct tr_placement *whole;
        TR_TRY(find_tensor(b, weight, slab->layer, 0, heads, c->qk_dim, &tensor));
        return place(slab, slot, tensor, heads * c->qk_dim, 1, 0, &whole, b->err);
    }
    case TR_QK_FULL_WIDTH:
        return bind_norm(b, slab, slot, weight, heads * c->qk_dim);
    case TR_QK_EACH_TENSOR:
        break;
    }
    struct tr_placement *placement;
    for (int64_t head = 0; head < heads; head++)
        TR_TRY(bind_index(b, slab, slot, weight, head, c->qk_dim, 1, head * c->qk_dim, &placement));
    return TR_OK;
}

static enum tr_status plan_attention(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    if (tr_config_norms_attn(c, slab->layer)) {
        TR_TRY(bind_norm(b, slab, TR_SLOT_NORM, TR_W_ATTN_NORM, c->hidden));
        TR_TRY(bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_ATTN_NORM_BIAS, c->hidden, 1, 0));
    }
    TR_TRY(c->kv_rank ? bind_latent(b, slab) : bind_qkv(b, slab, TR_SLOT_IN, false));
    TR_TRY(bind(b, slab, TR_SLOT_OUT, TR_W_O, c->hidden, tr_config_mixed_cols(c), 0));
    TR_TRY(bind_norm(b, slab, TR_SLOT_POST_NORM, TR_W_ATTN_POST_NORM, c->hidden));
    TR_TRY(bind(b, slab, TR_SLOT_SINKS, TR_W_SINKS, c->heads, 1, 0));
    if (c->qk_norm) {
        TR_TRY(bind_qk_norm(b, slab, TR_SLOT_Q_NORM, TR_W_Q_NORM, c->heads));
        TR_TRY(bind_qk_norm(b, slab, TR_SLOT_K_NORM, TR_W_K_NORM, c->kv_heads));
        TR_TRY(bind(b, slab, TR_SLOT_Q_NORM_BIAS, TR_W_Q_NORM_BIAS, c->qk_dim, 1, 0));
        TR_TRY(bind(b, slab, TR_SLOT_K_NORM_BIAS, TR_W_K_NORM_BIAS, c->qk_dim, 1, 0));
    }
    if (c->qkv_bias)
        TR_TRY(bind_qkv(b, slab, TR_SLOT_IN_BIAS, true));
    if (c->out_bias)
        TR_TRY(bind(b, slab, TR_SLOT_OUT_BIAS, TR_W_O_BIAS, c->hidden, 1, 0));
    return TR_OK;
}

// ---- layers that scan --------------------------------------------------------------------------

// The convolution's weights [cols, 1, taps], as one vector.
static enum tr_status bind_taps(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t cols = tr_config_taps_cols(c), shape[3] = {cols, 1, c->scan.taps};
    char name[256], expected[TR_INDEX_MAX], found[TR_INDEX_MAX];
    const struct tr_tensor *tensor;
    struct tr_placement *whole;
    TR_TRY(look_for(b, TR_W_TAPS, slab->layer, 0, name, &tensor));
    if (!tensor)
        return missing(b, TR_W_TAPS, name);
    if (tensor->dims != 3 || memcmp(tensor->shape, shape, sizeof shape) != 0)
        return tr_fail(b->err, TR_EFORMAT, "%s: tensor %s has shape %s, config.json asks for %s",
                       tr_checkpoint_file(b->checkpoint, tensor), name,
                       tr_index_text(tensor->dims, tensor->shape, found),
                       tr_index_text(3, shape, expected));
    TR_TRY(check_type(b, tensor, name));
    return place(slab, TR_SLOT_TAPS, tensor, cols * c->scan.taps, 1, 0, &whole, b->err);
}

static enum tr_status plan_scan(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t heads = c->scan.heads, width = c->scan.width, rows = tr_config_scan_rows(c);
    TR_TRY(bind_norm(b, slab, TR_SLOT_NORM, TR_W_ATTN_NORM, c->hidden));
    TR_TRY(bind(b, slab, TR_SLOT_IN, TR_W_SCAN_IN, rows, c->hidden, 0));
    TR_TRY(bind_taps(b, slab));
    TR_TRY(bind(b, slab, TR_SLOT_SCAN_RATE, TR_W_SCAN_RATE, heads, 1, 0));
    TR_TRY(bind(b, slab, TR_SLOT_SCAN_SKIP, TR_W_SCAN_SKIP, heads, 1, 0));
    TR_TRY(bind(b, slab, TR_SLOT_SCAN_STEP_BIAS, TR_W_SCAN_STEP_BIAS, heads, 1, 0));
    TR_TRY(bind_norm(b, slab, TR_SLOT_SCAN_NORM, TR_W_SCAN_NORM, width));
    TR_TRY(bind(b, slab, TR_SLOT_OUT, TR_W_SCAN_OUT, c->hidden, width, 0));
    if (c->scan.taps_bias)
        TR_TRY(bind(b, slab, TR_SLOT_TAPS_BIAS, TR_W_TAPS_BIAS, tr_config_taps_cols(c), 1, 0));
    if (!c->scan.bias)
        return TR_OK;
    TR_TRY(bind(b, slab, TR_SLOT_IN_BIAS, TR_W_SCAN_IN_BIAS, rows, 1, 0));
    return bind(b, slab, TR_SLOT_OUT_BIAS, TR_W_SCAN_OUT_BIAS, c->hidden, 1, 0);
}

// ---- MLP and experts ---------------------------------------------------------------------------

// The fused tensor of gate and up, as [gate | up] whichever comes first in the file.
static enum tr_status bind_gate_up(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t ffn = tr_config_ffn(c, slab->layer);
    struct tr_placement *p;
    TR_TRY(bind_index(b, slab, TR_SLOT_IN, TR_W_GATE_UP, 0, 2 * ffn, c->hidden, 0, &p));
    if (!p || !c->family->up_first)
        return TR_OK;
    p->segment_count = 2;
    p->segments[0].rows = p->segments[1].rows = ffn;
    p->segments[0].to = ffn;
    p->segments[1].to = 0;
    return TR_OK;
}

static enum tr_status plan_mlp(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t ffn = tr_config_ffn(c, slab->layer);
    int64_t up = c->family->gated ? ffn : 0; // the up rows follow the gate's
    bool shared = c->parallel && c->family->parallel_shares_norm;
    TR_TRY(bind_norm(b, slab, TR_SLOT_NORM, shared ? TR_W_ATTN_NORM : TR_W_MLP_NORM, c->hidden));
    TR_TRY(bind(b, slab, TR_SLOT_NORM_BIAS, shared ? TR_W_ATTN_NORM_BIAS : TR_W_MLP_NORM_BIAS,
                c->hidden, 1, 0));
    TR_TRY(bind_gate_up(b, slab));
    TR_TRY(bind(b, slab, TR_SLOT_IN, TR_W_GATE, ffn, c->hidden, 0));
    TR_TRY(bind(b, slab, TR_SLOT_IN, TR_W_UP, ffn, c->hidden, up));
    TR_TRY(bind(b, slab, TR_SLOT_OUT, TR_W_DOWN, c->hidden, ffn, 0));
    if (c->activation == KN_XIELU) {
        TR_TRY(bind(b, slab, TR_SLOT_ALPHAS, TR_W_ALPHA_P, 1, 1, 0));
        TR_TRY(bind(b, slab, TR_SLOT_ALPHAS, TR_W_ALPHA_N, 1, 1, 1));
    }
    TR_TRY(bind_norm(b, slab, TR_SLOT_POST_NORM, TR_W_MLP_POST_NORM, c->hidden));
    if (!c->mlp_bias)
        return TR_OK;
    TR_TRY(bind(b, slab, TR_SLOT_IN_BIAS, TR_W_GATE_UP_BIAS, 2 * ffn, 1, 0));
    TR_TRY(bind(b, slab, TR_SLOT_IN_BIAS, TR_W_GATE_BIAS, ffn, 1, 0));
    TR_TRY(bind(b, slab, TR_SLOT_IN_BIAS, TR_W_UP_BIAS, ffn, 1, up));
    return bind(b, slab, TR_SLOT_OUT_BIAS, TR_W_DOWN_BIAS, c->hidden, 1, 0);
}

// As a vector, also where the file has a matrix of one row.
static enum tr_status bind_correction(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    const struct tr_tensor *tensor;
    struct tr_placement *p;
    if (!tr_config_corrects(c))
        return TR_OK;
    bool row = c->family->correction_is_row;
    TR_TRY(find_tensor(b, TR_W_ROUTER_CORRECTION, slab->layer, 0, row ? 1 : c->experts,
                       row ? c->experts : 1, &tensor));
    return place(slab, TR_SLOT_ROUTER_CORRECTION, tensor, c->experts, 1, 0, &p, b->err);
}

static enum tr_status plan_router(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t ffn = c->shared_ffn;
    TR_TRY(bind_norm(b, slab, TR_SLOT_NORM, TR_W_MLP_NORM, c->hidden));
    TR_TRY(bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_MLP_NORM_BIAS, c->hidden, 1, 0));
    TR_TRY(bind(b, slab, TR_SLOT_ROUTER, TR_W_ROUTER, c->experts, c->hidden, 0));
    TR_TRY(bind(b, slab, TR_SLOT_ROUTER_BIAS, TR_W_ROUTER_BIAS, c->experts, 1, 0));
    TR_TRY(bind_correction(b, slab));
    if (!ffn)
        return TR_OK;
    TR_TRY(bind(b, slab, TR_SLOT_IN, TR_W_SHARED_GATE, ffn, c->hidden, 0));
    TR_TRY(bind(b, slab, TR_SLOT_IN, TR_W_SHARED_UP, ffn, c->hidden, c->family->gated ? ffn : 0));
    TR_TRY(bind(b, slab, TR_SLOT_OUT, TR_W_SHARED_DOWN, c->hidden, ffn, 0));
    return bind(b, slab, TR_SLOT_SHARED_GATE, TR_W_SHARED_SWITCH, 1, c->hidden, 0);
}

// ---- all experts of a layer in one tensor ------------------------------------------------------

// The tensor of a role, which must have the shape [experts, rows] or, with `cols`, [experts, cols,
// rows], in few bits [experts, rows, cols]; NULL where the family has none.
static enum tr_status find_stack(const struct tr_binder *b, const struct tr_slab_plan *slab,
                                 enum tr_weight weight, int64_t rows, int64_t cols,
                                 const struct tr_tensor **tensor_p) {
    int64_t shape[3] = {b->config->experts, cols ? cols : rows, rows};
    const int64_t packed[3] = {b->config->experts, rows, cols};
    int dims = cols ? 3 : 2;
    char name[256], expected[TR_INDEX_MAX], found[TR_INDEX_MAX];
    const struct tr_tensor *tensor;
    *tensor_p = NULL;
    if (!b->config->family->weights[weight])
        return TR_OK;
    TR_TRY(look_for(b, weight, slab->layer, 0, name, &tensor));
    if (!tensor)
        return missing(b, weight, name);
    if (tensor->packed)
        memcpy(shape, packed, sizeof shape);
    if (tensor->dims != dims || memcmp(tensor->shape, shape, (size_t)dims * sizeof *shape) != 0)
        return tr_fail(b->err, TR_EFORMAT, "%s: tensor %s has shape %s, config.json asks for %s",
                       tr_checkpoint_file(b->checkpoint, tensor), name,
                       tr_index_text(tensor->dims, tensor->shape, found),
                       tr_index_text(dims, shape, expected));
    TR_TRY(check_type(b, tensor, name));
    *tensor_p = tensor;
    return TR_OK;
}

// Rows that are of `parts` matrices in turn go to these, one below the other from row `at` on.
static void unweave(struct tr_placement *p, int64_t rows, int parts, int64_t at) {
    p->group_rows = parts;
    p->segment_count = parts;
    for (int s = 0; s < parts; s++) {
        p->segments[s].rows = 1;
        p->segments[s].to = at + s * (rows / parts);
    }
}

// Binds the slab's experts' parts of a stack, each with `rows` rows in the slot.
static enum tr_status bind_stack(const struct tr_binder *b, struct tr_slab_plan *slab,
                                 enum tr_slot slot, enum tr_weight weight, int64_t rows,
                                 int64_t cols, int parts) {
    const struct tr_tensor *tensor;
    struct tr_placement *p;
    TR_TRY(find_stack(b, slab, weight, rows, cols, &tensor));
    bool turned = cols && tensor && !tensor->packed;
    for (int64_t e = slab->first_id; tensor && e < slab->last_id; e++) {
        int64_t at = (e - slab->first_id) * rows;
        TR_TRY(place(slab, slot, tensor, rows, cols ? cols : 1, at, &p, b->err));
        p->first_row = e * (turned ? cols : rows); // of the stored rows
        p->transform = turned ? TR_TRANSPOSED : TR_AS_STORED;
        if (parts > 1)
            unweave(p, rows, parts, at);
    }
    return TR_OK;
}

static enum tr_status bind_stacks(const struct tr_binder *b, struct tr_slab_plan *slab) {
    int64_t hidden = b->config->hidden, ffn = b->config->expert_ffn;
    int parts = b->config->family->experts_halved ? 1 : 2; // that alternate
    TR_TRY(bind_stack(b, slab, TR_SLOT_IN, TR_W_EXPERTS_IN, 2 * ffn, hidden, parts));
    TR_TRY(bind_stack(b, slab, TR_SLOT_IN_BIAS, TR_W_EXPERTS_IN_BIAS, 2 * ffn, 0, parts));
    TR_TRY(bind_stack(b, slab, TR_SLOT_OUT, TR_W_EXPERTS_OUT, hidden, ffn, 1));
    return bind_stack(b, slab, TR_SLOT_OUT_BIAS, TR_W_EXPERTS_OUT_BIAS, hidden, 0, 1);
}

static enum tr_status plan_experts(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t ffn = c->expert_ffn, in_rows = tr_config_in_rows(c, ffn);
    struct tr_placement *p;
    for (int64_t e = slab->first_id; e < slab->last_id; e++) {
        int64_t at = (e - slab->first_id) * in_rows, up = c->family->gated ? ffn : 0;
        TR_TRY(bind_index(b, slab, TR_SLOT_IN, TR_W_EXPERT_GATE, e, ffn, c->hidden, at, &p));
        TR_TRY(bind_index(b, slab, TR_SLOT_IN, TR_W_EXPERT_UP, e, ffn, c->hidden, at + up, &p));
        TR_TRY(bind_index(b, slab, TR_SLOT_OUT, TR_W_EXPERT_DOWN, e, c->hidden, ffn,
                          (e - slab->first_id) * c->hidden, &p));
    }
    TR_TRY(bind_stacks(b, slab));
    return bind_norm(b, slab, TR_SLOT_POST_NORM, TR_W_MLP_POST_NORM, c->hidden);
}

// ---- embedding and head ------------------------------------------------------------------------

// Whether two tensors begin at the same byte.
static bool same_place(const struct tr_tensor *a, const struct tr_tensor *b) {
    int64_t a_count, b_count;
    const struct tr_piece *x = tr_tensor_pieces(a, &a_count), *y = tr_tensor_pieces(b, &b_count);
    return a_count == b_count && x->file == y->file && x->offset == y->offset;
}

// Whether the head is a table of its own: as config.json says, but where it ties the head to the
// embedding and the files hold another tensor for it, that one counts, as in transformers 5. One
// that shares the embedding's bytes is none.
enum tr_status tr_has_own_head(const struct tr_binder *b, bool *own_p) {
    char name[256];
    const struct tr_tensor *table, *head;
    TR_TRY(look_for(b, TR_W_EMBED, 0, 0, name, &table));
    TR_TRY(look_for(b, TR_W_HEAD, 0, 0, name, &head));
    *own_p = !b->config->tied;
    if (b->config->tied && head && table)
        *own_p = !same_place(head, table);
    return TR_OK;
}

// The table of the head, or of the embedding. A model that ties them may be saved with the head's
// alone.
static enum tr_status find_table(const struct tr_binder *b, bool head,
                                 const struct tr_tensor **table_p) {
    const struct tr_config *c = b->config;
    const struct tr_tensor *own = NULL, *other = NULL;
    char name[256];
    bool is_head = false;
    if (head)
        TR_TRY(tr_has_own_head(b, &is_head));
    if (!is_head && c->tied) {
        TR_TRY(look_for(b, TR_W_EMBED, 0, 0, name, &own));
        TR_TRY(own ? TR_OK : look_for(b, TR_W_HEAD, 0, 0, name, &other));
        is_head = other != NULL;
    }
    return find_tensor(b, is_head ? TR_W_HEAD : TR_W_EMBED, 0, 0, c->table_rows, c->hidden,
                       table_p);
}

static enum tr_status plan_head_dense(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    TR_TRY(bind_norm(b, slab, TR_SLOT_NORM, TR_W_FINAL_NORM, c->hidden));
    TR_TRY(bind(b, slab, TR_SLOT_IN, TR_W_HEAD_DENSE, c->hidden, c->hidden, 0));
    if (c->head_dense_bias)
        TR_TRY(bind(b, slab, TR_SLOT_IN_BIAS, TR_W_HEAD_DENSE_BIAS, c->hidden, 1, 0));
    return bind_norm(b, slab, TR_SLOT_POST_NORM, TR_W_HEAD_NORM, c->hidden);
}

// One panel of the embedding or head table: vocabulary rows [first_id, last_id).
static enum tr_status plan_panel(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    bool head = slab->kind == TR_SLAB_HEAD;
    const struct tr_tensor *table, *bias;
    struct tr_placement *p;
    int64_t rows = slab->last_id - slab->first_id;
    if (head && !c->family->weights[TR_W_HEAD_DENSE]) {
        TR_TRY(bind_norm(b, slab, TR_SLOT_NORM, TR_W_FINAL_NORM, c->hidden));
        TR_TRY(bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_FINAL_NORM_BIAS, c->hidden, 1, 0));
    }
    TR_TRY(find_table(b, head, &table));
    TR_TRY(place(slab, TR_SLOT_IN, table, rows, c->hidden, 0, &p, b->err));
    p->first_row = slab->first_id;
    if (head && c->unit_head) {
        p->transform = TR_UNIT_ROWS;
        slab->slots[TR_SLOT_IN].type = KN_F32;
    }
    if (!head || !c->head_bias)
        return TR_OK;
    TR_TRY(find_tensor(b, TR_W_HEAD_BIAS, 0, 0, c->table_rows, 1, &bias));
    TR_TRY(place(slab, TR_SLOT_IN_BIAS, bias, rows, 1, 0, &p, b->err));
    p->first_row = slab->first_id;
    return TR_OK;
}

static enum tr_status plan_positions(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    const struct tr_tensor *table; // never transposed
    struct tr_placement *p;
    int64_t rows = c->positions + c->family->position_offset;
    TR_TRY(find_tensor(b, TR_W_POSITIONS, 0, 0, rows, c->hidden, &table));
    return place(slab, TR_SLOT_IN, table, rows, c->hidden, 0, &p, b->err);
}

static enum tr_status plan_embed_norm(const struct tr_binder *b, struct tr_slab_plan *slab) {
    TR_TRY(bind_norm(b, slab, TR_SLOT_NORM, TR_W_EMBED_NORM, b->config->hidden));
    return bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_EMBED_NORM_BIAS, b->config->hidden, 1, 0);
}

// ---- any slab ----------------------------------------------------------------------------------

typedef enum tr_status (*plan_func)(const struct tr_binder *b, struct tr_slab_plan *slab);
static const plan_func planners[] = {
    [TR_SLAB_EMBED] = plan_panel,
    [TR_SLAB_POSITIONS] = plan_positions,
    [TR_SLAB_EMBED_NORM] = plan_embed_norm,
    [TR_SLAB_ATTN] = plan_attention,
    [TR_SLAB_SCAN] = plan_scan,
    [TR_SLAB_MLP] = plan_mlp,
    [TR_SLAB_ROUTER] = plan_router,
    [TR_SLAB_EXPERTS] = plan_experts,
    [TR_SLAB_HEAD_DENSE] = plan_head_dense,
    [TR_SLAB_HEAD] = plan_panel,
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
