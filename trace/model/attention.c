// SPDX-License-Identifier: Apache-2.0
// The attention sublayer: norm, projections, norms and rotation of queries and keys, attention,
// output product. A flat list of steps over the config's flags.
#include "forward_state.h"

// Queries, keys and values, wherever they lie.
struct heads {
    struct kn_heads q, k, v;
};

static struct kn_heads heads_of(struct kn_matrix x, int64_t first_col, int64_t count, int64_t pitch,
                                int64_t dim) {
    return (struct kn_heads){
        .x = x, .first_col = first_col, .count = count, .pitch = pitch, .dim = dim};
}

// One product for all three: [q heads | k heads | v heads].
static enum tr_status project(struct tr_forward *f, const struct tr_batch *b,
                              struct kn_matrix normed, struct heads *heads, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    int64_t dim = c->qk_dim, kv_heads = tr_config_kv_heads(c, b->step->layer);
    struct kn_matrix qkv = tr_scratch(f, b, f->wide, tr_config_qkv_rows(c, kv_heads));
    TR_TRY(tr_multiply(f, b, qkv, normed, TR_SLOT_IN, TR_SLOT_IN_BIAS, err));
    heads->q = heads_of(qkv, 0, c->heads, dim, dim);
    heads->k = heads_of(qkv, c->heads * dim, kv_heads, dim, dim);
    heads->v = heads_of(qkv, (c->heads + kv_heads) * dim, kv_heads, dim, dim);
    return TR_OK;
}

static enum tr_status norm_heads(struct tr_forward *f, const struct tr_batch *b,
                                 struct kn_heads heads, int64_t weight_pitch,
                                 enum kn_norm_kind kind, enum tr_slot weight, enum tr_slot bias,
                                 struct tr_err *err) {
    struct kn_head_norm norm = {.heads = heads,
                                .kind = kind,
                                .weight = b->weights->vector[weight],
                                .bias = b->weights->vector[bias],
                                .weight_pitch = weight_pitch,
                                .epsilon = f->config.epsilon};
    KN_TRY(f->kn->ops->head_norm(f->kn, &norm), "the norm of queries and keys");
    return TR_OK;
}

// Called before and after the rotation; the family has the norm at one of them.
static enum tr_status norm_queries_and_keys(struct tr_forward *f, const struct tr_batch *b,
                                            struct heads heads, bool turned, struct tr_err *err) {
    const struct tr_family *family = f->config.family;
    bool still = tr_config_has(&f->config, b->step->layer, TR_LAYER_NOPE);
    if (!f->config.qk_norm || turned != family->qk_norm_turned ||
        (still && family->qk_norm_where_turned))
        return TR_OK;
    int64_t pitch = family->qk_norm == TR_QK_PER_HEAD ? 0 : heads.q.dim;
    if (family->qk_norm == TR_QK_FULL_WIDTH) { // all heads as one
        heads.q.dim *= heads.q.count;
        heads.k.dim *= heads.k.count;
        heads.q.pitch = heads.q.dim;
        heads.k.pitch = heads.k.dim;
        heads.q.count = heads.k.count = 1;
        pitch = 0;
    }
    TR_TRY(norm_heads(f, b, heads.q, pitch, family->qk_kind, TR_SLOT_Q_NORM, TR_SLOT_Q_NORM_BIAS,
                      err));
    return norm_heads(f, b, heads.k, pitch, family->qk_kind, TR_SLOT_K_NORM, TR_SLOT_K_NORM_BIAS,
                      err);
}

static enum tr_status clip(struct tr_forward *f, const struct heads *heads, struct tr_err *err) {
    struct kn_scale op = {.x = heads->q.x, .factor = 1, .limit = f->config.clip_qkv};
    if (f->config.clip_qkv > 0)
        KN_TRY(f->kn->ops->scale(f->kn, &op), "the clamp of queries, keys and values");
    return TR_OK;
}

static bool turns(const struct tr_forward *f, const struct tr_batch *b) {
    const struct tr_config *c = &f->config;
    int which = tr_config_has(c, b->step->layer, TR_LAYER_WINDOWED);
    return c->family->position == TR_ROTARY && c->rope[which].pairs &&
           !tr_config_has(c, b->step->layer, TR_LAYER_NOPE);
}

