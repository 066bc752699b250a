// SPDX-License-Identifier: Apache-2.0
#include "cut_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "config_file.h"
#include "form.h"
#include "model/config_layers.h"
#include "quantized_names.h"

static enum tr_status set(json_t *root, const char *key, json_t *value, struct tr_err *err) {
    return json_object_set_new(root, key, value)
               ? tr_fail(err, TR_ENOMEM, "out of memory for %s", key)
               : TR_OK;
}

// Layers that stay among the first `count`: what a number that counts the first layers becomes.
static int64_t kept_below(const struct tr_drop_job *job, int64_t count) {
    int64_t kept = 0;
    while (kept < job->kept_count && job->kept[kept] < count)
        kept++;
    return kept;
}

// ---- lists -------------------------------------------------------------------------------------

static enum tr_status cut_entries(const struct tr_drop_job *job, json_t *root, const char *key,
                                  const json_t *list, struct tr_err *err) {
    json_t *cut = json_array();
    if ((int64_t)json_array_size(list) != job->config.layers) {
        json_decref(cut);
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: \"%s\" has %zu entries for %lld layers: how it is cut is not known",
                       job->config_path, key, json_array_size(list), (long long)job->config.layers);
    }
    for (int64_t i = 0; i < job->kept_count; i++)
        json_array_append(cut, json_array_get(list, (size_t)job->kept[i]));
    return set(root, key, cut, err);
}

static enum tr_status cut_numbers(const struct tr_drop_job *job, json_t *root, const char *key,
                                  const json_t *list, struct tr_err *err) {
    json_t *cut = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t layer = json_integer_value(json_array_get(list, i));
        if (layer >= 0 && layer < job->config.layers && job->number[layer] >= 0)
            json_array_append_new(cut, json_integer(job->number[layer]));
    }
    return set(root, key, cut, err);
}

// Lists that are as long as the model is deep by chance alone.
static bool is_no_layers_list(const char *key) {
    static const char *const keys[] = {
        "architectures", "eos_token_id",    "bos_token_id",          "pad_token_id",
        "bad_words_ids", "long_factor",     "short_factor",          "suppress_tokens",
        "mrope_section", "attention_types", "begin_suppress_tokens", "keys_to_ignore_at_inference"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(keys[i], key))
            return true;
    return false;
}

static bool is_cut(const char *key) {
    const struct tr_layer_key *row = tr_layer_key_find(key);
    return row && (row->kind == TR_LAYER_ENTRIES || row->kind == TR_LAYER_NUMBERS);
}

// Whoever would keep such a list as it is gives layers the entries of others.
static enum tr_status refuse_unknown(const struct tr_drop_job *job, const json_t *object,
                                     bool outermost, struct tr_err *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        bool as_many = json_is_array(value) && job->config.layers > 1 &&
                       (int64_t)json_array_size(value) == job->config.layers;
        bool known = is_no_layers_list(key) || (outermost && is_cut(key));
        if (as_many && !known)
            return tr_fail(err, TR_EUNSUPPORTED,
                           "%s: \"%.64s\" has an entry for each of the %lld layers, and how it is "
                           "cut is not known",
                           job->config_path, key, (long long)job->config.layers);
        if (json_is_object(value) && strcmp(key, "quantization_config") != 0)
            TR_TRY(refuse_unknown(job, value, false, err));
    }
    return TR_OK;
}

static enum tr_status cut_lists(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    const struct tr_layer_key *row;
    for (int i = 0; (row = tr_layer_key_at(i)); i++) {
        const json_t *list = json_object_get(job->root, row->key);
        if (!json_is_array(list) || is_no_layers_list(row->key))
            continue;
        bool forgotten = !strcmp(row->key, "block_configs") && !job->config.family->block_sizes;
        if (row->kind == TR_LAYER_ENTRIES && !forgotten)
            TR_TRY(cut_entries(job, root, row->key, list, err));
        else if (row->kind == TR_LAYER_NUMBERS)
            TR_TRY(cut_numbers(job, root, row->key, list, err));
    }
    return TR_OK;
}

// ---- sublayers that blocks lack ----------------------------------------------------------------

