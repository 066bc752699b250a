// SPDX-License-Identifier: Apache-2.0
// What attention reads, and what takes its place in layers that scan.
#include "slabs/place.h"
#include "slabs/planners.h"
#include "slabs/role.h"

// Binds a fused query, key and value tensor: its groups' parts go to [q heads | k heads | v heads].
static enum tr_status bind_fused_qkv(const struct tr_binder *b, struct tr_slab_plan *slab,
                                     enum tr_slot slot, enum tr_weight weight, int64_t cols) {
    const struct tr_config *c = b->config;
    int64_t q_rows = c->heads * c->qk_dim, kv_rows = c->kv_heads * c->qk_dim;
    int64_t groups = c->family->qkv == TR_QKV_PER_HEAD      ? c->heads
                     : c->family->qkv == TR_QKV_PER_KV_HEAD ? c->kv_heads
                                                            : 1;
    struct tr_placement *p;
    TR_TRY(tr_bind_index(b, slab, slot, weight, 0, q_rows + 2 * kv_rows, cols, 0, &p));
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
    TR_TRY(tr_bind(b, slab, slot, bias ? TR_W_Q_BIAS : TR_W_Q, q_rows, cols, 0));
    TR_TRY(tr_bind(b, slab, slot, bias ? TR_W_K_BIAS : TR_W_K, kv_rows, cols, q_rows));
    return tr_bind(b, slab, slot, bias ? TR_W_V_BIAS : TR_W_V, kv_rows, cols, q_rows + kv_rows);
}

static enum tr_status bind_latent(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t queries = c->heads * c->qk_dim, rank = c->query_rank, kv = c->kv_rank;
    if (rank) {
        TR_TRY(tr_bind(b, slab, TR_SLOT_Q_LATENT, TR_W_Q_A, rank, c->hidden, 0));
        TR_TRY(tr_bind_norm(b, slab, TR_SLOT_Q_LATENT_NORM, TR_W_Q_A_NORM, rank));
        TR_TRY(tr_bind(b, slab, TR_SLOT_IN, TR_W_Q_B, queries, rank, 0));
    } else {
        TR_TRY(tr_bind(b, slab, TR_SLOT_IN, TR_W_Q, queries, c->hidden, 0));
    }
    TR_TRY(tr_bind(b, slab, TR_SLOT_KV_LATENT, TR_W_KV_A, kv + c->rope_dim, c->hidden, 0));
    TR_TRY(tr_bind_norm(b, slab, TR_SLOT_KV_LATENT_NORM, TR_W_KV_A_NORM, kv));
    return tr_bind(b, slab, TR_SLOT_KV, TR_W_KV_B, c->heads * (c->nope_dim + c->v_dim), kv, 0);
}

static enum tr_status bind_qk_norm(const struct tr_binder *b, struct tr_slab_plan *slab,
                                   enum tr_slot slot, enum tr_weight weight, int64_t heads) {
    const struct tr_config *c = b->config;
    switch (c->family->qk_norm) {
    case TR_QK_PER_HEAD:
        return tr_bind_norm(b, slab, slot, weight, c->qk_dim);
    case TR_QK_PER_HEAD_OWN: {
        const struct tr_tensor *tensor; // [heads, qk_dim]: as one vector, head by head
        struct tr_placement *whole;
        TR_TRY(tr_role_find(b, weight, slab->layer, 0, heads, c->qk_dim, &tensor));
        return tr_place(slab, slot, tensor, heads * c->qk_dim, 1, 0, &whole, b->err);
    }
    case TR_QK_FULL_WIDTH:
        return tr_bind_norm(b, slab, slot, weight, heads * c->qk_dim);
    case TR_QK_EACH_TENSOR:
        break;
    }
    struct tr_placement *placement;
    for (int64_t head = 0; head < heads; head++)
        TR_TRY(
            tr_bind_index(b, slab, slot, weight, head, c->qk_dim, 1, head * c->qk_dim, &placement));
    return TR_OK;
}

