// SPDX-License-Identifier: Apache-2.0
#include "model/config.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "config_source.h"
#include "model/config_layers.h"
#include "model/drop_config.h"
#include "rope_config.h"

// Bounds that no model reaches and below which no product of two sizes overflows.
enum { MAX_HEADS = 1 << 16, MAX_SIZE = 1 << 24 };

static const struct {
    const char *name;
    enum kn_activation activation;
} activations[] = {
    {"silu", KN_SILU},          {"swish", KN_SILU},          {"gelu", KN_GELU_ERF},
    {"gelu_new", KN_GELU_TANH}, {"gelu_fast", KN_GELU_TANH}, {"gelu_pytorch_tanh", KN_GELU_TANH},
    {"relu", KN_RELU},          {"relu2", KN_RELU_SQUARED},  {"xielu", KN_XIELU},
};

// ---- keys --------------------------------------------------------------------------------------

// The name under which config.json has a key, NULL when the row does not read it from there.
static const char *name_of(const struct tr_config *c, enum tr_key key,
                           const struct tr_config_source *from) {
    const struct tr_key_row *row = &c->family->keys[key];
    const json_t *other = row->other ? json_object_get(from->root, row->other) : NULL;
    return other && !json_is_null(other) ? row->other : row->json;
}

// A null (Python's None) leaves these without a value to compute with.
static bool needs_value(enum tr_key key) {
    return key == TR_K_EPSILON || key == TR_K_ROPE_THETA || key == TR_K_LOCAL_THETA ||
           key == TR_K_ROTARY_FRACTION;
}

// The number that all entries of a list are.
static enum tr_status entry_of_all(const json_t *list, const char *name, double *value_p,
                                   const struct tr_config_source *from) {
    const json_t *first = json_array_get(list, 0);
    for (size_t i = 1; i < json_array_size(list); i++)
        if (!json_equal(json_array_get(list, i), first))
            return tr_fail(from->err, TR_EUNSUPPORTED,
                           "%s: \"%s\" differs from layer to layer: layers of one model that "
                           "differ are not supported",
                           from->path, name);
    if (!json_is_number(first))
        return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" must be a number or a list of equal ones",
                       from->path, name);
    *value_p = json_number_value(first);
    return TR_OK;
}

// The value of a key as a number, its default when absent. `neutral` is what null says (Python's
// None overrides a default), what a derived default comes to, and the value of a key that the
// family's row does not write.
static enum tr_status number(const struct tr_config *c, enum tr_key key, double neutral,
                             double *value_p, const struct tr_config_source *from) {
    const struct tr_key_row *row = &c->family->keys[key];
    const char *name = name_of(c, key, from);
    const json_t *holder = tr_config_holder(&name, from->root);
    const json_t *value = name ? json_object_get(holder, name) : NULL;
    bool unwritten = !name && row->fallback == 0;
    bool plain = !unwritten && row->fallback != TR_DERIVED && !json_is_null(value);
    *value_p = plain ? row->fallback : neutral;
    if (row->alike && json_is_array(value))
        return entry_of_all(value, name, value_p, from);
    if (value && !json_is_null(value))
        return tr_json_f64(holder, name, value_p, from->path, from->err);
    if (row->fallback == TR_REQUIRED || (value && (row->needed || needs_value(key))))
        return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" is missing", from->path, name);
    return TR_OK;
}

static enum tr_status size(const struct tr_config *c, enum tr_key key, int64_t neutral, int64_t low,
                           int64_t high, int64_t *size_p, const struct tr_config_source *from) {
    double value;
    *size_p = neutral;
    TR_TRY(number(c, key, (double)neutral, &value, from));
    if (!(value >= (double)low && value <= (double)high) || value != floor(value))
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: \"%s\" is %g, expected an integer from %lld to %lld", from->path,
                       c->family->keys[key].json ? c->family->keys[key].json : "head size", value,
                       (long long)low, (long long)high);
    *size_p = (int64_t)value;
    return TR_OK;
}

// The same as a boolean; `neutral` where the row does not write the key. Null and 0 are false.
static enum tr_status flag(const struct tr_config *c, enum tr_key key, bool neutral, bool *flag_p,
                           const struct tr_config_source *from) {
    double fallback = c->family->keys[key].fallback;
    const char *name = name_of(c, key, from);
    const json_t *value = name ? json_object_get(from->root, name) : NULL;
    *flag_p = name || fallback != 0 ? fallback != 0 : neutral;
    if (json_is_null(value) || json_is_number(value)) {
        *flag_p = json_number_value(value) != 0;
        return TR_OK;
    }
    return name ? tr_json_bool(from->root, name, flag_p, from->path, from->err) : TR_OK;
}

