// SPDX-License-Identifier: Apache-2.0
#include "bpe_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/strings.h"
#include "bpe_joiner.h"
#include "byte_level.h"
#include "tiktoken.h"

static const struct tr_tokenizer_class classes[] = {
    {"GPT2Tokenizer", NULL, NULL,
     "{\"bos_token\":\"<|endoftext|>\",\"eos_token\":\"<|endoftext|>\","
     "\"unk_token\":\"<|endoftext|>\"}",
     false},
    {"Qwen2Tokenizer", "NFC", "qwen2",
     "{\"eos_token\":\"<|endoftext|>\",\"unk_token\":\"<|endoftext|>\","
     "\"pad_token\":\"<|endoftext|>\"}",
     true},
};

// Where tokenizer_config.json names no class.
static const struct {
    const char *model_type, *class;
} types[] = {
    {"gpt2", "GPT2Tokenizer"},   {"gpt_neo", "GPT2Tokenizer"},    {"gptj", "GPT2Tokenizer"},
    {"opt", "GPT2Tokenizer"},    {"qwen2", "Qwen2Tokenizer"},     {"qwen2_moe", "Qwen2Tokenizer"},
    {"qwen3", "Qwen2Tokenizer"}, {"qwen3_moe", "Qwen2Tokenizer"},
};

enum tr_status tr_bpe_no_memory(const struct tr_bpe_joiner *j) {
    return tr_fail(j->err, TR_ENOMEM, "not enough memory for the tokenizer of %s", j->what);
}

enum tr_status tr_bpe_unsupported(const struct tr_bpe_joiner *j, const char *key) {
    return tr_fail(j->err, TR_EUNSUPPORTED,
                   "%s: \"%.64s\" is not supported there (pass token ids instead)", j->what, key);
}

enum tr_status tr_bpe_put(const struct tr_bpe_joiner *j, const char *key, json_t *value) {
    return json_object_set_new(j->document, key, value) ? tr_bpe_no_memory(j) : TR_OK;
}

// ---- the class ---------------------------------------------------------------------------------

static const struct tr_tokenizer_class *class_of_name(const char *name) {
    for (size_t i = 0; name && i < sizeof classes / sizeof *classes; i++) {
        size_t size = strlen(classes[i].name);
        if (!strncmp(name, classes[i].name, size) && (!name[size] || !strcmp(name + size, "Fast")))
            return &classes[i];
    }
    return NULL;
}

static enum tr_status find_class(struct tr_bpe_joiner *j) {
    const char *name = NULL, *model_type = j->files->model_type;
    TR_TRY(tr_json_string(j->files->config, "tokenizer_class", &name, j->what, j->err));
    for (size_t i = 0; model_type && !name && i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].model_type, model_type))
            name = types[i].class;
    j->class = class_of_name(name);
    if (j->class)
        return TR_OK;
    return tr_fail(j->err, TR_EUNSUPPORTED,
                   "%s does not say how text is split into words, and for a tokenizer of class "
                   "\"%.64s\" and a model of type \"%.64s\" we do not know it; a tokenizer.json "
                   "does (or pass token ids)",
                   j->what, name ? name : "unknown", model_type ? model_type : "unknown");
}

// What is said of special tokens does not count beside "added_tokens_decoder".
static enum tr_status find_settings(struct tr_bpe_joiner *j) {
    const struct tr_bpe_files *f = j->files;
    TR_TRY(tr_json_object(f->config, "added_tokens_decoder", &j->numbered, j->what, j->err));
    j->settings = json_loads(j->class->settings, 0, NULL);
    if (!j->settings || (f->config && json_object_update(j->settings, (json_t *)f->config)) ||
        (f->specials && !j->numbered && json_object_update(j->settings, (json_t *)f->specials)))
        return tr_bpe_no_memory(j);
    bool split = false;
    TR_TRY(tr_json_bool(j->settings, "split_special_tokens", &split, j->what, j->err));
    const char *unknown = split ? "split_special_tokens"
                          : json_object_get(f->specials, "extra_special_tokens")
                              ? "extra_special_tokens"
                              : NULL;
    return unknown ? tr_bpe_unsupported(j, unknown) : TR_OK;
}

// ---- vocabulary and merges ---------------------------------------------------------------------

static enum tr_status check_bytes(const struct tr_bpe_joiner *j) {
    for (int byte = 0; byte < 256; byte++) {
        char spelled[3] = {0};
        tr_byte_spell((unsigned char)byte, spelled);
        if (!json_object_get(j->files->vocabulary, spelled))
            return tr_fail(j->err, TR_EUNSUPPORTED,
                           "%s: byte %d has no token, and versions of transformers differ in what "
                           "becomes of it (pass token ids instead)",
                           j->what, byte);
    }
    return TR_OK;
}

// Some versions of transformers drop the first and the last line, whatever they hold.
static enum tr_status check_lines(const struct tr_bpe_joiner *j) {
    static const char version[] = "#version";
    const char *text = j->files->merges;
    size_t size = j->files->merges_size;
    if (size >= sizeof version && !memcmp(text, version, sizeof version - 1) &&
        text[size - 1] == '\n')
        return TR_OK;
    return tr_fail(j->err, TR_EFORMAT,
                   "%s: merges.txt must begin with a line \"#version\" and end with a newline; "
                   "otherwise versions of transformers differ in what they read",
                   j->what);
}

