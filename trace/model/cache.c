// SPDX-License-Identifier: Apache-2.0
#include "model/cache.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "forward_state.h"

struct tr_cache {
    struct kn_backend *kn;
    struct tr_config config;
    int64_t sequences, slots[2];               // of full and of windowed layers
    void *k[TR_MAX_LAYERS], *v[TR_MAX_LAYERS]; // NULL: the layer has no attention; of latents k has
                                               // all
};

static int is_windowed(const struct tr_config *config, int layer) {
    return tr_config_has(config, layer, TR_LAYER_WINDOWED);
}

static int64_t slots_of(const struct tr_config *config, int windowed, int64_t positions) {
    return windowed && config->window < positions ? config->window : positions;
}

// Entries of a token's keys in a layer, and of its values: a latent is both.
static int64_t key_entries(const struct tr_config *c, int layer) {
    return c->kv_rank ? c->kv_rank + c->rope_dim : tr_config_kv_heads(c, layer) * c->qk_dim;
}

static int64_t value_entries(const struct tr_config *c, int layer) {
    return c->kv_rank ? 0 : tr_config_kv_heads(c, layer) * c->v_dim;
}

static double bytes_of(const struct kn_backend *kn, int64_t entries, double tokens) {
    return tokens * (double)entries * (double)kn_type_size(kn->activation_type);
}

double tr_cache_bytes(const struct kn_backend *kn, const struct tr_config *config,
                      const struct tr_drop_set *drop, int64_t sequences, int64_t positions) {
    double bytes = 0;
    for (int layer = 0; layer < config->layers; layer++) {
        int64_t slots = slots_of(config, is_windowed(config, layer), positions);
        if (tr_config_keeps(config, drop, TR_ATTN, layer))
            bytes += bytes_of(kn, key_entries(config, layer) + value_entries(config, layer),
                              (double)sequences * (double)slots);
    }
    return bytes;
}

static enum tr_status take_layer(struct tr_cache *cache, int layer, struct tr_err *err) {
    const struct tr_config *c = &cache->config;
    double tokens = (double)cache->sequences * (double)cache->slots[is_windowed(c, layer)];
    double keys = bytes_of(cache->kn, key_entries(c, layer), tokens);
    double values = bytes_of(cache->kn, value_entries(c, layer), tokens);
    if (tokens > INT32_MAX || keys > 0x1p60 || values > 0x1p60)
        return tr_fail(err, TR_ENOMEM, "a cache of %g tokens is too large", tokens);
    KN_TRY_ON(cache->kn, cache->kn->ops->alloc(cache->kn, &cache->k[layer], (size_t)keys),
              "allocating the cache");
    if (values > 0)
        KN_TRY_ON(cache->kn, cache->kn->ops->alloc(cache->kn, &cache->v[layer], (size_t)values),
                  "allocating the cache");
    return TR_OK;
}

enum tr_status tr_cache_new(struct tr_cache **cache_p, struct kn_backend *kn,
                            const struct tr_config *config, const struct tr_drop_set *drop,
                            int64_t sequences, int64_t positions, struct tr_err *err) {
    struct tr_cache *cache;
    TR_TRY(TR_NEW(&cache, 1, "the cache", err));
    cache->kn = kn;
    cache->config = *config;
    cache->sequences = sequences;
    for (int windowed = 0; windowed < 2; windowed++)
        cache->slots[windowed] = slots_of(config, windowed, positions);
    enum tr_status status = TR_OK;
    for (int layer = 0; layer < config->layers && status == TR_OK; layer++)
        if (tr_config_keeps(config, drop, TR_ATTN, layer))
            status = take_layer(cache, layer, err);
    if (status == TR_OK)
        *cache_p = cache;
    else
        tr_cache_free(cache);
    return status;
}

void tr_cache_free(struct tr_cache *cache) {
    if (!cache)
        return;
    for (int layer = 0; layer < cache->config.layers; layer++) {
        cache->kn->ops->free(cache->kn, cache->k[layer]);
        cache->kn->ops->free(cache->kn, cache->v[layer]);
    }
    free(cache);
}

// ---- a pass ------------------------------------------------------------------------------------

// Where token t of row r goes: of those that share a slot, the last one.
static int32_t cache_row(const struct tr_cached_rows *rows, int64_t r, int64_t t, int64_t slots) {
    if (t >= rows->counts[r] || t < rows->counts[r] - slots)
        return -1;
    return (int32_t)(rows->sequences[r] * slots + (rows->positions[r] + t) % slots);
}

static void place_rows(const struct tr_forward *f, int32_t *to, int64_t tokens) {
    const struct tr_cached_rows *rows = f->cached;
    int64_t seq_len = f->options.seq_len;
    for (int64_t i = 0; i < tokens; i++) {
        int64_t r = f->begin + i / seq_len, t = i % seq_len;
        int32_t position = rows->positions[r] + (int32_t)t;
        to[i] = cache_row(rows, r, t, rows->cache->slots[0]);
        to[tokens + i] = cache_row(rows, r, t, rows->cache->slots[1]);
        to[2 * tokens + i] = position;
        to[3 * tokens + i] = position + f->config.family->position_offset;
        to[4 * tokens + i] = rows->sequences[r];
    }
}