// A part of a block that is no_op has no size.
static enum tr_status say_absent(json_t *block, const char *part, struct tr_err *err) {
    json_t *entry = json_object_get(block, part);
    static const char *const sizes[] = {"n_heads_in_group", "ffn_mult", "intermediate_size"};
    int failed = entry ? 0 : json_object_set_new(block, part, entry = json_object());
    failed |= json_object_set_new(entry, "no_op", json_true());
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (json_object_get(entry, sizes[i]))
            failed |= json_object_set_new(entry, sizes[i], json_null());
    return failed ? tr_fail(err, TR_ENOMEM, "out of memory for block_configs") : TR_OK;
}

// "block_configs" says which of a block's parts are left out, where the family's config has it.
static enum tr_status say_absents(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    if (!job->config.family->block_sizes || !json_object_get(root, "block_configs"))
        return TR_OK;
    json_t *blocks = json_deep_copy(json_object_get(root, "block_configs"));
    TR_TRY(set(root, "block_configs", blocks, err));
    for (int64_t i = 0; i < job->kept_count; i++) {
        json_t *block = json_array_get(blocks, (size_t)i);
        if (tr_job_drops(job, TR_ATTN, job->kept[i]))
            TR_TRY(say_absent(block, "attention", err));
        if (tr_job_drops(job, TR_MLP, job->kept[i]))
            TR_TRY(say_absent(block, "ffn", err));
    }
    return TR_OK;
}

// ---- what a layer's number decides, spelled out ------------------------------------------------

// A list of what `flag` says of each layer that stays: `on` where it is set, else `off`.
static json_t *words_of(const struct tr_drop_job *job, enum tr_layer_flag flag, const char *on,
                        const char *off) {
    json_t *list = json_array();
    for (int64_t i = 0; i < job->kept_count; i++)
        json_array_append_new(
            list, json_string(tr_config_has(&job->config, (int)job->kept[i], flag) ? on : off));
    return list;
}

static enum tr_status spell_windows(const struct tr_drop_job *job, json_t *root,
                                    struct tr_err *err) {
    if (job->config.family->windows_by_attention_layers) { // each word once, in a group of one
        json_t *words = words_of(job, TR_LAYER_WINDOWED, "local", "global");
        TR_TRY(set(root, "attention_types", json_pack("[[O, i]]", words, 1), err));
        return set(root, "attention_layers", words, err);
    }
    if (!tr_windows_vary(job->config.family) || !job->config.window ||
        json_object_get(root, "layer_types"))
        return TR_OK;
    const char *on = job->config.chunks ? "chunked_attention" : "sliding_attention";
    return set(root, "layer_types", words_of(job, TR_LAYER_WINDOWED, on, "full_attention"), err);
}

static enum tr_status spell_rotations(const struct tr_drop_job *job, json_t *root,
                                      struct tr_err *err) {
    json_t *list = json_array();
    for (int64_t i = 0; i < job->kept_count; i++)
        json_array_append_new(
            list, json_integer(!tr_config_has(&job->config, (int)job->kept[i], TR_LAYER_NOPE)));
    if (job->config.family->keys[TR_K_NOPE_PERIOD].json)
        return set(root, "no_rope_layers", list, err);
    json_decref(list);
    return TR_OK;
}

// With a step of 1 the list alone says which layers have no experts.
static enum tr_status spell_experts(const struct tr_drop_job *job, json_t *root,
                                    struct tr_err *err) {
    const struct tr_family *family = job->config.family;
    if (!job->config.experts || !(tr_lists_dense_layers(family) || tr_lists_sparse_layers(family)))
        return TR_OK;
    bool lists_sparse = tr_lists_sparse_layers(family);
    json_t *list = json_array();
    for (int64_t i = 0; i < job->kept_count; i++)
        if (tr_config_has(&job->config, (int)job->kept[i], TR_LAYER_EXPERTS) == lists_sparse)
            json_array_append_new(list, json_integer(i));
    if (lists_sparse)
        return set(root, "moe_layers", list, err);
    TR_TRY(set(root, "mlp_only_layers", list, err));
    return set(root, family->keys[TR_K_SPARSE_STEP].json, json_integer(1), err);
}