static enum tr_status append_line(const struct tr_bpe_joiner *j, json_t *merges, const char *line,
                                  size_t size) {
    size -= size && line[size - 1] == '\r';
    if (!size || !tr_utf8_valid(line, size))
        return tr_fail(j->err, TR_EFORMAT, "%s: line %zu of merges.txt is %s", j->what,
                       json_array_size(merges) + 1, size ? "not UTF-8" : "empty");
    return json_array_append_new(merges, json_stringn(line, size)) ? tr_bpe_no_memory(j) : TR_OK;
}

static enum tr_status put_model(const struct tr_bpe_joiner *j) {
    const struct tr_bpe_files *f = j->files;
    json_t *merges = json_array(); // borrowed from the document below
    TR_TRY(tr_bpe_put(
        j, "model",
        json_pack("{s:s, s:O, s:o}", "type", "BPE", "vocab", f->vocabulary, "merges", merges)));
    for (size_t at = 0, size; at < f->merges_size; at += size + 1) {
        const char *line = f->merges + at;
        size = (size_t)((const char *)memchr(line, '\n', f->merges_size - at) - line);
        TR_TRY(append_line(j, merges, line, size));
    }
    return TR_OK;
}

// ---- steps -------------------------------------------------------------------------------------

static enum tr_status put_steps(const struct tr_bpe_joiner *j) {
    const char *words = j->class->words, *normalizer = j->class->normalizer;
    bool prefix = false;
    TR_TRY(tr_json_bool(j->settings, "add_prefix_space", &prefix, j->what, j->err));
    json_t *steps = json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix,
                              "use_regex", !words);
    if (words)
        steps = json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence",
                          "pretokenizers", "type", "Split", "pattern", "Regex",
                          tr_tiktoken_words(words), "behavior", "Isolated", "invert", 0, steps);
    TR_TRY(tr_bpe_put(j, "pre_tokenizer", steps));
    TR_TRY(tr_bpe_put(j, "decoder", json_pack("{s:s}", "type", "ByteLevel")));
    return normalizer ? tr_bpe_put(j, "normalizer", json_pack("{s:s}", "type", normalizer)) : TR_OK;
}

// ---- tokens around a text ----------------------------------------------------------------------

// Appends the token of `key` to a template where `switch_key` asks for it.
static enum tr_status append_end(const struct tr_bpe_joiner *j, json_t *single, json_t *tokens,
                                 const char *switch_key, const char *key) {
    bool wanted = false;
    const char *text = json_string_value(tr_bpe_content(json_object_get(j->settings, key)));
    TR_TRY(tr_json_bool(j->settings, switch_key, &wanted, j->what, j->err));
    json_t *id = text ? json_object_get(tr_bpe_find_added(j, text), "id") : NULL;
    if (!wanted || !id)
        return TR_OK;
    return json_array_append_new(single, json_pack("{s:{s:s}}", "SpecialToken", "id", text)) ||
                   json_object_set_new(tokens, text, json_pack("{s:[O]}", "ids", id))
               ? tr_bpe_no_memory(j)
               : TR_OK;
}

static enum tr_status put_template(const struct tr_bpe_joiner *j) {
    json_t *single = json_array(), *tokens = json_object(); // borrowed from the document
    TR_TRY(tr_bpe_put(j, "post_processor",
                      json_pack("{s:s, s:o, s:o}", "type", "TemplateProcessing", "single", single,
                                "special_tokens", tokens)));
    TR_TRY(append_end(j, single, tokens, "add_bos_token", "bos_token"));
    if (json_array_append_new(single, json_pack("{s:{s:s}}", "Sequence", "id", "A")))
        return tr_bpe_no_memory(j);
    return append_end(j, single, tokens, "add_eos_token", "eos_token");
}

// ---- all of it ---------------------------------------------------------------------------------

static enum tr_status check_objects(const struct tr_bpe_joiner *j) {
    const struct tr_bpe_files *f = j->files;
    const struct {
        const char *name;
        const json_t *value;
    } rows[] = {{"vocab.json", f->vocabulary},
                {"tokenizer_config.json", f->config},
                {"special_tokens_map.json", f->specials},
                {"added_tokens.json", f->added}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].value && !json_is_object(rows[i].value))
            return tr_fail(j->err, TR_EFORMAT, "%s: %s must hold an object", j->what, rows[i].name);
    return TR_OK;
}

static enum tr_status join(struct tr_bpe_joiner *j) {
    TR_TRY(check_objects(j));
    TR_TRY(find_class(j));
    TR_TRY(find_settings(j));
    TR_TRY(check_bytes(j));
    TR_TRY(check_lines(j));
    TR_TRY(put_model(j));
    TR_TRY(put_steps(j));
    TR_TRY(tr_bpe_put_tokens(j));
    return put_template(j);
}

enum tr_status tr_bpe_files_join(json_t **document_p, const struct tr_bpe_files *files,
                                 const char *what, struct tr_err *err) {
    struct tr_bpe_joiner j = {.files = files, .document = json_object(), .what = what, .err = err};
    enum tr_status status = join(&j);
    json_decref(j.settings);
    json_decref(j.places);
    json_decref(j.special);
    if (status == TR_OK)
        *document_p = j.document;
    else
        json_decref(j.document);
    return status;
}