enum tr_status tr_cache_place(struct tr_forward *f, struct tr_err *err) {
    int32_t *to[] = {f->cache_rows[0], f->cache_rows[1], f->row_positions, f->table_rows,
                     f->row_sequences};
    int64_t tokens = (f->end - f->begin) * f->options.seq_len;
    TR_ASSERT(!f->options.positions || f->options.seq_len == 1);
    place_rows(f, f->host_cached, tokens);
    for (int i = 0; i < 5; i++)
        KN_TRY(f->kn->ops->upload(f->kn, to[i], f->host_cached + i * tokens, (size_t)tokens * 4),
               "copying where tokens are cached");
    return TR_OK;
}

// What a layer's cache has as so many heads of `dim` entries.
static struct kn_heads cached_heads(const struct tr_cache *cache, void *data, int layer,
                                    int64_t heads, int64_t dim) {
    const struct tr_config *c = &cache->config;
    int64_t rows = cache->sequences * cache->slots[is_windowed(c, layer)];
    return (struct kn_heads){.x = kn_matrix(data, cache->kn->activation_type, rows, heads * dim),
                             .count = heads,
                             .pitch = dim,
                             .dim = dim};
}

// Copies `heads` to where the layer's cache has those of the micro-batch's tokens.
static struct kn_copy_heads copy_of(const struct tr_forward *f, const struct tr_batch *b,
                                    void *data, struct kn_heads heads) {
    int layer = b->step->layer;
    TR_ASSERT(data != NULL);
    return (struct kn_copy_heads){
        .y = cached_heads(f->cached->cache, data, layer, heads.count, heads.dim),
        .x = heads,
        .rows = f->cache_rows[is_windowed(&f->config, layer)] + b->row};
}

enum tr_status tr_cache_turn(struct tr_forward *f, const struct tr_batch *b,
                             const struct kn_rope *q, const struct kn_rope *k, struct kn_heads v,
                             struct tr_err *err) {
    const struct tr_cache *cache = f->cached->cache;
    int layer = b->step->layer;
    struct kn_keep op = {.q = *q,
                         .k = *k,
                         .keys = copy_of(f, b, cache->k[layer], k->heads),
                         .values = copy_of(f, b, cache->v[layer], v)};
    KN_TRY(f->kn->ops->keep(f->kn, &op), "rotating and caching");
    return TR_OK;
}

enum tr_status tr_cache_keep(struct tr_forward *f, const struct tr_batch *b, struct kn_heads k,
                             struct kn_heads v, struct tr_err *err) {
    const struct tr_cache *cache = f->cached->cache;
    struct kn_copy_heads keys = copy_of(f, b, cache->k[b->step->layer], k);
    struct kn_copy_heads values = copy_of(f, b, cache->v[b->step->layer], v);
    KN_TRY(f->kn->ops->copy_heads(f->kn, &keys), "caching keys");
    KN_TRY(f->kn->ops->copy_heads(f->kn, &values), "caching values");
    return TR_OK;
}

enum tr_status tr_cache_keep_latent(struct tr_forward *f, const struct tr_batch *b,
                                    struct kn_heads latent, struct tr_err *err) {
    struct kn_copy_heads op = copy_of(f, b, f->cached->cache->k[b->step->layer], latent);
    KN_TRY(f->kn->ops->copy_heads(f->kn, &op), "caching latents");
    return TR_OK;
}

enum tr_status tr_cache_advance(struct tr_forward *f, const struct tr_streams *s,
                                struct tr_err *err) {
    const int64_t *slots = f->cached->cache->slots;
    struct kn_advance op = {.ids = f->ids,
                            .positions = f->row_positions,
                            .table_rows = f->table_rows,
                            .cache_rows = {f->cache_rows[0], f->cache_rows[1]},
                            .sequences = f->row_sequences,
                            .rows = f->end - f->begin,
                            .slots = {slots[0], slots[1]},
                            .chosen = f->chosen,
                            .step = f->steps_done,
                            .ahead = TR_FORWARD_AHEAD,
                            .best = s->best,
                            .best_logit = s->best_logit,
                            .maximum = s->maximum,
                            .sum = s->sum,
                            .target = s->target};
    KN_TRY(f->kn->ops->advance(f->kn, &op), "going on to the next tokens");
    return TR_OK;
}

enum tr_status tr_cache_attend(struct tr_forward *f, const struct tr_batch *b,
                               const struct kn_attention *op, struct tr_err *err) {
    const struct tr_cache *cache = f->cached->cache;
    int layer = b->step->layer;
    struct kn_decode_attention decode = {
        .attention = *op,
        .keys = cache->slots[is_windowed(&f->config, layer)],
        .positions = f->row_positions + b->row,
        .sequences = f->row_sequences + b->row,
    };
    decode.attention.k = cached_heads(cache, cache->k[layer], layer, op->k.count, op->k.dim);
    if (cache->v[layer])
        decode.attention.v = cached_heads(cache, cache->v[layer], layer, op->v.count, op->v.dim);
    else { // the first entries of what is kept
        decode.attention.v = decode.attention.k;
        decode.attention.v.dim = op->v.dim;
    }
    KN_TRY(f->kn->ops->decode_attention(f->kn, &decode), "attention over the cache");
    return TR_OK;
}