static enum tr_status real(const struct tr_config *c, enum tr_key key, double neutral,
                           float *value_p, const struct tr_config_source *from) {
    double value;
    TR_TRY(number(c, key, neutral, &value, from));
    if (!(fabs(value) < 1e30))
        return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" is %g, which makes no sense", from->path,
                       c->family->keys[key].json, value);
    *value_p = (float)value;
    return TR_OK;
}

// The same of a cap or a clip, 0 for none.
static enum tr_status bound(const struct tr_config *c, enum tr_key key, float *value_p,
                            const struct tr_config_source *from) {
    float value = 0;
    TR_TRY(real(c, key, 0, &value, from));
    if (value < 0)
        return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" is %g, which makes no sense", from->path,
                       c->family->keys[key].json, (double)value);
    *value_p = value;
    return TR_OK;
}

// ---- sizes -------------------------------------------------------------------------------------

static enum tr_status read_latent(struct tr_config *c, const struct tr_config_source *from) {
    TR_TRY(size(c, TR_K_KV_RANK, 0, 0, MAX_SIZE, &c->kv_rank, from));
    if (!c->kv_rank)
        return TR_OK;
    TR_TRY(size(c, TR_K_QUERY_RANK, 0, 0, MAX_SIZE, &c->query_rank, from));
    TR_TRY(size(c, TR_K_NOPE_DIM, 0, 1, MAX_HEADS, &c->nope_dim, from));
    TR_TRY(size(c, TR_K_ROPE_DIM, 0, 1, MAX_HEADS, &c->rope_dim, from));
    TR_TRY(size(c, TR_K_VALUE_DIM, 0, 1, MAX_HEADS, &c->v_dim, from));
    c->qk_dim = c->nope_dim + c->rope_dim;
    c->kv_heads = c->heads; // every head gets its own key and value from the latent
    return TR_OK;
}

static enum tr_status read_ffn(struct tr_config *c, const struct tr_config_source *from) {
    int64_t ratio, parts = c->family->ffn_counts_gate ? 2 : 1;
    TR_TRY(size(c, TR_K_FFN_RATIO, 4, 1, 1024, &ratio, from));
    TR_TRY(size(c, TR_K_FFN, ratio * c->hidden, parts, MAX_SIZE, &c->ffn, from));
    if (c->ffn % parts)
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: \"%s\" is %lld, which gate and up cannot share evenly", from->path,
                       c->family->keys[TR_K_FFN].json, (long long)c->ffn);
    c->ffn /= parts;
    return TR_OK;
}

static enum tr_status read_sizes(struct tr_config *c, const struct tr_config_source *from) {
    int64_t embed_dim;
    TR_TRY(size(c, TR_K_LAYERS, 0, 1, TR_MAX_LAYERS, &c->layers, from));
    TR_TRY(size(c, TR_K_AHEAD, 0, 0, TR_MAX_LAYERS, &c->ahead, from));
    TR_TRY(size(c, TR_K_HIDDEN, 0, 1, MAX_SIZE, &c->hidden, from));
    TR_TRY(size(c, TR_K_EMBED_DIM, c->hidden, 1, MAX_SIZE, &embed_dim, from));
    TR_TRY(size(c, TR_K_HEADS, 0, 1, MAX_HEADS, &c->heads, from));
    TR_TRY(size(c, TR_K_KV_HEADS, c->heads, 1, MAX_HEADS, &c->kv_heads, from));
    TR_TRY(size(c, TR_K_HEAD_DIM, c->hidden / c->heads, 1, MAX_HEADS, &c->qk_dim, from));
    TR_TRY(read_ffn(c, from));
    TR_TRY(size(c, TR_K_VOCABULARY, 0, 1, MAX_SIZE, &c->vocabulary, from));
    c->table_rows = c->vocabulary;
    TR_TRY(size(c, TR_K_POSITIONS, 0, 1, INT32_MAX, &c->positions, from));
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
    TR_TRY(size(c, TR_K_GROUPS, 1, 1, TR_MAX_EXPERT_GROUPS, &c->groups, from));
    TR_TRY(size(c, TR_K_GROUPS_USED, 1, 1, c->groups, &c->groups_used, from));
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
    TR_TRY(size(c, TR_K_SCAN_RATIO, 2, 1, 1024, &ratio, from));
    c->scan.width = ratio * c->hidden;
    c->scan.dim = c->scan.width / c->scan.heads;
    if (!word || strcmp(word, "auto") != 0)
        TR_TRY(size(c, TR_K_SCAN_DIM, c->scan.dim, 1, MAX_HEADS, &c->scan.dim, from));
    if (c->scan.dim * c->scan.heads != c->scan.width || c->scan.width > MAX_SIZE)
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: %lld heads of size %lld are not \"%s\" times the hidden size",
                       from->path, (long long)c->scan.heads, (long long)c->scan.dim,
                       c->family->keys[TR_K_SCAN_RATIO].json);
    return TR_OK;
}

