// SPDX-License-Identifier: Apache-2.0
// "quantization_config" as GPTQModel, AutoGPTQ, AutoAWQ and compressed-tensors write it.
#include "ckpt/packed_scheme.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"

struct reading {
    struct tr_packed_scheme *scheme;
    const json_t *object; // of "quantization_config"
    const char *path;
    struct tr_err *err;
};

static enum tr_status refuse(const struct reading *r, const char *what, const char *word) {
    return tr_fail(r->err, TR_EUNSUPPORTED,
                   "%s: \"quantization_config\" has %s \"%.64s\", which is not read", r->path, what,
                   word);
}

// Whether a member says something: not absent, null, false, an empty text, list or object.
static bool says(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    return value && !json_is_null(value) && !json_is_false(value) && (!text || *text) &&
           (!json_is_array(value) || json_array_size(value)) &&
           (!json_is_object(value) || json_object_size(value));
}

static enum tr_status refuse_words(const struct reading *r, const json_t *object,
                                   const char *const *keys) {
    for (; *keys; keys++)
        if (says(object, *keys))
            return tr_fail(r->err, TR_EUNSUPPORTED,
                           "%s: \"quantization_config\" asks for \"%s\", which is not supported",
                           r->path, *keys);
    return TR_OK;
}

static enum tr_status set_layout(const struct reading *r, const char *name) {
    r->scheme->layout = tr_layout_find(name);
    return TR_OK;
}

// ---- numbers -----------------------------------------------------------------------------------

static enum tr_status read_numbers(const struct reading *r, const json_t *object,
                                   const char *bits_key) {
    int64_t bits = 0, group = -1;
    TR_TRY(tr_json_i64(object, bits_key, &bits, r->path, r->err));
    TR_TRY(tr_json_i64(object, "group_size", &group, r->path, r->err));
    if (bits != 4 && bits != r->scheme->layout->widest)
        return tr_fail(r->err, TR_EUNSUPPORTED,
                       "%s: weights of %lld bits (\"%s\" of \"quantization_config\") are not read: "
                       "%s has 4%s",
                       r->path, (long long)bits, bits_key, r->scheme->layout->name,
                       r->scheme->layout->widest == 8 ? " or 8" : "");
    if (group < -1 || !group)
        return tr_fail(r->err, TR_EFORMAT, "%s: \"group_size\" of \"quantization_config\" is %lld",
                       r->path, (long long)group);
    r->scheme->bits = (int)bits;
    r->scheme->group_size = group;
    return TR_OK;
}

// ---- GPTQ --------------------------------------------------------------------------------------

// Of the two keys for the version, the one that is there; both must say the same.
static enum tr_status read_version(const struct reading *r, const char **version_p) {
    const char *version = NULL, *format = NULL;
    TR_TRY(tr_json_string(r->object, "checkpoint_format", &version, r->path, r->err));
    TR_TRY(tr_json_string(r->object, "format", &format, r->path, r->err));
    if (version && format && strcmp(version, format) != 0)
        return tr_fail(r->err, TR_EFORMAT,
                       "%s: \"quantization_config\" says \"checkpoint_format\" %.64s and "
                       "\"format\" %.64s",
                       r->path, version, format);
    *version_p = version ? version : format ? format : *version_p;
    return TR_OK;
}

// Modules that are left out ("-:...") have plain weights; others would have bits of their own.
static enum tr_status check_dynamic(const struct reading *r) {
    const json_t *rules = NULL;
    const char *key;
    json_t *value;
    TR_TRY(tr_json_object(r->object, "dynamic", &rules, r->path, r->err));
    json_object_foreach((json_t *)(uintptr_t)rules, key, value) {
        if (strncmp(key, "-:", 2) != 0)
            return refuse(r, "\"dynamic\" bits for", key);
    }
    return TR_OK;
}

static enum tr_status read_gptq(const struct reading *r) {
    const char *version = "gptq", *words = "int32";
    TR_TRY(read_version(r, &version));
    if (strcmp(version, "gptq") != 0 && strcmp(version, "gptq_v2") != 0)
        return refuse(r, "the format", version);
    TR_TRY(set_layout(r, strcmp(version, "gptq_v2") ? "gptq" : "gptq-v2"));
    TR_TRY(tr_json_string(r->object, "pack_dtype", &words, r->path, r->err));
    if (strcmp(words, "int32") != 0)
        return refuse(r, "\"pack_dtype\"", words);
    TR_TRY(check_dynamic(r));
    TR_TRY(tr_json_bool(r->object, "sym", &r->scheme->symmetric, r->path, r->err));
    TR_TRY(tr_json_bool(r->object, "desc_act", &r->scheme->ordered, r->path, r->err));
    return read_numbers(r, r->object, "bits");
}

// ---- AWQ ---------------------------------------------------------------------------------------

static enum tr_status read_awq(const struct reading *r) {
    static const char *const keys[] = {"version", "format", "checkpoint_format"};
    bool zeros = true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *version = "gemm";
        TR_TRY(tr_json_string(r->object, keys[i], &version, r->path, r->err));
        if (strcasecmp(version, "gemm") != 0)
            return refuse(r, "the version", version);
    }
    TR_TRY(set_layout(r, "awq"));
    TR_TRY(check_dynamic(r));
    TR_TRY(tr_json_bool(r->object, "zero_point", &zeros, r->path, r->err));
    if (!zeros)
        return tr_fail(r->err, TR_EUNSUPPORTED,
                       "%s: \"quantization_config\" says \"zero_point\" false, which the layout "
                       "gemm cannot hold",
                       r->path);
    return read_numbers(r, r->object, "bits");
}

