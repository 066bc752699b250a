// SPDX-License-Identifier: Apache-2.0
#include "model/config.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "config_keys.h"
#include "config_sizes.h"
#include "model/config_layers.h"
#include "model/drop_config.h"
#include "rope_config.h"

static const struct {
    const char *name;
    enum kn_activation activation;
} activations[] = {
    {"silu", KN_SILU},          {"swish", KN_SILU},          {"gelu", KN_GELU_ERF},
    {"gelu_new", KN_GELU_TANH}, {"gelu_fast", KN_GELU_TANH}, {"gelu_pytorch_tanh", KN_GELU_TANH},
    {"relu", KN_RELU},          {"relu2", KN_RELU_SQUARED},  {"xielu", KN_XIELU},
};

// ---- layers ------------------------------------------------------------------------------------

// Of a window that counts both sides a causal layer sees half. Versions of the class differ on
// whether another key may say otherwise.
static enum tr_status read_window(struct tr_config *c, const struct tr_config_source *from) {
    int64_t sides = c->family->window_both_sides ? 2 : 1, other;
    TR_TRY(tr_key_size(c, TR_K_WINDOW, 0, sides - 1, INT32_MAX, &c->window, from));
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
    TR_TRY(tr_key_flag(c, TR_K_USE_WINDOW, true, &used, from));
    bool listed = json_is_array(json_object_get(from->root, "layer_types"));
    if (!listed || !c->family->keys[TR_K_WINDOW_PERIOD].json) // EXAONE's rule may be a word then
        TR_TRY(tr_key_size(c, TR_K_WINDOW_PERIOD, 0, 0, TR_MAX_LAYERS, &period, from));
    TR_TRY(tr_key_size(c, TR_K_WINDOW_START, 0, 0, INT32_MAX, &start, from));
    TR_TRY(tr_key_size(c, TR_K_WINDOW_END, c->layers, 0, INT32_MAX, &end, from));
    TR_TRY(tr_key_size(c, TR_K_NOPE_PERIOD, 0, 0, TR_MAX_LAYERS, &still, from));
    TR_TRY(tr_key_size(c, TR_K_DENSE_FIRST, 0, 0, INT32_MAX, &dense, from));
    TR_TRY(tr_key_size(c, TR_K_SPARSE_STEP, 1, 0, INT32_MAX, &step, from));
    TR_TRY(tr_key_size(c, TR_K_SPARSE_LAST, -1, -1, INT32_MAX, &last, from));
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
    TR_TRY(tr_key_size(c, TR_K_TURNING, 0, 0, c->rope_dim, &turning, from));
    *fraction_p = (double)turning / (double)c->rope_dim;
    if (turning && !json_is_number(json_object_get(from->root, name)))
        return TR_OK;
    TR_TRY(tr_key_number(c, TR_K_ROTARY_FRACTION, 1, fraction_p, from));
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
    TR_TRY(tr_key_number(c, TR_K_ROPE_THETA, 10000, &full->theta, from));
    TR_TRY(tr_key_size(c, TR_K_ROTARY_DIM, c->rope_dim, 0, c->rope_dim, &full->dim, from));
    TR_TRY(read_fraction(c, full, from));
    ropes.windowed = *full;
    TR_TRY(tr_key_number(c, TR_K_LOCAL_THETA, full->theta, &ropes.windowed.theta, from));
    TR_TRY(tr_key_size(c, TR_K_ORIGINAL_LENGTH, 0, 0, INT32_MAX, &full->original_positions, from));
    if (!c->family->rope_full_layers_scaled) // objects of two rotations have their own
        TR_TRY(tr_json_i64(from->root, "original_max_position_embeddings",
                           &full->original_positions, from->path, from->err));
    TR_TRY(tr_ropes_read(c->rope, &twice, &ropes, from->err));
    c->remarks |= twice ? TR_REMARK_TWO_ROPES : 0;
    return TR_OK;
}

static enum tr_status read_growth(struct tr_config *c, const struct tr_config_source *from) {
    bool grows;
    TR_TRY(tr_key_flag(c, TR_K_GROWS, false, &grows, from));
    if (!grows)
        return TR_OK;
    TR_TRY(tr_key_real(c, TR_K_GROWTH, 0, &c->growth, from));
    return tr_key_size(c, TR_K_GROWTH_LENGTH, 0, 1, INT32_MAX, &c->growth_length, from);
}

