// SPDX-License-Identifier: Apache-2.0
#include "model/config_layers.h"

#include <string.h>

#include "base/json.h"

struct source {
    const char *path;
    const char *key;
    struct tr_err *err;
};

struct tr_layer_reader {
    bool (*counts)(const struct tr_family *family); // NULL: for every family
    // What an entry says of its layer. In a list of numbers, an entry says that the layer is in the
    // list.
    enum tr_status (*entry)(struct tr_config *c, int64_t layer, const json_t *entry,
                            const struct source *from);
    // Reads a list whose entries are not one for each layer; NULL: they are.
    enum tr_status (*whole)(struct tr_config *c, const json_t *list, const struct source *from);
    // Called once all entries that there may be have been read, whether there were any or not.
    void (*end)(struct tr_config *c);
};

// ---- entries -----------------------------------------------------------------------------------

void tr_config_mark(struct tr_config *config, int64_t layer, enum tr_layer_flag flag, bool on) {
    if (on)
        config->layer[layer] |= (uint8_t)flag;
    else
        config->layer[layer] &= (uint8_t)~flag;
}

static enum tr_status wrong_list(const struct source *from) {
    return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" does not fit the layers", from->path,
                   from->key);
}

static bool has_rotation_rule(const struct tr_family *family) {
    return family->keys[TR_K_NOPE_PERIOD].json != NULL;
}

// 1 where a layer rotates, 0 where not.
static enum tr_status read_rotation(struct tr_config *c, int64_t layer, const json_t *entry,
                                    const struct source *from) {
    if (!json_is_integer(entry))
        return wrong_list(from);
    tr_config_mark(c, layer, TR_LAYER_NOPE, json_integer_value(entry) == 0);
    return TR_OK;
}

static void end_rotations(struct tr_config *c) {
    const struct tr_family *family = c->family;
    for (int64_t i = 0; i < c->layers; i++) {
        bool still = tr_config_has(c, (int)i, TR_LAYER_NOPE);
        if (still ? family->window_where_turned : family->window_where_still)
            tr_config_mark(c, i, TR_LAYER_WINDOWED, false);
    }
}

bool tr_windows_vary(const struct tr_family *family) {
    const struct tr_key_row *keys = family->keys;
    return !family->windows_by_attention_layers &&
           (keys[TR_K_WINDOW_PERIOD].fallback != 0 || keys[TR_K_WINDOW_START].json ||
            family->window_where_still || family->window_where_turned);
}

static bool has_scans(const struct tr_family *family) {
    return family->keys[TR_K_SCAN_HEADS].json != NULL;
}

static enum tr_status read_attending_layer(struct tr_config *c, int64_t layer, const json_t *entry,
                                           const struct source *from) {
    (void)entry, (void)from;
    tr_config_mark(c, layer, TR_LAYER_SCAN, false);
    return TR_OK;
}

// Entries are words that the class does not read, so they have to say what the other list does.
static enum tr_status check_block_word(struct tr_config *c, int64_t layer, const json_t *entry,
                                       const struct source *from) {
    const char *word = json_string_value(entry);
    bool scans = word && (!strcmp(word, "linear_attention") || !strcmp(word, "mamba"));
    bool attends = word && (!strcmp(word, "full_attention") || !strcmp(word, "attention"));
    bool is_scan = tr_config_has(c, (int)layer, TR_LAYER_SCAN);
    return (is_scan ? scans : attends) ? TR_OK : wrong_list(from);
}

static enum tr_status read_attention_type(struct tr_config *c, int64_t layer, const json_t *entry,
                                          const struct source *from) {
    const char *type = json_string_value(entry);
    if (has_scans(c->family))
        return check_block_word(c, layer, entry, from);
    const char *word = c->family->window_is_chunk ? "chunked_attention" : "sliding_attention";
    bool sliding = type && strcmp(type, word) == 0;
    if (!sliding && (!type || (strcmp(type, "full_attention") && strcmp(type, "attention"))))
        return tr_fail(from->err, TR_EUNSUPPORTED, "%s: layer type \"%.64s\" is not supported",
                       from->path, type ? type : "?");
    sliding = sliding && c->window;
    if (!tr_windows_vary(c->family) && sliding != tr_config_has(c, (int)layer, TR_LAYER_WINDOWED))
        return tr_fail(from->err, TR_EUNSUPPORTED,
                       "%s: \"layer_types\" says \"%s\" in layer %lld, but %s has one kind of "
                       "layer and ignores it",
                       from->path, type, (long long)layer, c->family->model_type);
    tr_config_mark(c, layer, TR_LAYER_WINDOWED, sliding);
    return TR_OK;
}

// GPT-Neo's two words for a layer.
static bool has_attention_layers(const struct tr_family *family) {
    return family->windows_by_attention_layers;
}

