// SPDX-License-Identifier: Apache-2.0
// How large a model is, as config.json says it: widths, heads, experts, scans.
#include "config_sizes.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "config_keys.h"
#include "model/config_layers.h"

// Bounds that no model reaches and below which no product of two sizes overflows.
enum { MAX_HEADS = 1 << 16, MAX_SIZE = 1 << 24 };

static enum tr_status read_latent(struct tr_config *c, const struct tr_config_source *from) {
    TR_TRY(tr_key_size(c, TR_K_KV_RANK, 0, 0, MAX_SIZE, &c->kv_rank, from));
    if (!c->kv_rank)
        return TR_OK;
    TR_TRY(tr_key_size(c, TR_K_QUERY_RANK, 0, 0, MAX_SIZE, &c->query_rank, from));
    TR_TRY(tr_key_size(c, TR_K_NOPE_DIM, 0, 1, MAX_HEADS, &c->nope_dim, from));
    TR_TRY(tr_key_size(c, TR_K_ROPE_DIM, 0, 1, MAX_HEADS, &c->rope_dim, from));
    TR_TRY(tr_key_size(c, TR_K_VALUE_DIM, 0, 1, MAX_HEADS, &c->v_dim, from));
    c->qk_dim = c->nope_dim + c->rope_dim;
    c->kv_heads = c->heads; // every head gets its own key and value from the latent
    return TR_OK;
}

static enum tr_status read_ffn(struct tr_config *c, const struct tr_config_source *from) {
    int64_t ratio, parts = c->family->ffn_counts_gate ? 2 : 1;
    TR_TRY(tr_key_size(c, TR_K_FFN_RATIO, 4, 1, 1024, &ratio, from));
    TR_TRY(tr_key_size(c, TR_K_FFN, ratio * c->hidden, parts, MAX_SIZE, &c->ffn, from));
    if (c->ffn % parts)
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: \"%s\" is %lld, which gate and up cannot share evenly", from->path,
                       c->family->keys[TR_K_FFN].json, (long long)c->ffn);
    c->ffn /= parts;
    return TR_OK;
}

enum tr_status tr_config_read_sizes(struct tr_config *c, const struct tr_config_source *from) {
    int64_t embed_dim;
    TR_TRY(tr_key_size(c, TR_K_LAYERS, 0, 1, TR_MAX_LAYERS, &c->layers, from));
    TR_TRY(tr_key_size(c, TR_K_AHEAD, 0, 0, TR_MAX_LAYERS, &c->ahead, from));
    TR_TRY(tr_key_size(c, TR_K_HIDDEN, 0, 1, MAX_SIZE, &c->hidden, from));
    TR_TRY(tr_key_size(c, TR_K_EMBED_DIM, c->hidden, 1, MAX_SIZE, &embed_dim, from));
    TR_TRY(tr_key_size(c, TR_K_HEADS, 0, 1, MAX_HEADS, &c->heads, from));
    TR_TRY(tr_key_size(c, TR_K_KV_HEADS, c->heads, 1, MAX_HEADS, &c->kv_heads, from));
    TR_TRY(tr_key_size(c, TR_K_HEAD_DIM, c->hidden / c->heads, 1, MAX_HEADS, &c->qk_dim, from));
    TR_TRY(read_ffn(c, from));
    TR_TRY(tr_key_size(c, TR_K_VOCABULARY, 0, 1, MAX_SIZE, &c->vocabulary, from));
    c->table_rows = c->vocabulary;
    TR_TRY(tr_key_size(c, TR_K_POSITIONS, 0, 1, INT32_MAX, &c->positions, from));
    c->v_dim = c->rope_dim = c->qk_dim;
    TR_TRY(read_latent(c, from));
    if (embed_dim != c->hidden)
        return tr_fail(from->err, TR_EUNSUPPORTED,
                       "%s: \"%s\" is %lld, not the hidden size %lld: embeddings that are "
                       "projected are not supported",
                       from->path, c->family->keys[TR_K_EMBED_DIM].json, (long long)embed_dim,
                       (long long)c->hidden);
    if (c->heads % c->kv_heads)
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: %lld attention heads cannot share %lld key-value heads evenly",
                       from->path, (long long)c->heads, (long long)c->kv_heads);
    if (tr_config_qkv_rows(c, c->heads) > MAX_SIZE)
        return tr_fail(from->err, TR_EFORMAT, "%s: %lld heads of size %lld are too many",
                       from->path, (long long)c->heads, (long long)c->qk_dim);
    return TR_OK;
}

// "topk_method": DeepSeek's word for whether groups limit the choice of experts.
static enum tr_status read_groups(struct tr_config *c, const struct tr_config_source *from) {
    const char *method = "greedy";
    if (!c->family->keys[TR_K_GROUPS].json)
        return TR_OK;
    if (!c->family->sigmoid_router)
        TR_TRY(tr_json_string(from->root, "topk_method", &method, from->path, from->err));
    if (!c->family->sigmoid_router && strcmp(method, "greedy") == 0)
        return TR_OK;
    if (!c->family->sigmoid_router && strcmp(method, "group_limited_greedy") != 0)
        return tr_fail(from->err, TR_EUNSUPPORTED, "%s: topk_method \"%.64s\" is not supported",
                       from->path, method);
    TR_TRY(tr_key_size(c, TR_K_GROUPS, 1, 1, TR_MAX_EXPERT_GROUPS, &c->groups, from));
    TR_TRY(tr_key_size(c, TR_K_GROUPS_USED, 1, 1, c->groups, &c->groups_used, from));
    bool single = c->family->sigmoid_router && c->experts < 2 * c->groups; // two best are counted
    if (c->experts % c->groups || single ||
        c->groups_used * (c->experts / c->groups) < c->experts_used)
        return tr_fail(
            from->err, TR_EFORMAT,
            "%s: %lld experts in %lld groups, %lld groups and %lld experts used, make no "
            "sense",
            from->path, (long long)c->experts, (long long)c->groups, (long long)c->groups_used,
            (long long)c->experts_used);
    return TR_OK;
}