static enum tr_status read_scan(struct tr_config *c, const struct tr_config_source *from) {
    TR_TRY(size(c, TR_K_SCAN_HEADS, 0, 0, MAX_HEADS, &c->scan.heads, from));
    if (!c->scan.heads)
        return TR_OK;
    TR_TRY(read_scan_dim(c, from));
    TR_TRY(size(c, TR_K_SCAN_GROUPS, 1, 1, c->scan.heads, &c->scan.groups, from));
    TR_TRY(size(c, TR_K_SCAN_STATES, 0, 1, MAX_HEADS, &c->scan.states, from));
    TR_TRY(size(c, TR_K_SCAN_TAPS, 0, 1, 1024, &c->scan.taps, from));
    TR_TRY(flag(c, TR_K_SCAN_BIAS, false, &c->scan.bias, from));
    TR_TRY(flag(c, TR_K_TAPS_BIAS, false, &c->scan.taps_bias, from));
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

static enum tr_status read_experts(struct tr_config *c, const struct tr_config_source *from) {
    TR_TRY(size(c, TR_K_EXPERTS, 0, 0, TR_MAX_EXPERTS, &c->experts, from));
    if (!c->experts)
        return TR_OK;
    int64_t shared;
    TR_TRY(size(c, TR_K_EXPERTS_USED, 0, 1, c->experts, &c->experts_used, from));
    TR_TRY(size(c, TR_K_EXPERT_FFN, c->ffn, 1, MAX_SIZE, &c->expert_ffn, from));
    TR_TRY(size(c, TR_K_SHARED_FFN, 0, 0, MAX_SIZE, &c->shared_ffn, from));
    TR_TRY(size(c, TR_K_SHARED_EXPERTS, 0, 0, 1024, &shared, from));
    TR_TRY(flag(c, TR_K_NORMALISE_TOP, false, &c->normalise_top, from));
    TR_TRY(real(c, TR_K_ROUTED_SCALE, 1, &c->routed_scale, from));
    if (shared)
        c->shared_ffn = shared * c->expert_ffn;
    return read_groups(c, from);
}

// ---- layers ------------------------------------------------------------------------------------

// Of a window that counts both sides a causal layer sees half. Versions of the class differ on
// whether another key may say otherwise.
static enum tr_status read_window(struct tr_config *c, const struct tr_config_source *from) {
    int64_t sides = c->family->window_both_sides ? 2 : 1, other;
    TR_TRY(size(c, TR_K_WINDOW, 0, sides - 1, INT32_MAX, &c->window, from));
    other = c->window /= sides;
    c->chunks = c->family->window_is_chunk;
    if (sides == 2)
        TR_TRY(tr_json_i64(from->root, "sliding_window", &other, from->path, from->err));
    if (other != c->window)
        return tr_fail(from->err, TR_EUNSUPPORTED,
                       "%s: \"sliding_window\" is %lld, but half of \"%s\" is %lld", from->path,
                       (long long)other, c->family->keys[TR_K_WINDOW].json, (long long)c->window);
    return TR_OK;
}

// Marks layers by the rules of config.json; its lists override them (config_layers.h).
static enum tr_status mark_layers(struct tr_config *c, const struct tr_config_source *from) {
    int64_t period = 0, start, end, still, dense, step, last;
    bool used;
    TR_TRY(read_window(c, from));
    TR_TRY(flag(c, TR_K_USE_WINDOW, true, &used, from));
    bool listed = json_is_array(json_object_get(from->root, "layer_types"));
    if (!listed || !c->family->keys[TR_K_WINDOW_PERIOD].json) // EXAONE's rule may be a word then
        TR_TRY(size(c, TR_K_WINDOW_PERIOD, 0, 0, TR_MAX_LAYERS, &period, from));
    TR_TRY(size(c, TR_K_WINDOW_START, 0, 0, INT32_MAX, &start, from));
    TR_TRY(size(c, TR_K_WINDOW_END, c->layers, 0, INT32_MAX, &end, from));
    TR_TRY(size(c, TR_K_NOPE_PERIOD, 0, 0, TR_MAX_LAYERS, &still, from));
    TR_TRY(size(c, TR_K_DENSE_FIRST, 0, 0, INT32_MAX, &dense, from));
    TR_TRY(size(c, TR_K_SPARSE_STEP, 1, 0, INT32_MAX, &step, from));
    TR_TRY(size(c, TR_K_SPARSE_LAST, -1, -1, INT32_MAX, &last, from));
    c->window = used ? c->window : 0;
    for (int64_t i = 0; i < c->layers; i++) {
        bool full = period && (i + 1 + c->family->window_phase) % period == 0;
        tr_config_mark(c, i, TR_LAYER_WINDOWED, c->window && i >= start && i < end && !full);
        tr_config_mark(c, i, TR_LAYER_NOPE, still && (i + 1) % still == 0);
        tr_config_mark(c, i, TR_LAYER_EXPERTS,
                       c->experts && i >= dense && (last < 0 || i <= last) && step &&
                           (i + c->family->sparse_phase) % step == 0);
    }
    return TR_OK;
}

// ---- rotation, scales, the rest ----------------------------------------------------------------

// The fraction of a head that turns, from the number of its entries where config.json has that
// alone.
static enum tr_status read_turning(const struct tr_config *c, double *fraction_p,
                                   const struct tr_config_source *from) {
    int64_t turning;
    const char *name = c->family->keys[TR_K_ROTARY_FRACTION].json;
    TR_TRY(size(c, TR_K_TURNING, 0, 0, c->rope_dim, &turning, from));
    *fraction_p = (double)turning / (double)c->rope_dim;
    if (turning && !json_is_number(json_object_get(from->root, name)))
        return TR_OK;
    TR_TRY(number(c, TR_K_ROTARY_FRACTION, 1, fraction_p, from));
    if (turning && turning != (int64_t)(*fraction_p * (double)c->rope_dim))
        return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" is %lld, but \"%s\" is %g of %lld",
                       from->path, c->family->keys[TR_K_TURNING].json, (long long)turning, name,
                       *fraction_p, (long long)c->rope_dim);
    return TR_OK;
}