static struct kn_rope rope_of(const struct tr_forward *f, const struct tr_batch *b,
                              struct kn_heads heads) {
    const struct tr_config *c = &f->config;
    int which = tr_config_has(c, b->step->layer, TR_LAYER_WINDOWED);
    return (struct kn_rope){.heads = heads,
                            .sequences = kn_whole_sequences(f->options.seq_len),
                            .pairs = c->rope[which].pairs,
                            .cos = f->cos[which],
                            .sin = f->sin[which],
                            .kind = c->family->rope,
                            .positions = f->options.positions ? f->row_positions + b->row : NULL};
}

static enum tr_status rotate(struct tr_forward *f, const struct tr_batch *b, struct kn_heads heads,
                             struct tr_err *err) {
    if (!turns(f, b))
        return TR_OK;
    struct kn_rope rope = rope_of(f, b, heads);
    KN_TRY(f->kn->ops->rope(f->kn, &rope), "rotary embedding");
    return TR_OK;
}

// Queries of layers without rotation that grow with their position.
static enum tr_status grow(struct tr_forward *f, const struct tr_batch *b, struct kn_heads queries,
                           struct tr_err *err) {
    if (!f->config.growth_length || !tr_config_has(&f->config, b->step->layer, TR_LAYER_NOPE))
        return TR_OK;
    struct kn_rope rope = rope_of(f, b, queries);
    rope.pairs = f->config.qk_dim / 2;
    rope.cos = f->cos[2];
    rope.sin = f->sin[2];
    KN_TRY(f->kn->ops->rope(f->kn, &rope), "the growth of queries");
    return TR_OK;
}

static enum tr_status copy_heads(struct tr_forward *f, struct kn_heads y, struct kn_heads x,
                                 struct tr_err *err) {
    struct kn_copy_heads copy = {.y = y, .x = x};
    KN_TRY(f->kn->ops->copy_heads(f->kn, &copy), "gathering latent keys");
    return TR_OK;
}

// In place: the norm of a latent, whose epsilon is its own, whatever config.json says of the
// others.
static enum tr_status norm_latent(struct tr_forward *f, const struct tr_batch *b,
                                  struct kn_matrix latent, enum tr_slot weight,
                                  struct tr_err *err) {
    struct kn_head_norm norm = {.heads = heads_of(latent, 0, 1, latent.cols, latent.cols),
                                .kind = KN_RMS_NORM,
                                .weight = b->weights->vector[weight],
                                .epsilon = 1e-6f};
    KN_TRY(f->kn->ops->head_norm(f->kn, &norm), "the norm of a latent");
    return TR_OK;
}

// Where latent attention leaves what it makes, side by side in the first product's scratch.
struct latents {
    struct kn_matrix q;
    struct kn_matrix latent; // [rows, kv_rank + rope_dim]: the latent and the key that heads share
    char *rest;              // behind them
};

// Multi-head latent attention (DeepSeek-AI 2024, arXiv 2405.04434, section 2.1): queries, and keys
// with values, are projected through latents of low rank; a part of each key turns and is shared by
// all heads. What comes out is normed and rotated.
static enum tr_status project_latents(struct tr_forward *f, const struct tr_batch *b,
                                      struct kn_matrix normed, struct latents *l,
                                      struct tr_err *err) {
    const struct tr_config *c = &f->config;
    int64_t queries = c->heads * c->qk_dim, nope = c->nope_dim, shared = c->rope_dim;
    int64_t latent_cols = c->kv_rank + shared;
    size_t size = kn_type_size(f->kn->activation_type) * (size_t)b->rows;
    char *at = (char *)f->wide + size * (size_t)queries;
    l->q = tr_scratch(f, b, f->wide, queries);
    l->latent = tr_scratch(f, b, at, latent_cols);
    l->rest = at + size * (size_t)(latent_cols > c->query_rank ? latent_cols : c->query_rank);
    struct kn_matrix query_input = normed;
    if (c->query_rank) { // the latent's memory is free until then
        query_input = tr_scratch(f, b, at, c->query_rank);
        TR_TRY(tr_multiply(f, b, query_input, normed, TR_SLOT_Q_LATENT, TR_SLOT_NONE, err));
        TR_TRY(norm_latent(f, b, query_input, TR_SLOT_Q_LATENT_NORM, err));
    }
    TR_TRY(tr_multiply(f, b, l->q, query_input, TR_SLOT_IN, TR_SLOT_NONE, err));
    struct kn_matrix values = l->latent;
    values.cols = c->kv_rank;
    TR_TRY(tr_multiply(f, b, l->latent, normed, TR_SLOT_KV_LATENT, TR_SLOT_NONE, err));
    TR_TRY(norm_latent(f, b, values, TR_SLOT_KV_LATENT_NORM, err));
    TR_TRY(rotate(f, b, heads_of(l->q, nope, c->heads, c->qk_dim, shared), err));
    return rotate(f, b, heads_of(l->latent, c->kv_rank, 1, shared, shared), err);
}