static enum tr_status read_neo_word(struct tr_config *c, int64_t layer, const json_t *entry,
                                    const struct source *from) {
    const char *type = json_string_value(entry);
    bool local = type && strcmp(type, "local") == 0;
    if (!local && (!type || strcmp(type, "global")))
        return tr_fail(from->err, TR_EUNSUPPORTED,
                       "%s: \"%s\" holds \"%.64s\"; known: global, local", from->path, from->key,
                       type ? type : "?");
    tr_config_mark(c, layer, TR_LAYER_WINDOWED, local);
    return TR_OK;
}

// [[["global", "local"], 12], ...]: words that repeat so many times.
static enum tr_status read_repeated(struct tr_config *c, const json_t *list,
                                    const struct source *from) {
    int64_t layer = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i), *words = json_array_get(item, 0);
        json_int_t times = json_integer_value(json_array_get(item, 1));
        int64_t count = (int64_t)json_array_size(words);
        if (!count || times < 1 || times > c->layers || times * count > c->layers - layer)
            return wrong_list(from);
        for (int64_t n = 0; n < times * count; n++)
            TR_TRY(read_neo_word(c, layer++, json_array_get(words, (size_t)(n % count)), from));
    }
    return layer == c->layers ? TR_OK : wrong_list(from);
}

static void end_windows(struct tr_config *c) {
    for (int64_t i = 0; i < c->layers && c->window && c->family->turns_where_windowed; i++)
        tr_config_mark(c, i, TR_LAYER_NOPE, !tr_config_has(c, (int)i, TR_LAYER_WINDOWED));
}

bool tr_lists_dense_layers(const struct tr_family *family) {
    return family->keys[TR_K_SPARSE_STEP].json && !family->keys[TR_K_DENSE_FIRST].json &&
           !tr_lists_sparse_layers(family);
}

static enum tr_status read_dense_layer(struct tr_config *c, int64_t layer, const json_t *entry,
                                       const struct source *from) {
    (void)entry, (void)from;
    tr_config_mark(c, layer, TR_LAYER_EXPERTS, false);
    return TR_OK;
}

bool tr_lists_sparse_layers(const struct tr_family *family) {
    const char *step = family->keys[TR_K_SPARSE_STEP].json;
    return step && strcmp(step, "interleave_moe_layer_step") == 0;
}

// Layers that the list lacks have no experts, whatever the step says.
static enum tr_status read_sparse_layers(struct tr_config *c, const json_t *list,
                                         const struct source *from) {
    for (int64_t i = 0; i < c->layers; i++)
        tr_config_mark(c, i, TR_LAYER_EXPERTS, false);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        json_int_t layer = json_is_integer(entry) ? json_integer_value(entry) : -1;
        if (layer < 0 || layer >= c->layers)
            return wrong_list(from);
        tr_config_mark(c, layer, TR_LAYER_EXPERTS, c->experts > 0);
    }
    return TR_OK;
}

// Entries are "sparse" or "dense". No family here reads them, so they have to say what the other
// keys do.
static enum tr_status check_mlp_type(struct tr_config *c, int64_t layer, const json_t *entry,
                                     const struct source *from) {
    const char *type = json_string_value(entry);
    bool sparse = tr_config_has(c, (int)layer, TR_LAYER_EXPERTS);
    return type && strcmp(type, sparse ? "sparse" : "dense") == 0 ? TR_OK : wrong_list(from);
}

// ---- the table ---------------------------------------------------------------------------------

static const struct tr_layer_reader rotation = {has_rotation_rule, read_rotation, NULL,
                                                end_rotations};
static const struct tr_layer_reader attention_type = {NULL, read_attention_type, NULL, end_windows};
static const struct tr_layer_reader mlp_type = {NULL, check_mlp_type, NULL, NULL};
static const struct tr_layer_reader dense_layer = {tr_lists_dense_layers, read_dense_layer, NULL,
                                                   NULL};
static const struct tr_layer_reader sparse_layers = {tr_lists_sparse_layers, NULL,
                                                     read_sparse_layers, NULL};
static const struct tr_layer_reader attending = {has_scans, read_attending_layer, NULL, NULL};
static const struct tr_layer_reader block_word = {has_scans, check_block_word, NULL, NULL};
static const struct tr_layer_reader neo_words = {has_attention_layers, read_neo_word, NULL, NULL};
static const struct tr_layer_reader neo_repeats = {has_attention_layers, NULL, read_repeated, NULL};