static enum tr_status read_scales(struct tr_config *c, const struct tr_config_source *from) {
    float scalar = 0, base = 0, width, divisor, epsilon;
    double dim = (double)c->qk_dim;
    TR_TRY(tr_key_real(c, TR_K_QUERY_SCALAR, c->family->score_per_dim ? dim * dim : dim, &scalar,
                       from));
    TR_TRY(tr_key_real(c, TR_K_SCORE_SCALE, 1 / sqrt((double)scalar), &c->score_scale, from));
    TR_TRY(tr_key_real(c, TR_K_SCORE_BASE, dim, &base, from));
    if (c->family->keys[TR_K_SCORE_BASE].json)
        c->score_scale = (float)(sqrt((double)base) / dim);
    if (c->family->scores_follow_rope)
        c->score_scale *= (float)c->rope[0].score_scale;
    TR_TRY(tr_key_bound(c, TR_K_SCORE_SOFTCAP, &c->score_softcap, from));
    TR_TRY(tr_key_flag(c, TR_K_LAYER_SCALE, false, &c->layer_scale, from));
    TR_TRY(read_growth(c, from));
    TR_TRY(tr_key_real(c, TR_K_EMBED_SCALE, 1, &c->embed_scale, from));
    TR_TRY(tr_key_real(c, TR_K_RESIDUAL_SCALE, 1, &c->residual_scale, from));
    TR_TRY(tr_key_real(c, TR_K_LOGIT_SCALE, c->family->logits_by_width ? (double)c->hidden : 1,
                       &c->logit_scale, from));
    TR_TRY(tr_key_real(c, TR_K_LOGIT_WIDTH, 1, &width, from));
    TR_TRY(tr_key_real(c, TR_K_LOGIT_DIVISOR, 1, &divisor, from));
    TR_TRY(tr_key_bound(c, TR_K_LOGIT_SOFTCAP, &c->logit_softcap, from));
    TR_TRY(tr_key_bound(c, TR_K_CLIP_QKV, &c->clip_qkv, from));
    TR_TRY(tr_key_bound(c, TR_K_GATE_LIMIT, &c->gate_limit, from));
    TR_TRY(tr_key_real(c, TR_K_GATE_SLOPE, 1, &c->gate_slope, from));
    TR_TRY(tr_key_real(c, TR_K_EPSILON, 0, &epsilon, from));
    c->logit_scale *= width / divisor;
    if (c->family->logits_by_width)
        c->logit_scale /= (float)c->hidden;
    if (c->family->residual_shrinks && !(c->residual_scale >= 0 && c->residual_scale < 1))
        c->residual_scale = 1;
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
    TR_TRY(tr_key_flag(c, TR_K_QKV_BIAS, false, &c->qkv_bias, from));
    TR_TRY(tr_key_flag(c, TR_K_OUT_BIAS, false, &c->out_bias, from));
    TR_TRY(tr_key_flag(c, TR_K_MLP_BIAS, false, &c->mlp_bias, from));
    TR_TRY(tr_key_flag(c, TR_K_HEAD_BIAS, false, &c->head_bias, from));
    TR_TRY(tr_key_flag(c, TR_K_HEAD_DENSE_BIAS, false, &c->head_dense_bias, from));
    TR_TRY(tr_key_flag(c, TR_K_PARALLEL, false, &c->parallel, from));
    TR_TRY(tr_key_flag(c, TR_K_QK_NORM, false, &c->qk_norm, from));
    TR_TRY(tr_key_flag(c, TR_K_MULTIPLIERS, false, &c->multipliers, from));
    TR_TRY(tr_key_flag(c, TR_K_NORM_MULTIPLIERS, false, &c->norm_multipliers, from));
    c->norm_multipliers = c->norm_multipliers && c->multipliers;
    if (c->family->unit_head.key)
        TR_TRY(tr_condition_holds(&c->family->unit_head, &c->unit_head, from));
    return tr_key_flag(c, TR_K_TIED, false, &c->tied, from);
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
    TR_TRY(tr_config_read_sizes(c, from));
    TR_TRY(mark_dropped(c, from));
    if (c->family->block_sizes)
        TR_TRY(tr_block_sizes_read(c, from->root, from->path, from->err));
    TR_TRY(tr_config_read_experts(c, from));
    TR_TRY(tr_config_read_scan(c, from));
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