// Whether layers from `first` on have experts, each `step`-th of them by its number, as those that
// stay do.
static bool says_experts(const struct tr_drop_job *job, int64_t first, int64_t step) {
    for (int64_t i = 0; i < job->kept_count; i++) {
        bool sparse = i >= first && (i + job->config.family->sparse_phase) % step == 0;
        if (sparse != tr_config_has(&job->config, (int)job->kept[i], TR_LAYER_EXPERTS))
            return false;
    }
    return true;
}

// Of a class that has no list of them but a first layer with experts and a step, the first two
// numbers that say the same of those that stay. Where none do, comparing finds it.
static enum tr_status find_step(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    const struct tr_key_row *keys = job->config.family->keys;
    if (!job->config.experts || !keys[TR_K_DENSE_FIRST].json || !keys[TR_K_SPARSE_STEP].json)
        return TR_OK;
    for (int64_t step = 1; step <= job->kept_count; step++)
        for (int64_t first = 0; first <= job->kept_count; first++)
            if (says_experts(job, first, step)) {
                TR_TRY(set(root, keys[TR_K_DENSE_FIRST].json, json_integer(first), err));
                if (keys[TR_K_SPARSE_LAST].json)
                    TR_TRY(set(root, keys[TR_K_SPARSE_LAST].json, json_integer(-1), err));
                return set(root, keys[TR_K_SPARSE_STEP].json, json_integer(step), err);
            }
    return TR_OK;
}

// Numbers that count the first layers.
static enum tr_status count_first_layers(const struct tr_drop_job *job, json_t *root,
                                         struct tr_err *err) {
    static const enum tr_key keys[] = {TR_K_WINDOW_START, TR_K_WINDOW_END, TR_K_DENSE_FIRST};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct tr_key_row *row = &job->config.family->keys[keys[i]];
        if (!row->json)
            continue;
        int64_t first = row->fallback > 0 ? (int64_t)row->fallback : 0;
        TR_TRY(tr_json_i64(job->root, row->json, &first, job->config_path, err));
        TR_TRY(set(root, row->json, json_integer(kept_below(job, first)), err));
    }
    return TR_OK;
}

static enum tr_status spell_rules(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    TR_TRY(count_first_layers(job, root, err));
    TR_TRY(spell_windows(job, root, err));
    TR_TRY(spell_rotations(job, root, err));
    TR_TRY(find_step(job, root, err));
    return spell_experts(job, root, err);
}

// ---- the number of layers ----------------------------------------------------------------------

enum tr_status tr_set_layers(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    const struct tr_key_row *row = &job->config.family->keys[TR_K_LAYERS];
    const char *const keys[] = {row->json, row->other};
    for (int i = 0; i < 2; i++)
        if (keys[i] && json_object_get(root, keys[i]))
            TR_TRY(set(root, keys[i], json_integer(job->kept_count), err));
    return TR_OK;
}

// What the class divides by the root of the number of layers stays what it was.
static enum tr_status keep_depth_scale(const struct tr_drop_job *job, json_t *root,
                                       struct tr_err *err) {
    const struct tr_key_row *row = &job->config.family->keys[TR_K_RESIDUAL_SCALE];
    double scale = row->fallback;
    if (!job->config.family->residual_by_depth)
        return TR_OK;
    TR_TRY(tr_json_f64(job->root, row->json, &scale, job->config_path, err));
    scale *= sqrt((double)job->kept_count) / sqrt((double)job->config.layers);
    return set(root, row->json, json_real(scale), err);
}

// ---- whether it says the same ------------------------------------------------------------------

// Of blocks that may have sizes of their own, or all have the model's; what a block lacks has none.
static bool has_sizes(const struct tr_drop_job *job, const struct tr_config *cut, int now,
                      int before) {
    bool attn = !tr_job_drops(job, TR_ATTN, before), mlp = !tr_job_drops(job, TR_MLP, before);
    return (!mlp || tr_config_ffn(cut, now) == tr_config_ffn(&job->config, before)) &&
           (!attn || tr_config_kv_heads(cut, now) == tr_config_kv_heads(&job->config, before));
}