// Families whose row names no fraction take one from the top level of config.json as the default of
// their rope objects. It counts only where the rotation is scaled.
static enum tr_status read_fraction(const struct tr_config *c, struct tr_rope_defaults *defaults,
                                    const struct tr_config_source *from) {
    defaults->whole = !c->family->keys[TR_K_ROTARY_FRACTION].json;
    if (defaults->whole) {
        defaults->fraction = 1;
        return tr_json_f64(from->root, "partial_rotary_factor", &defaults->fraction, from->path,
                           from->err);
    }
    return read_turning(c, &defaults->fraction, from);
}

static enum tr_status read_rope(struct tr_config *c, const struct tr_config_source *from) {
    if (c->family->position != TR_ROTARY)
        return TR_OK;
    struct tr_rope_source ropes = {.root = from->root, .path = from->path, .family = c->family};
    struct tr_rope_defaults *full = &ropes.full;
    bool twice;
    full->positions = c->positions;
    full->alpha = c->family->rope_alpha;
    TR_TRY(number(c, TR_K_ROPE_THETA, 10000, &full->theta, from));
    TR_TRY(size(c, TR_K_ROTARY_DIM, c->rope_dim, 0, c->rope_dim, &full->dim, from));
    TR_TRY(read_fraction(c, full, from));
    ropes.windowed = *full;
    TR_TRY(number(c, TR_K_LOCAL_THETA, full->theta, &ropes.windowed.theta, from));
    TR_TRY(size(c, TR_K_ORIGINAL_LENGTH, 0, 0, INT32_MAX, &full->original_positions, from));
    if (!c->family->rope_full_layers_scaled) // objects of two rotations have their own
        TR_TRY(tr_json_i64(from->root, "original_max_position_embeddings",
                           &full->original_positions, from->path, from->err));
    TR_TRY(tr_ropes_read(c->rope, &twice, &ropes, from->err));
    c->remarks |= twice ? TR_REMARK_TWO_ROPES : 0;
    return TR_OK;
}

