// SPDX-License-Identifier: Apache-2.0
// "normalizer" of a tokenizer.json to steps: one row per type.
#include <string.h>

#include "base/json.h"
#include "normal_steps.h"
#include "pattern.h"

struct parser {
    struct tr_normalizer *normalizer;
    int depth; // of Sequences
    const char *what;
    struct tr_err *err;
};

typedef enum tr_status parse_fn(struct parser *p, struct tr_normal_step *step, const json_t *value);

static enum tr_status no_options(struct parser *p, struct tr_normal_step *step,
                                 const json_t *value) {
    (void)p, (void)step, (void)value;
    return TR_OK;
}

static enum tr_status missing(const struct parser *p, const char *type, const char *needs) {
    return tr_fail(p->err, TR_EFORMAT, "%s: a %s normalizer needs %s", p->what, type, needs);
}

static enum tr_status parse_prepend(struct parser *p, struct tr_normal_step *step,
                                    const json_t *value) {
    const json_t *text = json_object_get(value, "prepend");
    if (!json_is_string(text))
        return missing(p, "Prepend", "a string \"prepend\"");
    return tr_string_append(&step->content, json_string_value(text), json_string_length(text),
                            p->err);
}

static enum tr_status parse_replace(struct parser *p, struct tr_normal_step *step,
                                    const json_t *value) {
    const json_t *content = json_object_get(value, "content");
    if (!json_is_string(content))
        return missing(p, "Replace", "a string \"content\"");
    TR_TRY(tr_string_append(&step->content, json_string_value(content), json_string_length(content),
                            p->err));
    return tr_pattern_parse(&step->code, json_object_get(value, "pattern"), "Replace normalizer",
                            p->what, p->err);
}

static enum tr_status parse_strip(struct parser *p, struct tr_normal_step *step,
                                  const json_t *value) {
    step->left = step->right = true;
    TR_TRY(tr_json_bool(value, "strip_left", &step->left, p->what, p->err));
    return tr_json_bool(value, "strip_right", &step->right, p->what, p->err);
}

static enum tr_status parse_precompiled(struct parser *p, struct tr_normal_step *step,
                                        const json_t *value) {
    const json_t *map = json_object_get(value, "precompiled_charsmap");
    if (!json_is_string(map) && !json_is_null(map))
        return missing(p, "Precompiled", "a string \"precompiled_charsmap\"");
    return tr_charsmap_parse_base64(&step->charsmap, json_string_value(map),
                                    json_string_length(map), p->what, p->err);
}

static const struct row {
    const char *type;
    parse_fn *parse;
    tr_normal_fn *run;
    enum tr_unicode_form form;
} rows[] = {
    {"NFC", no_options, tr_normal_form, TR_NFC},
    {"NFD", no_options, tr_normal_form, TR_NFD},
    {"NFKC", no_options, tr_normal_form, TR_NFKC},
    {"NFKD", no_options, tr_normal_form, TR_NFKD},
    {"Prepend", parse_prepend, tr_normal_prepend, 0},
    {"Replace", parse_replace, tr_normal_replace, 0},
    {"Strip", parse_strip, tr_normal_strip, 0},
    {"Lowercase", no_options, tr_normal_lowercase, 0},
    {"Nmt", no_options, tr_normal_nmt, 0},
    {"ByteLevel", no_options, tr_normal_bytes, 0},
    {"Precompiled", parse_precompiled, tr_normal_precompiled, 0},
};

static enum tr_status parse_value(struct parser *p, const json_t *value);

static enum tr_status parse_sequence(struct parser *p, const json_t *value) {
    const json_t *members = json_object_get(value, "normalizers");
    if (!json_is_array(members) || p->depth >= TR_NORMAL_STEPS_MAX)
        return missing(p, "Sequence", "an array \"normalizers\"");
    p->depth++;
    for (size_t i = 0; i < json_array_size(members); i++)
        TR_TRY(parse_value(p, json_array_get(members, i)));
    p->depth--;
    return TR_OK;
}

static enum tr_status add_step(struct parser *p, const struct row *row, const json_t *value) {
    struct tr_normal_step *step;
    TR_TRY(tr_normalizer_add(p->normalizer, &step, p->what, p->err));
    step->run = row->run;
    step->form = row->form;
    return row->parse(p, step, value);
}

static enum tr_status parse_value(struct parser *p, const json_t *value) {
    const char *type = "";
    if (!value || json_is_null(value))
        return TR_OK;
    TR_TRY(tr_json_string(value, "type", &type, p->what, p->err));
    if (!strcmp(type, "Sequence"))
        return parse_sequence(p, value);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].type, type))
            return add_step(p, &rows[i], value);
    return tr_fail(p->err, TR_EUNSUPPORTED,
                   "%s: the normalizer \"%.64s\" is not supported; known: NFC, NFD, NFKC, NFKD, "
                   "Prepend, Replace, Strip, Lowercase, Nmt, ByteLevel, Precompiled, Sequence "
                   "(pass token ids instead)",
                   p->what, type);
}

enum tr_status tr_normalizer_parse(struct tr_normalizer *normalizer, const json_t *value,
                                   const char *what, struct tr_err *err) {
    struct parser p = {normalizer, 0, what, err};
    return parse_value(&p, value);
}