enum tr_status tr_plan_attention(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    if (tr_config_norms_attn(c, slab->layer)) {
        TR_TRY(tr_bind_norm(b, slab, TR_SLOT_NORM, TR_W_ATTN_NORM, c->hidden));
        TR_TRY(tr_bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_ATTN_NORM_BIAS, c->hidden, 1, 0));
    }
    TR_TRY(c->kv_rank ? bind_latent(b, slab) : bind_qkv(b, slab, TR_SLOT_IN, false));
    TR_TRY(tr_bind(b, slab, TR_SLOT_OUT, TR_W_O, c->hidden, tr_config_mixed_cols(c), 0));
    TR_TRY(tr_bind_norm(b, slab, TR_SLOT_POST_NORM, TR_W_ATTN_POST_NORM, c->hidden));
    TR_TRY(tr_bind(b, slab, TR_SLOT_SINKS, TR_W_SINKS, c->heads, 1, 0));
    if (c->qk_norm) {
        TR_TRY(bind_qk_norm(b, slab, TR_SLOT_Q_NORM, TR_W_Q_NORM, c->heads));
        TR_TRY(bind_qk_norm(b, slab, TR_SLOT_K_NORM, TR_W_K_NORM, c->kv_heads));
        TR_TRY(tr_bind(b, slab, TR_SLOT_Q_NORM_BIAS, TR_W_Q_NORM_BIAS, c->qk_dim, 1, 0));
        TR_TRY(tr_bind(b, slab, TR_SLOT_K_NORM_BIAS, TR_W_K_NORM_BIAS, c->qk_dim, 1, 0));
    }
    if (c->qkv_bias)
        TR_TRY(bind_qkv(b, slab, TR_SLOT_IN_BIAS, true));
    if (c->out_bias)
        TR_TRY(tr_bind(b, slab, TR_SLOT_OUT_BIAS, TR_W_O_BIAS, c->hidden, 1, 0));
    return TR_OK;
}

// ---- layers that scan --------------------------------------------------------------------------

// The convolution's weights [cols, 1, taps], as one vector.
static enum tr_status bind_taps(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t cols = tr_config_taps_cols(c);
    const int64_t shape[3] = {cols, 1, c->scan.taps};
    const struct tr_tensor *tensor;
    struct tr_placement *whole;
    TR_TRY(tr_role_find_shape(b, TR_W_TAPS, slab->layer, 0, 3, shape, &tensor));
    return tr_place(slab, TR_SLOT_TAPS, tensor, cols * c->scan.taps, 1, 0, &whole, b->err);
}

enum tr_status tr_plan_scan(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t heads = c->scan.heads, width = c->scan.width, rows = tr_config_scan_rows(c);
    TR_TRY(tr_bind_norm(b, slab, TR_SLOT_NORM, TR_W_ATTN_NORM, c->hidden));
    TR_TRY(tr_bind(b, slab, TR_SLOT_IN, TR_W_SCAN_IN, rows, c->hidden, 0));
    TR_TRY(bind_taps(b, slab));
    TR_TRY(tr_bind(b, slab, TR_SLOT_SCAN_RATE, TR_W_SCAN_RATE, heads, 1, 0));
    TR_TRY(tr_bind(b, slab, TR_SLOT_SCAN_SKIP, TR_W_SCAN_SKIP, heads, 1, 0));
    TR_TRY(tr_bind(b, slab, TR_SLOT_SCAN_STEP_BIAS, TR_W_SCAN_STEP_BIAS, heads, 1, 0));
    TR_TRY(tr_bind_norm(b, slab, TR_SLOT_SCAN_NORM, TR_W_SCAN_NORM, width));
    TR_TRY(tr_bind(b, slab, TR_SLOT_OUT, TR_W_SCAN_OUT, c->hidden, width, 0));
    if (c->scan.taps_bias)
        TR_TRY(tr_bind(b, slab, TR_SLOT_TAPS_BIAS, TR_W_TAPS_BIAS, tr_config_taps_cols(c), 1, 0));
    if (!c->scan.bias)
        return TR_OK;
    TR_TRY(tr_bind(b, slab, TR_SLOT_IN_BIAS, TR_W_SCAN_IN_BIAS, rows, 1, 0));
    return tr_bind(b, slab, TR_SLOT_OUT_BIAS, TR_W_SCAN_OUT_BIAS, c->hidden, 1, 0);
}