// ---- compressed-tensors ------------------------------------------------------------------------

static enum tr_status read_weights(const struct reading *r, const json_t *weights) {
    const char *type = "int", *strategy = NULL;
    static const char *const unread[] = {"block_structure", "dynamic", NULL};
    r->scheme->symmetric = true;
    TR_TRY(tr_json_string(weights, "type", &type, r->path, r->err));
    TR_TRY(tr_json_string(weights, "strategy", &strategy, r->path, r->err));
    TR_TRY(tr_json_bool(weights, "symmetric", &r->scheme->symmetric, r->path, r->err));
    if (strcmp(type, "int") != 0)
        return refuse(r, "weights of type", type);
    if (strategy && strcmp(strategy, "group") != 0 && strcmp(strategy, "channel") != 0)
        return refuse(r, "the strategy", strategy);
    TR_TRY(refuse_words(r, weights, unread));
    return read_numbers(r, weights, "num_bits");
}

static enum tr_status read_group(const struct reading *r, const json_t *group) {
    static const char *const unread[] = {"input_activations", "output_activations", NULL};
    const json_t *weights = NULL;
    const char *format = "pack-quantized";
    if (!json_is_object(group))
        return tr_fail(r->err, TR_EFORMAT, "%s: a member of \"config_groups\" is no object",
                       r->path);
    TR_TRY(refuse_words(r, group, unread));
    TR_TRY(tr_json_string(group, "format", &format, r->path, r->err));
    if (strcmp(format, "pack-quantized") != 0)
        return refuse(r, "the format", format);
    TR_TRY(tr_json_object(group, "weights", &weights, r->path, r->err));
    return weights ? read_weights(r, weights)
                   : tr_fail(r->err, TR_EUNSUPPORTED,
                             "%s: a member of \"config_groups\" says nothing of weights", r->path);
}

static bool is_same(const struct tr_packed_scheme *a, const struct tr_packed_scheme *b) {
    return a->bits == b->bits && a->group_size == b->group_size && a->symmetric == b->symmetric;
}

static enum tr_status read_groups(const struct reading *r, const json_t *groups) {
    struct tr_packed_scheme first = {0};
    const char *key;
    json_t *group;
    json_object_foreach((json_t *)(uintptr_t)groups, key, group) {
        TR_TRY(read_group(r, group));
        if (first.bits && !is_same(&first, r->scheme))
            return tr_fail(r->err, TR_EUNSUPPORTED,
                           "%s: \"config_groups\" of \"quantization_config\" differ in bits, group "
                           "size or symmetry, which is not read",
                           r->path);
        first = *r->scheme;
    }
    return first.bits ? TR_OK
                      : tr_fail(r->err, TR_EFORMAT,
                                "%s: \"quantization_config\" has no \"config_groups\"", r->path);
}

static enum tr_status read_compressed(const struct reading *r) {
    static const char *const unread[] = {"kv_cache_scheme", "transform_config", NULL};
    const json_t *groups = NULL, *sparsity = NULL;
    const char *format = "pack-quantized", *sparse = "dense";
    TR_TRY(tr_json_string(r->object, "format", &format, r->path, r->err));
    if (strcmp(format, "pack-quantized") != 0)
        return refuse(r, "the format", format);
    TR_TRY(set_layout(r, "compressed-tensors"));
    TR_TRY(refuse_words(r, r->object, unread));
    TR_TRY(tr_json_object(r->object, "sparsity_config", &sparsity, r->path, r->err));
    TR_TRY(tr_json_string(sparsity, "format", &sparse, r->path, r->err));
    if (strcmp(sparse, "dense") != 0)
        return refuse(r, "the sparse format", sparse);
    TR_TRY(tr_json_object(r->object, "config_groups", &groups, r->path, r->err));
    return read_groups(r, groups);
}

// ---- MXFP4 -------------------------------------------------------------------------------------

// Names alone say which weights are in few bits.
static enum tr_status read_floats(const struct reading *r) {
    r->scheme->floats = true;
    return TR_OK;
}

// ---- methods -----------------------------------------------------------------------------------

static const struct {
    const char *name;
    enum tr_status (*read)(const struct reading *reading);
} methods[] = {{"gptq", read_gptq},
               {"awq", read_awq},
               {"compressed-tensors", read_compressed},
               {"mxfp4", read_floats}};

enum tr_status tr_packed_scheme_read(struct tr_packed_scheme *scheme, const json_t *root,
                                     const char *path, struct tr_err *err) {
    struct tr_packed_scheme found = {0};
    struct reading reading = {.scheme = &found, .path = path, .err = err};
    const char *method = "a method that is not named";
    *scheme = found;
    TR_TRY(tr_json_object(root, "quantization_config", &reading.object, path, err));
    if (!reading.object)
        return TR_OK;
    TR_TRY(tr_json_string(reading.object, "quant_method", &method, path, err));
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (!strcmp(methods[i].name, method)) {
            TR_TRY(methods[i].read(&reading));
            *scheme = found;
            return TR_OK;
        }
    return tr_fail(err, TR_EUNSUPPORTED,
                   "%s: weights quantized by %.64s (\"quantization_config\") are not supported: "
                   "gptq, awq, compressed-tensors' pack-quantized and mxfp4 are read",
                   path, method);
}
