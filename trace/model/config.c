// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <math.h>
#include <string.h>

#include "json.h"

// Bounds that no model reaches and below which no product of two sizes overflows.
enum { MAX_LAYERS = 4096, MAX_HEADS = 1 << 16, MAX_SIZE = 1 << 24 };

static const struct {
    const char *name;
    enum kn_activation activation;
} activations[] = {
    {"silu", KN_SILU},          {"swish", KN_SILU},          {"gelu", KN_GELU_ERF},
    {"gelu_new", KN_GELU_TANH}, {"gelu_fast", KN_GELU_TANH}, {"gelu_pytorch_tanh", KN_GELU_TANH},
    {"relu", KN_RELU},
};

struct source {
    const json_t *root;
    const char *path;
    struct tr_err *err;
};

static enum tr_status find_family(struct tr_config *config, const struct source *from) {
    const char *type = NULL;
    TR_TRY(tr_json_string(from->root, "model_type", &type, from->path, from->err));
    if (!type)
        return tr_fail(from->err, TR_EFORMAT, "%s: \"model_type\" is missing", from->path);
    config->family = tr_family_find(type);
    if (config->family)
        return TR_OK;
    char known[512] = "";
    for (int i = 0; tr_family_at(i); i++) {
        strncat(known, i ? ", " : "", sizeof known - strlen(known) - 1);
        strncat(known, tr_family_at(i)->model_type, sizeof known - strlen(known) - 1);
    }
    return tr_fail(
        from->err, TR_EUNSUPPORTED,
        "%s: model_type \"%.64s\" is not known; the nearest known one is %s, all are: %s",
        from->path, type, tr_family_nearest(type), known);
}

// The value of a key as a number (booleans as 0 and 1), its default when absent.
static enum tr_status read_key(const struct tr_family *family, enum tr_key key, double *value_p,
                               const struct source *from) {
    const struct tr_key_row *row = &family->keys[key];
    const json_t *value = row->json ? json_object_get(from->root, row->json) : NULL;
    *value_p = row->fallback;
    if (value && json_is_boolean(value))
        *value_p = json_boolean_value(value);
    else if (value && !json_is_null(value))
        TR_TRY(tr_json_f64(from->root, row->json, value_p, from->path, from->err));
    else if (row->fallback == TR_REQUIRED)
        return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" is missing", from->path, row->json);
    return TR_OK;
}

static enum tr_status read_size(const struct tr_family *family, enum tr_key key, int64_t derived,
                                int64_t limit, int64_t *size_p, const struct source *from) {
    double value;
    TR_TRY(read_key(family, key, &value, from));
    if (value == TR_DERIVED)
        value = (double)derived;
    if (!(value >= 1 && value <= (double)limit) || value != floor(value))
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: \"%s\" is %g, expected an integer from 1 to %lld", from->path,
                       family->keys[key].json ? family->keys[key].json : "head size", value,
                       (long long)limit);
    *size_p = (int64_t)value;
    return TR_OK;
}

static enum tr_status read_flag(const struct tr_family *family, enum tr_key key, bool *flag_p,
                                const struct source *from) {
    double value;
    TR_TRY(read_key(family, key, &value, from));
    *flag_p = value != 0;
    return TR_OK;
}

static enum tr_status read_sizes(struct tr_config *c, const struct source *from) {
    const struct tr_family *f = c->family;
    TR_TRY(read_size(f, TR_K_LAYERS, 0, MAX_LAYERS, &c->layers, from));
    TR_TRY(read_size(f, TR_K_HIDDEN, 0, MAX_SIZE, &c->hidden, from));
    TR_TRY(read_size(f, TR_K_HEADS, 0, MAX_HEADS, &c->heads, from));
    TR_TRY(read_size(f, TR_K_KV_HEADS, c->heads, MAX_HEADS, &c->kv_heads, from));
    TR_TRY(read_size(f, TR_K_HEAD_DIM, c->hidden / c->heads, MAX_HEADS, &c->head_dim, from));
    TR_TRY(read_size(f, TR_K_FFN, 4 * c->hidden, MAX_SIZE, &c->ffn, from));
    TR_TRY(read_size(f, TR_K_VOCABULARY, 0, MAX_SIZE, &c->vocabulary, from));
    TR_TRY(read_size(f, TR_K_POSITIONS, 0, INT32_MAX, &c->positions, from));
    if (c->heads % c->kv_heads)
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: %lld attention heads cannot share %lld key-value heads evenly",
                       from->path, (long long)c->heads, (long long)c->kv_heads);
    if (tr_config_qkv_rows(c) > MAX_SIZE)
        return tr_fail(from->err, TR_EFORMAT, "%s: %lld heads of size %lld are too many",
                       from->path, (long long)c->heads, (long long)c->head_dim);
    return TR_OK;
}