static enum tr_status compare_sizes(const struct tr_drop_job *job, const struct tr_config *cut,
                                    struct tr_err *err) {
    for (int64_t i = 0; i < job->kept_count; i++)
        if (!has_sizes(job, cut, (int)i, (int)job->kept[i]))
            return tr_fail(err, TR_EUNSUPPORTED,
                           "%s: block %lld would have other sizes as block %lld", job->config_path,
                           (long long)job->kept[i], (long long)i);
    return TR_OK;
}

// With "block_configs" alone config.json can say of a block that it lacks a sublayer.
static enum tr_status compare_absents(const struct tr_drop_job *job, const struct tr_config *cut,
                                      struct tr_err *err) {
    for (int64_t i = 0; i < job->kept_count; i++)
        if (tr_config_has(cut, (int)i, TR_LAYER_NO_ATTN) !=
                tr_job_drops(job, TR_ATTN, job->kept[i]) ||
            tr_config_has(cut, (int)i, TR_LAYER_NO_MLP) != tr_job_drops(job, TR_MLP, job->kept[i]))
            return tr_fail(err, TR_EUNSUPPORTED,
                           "%s: config.json cannot say of block %lld which sublayer it lacks",
                           job->config_path, (long long)i);
    return compare_sizes(job, cut, err);
}

static enum tr_status compare_layers(const struct tr_drop_job *job, const struct tr_config *cut,
                                     struct tr_err *err) {
    static const struct {
        enum tr_layer_flag flag;
        const char *what;
    } flags[] = {{TR_LAYER_WINDOWED, "a window"},
                 {TR_LAYER_NOPE, "rotation"},
                 {TR_LAYER_EXPERTS, "experts"}};
    for (int64_t i = 0; i < job->kept_count; i++)
        for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
            if (tr_config_has(cut, (int)i, flags[f].flag) !=
                tr_config_has(&job->config, (int)job->kept[i], flags[f].flag))
                return tr_fail(err, TR_EUNSUPPORTED,
                               "%s: block %lld would be block %lld, and config.json cannot say of "
                               "that one what this one's number says: %s",
                               job->config_path, (long long)job->kept[i], (long long)i,
                               flags[f].what);
    return compare_absents(job, cut, err);
}

static bool is_close(float a, float b) {
    return fabsf(a - b) <= 3e-7f * fabsf(a);
}

static enum tr_status compare(const struct tr_drop_job *job, const struct tr_config *cut,
                              struct tr_err *err) {
    struct tr_config as_before = *cut;
    TR_TRY(compare_layers(job, cut, err));
    if (is_close(job->config.residual_scale, cut->residual_scale))
        as_before.residual_scale = job->config.residual_scale;
    as_before.layers = job->config.layers;
    as_before.remarks = job->config.remarks;
    as_before.tied = job->config.tied; // by the files' head, which is carried as it is
    memcpy(as_before.layer, job->config.layer, sizeof as_before.layer);
    memcpy(as_before.layer_ffn, job->config.layer_ffn, sizeof as_before.layer_ffn);
    memcpy(as_before.layer_kv_heads, job->config.layer_kv_heads, sizeof as_before.layer_kv_heads);
    as_before.ffn = job->config.ffn; // of layers, which are compared one by one
    as_before.kv_heads = job->config.kv_heads;
    if (cut->layers != job->kept_count || memcmp(&as_before, &job->config, sizeof as_before))
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: with %lld layers it would say something else of all of them",
                       job->config_path, (long long)job->kept_count);
    return TR_OK;
}

enum tr_status tr_says_the_same(const struct tr_drop_job *job, const json_t *root,
                                struct tr_err *err) {
    struct tr_config cut;
    TR_TRY(tr_config_of(&cut, root, job->config_path, err));
    return compare(job, &cut, err);
}

enum tr_status tr_cut_config(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    TR_TRY(tr_forget_drops(job, root, err));
    TR_TRY(refuse_unknown(job, root, true, err));
    TR_TRY(cut_lists(job, root, err));
    TR_TRY(say_absents(job, root, err));
    TR_TRY(spell_rules(job, root, err));
    TR_TRY(tr_renumber_quantized(job, root, err));
    TR_TRY(tr_set_layers(job, root, err));
    TR_TRY(keep_depth_scale(job, root, err));
    return tr_says_the_same(job, root, err);
}
