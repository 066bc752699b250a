// SPDX-License-Identifier: Apache-2.0
// How long a model's sequences may be, and what its forward pass costs.
#include "model/config.h"

#include <math.h>

int64_t tr_config_longest(const struct tr_config *c) {
    if (c->family->position != TR_ROTARY || c->rope[0].type != TR_ROPE_DYNAMIC)
        return c->positions;
    double stretched = fmin((double)c->positions * c->rope[0].factor, INT32_MAX);
    return stretched > (double)c->positions ? (int64_t)stretched : c->positions;
}

static double attention_parameters(const struct tr_config *c) {
    double hidden = (double)c->hidden, out = (double)tr_config_mixed_cols(c) * hidden;
    if (!c->kv_rank)
        return (double)tr_config_qkv_rows(c) * hidden + out;
    double queries = (double)(c->heads * c->qk_dim);
    double query = c->query_rank ? (double)c->query_rank * (hidden + queries) : hidden * queries;
    return query + (double)(c->kv_rank + c->rope_dim) * hidden +
           (double)(c->kv_rank * c->heads * (c->nope_dim + c->v_dim)) + out;
}

static double mlp_parameters(const struct tr_config *c, int64_t ffn) {
    return (double)(tr_config_in_rows(c, ffn) + ffn) * (double)c->hidden;
}

double tr_config_block_parameters(const struct tr_config *c, bool used) {
    double total = (double)c->layers * attention_parameters(c);
    double experts = (double)(used ? c->experts_used : c->experts);
    for (int i = 0; i < c->layers; i++)
        total += tr_config_has(c, i, TR_LAYER_EXPERTS)
                     ? experts * mlp_parameters(c, c->expert_ffn) +
                           mlp_parameters(c, c->shared_ffn) + (double)c->experts * (double)c->hidden
                     : mlp_parameters(c, c->ffn);
    return total;
}

double tr_config_parameters(const struct tr_config *c) {
    double tables = c->tied ? 1 : 2;
    return tables * (double)c->vocabulary * (double)c->hidden +
           tr_config_block_parameters(c, false);
}

double tr_config_flops(const struct tr_config *c, double tokens, int64_t seq_len, bool head) {
    double weights = tr_config_block_parameters(c, true), scores = 0;
    if (head)
        weights += (double)c->vocabulary * (double)c->hidden;
    // Scores and mixing: 2 operations per entry of a query and of a value head and visible key.
    for (int i = 0; i < c->layers; i++) {
        int64_t keys = tr_config_has(c, i, TR_LAYER_WINDOWED) && c->window < seq_len / 2
                           ? c->window
                           : (seq_len + 1) / 2;
        scores += 2 * (double)(c->heads * (c->qk_dim + c->v_dim)) * (double)keys;
    }
    return tokens * (2 * weights + scores);
}