// The latent and the shared key as a head: a key whose first entries are its value, too.
static struct kn_heads latent_head(const struct tr_config *c, const struct latents *l) {
    return heads_of(l->latent, 0, 1, l->latent.cols, c->kv_rank + c->rope_dim);
}

// Keys and values that heads make of the latents: a key is [unrotated | shared rotated].
static enum tr_status expand_latents(struct tr_forward *f, const struct tr_batch *b,
                                     const struct latents *l, struct heads *heads,
                                     struct tr_err *err) {
    const struct tr_config *c = &f->config;
    int64_t queries = c->heads * c->qk_dim, pair = c->nope_dim + c->v_dim, nope = c->nope_dim;
    size_t size = kn_type_size(f->kn->activation_type) * (size_t)b->rows;
    struct kn_matrix k = tr_scratch(f, b, l->rest, queries), values = l->latent;
    struct kn_matrix kv = tr_scratch(f, b, l->rest + size * (size_t)queries, c->heads * pair);
    struct kn_heads shared = heads_of(l->latent, c->kv_rank, 1, c->rope_dim, c->rope_dim);
    values.cols = c->kv_rank;
    TR_TRY(tr_multiply(f, b, kv, values, TR_SLOT_KV, TR_SLOT_NONE, err));
    TR_TRY(copy_heads(f, heads_of(k, 0, c->heads, c->qk_dim, nope),
                      heads_of(kv, 0, c->heads, pair, nope), err));
    TR_TRY(copy_heads(f, heads_of(k, nope, c->heads, c->qk_dim, c->rope_dim), shared, err));
    heads->q = heads_of(l->q, 0, c->heads, c->qk_dim, c->qk_dim);
    heads->k = heads_of(k, 0, c->heads, c->qk_dim, c->qk_dim);
    heads->v = heads_of(kv, nope, c->heads, pair, c->v_dim);
    return TR_OK;
}

// y's heads = x's heads times their own part of the matrix that expands latents: towards keys the
// rows that make their unrotated entries, towards values those behind them, transposed.
static enum tr_status multiply_heads(struct tr_forward *f, const struct tr_batch *b,
                                     struct kn_heads y, struct kn_heads x, bool to_values,
                                     struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_head_product op = {.y = y,
                                 .x = x,
                                 .w = b->weights->matrix[TR_SLOT_KV],
                                 .first_row = to_values ? c->nope_dim : 0,
                                 .row_pitch = c->nope_dim + c->v_dim,
                                 .transposed = to_values};
    KN_TRY(f->kn->ops->head_product(f->kn, &op), "products of heads");
    return TR_OK;
}

static enum tr_status attend(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix mixed,
                             const struct heads *heads, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    int layer = b->step->layer;
    struct kn_attention op = {.y = mixed,
                              .q = heads->q,
                              .k = heads->k,
                              .v = heads->v,
                              .sequences = kn_whole_sequences(f->options.seq_len),
                              .window = tr_config_has(c, layer, TR_LAYER_WINDOWED) ? c->window : 0,
                              .chunks = c->chunks,
                              .scale = c->layer_scale ? c->score_scale / (float)(layer + 1)
                                                      : c->score_scale,
                              .softcap = c->score_softcap,
                              .slopes = f->slopes,
                              .slopes_bf16 = c->family->position == TR_ALIBI_SCALED_BF16,
                              .sinks = b->weights->vector[TR_SLOT_SINKS]};
    if (f->options.positions)
        return tr_cache_attend(f, b, &op, err);
    KN_TRY(f->kn->ops->attention(f->kn, &op), "attention");
    return TR_OK;
}