// Transformers 5 writes rope_parameters {rope_type, rope_theta, partial_rotary_factor}; before,
// there were top-level keys and rope_scaling. The nested spelling wins where both are present.
static enum tr_status read_rope(struct tr_config *c, const struct source *from) {
    double theta, fraction;
    TR_TRY(read_key(c->family, TR_K_ROPE_THETA, &theta, from));
    TR_TRY(read_key(c->family, TR_K_ROTARY_FRACTION, &fraction, from));
    static const char *const objects[] = {"rope_scaling", "rope_parameters"};
    for (int i = 0; i < 2; i++) {
        const json_t *rope = json_object_get(from->root, objects[i]);
        if (!json_is_object(rope))
            continue;
        const char *type = "default";
        TR_TRY(tr_json_string(rope, "type", &type, from->path, from->err));
        TR_TRY(tr_json_string(rope, "rope_type", &type, from->path, from->err));
        if (strcmp(type, "default") != 0)
            return tr_fail(from->err, TR_EUNSUPPORTED,
                           "%s: rope type \"%.64s\" is not supported; known: default", from->path,
                           type);
        TR_TRY(tr_json_f64(rope, "rope_theta", &theta, from->path, from->err));
        TR_TRY(tr_json_f64(rope, "partial_rotary_factor", &fraction, from->path, from->err));
    }
    int64_t turning =
        fraction >= 0 && fraction <= 1 ? (int64_t)((double)c->head_dim * fraction) : -1;
    if (turning < 0 || turning % 2 || !(theta > 0 && theta < 1e30))
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: rotary base %g and fraction %g of head size %lld make no sense",
                       from->path, theta, fraction, (long long)c->head_dim);
    c->rope_theta = theta;
    c->rotary_pairs = turning / 2;
    return TR_OK;
}

static enum tr_status read_activation(struct tr_config *c, const struct source *from) {
    const char *name = c->family->activation;
    TR_TRY(tr_json_string(from->root, c->family->activation_key, &name, from->path, from->err));
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        if (strcmp(activations[i].name, name) == 0) {
            c->activation = activations[i].activation;
            return TR_OK;
        }
    return tr_fail(from->err, TR_EUNSUPPORTED, "%s: activation \"%.64s\" is not supported",
                   from->path, name);
}

static enum tr_status read_end_of_sequence(struct tr_config *c, const struct source *from) {
    const json_t *value = json_object_get(from->root, "eos_token_id");
    if (json_is_array(value))
        value = json_array_get(value, 0);
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    c->end_of_sequence = id >= 0 && id < c->vocabulary ? (int32_t)id : -1;
    return TR_OK;
}

static enum tr_status read_rest(struct tr_config *c, const struct source *from) {
    double epsilon;
    TR_TRY(read_key(c->family, TR_K_EPSILON, &epsilon, from));
    if (!(epsilon >= 0 && epsilon < 1))
        return tr_fail(from->err, TR_EFORMAT, "%s: norm epsilon %g makes no sense", from->path,
                       epsilon);
    c->epsilon = (float)epsilon;
    TR_TRY(read_flag(c->family, TR_K_ATTENTION_BIAS, &c->attention_bias, from));
    TR_TRY(read_flag(c->family, TR_K_MLP_BIAS, &c->mlp_bias, from));
    TR_TRY(read_flag(c->family, TR_K_PARALLEL, &c->parallel, from));
    TR_TRY(read_flag(c->family, TR_K_TIED, &c->tied, from));
    TR_TRY(read_rope(c, from));
    TR_TRY(read_activation(c, from));
    return read_end_of_sequence(c, from);
}

static enum tr_status parse_root(struct tr_config *config, const struct source *from) {
    if (!json_is_object(from->root))
        return tr_fail(from->err, TR_EFORMAT, "%s does not hold a JSON object", from->path);
    TR_TRY(find_family(config, from));
    if (json_is_object(json_object_get(from->root, "quantization_config")))
        return tr_fail(from->err, TR_EUNSUPPORTED,
                       "%s: quantized weights (\"quantization_config\") are not supported",
                       from->path);
    TR_TRY(read_sizes(config, from));
    return read_rest(config, from);
}

enum tr_status tr_config_parse(struct tr_config *config_p, const char *json, size_t size,
                               const char *path, struct tr_err *err) {
    json_t *root;
    TR_TRY(tr_json_parse(&root, json, size, path, err));
    struct tr_config config = {0};
    struct source from = {root, path, err};
    enum tr_status status = parse_root(&config, &from);
    if (status == TR_OK)
        *config_p = config;
    json_decref(root);
    return status;
}

double tr_config_block_parameters(const struct tr_config *c) {
    double attention = (double)(tr_config_qkv_rows(c) + c->heads * c->head_dim);
    double mlp = (double)(tr_config_in_rows(c) + c->ffn);
    return (attention + mlp) * (double)c->hidden;
}

double tr_config_parameters(const struct tr_config *c) {
    double tables = c->tied ? 1 : 2;
    return tables * (double)c->vocabulary * (double)c->hidden +
           (double)c->layers * tr_config_block_parameters(c);
}

double tr_config_flops(const struct tr_config *c, double tokens, int64_t seq_len, bool head) {
    double weights = (double)c->layers * tr_config_block_parameters(c);
    if (head)
        weights += (double)c->vocabulary * (double)c->hidden;
    // Scores and mixing: 2 + 2 operations per head entry and visible key, (seq_len + 1) / 2 keys.
    double attention = 4 * (double)(c->layers * c->heads * c->head_dim) * (double)(seq_len + 1) / 2;
    return tokens * (2 * weights + attention);
}

void tr_rope_tables(const struct tr_config *c, int64_t seq_len, float *cos_table,
                    float *sin_table) {
    for (int64_t i = 0; i < c->rotary_pairs; i++) {
        float exponent = (float)(2 * i) / (float)(2 * c->rotary_pairs);
        float frequency = 1.0f / (float)pow(c->rope_theta, exponent);
        for (int64_t position = 0; position < seq_len; position++) {
            float angle = (float)position * frequency;
            cos_table[position * c->rotary_pairs + i] = (float)cos(angle);
            sin_table[position * c->rotary_pairs + i] = (float)sin(angle);
        }
    }
}