// In the order in which they are read: a window comes after the rotation that it may depend on, the
// types of MLPs after the layers without experts.
static const struct tr_layer_key rows[] = {
    {"no_rope_layers", TR_LAYER_ENTRIES, NULL, &rotation},
    {"attn_layer_indices", TR_LAYER_NUMBERS, NULL, &attending},
    {"layer_types", TR_LAYER_ENTRIES, NULL, &attention_type},
    {"mlp_only_layers", TR_LAYER_NUMBERS, NULL, &dense_layer},
    {"moe_layers", TR_LAYER_NUMBERS, NULL, &sparse_layers},
    {"mlp_layer_types", TR_LAYER_ENTRIES, NULL, &mlp_type},
    {"layers_block_type", TR_LAYER_ENTRIES, NULL, &block_word},
    {"block_types", TR_LAYER_ENTRIES, NULL, NULL},
    {"block_configs", TR_LAYER_ENTRIES, NULL, NULL},
    {"attention_types", TR_LAYER_ENTRIES, NULL, &neo_repeats},
    {"attention_layers", TR_LAYER_ENTRIES, NULL, &neo_words}, // behind the other, it wins
    {"attention_bias", TR_LAYER_ENTRIES, NULL, NULL},
    {"moe_topk", TR_LAYER_ENTRIES, NULL, NULL},
    {"num_experts", TR_LAYER_ENTRIES, NULL, NULL},
    {"num_shared_expert", TR_LAYER_ENTRIES, NULL, NULL},
    {"moe_intermediate_size", TR_LAYER_ENTRIES, NULL, NULL},
    {"intermediate_size", TR_LAYER_ENTRIES, NULL, NULL},
    {"num_attention_heads", TR_LAYER_ENTRIES, NULL, NULL},
    {"num_key_value_heads", TR_LAYER_ENTRIES, NULL, NULL},
    {"activation_sparsity_pattern", TR_LAYER_ENTRIES, NULL, NULL},
    {"drop_attn_list", TR_LAYER_MIXED, NULL, NULL},
    {"drop_mlp_list", TR_LAYER_MIXED, NULL, NULL},
    {"per_layer_config", TR_LAYER_MEMBERS, NULL, NULL},
    {"sliding_window_pattern", TR_LAYER_RULE, "layer_types", NULL},
    {"max_window_layers", TR_LAYER_RULE, "layer_types", NULL},
    {"global_attn_every_n_layers", TR_LAYER_RULE, "layer_types", NULL},
    {"no_rope_layer_interval", TR_LAYER_RULE, "no_rope_layers", NULL},
    {"decoder_sparse_step", TR_LAYER_RULE, "mlp_only_layers", NULL},
    {"interleave_moe_layer_step", TR_LAYER_RULE, "moe_layers", NULL},
    {"moe_layer_freq", TR_LAYER_RULE, NULL, NULL},
    {"moe_layer_start_index", TR_LAYER_RULE, NULL, NULL},
    {"moe_layer_interval", TR_LAYER_RULE, NULL, NULL},
    {"moe_layer_end_index", TR_LAYER_RULE, NULL, NULL},
    {"first_k_dense_replace", TR_LAYER_RULE, NULL, NULL},
    {"num_kv_shared_layers", TR_LAYER_RULE, NULL, NULL},
    {"scale_attn_by_inverse_layer_idx", TR_LAYER_RULE, NULL, NULL},
};
enum { ROWS = sizeof rows / sizeof *rows };

const struct tr_layer_key *tr_layer_key_at(int index) {
    return index >= 0 && index < ROWS ? &rows[index] : NULL;
}

const struct tr_layer_key *tr_layer_key_find(const char *key) {
    for (int i = 0; i < ROWS; i++)
        if (strcmp(rows[i].key, key) == 0)
            return &rows[i];
    return NULL;
}

// ---- reading -----------------------------------------------------------------------------------

static enum tr_status read_entries(const struct tr_layer_reader *reader, struct tr_config *c,
                                   const json_t *list, const struct source *from) {
    size_t entries = json_array_size(list);
    if ((int64_t)entries != c->layers)
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: \"%s\" does not fit the layers: it has %zu entries for %lld",
                       from->path, from->key, entries, (long long)c->layers);
    for (size_t i = 0; i < entries; i++)
        TR_TRY(reader->entry(c, (int64_t)i, json_array_get(list, i), from));
    return TR_OK;
}

static enum tr_status read_numbers(const struct tr_layer_reader *reader, struct tr_config *c,
                                   const json_t *list, const struct source *from) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        json_int_t layer = json_is_integer(entry) ? json_integer_value(entry) : -1;
        if (layer < 0 || layer >= c->layers)
            return wrong_list(from);
        TR_TRY(reader->entry(c, layer, entry, from));
    }
    return TR_OK;
}

static enum tr_status read_row(const struct tr_layer_key *row, struct tr_config *c,
                               const json_t *root, const struct source *from) {
    const struct tr_layer_reader *reader = row->reader;
    const json_t *list = NULL;
    if (!reader->counts || reader->counts(c->family))
        TR_TRY(tr_json_list(root, row->key, &list, from->path, from->err));
    if (list && reader->whole)
        TR_TRY(reader->whole(c, list, from));
    else if (list)
        TR_TRY(
            (row->kind == TR_LAYER_NUMBERS ? read_numbers : read_entries)(reader, c, list, from));
    if (reader->end)
        reader->end(c);
    return TR_OK;
}

enum tr_status tr_config_read_layer_lists(struct tr_config *config, const json_t *root,
                                          const char *path, struct tr_err *err) {
    for (int i = 0; i < ROWS; i++) {
        const struct source from = {path, rows[i].key, err};
        if (rows[i].reader)
            TR_TRY(read_row(&rows[i], config, root, &from));
    }
    return TR_OK;
}
