// SPDX-License-Identifier: Apache-2.0
#include "template.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { DEPTH_MAX = 8, TOKENS_MAX = 16 };

struct parser {
    struct tr_template *template;
    int depth; // of Sequences
    const char *what;
    struct tr_err *err;
};

static enum tr_status put(struct tr_string *to, const char *token, struct tr_err *err) {
    return tr_string_format(to, err, "%s%.64s", to->size ? " " : "", token);
}

static enum tr_status malformed(const struct parser *p) {
    return tr_fail(p->err, TR_EFORMAT, "%s: malformed \"post_processor\"", p->what);
}

// The ids of a special token of a template.
static enum tr_status begin_ids(struct parser *p, const json_t *ids) {
    if (!json_array_size(ids) || json_array_size(ids) > TOKENS_MAX)
        return malformed(p);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= INT32_MAX)
            return malformed(p);
        TR_TRY(tr_ids_append(&p->template->begin, (int32_t)value, p->err));
    }
    return TR_OK;
}

// "single" is a list of {"SpecialToken": {"id": NAME}} around one {"Sequence": ...}.
static enum tr_status parse_template(struct parser *p, const json_t *value) {
    const json_t *single = json_object_get(value, "single");
    const json_t *tokens = json_object_get(value, "special_tokens");
    bool before = true;
    if (!json_is_array(single) || json_array_size(single) > TOKENS_MAX)
        return malformed(p);
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *special = json_object_get(json_array_get(single, i), "SpecialToken");
        const char *name = json_string_value(json_object_get(special, "id"));
        if (special && !name)
            return malformed(p);
        before &= special != NULL;
        if (!special)
            continue;
        TR_TRY(put(before ? &p->template->before : &p->template->after, name, p->err));
        if (before)
            TR_TRY(begin_ids(p, json_object_get(json_object_get(tokens, name), "ids")));
    }
    return TR_OK;
}

// "cls" and "sep" are [TOKEN, ID].
static enum tr_status parse_pair(struct parser *p, const json_t *value) {
    const json_t *first = json_object_get(value, "cls"), *last = json_object_get(value, "sep");
    const char *before = json_string_value(json_array_get(first, 0));
    const char *after = json_string_value(json_array_get(last, 0));
    const json_t *id = json_array_get(first, 1);
    if (!before || !after || !json_is_integer(id) || json_integer_value(id) < 0 ||
        json_integer_value(id) >= INT32_MAX)
        return malformed(p);
    TR_TRY(put(&p->template->before, before, p->err));
    TR_TRY(put(&p->template->after, after, p->err));
    return tr_ids_append(&p->template->begin, (int32_t)json_integer_value(id), p->err);
}

static enum tr_status parse_value(struct parser *p, const json_t *value);

static enum tr_status parse_sequence(struct parser *p, const json_t *value) {
    const json_t *members = json_object_get(value, "processors");
    if (p->depth++ == DEPTH_MAX)
        return malformed(p);
    for (size_t i = 0; i < json_array_size(members); i++)
        TR_TRY(parse_value(p, json_array_get(members, i)));
    p->depth--;
    return TR_OK;
}

static enum tr_status parse_value(struct parser *p, const json_t *value) {
    static const struct {
        const char *type;
        enum tr_status (*parse)(struct parser *p, const json_t *value);
    } rows[] = {{"TemplateProcessing", parse_template},
                {"BertProcessing", parse_pair},
                {"RobertaProcessing", parse_pair},
                {"Sequence", parse_sequence}};
    const char *type = "";
    TR_TRY(tr_json_string(value, "type", &type, p->what, p->err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].type, type))
            return rows[i].parse(p, value);
    return TR_OK;
}

static enum tr_status describe(struct tr_template *t, struct tr_err *err) {
    const char *before = t->before.size ? t->before.data : "";
    const char *after = t->after.size ? t->after.data : "";
    return tr_string_format(&t->whole, err, "%s%sA%s%s", before, *before ? " " : "",
                            *after ? " " : "", after);
}

enum tr_status tr_template_parse(struct tr_template *template, const json_t *value,
                                 const char *what, struct tr_err *err) {
    struct parser p = {template, 0, what, err};
    if (value && !json_is_null(value))
        TR_TRY(parse_value(&p, value));
    return describe(template, err);
}

enum tr_status tr_template_begin(struct tr_template *template, const char *token, int32_t id,
                                 struct tr_err *err) {
    TR_TRY(put(&template->before, token, err));
    TR_TRY(tr_ids_append(&template->begin, id, err));
    return describe(template, err);
}

void tr_template_free(struct tr_template *template) {
    free(template->begin.ids);
    tr_string_free(&template->before);
    tr_string_free(&template->after);
    tr_string_free(&template->whole);
}