static enum tr_status read_growth(struct tr_config *c, const struct tr_config_source *from) {
    bool grows;
    TR_TRY(flag(c, TR_K_GROWS, false, &grows, from));
    if (!grows)
        return TR_OK;
    TR_TRY(real(c, TR_K_GROWTH, 0, &c->growth, from));
    return size(c, TR_K_GROWTH_LENGTH, 0, 1, INT32_MAX, &c->growth_length, from);
}

static enum tr_status read_scales(struct tr_config *c, const struct tr_config_source *from) {
    float scalar = 0, width, divisor, epsilon;
    double dim = (double)c->qk_dim;
    TR_TRY(real(c, TR_K_QUERY_SCALAR, c->family->score_per_dim ? dim * dim : dim, &scalar, from));
    TR_TRY(real(c, TR_K_SCORE_SCALE, 1 / sqrt((double)scalar), &c->score_scale, from));
    if (c->family->scores_follow_rope)
        c->score_scale *= (float)c->rope[0].score_scale;
    TR_TRY(bound(c, TR_K_SCORE_SOFTCAP, &c->score_softcap, from));
    TR_TRY(flag(c, TR_K_LAYER_SCALE, false, &c->layer_scale, from));
    TR_TRY(read_growth(c, from));
    TR_TRY(real(c, TR_K_EMBED_SCALE, 1, &c->embed_scale, from));
    TR_TRY(real(c, TR_K_RESIDUAL_SCALE, 1, &c->residual_scale, from));
    TR_TRY(real(c, TR_K_LOGIT_SCALE, 1, &c->logit_scale, from));
    TR_TRY(real(c, TR_K_LOGIT_WIDTH, 1, &width, from));
    TR_TRY(real(c, TR_K_LOGIT_DIVISOR, 1, &divisor, from));
    TR_TRY(bound(c, TR_K_LOGIT_SOFTCAP, &c->logit_softcap, from));
    TR_TRY(bound(c, TR_K_CLIP_QKV, &c->clip_qkv, from));
    TR_TRY(bound(c, TR_K_GATE_LIMIT, &c->gate_limit, from));
    TR_TRY(real(c, TR_K_GATE_SLOPE, 1, &c->gate_slope, from));
    TR_TRY(real(c, TR_K_EPSILON, 0, &epsilon, from));
    c->logit_scale *= width / divisor;
    if (c->family->logits_by_width)
        c->logit_scale /= (float)c->hidden;
    if (c->family->residual_by_depth)
        c->residual_scale /= (float)sqrt((double)c->layers);
    if (c->family->embed_scale_sqrt)
        c->embed_scale = (float)sqrt((double)c->hidden);
    if (!(epsilon >= 0 && epsilon < 1) || !isfinite(c->logit_scale) || !isfinite(c->score_scale))
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: norm epsilon %g, score scale %g or logit scale %g makes no sense",
                       from->path, (double)epsilon, (double)c->score_scale, (double)c->logit_scale);
    c->epsilon = epsilon;
    return TR_OK;
}

static enum tr_status read_flags(struct tr_config *c, const struct tr_config_source *from) {
    TR_TRY(flag(c, TR_K_QKV_BIAS, false, &c->qkv_bias, from));
    TR_TRY(flag(c, TR_K_OUT_BIAS, false, &c->out_bias, from));
    TR_TRY(flag(c, TR_K_MLP_BIAS, false, &c->mlp_bias, from));
    TR_TRY(flag(c, TR_K_HEAD_BIAS, false, &c->head_bias, from));
    TR_TRY(flag(c, TR_K_HEAD_DENSE_BIAS, false, &c->head_dense_bias, from));
    TR_TRY(flag(c, TR_K_PARALLEL, false, &c->parallel, from));
    TR_TRY(flag(c, TR_K_QK_NORM, false, &c->qk_norm, from));
    if (c->family->unit_head.key)
        TR_TRY(tr_condition_holds(&c->family->unit_head, &c->unit_head, from));
    return flag(c, TR_K_TIED, false, &c->tied, from);
}

static enum tr_status find_activation(const struct tr_config *c, const char *name,
                                      enum kn_activation *activation_p,
                                      const struct tr_config_source *from) {
    bool learned = c->family->weights[TR_W_ALPHA_P] != NULL; // what xIELU needs
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        if (strcmp(activations[i].name, name) == 0 &&
            (learned || activations[i].activation != KN_XIELU)) {
            *activation_p = activations[i].activation;
            return TR_OK;
        }
    return tr_fail(from->err, TR_EUNSUPPORTED, "%s: activation \"%.64s\" is not supported",
                   from->path, name);
}

