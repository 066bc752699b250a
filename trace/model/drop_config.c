// SPDX-License-Identifier: Apache-2.0
#include "model/drop_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

struct source {
    const json_t *root;
    int64_t layers;
    bool sizes; // of blocks are read elsewhere
    const char *path;
    struct tr_err *err;
};

static enum tr_status wrong(const struct source *from, const char *key, const char *expected) {
    return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" must hold %s", from->path, key, expected);
}

// ---- drop_attn_list, drop_mlp_list -------------------------------------------------------------

// Entry `index` is a layer's number, or whether layer `index` is dropped.
static enum tr_status read_entry(bool dropped[TR_MAX_LAYERS], const json_t *entry, int64_t index,
                                 const char *key, const struct source *from) {
    bool boolean = json_is_boolean(entry);
    json_int_t layer = boolean ? index : json_is_integer(entry) ? json_integer_value(entry) : -1;
    if (layer < 0 || layer >= from->layers)
        return wrong(from, key, "numbers of layers, or true or false for each layer");
    if (!boolean || json_boolean_value(entry))
        dropped[layer] = true;
    return TR_OK;
}

static bool all_booleans(const json_t *list) {
    size_t count = 0;
    while (json_is_boolean(json_array_get(list, count)))
        count++;
    return count > 0 && count == json_array_size(list);
}

static enum tr_status wrong_length(const json_t *list, const char *key, const struct source *from) {
    return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" has %zu entries for %lld layers", from->path,
                   key, json_array_size(list), (long long)from->layers);
}

static enum tr_status read_list(bool dropped[TR_MAX_LAYERS], const char *key,
                                const struct source *from) {
    const json_t *list;
    TR_TRY(tr_json_list(from->root, key, &list, from->path, from->err));
    if (all_booleans(list) && (int64_t)json_array_size(list) != from->layers)
        return wrong_length(list, key, from);
    for (size_t i = 0; i < json_array_size(list); i++)
        TR_TRY(read_entry(dropped, json_array_get(list, i), (int64_t)i, key, from));
    return TR_OK;
}

// ---- per_layer_config --------------------------------------------------------------------------

static bool parse_layer(const char *text, int64_t layers, int64_t *layer_p) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    *layer_p = value;
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno && value < layers;
}

static enum tr_status read_skip(struct tr_drop_lists *lists, const json_t *layer, int64_t index,
                                const struct source *from) {
    const json_t *skip;
    TR_TRY(tr_json_list(layer, "skip", &skip, from->path, from->err));
    for (size_t i = 0; i < json_array_size(skip); i++) {
        const char *word = json_string_value(json_array_get(skip, i));
        if (word && strcmp(word, "attention") == 0)
            lists->attention[index] = true;
        else if (word && strcmp(word, "mlp") == 0)
            lists->mlp[index] = true;
        else
            return wrong(from, "per_layer_config", "\"attention\" or \"mlp\" in \"skip\"");
    }
    return TR_OK;
}

// A layer may repeat what the whole model has. A value that differs is refused.
static enum tr_status read_overrides(struct tr_drop_lists *lists, const json_t *layer,
                                     int64_t index, const struct source *from) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)layer, key, value) {
        if (strcmp(key, "skip") != 0 && !json_equal(value, json_object_get(from->root, key)))
            return tr_fail(from->err, TR_EUNSUPPORTED,
                           "%s: \"per_layer_config\" changes \"%.64s\" in layer %lld: layers of "
                           "one model that differ are not supported",
                           from->path, key, (long long)index);
    }
    return read_skip(lists, layer, index, from);
}

static enum tr_status read_per_layer(struct tr_drop_lists *lists, const struct source *from) {
    const json_t *layers;
    const char *name;
    json_t *layer;
    TR_TRY(tr_json_object(from->root, "per_layer_config", &layers, from->path, from->err));
    json_object_foreach((json_t *)(uintptr_t)layers, name, layer) {
        int64_t index;
        if (!parse_layer(name, from->layers, &index) || !json_is_object(layer))
            return wrong(from, "per_layer_config", "an object for each number of a layer");
        TR_TRY(read_overrides(lists, layer, index, from));
    }
    return TR_OK;
}

// ---- block_configs -----------------------------------------------------------------------------

static enum tr_status not_supported(const char *key, const struct source *from) {
    return tr_fail(from->err, TR_EUNSUPPORTED,
                   "%s: \"block_configs\" changes \"%.64s\" in a layer: layers of one model that "
                   "differ are not supported",
                   from->path, key);
}

static bool is_size(const char *key) {
    static const char *const keys[] = {"n_heads_in_group", "ffn_mult", "intermediate_size"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

// A part of a block that stays may say what the whole model has, or nothing; anything else is
// refused.
static enum tr_status check_part(const json_t *part, const struct source *from) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)part, key, value) {
        if (!json_is_null(value) && !json_is_false(value) && !(from->sizes && is_size(key)) &&
            !json_equal(value, json_object_get(from->root, key)))
            return not_supported(key, from);
    }
    return TR_OK;
}

static enum tr_status read_part(bool *dropped, const json_t *block, const char *name,
                                const struct source *from) {
    const json_t *part;
    bool no_op = false;
    TR_TRY(tr_json_object(block, name, &part, from->path, from->err));
    TR_TRY(tr_json_bool(part, "no_op", &no_op, from->path, from->err));
    *dropped = *dropped || no_op;
    return no_op ? TR_OK : check_part(part, from);
}