// Rotates queries and keys, and leaves keys and values in the cache: by one op where nothing comes
// in between.
static enum tr_status rotate_and_keep(struct tr_forward *f, const struct tr_batch *b,
                                      const struct heads *heads, struct tr_err *err) {
    bool norms_later = f->config.qk_norm && f->config.family->qk_norm_turned;
    if (f->cached && turns(f, b) && !norms_later) {
        struct kn_rope q = rope_of(f, b, heads->q), k = rope_of(f, b, heads->k);
        return tr_cache_turn(f, b, &q, &k, heads->v, err);
    }
    struct kn_heads both = heads->q; // keys lie behind queries
    both.count += heads->k.count;
    TR_TRY(rotate(f, b, both, err));
    TR_TRY(norm_queries_and_keys(f, b, *heads, true, err));
    TR_TRY(grow(f, b, heads->q, err));
    return f->cached ? tr_cache_keep(f, b, heads->k, heads->v, err) : TR_OK;
}

// Of rows of one token, over the cache's latents, none of which is expanded (section 2.1.2): what
// makes keys of a latent meets the query, and what makes values of it meets the mixed latents.
//   (W_k c) . q = c . (W_k^T q),   sum_j p_j W_v c_j = W_v sum_j p_j c_j
static enum tr_status attend_latents(struct tr_forward *f, const struct tr_batch *b,
                                     struct kn_matrix mixed, const struct latents *l,
                                     struct tr_err *err) {
    const struct tr_config *c = &f->config;
    int64_t rank = c->kv_rank, dim = rank + c->rope_dim, nope = c->nope_dim, turned = c->rope_dim;
    size_t size = kn_type_size(f->kn->activation_type) * (size_t)b->rows;
    struct kn_matrix q = tr_scratch(f, b, l->rest, c->heads * dim);
    struct kn_matrix y =
        tr_scratch(f, b, l->rest + size * (size_t)(c->heads * dim), c->heads * rank);
    TR_TRY(multiply_heads(f, b, heads_of(q, 0, c->heads, dim, rank),
                          heads_of(l->q, 0, c->heads, c->qk_dim, nope), false, err));
    TR_TRY(copy_heads(f, heads_of(q, rank, c->heads, dim, turned),
                      heads_of(l->q, nope, c->heads, c->qk_dim, turned), err));
    struct heads heads = {heads_of(q, 0, c->heads, dim, dim), latent_head(c, l), latent_head(c, l)};
    heads.v.dim = rank;
    TR_TRY(attend(f, b, y, &heads, err));
    return multiply_heads(f, b, heads_of(mixed, 0, c->heads, c->v_dim, c->v_dim),
                          heads_of(y, 0, c->heads, rank, rank), true, err);
}

static enum tr_status mix_latents(struct tr_forward *f, const struct tr_batch *b,
                                  struct kn_matrix mixed, struct kn_matrix normed,
                                  struct tr_err *err) {
    struct latents latents;
    struct heads heads;
    TR_TRY(project_latents(f, b, normed, &latents, err));
    if (f->cached)
        TR_TRY(tr_cache_keep_latent(f, b, latent_head(&f->config, &latents), err));
    if (f->options.positions)
        return attend_latents(f, b, mixed, &latents, err);
    TR_TRY(expand_latents(f, b, &latents, &heads, err));
    return attend(f, b, mixed, &heads, err);
}

static enum tr_status mix(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix mixed,
                          struct kn_matrix normed, struct tr_err *err) {
    struct heads heads;
    TR_TRY(project(f, b, normed, &heads, err));
    TR_TRY(norm_queries_and_keys(f, b, heads, false, err));
    TR_TRY(clip(f, &heads, err));
    TR_TRY(rotate_and_keep(f, b, &heads, err));
    return attend(f, b, mixed, &heads, err);
}

// delta = residual scale * post-norm(W_o attention(rotate(norm(W_qkv norm(x)))))
enum tr_status tr_step_attention(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_matrix normed = tr_scratch(f, b, f->normed, c->hidden);
    struct kn_matrix mixed = tr_scratch(f, b, f->inner, tr_config_mixed_cols(c));
    struct kn_matrix delta = tr_stream(f, b, b->streams->delta);
    bool post = tr_has_post_norm(f, TR_W_ATTN_POST_NORM);
    struct kn_matrix branch = post ? kn_matrix(f->branch, KN_F32, b->rows, c->hidden) : delta;
    TR_TRY(tr_normalise(f, b, normed, tr_no_matrix, tr_config_norms_attn(c, b->step->layer), err));
    TR_TRY(c->kv_rank ? mix_latents(f, b, mixed, normed, err) : mix(f, b, mixed, normed, err));
    TR_TRY(tr_multiply(f, b, branch, mixed, TR_SLOT_OUT, TR_SLOT_OUT_BIAS, err));
    return tr_finish_branch(f, b, delta, branch, err);
}