static enum tr_status read_head_activation(struct tr_config *c,
                                           const struct tr_config_source *from) {
    const char *name = c->family->head_activation;
    if (!name)
        return TR_OK;
    TR_TRY(
        tr_json_string(from->root, c->family->head_activation_key, &name, from->path, from->err));
    return find_activation(c, name, &c->head_activation, from);
}

static enum tr_status read_activation(struct tr_config *c, const struct tr_config_source *from) {
    const char *name = c->family->activation;
    if (c->family->activation_key)
        TR_TRY(tr_json_string(from->root, c->family->activation_key, &name, from->path, from->err));
    if (c->family->gelu_is_tanh && strcmp(name, "gelu") == 0)
        name = "gelu_pytorch_tanh";
    if (c->family->activation_override)
        TR_TRY(tr_json_string(from->root, c->family->activation_override, &name, from->path,
                              from->err));
    return find_activation(c, name, &c->activation, from);
}

// Sublayers that config.json drops are absent.
static enum tr_status mark_dropped(struct tr_config *c, const struct tr_config_source *from) {
    struct tr_drop_lists dropped;
    TR_TRY(tr_drop_lists_read(&dropped, from->root, c->layers, c->family->block_sizes, from->path,
                              from->err));
    for (int layer = 0; layer < c->layers; layer++) {
        tr_config_mark(c, layer, TR_LAYER_NO_ATTN, dropped.attention[layer]);
        tr_config_mark(c, layer, TR_LAYER_NO_MLP, dropped.mlp[layer]);
    }
    if (dropped.count)
        c->remarks |= TR_REMARK_DROPPED;
    return TR_OK;
}

// "eos_token_id": an id, or a list of which the first counts. One that the vocabulary lacks is
// none.
static enum tr_status read_end_of_sequence(struct tr_config *c,
                                           const struct tr_config_source *from) {
    const json_t *value = json_object_get(from->root, "eos_token_id");
    if (json_is_array(value))
        value = json_array_get(value, 0);
    if (value && !json_is_null(value) && !json_is_integer(value))
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: \"eos_token_id\" must be an integer or a list of them", from->path);
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    c->end_of_sequence = id >= 0 && id < c->vocabulary ? (int32_t)id : -1;
    return TR_OK;
}

static enum tr_status parse_root(struct tr_config *c, const struct tr_config_source *from) {
    if (!json_is_object(from->root))
        return tr_fail(from->err, TR_EFORMAT, "%s does not hold a JSON object", from->path);
    TR_TRY(tr_config_find_family(&c->family, from));
    TR_TRY(read_sizes(c, from));
    TR_TRY(mark_dropped(c, from));
    if (c->family->block_sizes)
        TR_TRY(tr_block_sizes_read(c, from->root, from->path, from->err));
    TR_TRY(read_experts(c, from));
    TR_TRY(read_scan(c, from));
    TR_TRY(mark_layers(c, from));
    TR_TRY(tr_config_read_layer_lists(c, from->root, from->path, from->err));
    TR_TRY(read_rope(c, from));
    TR_TRY(read_scales(c, from));
    TR_TRY(read_flags(c, from));
    TR_TRY(read_activation(c, from));
    TR_TRY(read_head_activation(c, from));
    return read_end_of_sequence(c, from);
}

enum tr_status tr_config_parse(struct tr_config *config_p, const char *json, size_t bytes,
                               const char *path, struct tr_err *err) {
    json_t *root;
    TR_TRY(tr_json_parse(&root, json, bytes, path, err));
    struct tr_config config;
    memset(&config, 0, sizeof config); // compared as bytes
    struct tr_config_source from = {root, path, err};
    enum tr_status status = parse_root(&config, &from);
    if (status == TR_OK)
        memcpy(config_p, &config, sizeof config);
    json_decref(root);
    return status;
}

// ---- length ------------------------------------------------------------------------------------

int64_t tr_config_longest(const struct tr_config *c) {
    if (c->family->position != TR_ROTARY || c->rope[0].type != TR_ROPE_DYNAMIC)
        return c->positions;
    double stretched = fmin((double)c->positions * c->rope[0].factor, INT32_MAX);
    return stretched > (double)c->positions ? (int64_t)stretched : c->positions;
}
