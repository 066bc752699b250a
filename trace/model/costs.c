// SPDX-License-Identifier: Apache-2.0
#include "model/costs.h"

static double attention_parameters(const struct tr_config *c, int layer) {
    double hidden = (double)c->hidden, out = (double)tr_config_mixed_cols(c) * hidden;
    if (!c->kv_rank)
        return (double)tr_config_qkv_rows(c, tr_config_kv_heads(c, layer)) * hidden + out;
    double queries = (double)(c->heads * c->qk_dim);
    double query = c->query_rank ? (double)c->query_rank * (hidden + queries) : hidden * queries;
    return query + (double)(c->kv_rank + c->rope_dim) * hidden +
           (double)(c->kv_rank * c->heads * (c->nope_dim + c->v_dim)) + out;
}

static double scan_parameters(const struct tr_config *c) {
    double hidden = (double)c->hidden, cols = (double)tr_config_taps_cols(c);
    return ((double)tr_config_scan_rows(c) + (double)c->scan.width) * hidden +
           cols * (double)c->scan.taps;
}

static double mlp_parameters(const struct tr_config *c, int64_t ffn) {
    return (double)(tr_config_in_rows(c, ffn) + ffn) * (double)c->hidden;
}

static double experts_parameters(const struct tr_config *c, bool used) {
    double experts = (double)(used ? c->experts_used : c->experts);
    return experts * mlp_parameters(c, c->expert_ffn) + mlp_parameters(c, c->shared_ffn) +
           (double)c->experts * (double)c->hidden;
}

double tr_sublayer_parameters(const struct tr_config *c, enum tr_module module, int layer,
                              bool used) {
    double total = 0;
    if (module != TR_MLP)
        total += tr_config_has(c, layer, TR_LAYER_SCAN) ? scan_parameters(c)
                                                        : attention_parameters(c, layer);
    if (module != TR_ATTN)
        total += tr_config_has(c, layer, TR_LAYER_EXPERTS)
                     ? experts_parameters(c, used)
                     : mlp_parameters(c, tr_config_ffn(c, layer));
    return total;
}

double tr_config_parameters(const struct tr_config *c) {
    double tables = c->tied ? 1 : 2, total = tables * (double)c->vocabulary * (double)c->hidden;
    for (int layer = 0; layer < c->layers; layer++)
        for (int module = TR_ATTN; module <= TR_MLP; module++)
            if (tr_config_keeps(c, NULL, (enum tr_module)module, layer))
                total += tr_sublayer_parameters(c, (enum tr_module)module, layer, false);
    return total;
}

// Scores and mixing of one token: 2 operations per entry of a query and of a value head and visible
// key; or what a scan does to its state.
static double score_flops(const struct tr_config *c, int layer, int64_t seq_len) {
    if (tr_config_has(c, layer, TR_LAYER_SCAN)) // the state: forgotten, written and read
        return 6 * (double)(c->scan.width * c->scan.states);
    bool windowed = tr_config_has(c, layer, TR_LAYER_WINDOWED);
    int64_t seen = windowed && c->chunks ? (c->window + 1) / 2 : c->window;
    int64_t keys = windowed && seen < seq_len / 2 ? seen : (seq_len + 1) / 2;
    return 2 * (double)(c->heads * (c->qk_dim + c->v_dim)) * (double)keys;
}

static double head_flops(const struct tr_config *c, const struct tr_wanted *wanted) {
    double once = wanted->head ? 2 * (double)c->vocabulary * (double)c->hidden : 0;
    return wanted->comparisons ? 2 * once : once;
}

// Of one token; 0 where the model lacks the sublayer.
static double sublayer_flops(const struct tr_config *c, int64_t seq_len,
                             const struct tr_wanted *wanted, enum tr_module module, int layer) {
    if (!tr_config_keeps(c, wanted->drop, module, layer))
        return 0;
    return 2 * tr_sublayer_parameters(c, module, layer, true) +
           (module == TR_ATTN ? score_flops(c, layer, seq_len) : 0);
}

double tr_config_flops(const struct tr_config *c, double tokens, int64_t seq_len,
                       const struct tr_wanted *wanted) {
    double each = head_flops(c, wanted);
    for (int layer = 0; layer < c->layers; layer++)
        each += sublayer_flops(c, seq_len, wanted, TR_ATTN, layer) +
                sublayer_flops(c, seq_len, wanted, TR_MLP, layer);
    return tokens * each;
}

double tr_kept_flops(const struct tr_config *c, double tokens, int64_t seq_len,
                     const struct tr_wanted *wanted, const struct tr_drop_set *removed,
                     int64_t first) {
    double each = head_flops(c, wanted);
    for (int layer = (int)first; layer < c->layers; layer++)
        for (enum tr_module module = TR_ATTN; module <= TR_MLP; module++)
            if (!tr_drop_set_has(removed, module, layer))
                each += sublayer_flops(c, seq_len, wanted, module, layer);
    return tokens * each;
}

double tr_step_flops(const struct tr_config *c, int64_t keys, const struct tr_wanted *wanted,
                     const struct tr_drop_set *removed) {
    // A row as long as twice the keys that the token sees has them on average.
    double all = tr_kept_flops(c, 1, 2 * keys - 1, wanted, removed, 0);
    double more = (double)(2 * c->kv_rank + c->rope_dim - c->qk_dim - c->v_dim) * (double)c->heads;
    for (int layer = 0; c->kv_rank && layer < c->layers; layer++)
        if (tr_config_keeps(c, removed, TR_ATTN, layer))
            all += 2 * more * (double)keys;
    return all;
}

double tr_removal_flops(const struct tr_config *c, double tokens, int64_t seq_len,
                        const struct tr_wanted *wanted, const struct tr_drop_set *removed,
                        const struct tr_drop_set *from) {
    double each = head_flops(c, wanted);
    bool forked = false;
    for (int layer = 0; layer < c->layers; layer++)
        for (enum tr_module module = TR_ATTN; module <= TR_MLP; module++) {
            bool is_removed = tr_drop_set_has(removed, module, layer);
            forked = forked || is_removed != tr_drop_set_has(from, module, layer);
            if (forked && !is_removed)
                each += sublayer_flops(c, seq_len, wanted, module, layer);
        }
    return tokens * each;
}