// Infinity, as Python writes it or as transformers does: {"__float__": "Infinity"}.
static bool is_infinite(const json_t *value) {
    const char *word = json_string_value(json_object_get(value, "__float__"));
    return tr_json_is_nonfinite(value) || (word && strcmp(word, "Infinity") == 0);
}

// "time_step_limit": [low, high], absent: none.
static enum tr_status read_steps(struct tr_config *c, const struct tr_config_source *from) {
    const json_t *list = json_object_get(from->root, "time_step_limit");
    const json_t *low = json_array_get(list, 0), *high = json_array_get(list, 1);
    c->scan.step_high = INFINITY;
    if (!list)
        return TR_OK;
    c->scan.step_low = (float)json_number_value(low);
    if (json_is_number(high))
        c->scan.step_high = (float)json_number_value(high);
    if (json_array_size(list) != 2 || !json_is_number(low) ||
        !(json_is_number(high) || is_infinite(high)) || c->scan.step_low > c->scan.step_high)
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: \"time_step_limit\" must be two numbers, the lower first", from->path);
    return TR_OK;
}

// The size of a head may be the word "auto": what the ratio comes to.
static enum tr_status read_scan_dim(struct tr_config *c, const struct tr_config_source *from) {
    const char *key = c->family->keys[TR_K_SCAN_DIM].json;
    const char *word = key ? json_string_value(json_object_get(from->root, key)) : NULL;
    int64_t ratio;
    TR_TRY(tr_key_size(c, TR_K_SCAN_RATIO, 2, 1, 1024, &ratio, from));
    c->scan.width = ratio * c->hidden;
    c->scan.dim = c->scan.width / c->scan.heads;
    if (!word || strcmp(word, "auto") != 0)
        TR_TRY(tr_key_size(c, TR_K_SCAN_DIM, c->scan.dim, 1, MAX_HEADS, &c->scan.dim, from));
    if (c->scan.dim * c->scan.heads != c->scan.width || c->scan.width > MAX_SIZE)
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: %lld heads of size %lld are not \"%s\" times the hidden size",
                       from->path, (long long)c->scan.heads, (long long)c->scan.dim,
                       c->family->keys[TR_K_SCAN_RATIO].json);
    return TR_OK;
}

enum tr_status tr_config_read_scan(struct tr_config *c, const struct tr_config_source *from) {
    TR_TRY(tr_key_size(c, TR_K_SCAN_HEADS, 0, 0, MAX_HEADS, &c->scan.heads, from));
    if (!c->scan.heads)
        return TR_OK;
    TR_TRY(read_scan_dim(c, from));
    TR_TRY(tr_key_size(c, TR_K_SCAN_GROUPS, 1, 1, c->scan.heads, &c->scan.groups, from));
    TR_TRY(tr_key_size(c, TR_K_SCAN_STATES, 0, 1, MAX_HEADS, &c->scan.states, from));
    TR_TRY(tr_key_size(c, TR_K_SCAN_TAPS, 0, 1, 1024, &c->scan.taps, from));
    TR_TRY(tr_key_flag(c, TR_K_SCAN_BIAS, false, &c->scan.bias, from));
    TR_TRY(tr_key_flag(c, TR_K_TAPS_BIAS, false, &c->scan.taps_bias, from));
    if (c->scan.heads % c->scan.groups)
        return tr_fail(from->err, TR_EFORMAT, "%s: %lld heads cannot share %lld groups evenly",
                       from->path, (long long)c->scan.heads, (long long)c->scan.groups);
    if (tr_config_scan_rows(c) > MAX_SIZE)
        return tr_fail(from->err, TR_EFORMAT, "%s: %lld groups of %lld states are too many",
                       from->path, (long long)c->scan.groups, (long long)c->scan.states);
    for (int layer = 0; layer < c->layers; layer++) // lists say which do not
        tr_config_mark(c, layer, TR_LAYER_SCAN, true);
    return read_steps(c, from);
}

enum tr_status tr_config_read_experts(struct tr_config *c, const struct tr_config_source *from) {
    TR_TRY(tr_key_size(c, TR_K_EXPERTS, 0, 0, TR_MAX_EXPERTS, &c->experts, from));
    if (!c->experts)
        return TR_OK;
    int64_t shared;
    TR_TRY(tr_key_size(c, TR_K_EXPERTS_USED, 0, 1, c->experts, &c->experts_used, from));
    TR_TRY(tr_key_size(c, TR_K_EXPERT_FFN, c->ffn, 1, MAX_SIZE, &c->expert_ffn, from));
    TR_TRY(tr_key_size(c, TR_K_SHARED_FFN, 0, 0, MAX_SIZE, &c->shared_ffn, from));
    TR_TRY(tr_key_size(c, TR_K_SHARED_EXPERTS, 0, 0, 1024, &shared, from));
    TR_TRY(tr_key_flag(c, TR_K_NORMALISE_TOP, false, &c->normalise_top, from));
    TR_TRY(tr_key_real(c, TR_K_ROUTED_SCALE, 1, &c->routed_scale, from));
    if (shared)
        c->shared_ffn = shared * c->expert_ffn;
    return read_groups(c, from);
}