static enum tr_status read_block(struct tr_drop_lists *lists, const json_t *block, int64_t index,
                                 const struct source *from) {
    if (!json_is_object(block))
        return wrong(from, "block_configs", "an object for each layer");
    TR_TRY(read_part(&lists->attention[index], block, "attention", from));
    return read_part(&lists->mlp[index], block, "ffn", from);
}

static enum tr_status read_blocks(struct tr_drop_lists *lists, const struct source *from) {
    const json_t *blocks;
    TR_TRY(tr_json_list(from->root, "block_configs", &blocks, from->path, from->err));
    if (!blocks)
        return TR_OK;
    if ((int64_t)json_array_size(blocks) != from->layers)
        return wrong_length(blocks, "block_configs", from);
    for (int64_t i = 0; i < from->layers; i++)
        TR_TRY(read_block(lists, json_array_get(blocks, (size_t)i), i, from));
    return TR_OK;
}

enum tr_status tr_drop_lists_read(struct tr_drop_lists *lists_p, const json_t *root, int64_t layers,
                                  bool sizes, const char *path, struct tr_err *err) {
    struct source from = {root, layers, sizes, path, err};
    struct tr_drop_lists lists = {0};
    TR_TRY(read_list(lists.attention, "drop_attn_list", &from));
    TR_TRY(read_list(lists.mlp, "drop_mlp_list", &from));
    TR_TRY(read_per_layer(&lists, &from));
    TR_TRY(read_blocks(&lists, &from));
    for (int64_t i = 0; i < layers; i++)
        lists.count += lists.attention[i] + lists.mlp[i];
    *lists_p = lists;
    return TR_OK;
}

// ---- sizes of blocks ---------------------------------------------------------------------------

enum { WIDTH_MULTIPLE = 256, LARGEST_WIDTH = 1 << 24 };

static enum tr_status wrong_size(const char *key, int64_t layer, const char *path,
                                 struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT,
                   "%s: \"block_configs\" says no \"%s\" of layer %lld that can be", path, key,
                   (long long)layer);
}

static enum tr_status read_heads(struct tr_config *c, int64_t layer, const json_t *block,
                                 const char *path, struct tr_err *err) {
    int64_t group = c->heads / c->kv_heads;
    TR_TRY(tr_json_i64(json_object_get(block, "attention"), "n_heads_in_group", &group, path, err));
    if (group < 1 || group > c->heads || c->heads % group)
        return wrong_size("n_heads_in_group", layer, path, err);
    c->layer_kv_heads[layer] = (int32_t)(c->heads / group);
    return TR_OK;
}

static enum tr_status read_width(struct tr_config *c, int64_t layer, const json_t *block,
                                 const char *path, struct tr_err *err) {
    const json_t *ffn = json_object_get(block, "ffn");
    const json_t *multiplier = json_object_get(ffn, "ffn_mult");
    int64_t width = c->ffn;
    TR_TRY(tr_json_i64(ffn, "intermediate_size", &width, path, err));
    if (multiplier && !json_is_null(multiplier)) {
        double exact = 2 * json_number_value(multiplier) * (double)c->hidden / 3;
        if (!json_is_number(multiplier) || !(exact >= 1 && exact <= LARGEST_WIDTH - WIDTH_MULTIPLE))
            return wrong_size("ffn_mult", layer, path, err);
        width = ((int64_t)exact + WIDTH_MULTIPLE - 1) / WIDTH_MULTIPLE * WIDTH_MULTIPLE;
    }
    if (width < 1 || width > LARGEST_WIDTH)
        return wrong_size("intermediate_size", layer, path, err);
    c->layer_ffn[layer] = (int32_t)width;
    return TR_OK;
}

// The largest of the layers that have one, 0 where none has.
static int64_t largest(const int32_t *sizes, int64_t layers) {
    int64_t most = 0;
    for (int64_t i = 0; i < layers; i++)
        most = sizes[i] > most ? sizes[i] : most;
    return most;
}

// Layers that have the model's size say nothing of their own.
static void forget(int32_t *sizes, int64_t layers, int64_t size) {
    for (int64_t i = 0; i < layers; i++)
        sizes[i] = sizes[i] == size ? 0 : sizes[i];
}

enum tr_status tr_block_sizes_read(struct tr_config *c, const json_t *root, const char *path,
                                   struct tr_err *err) {
    const json_t *blocks = json_object_get(root, "block_configs"), *block;
    for (int64_t i = 0; i < c->layers; i++) {
        block = json_array_get(blocks, (size_t)i);
        if (!tr_config_has(c, (int)i, TR_LAYER_NO_ATTN))
            TR_TRY(read_heads(c, i, block, path, err));
        if (!tr_config_has(c, (int)i, TR_LAYER_NO_MLP))
            TR_TRY(read_width(c, i, block, path, err));
    }
    int64_t kv_heads = largest(c->layer_kv_heads, c->layers),
            ffn = largest(c->layer_ffn, c->layers);
    c->kv_heads = kv_heads ? kv_heads : c->kv_heads;
    c->ffn = ffn ? ffn : c->ffn;
    forget(c->layer_kv_heads, c->layers, c->kv_heads);
    forget(c->layer_ffn, c->layers, c->ffn);
    return TR_OK;
}
