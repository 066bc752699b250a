// SPDX-License-Identifier: Apache-2.0
// "pre_tokenizer" of a tokenizer.json to steps: one row per type.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "pattern.h"
#include "pretokenize.h"
#include "pretokenize_steps.h"

static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

struct parser {
    struct tr_pretokenizer *pretokenizer;
    int depth; // of Sequences
    const char *what;
    struct tr_err *err;
};

static enum tr_status add_step(struct parser *p, struct tr_step step) {
    struct tr_pretokenizer *t = p->pretokenizer;
    if (t->byte_level || t->count == TR_STEPS_MAX) {
        pcre2_code_free(step.code);
        return tr_fail(p->err, TR_EUNSUPPORTED, "%s: %s", p->what,
                       t->byte_level ? "a pre-tokenizer after ByteLevel is not supported"
                                     : "more pre-tokenizers in a row than supported");
    }
    t->steps[t->count++] = step;
    return TR_OK;
}

// A split at what an Oniguruma pattern or, when `quoted`, a text finds.
static enum tr_status add_split(struct parser *p, const char *pattern, size_t size, bool quoted,
                                struct tr_step step) {
    struct tr_string translated = {0};
    enum tr_status status = quoted
                                ? tr_pattern_quote(pattern, size, &translated, p->err)
                                : tr_pattern_translate(pattern, size, &translated, p->what, p->err);
    if (status == TR_OK && !translated.size)
        status = tr_fail(p->err, TR_EUNSUPPORTED, "%s: an empty split pattern", p->what);
    if (status == TR_OK)
        status = tr_pattern_compile(&step.code, translated.data, translated.size, p->what, p->err);
    tr_string_free(&translated);
    return status == TR_OK ? add_step(p, step) : status;
}

static enum tr_status parse_byte_level(struct parser *p, const json_t *value) {
    bool prefix = true, regex = true;
    TR_TRY(tr_json_bool(value, "add_prefix_space", &prefix, p->what, p->err));
    TR_TRY(tr_json_bool(value, "use_regex", &regex, p->what, p->err));
    if (prefix)
        TR_TRY(add_step(p, (struct tr_step){.kind = TR_STEP_PREFIX_SPACE}));
    if (regex)
        TR_TRY(add_split(p, gpt2_pattern, strlen(gpt2_pattern), false,
                         (struct tr_step){.kind = TR_STEP_SPLIT, .behavior = TR_ISOLATED}));
    if (p->pretokenizer->byte_level)
        return tr_fail(p->err, TR_EUNSUPPORTED, "%s: ByteLevel stands twice", p->what);
    p->pretokenizer->byte_level = true;
    return TR_OK;
}

static enum tr_status parse_split(struct parser *p, const json_t *value) {
    static const char *const behaviors[] = {"Isolated", "Removed", "Contiguous",
                                            "MergedWithPrevious", "MergedWithNext"};
    const json_t *pattern = json_object_get(value, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *text = json_object_get(pattern, "String");
    const json_t *source = regex ? regex : text;
    const char *behavior = "";
    struct tr_step step = {.kind = TR_STEP_SPLIT};
    TR_TRY(tr_json_string(value, "behavior", &behavior, p->what, p->err));
    TR_TRY(tr_json_bool(value, "invert", &step.invert, p->what, p->err));
    if (!json_is_string(source))
        return tr_fail(p->err, TR_EFORMAT,
                       "%s: a Split pre-tokenizer needs a pattern {\"Regex\": ...} or "
                       "{\"String\": ...}",
                       p->what);
    int count = sizeof behaviors / sizeof *behaviors, i = 0;
    while (i < count && strcmp(behaviors[i], behavior))
        i++;
    if (i == count)
        return tr_fail(p->err, TR_EUNSUPPORTED, "%s: unknown Split behavior \"%.64s\"", p->what,
                       behavior);
    step.behavior = (enum tr_behavior)i;
    return add_split(p, json_string_value(source), json_string_length(source), !regex, step);
}

static enum tr_status parse_digits(struct parser *p, const json_t *value) {
    bool individual = false;
    TR_TRY(tr_json_bool(value, "individual_digits", &individual, p->what, p->err));
    enum tr_behavior behavior = individual ? TR_ISOLATED : TR_CONTIGUOUS;
    return add_split(p, "\\p{N}", strlen("\\p{N}"), false,
                     (struct tr_step){.kind = TR_STEP_SPLIT, .behavior = behavior});
}

static enum tr_status parse_value(struct parser *p, const json_t *value);

static enum tr_status parse_sequence(struct parser *p, const json_t *value) {
    const json_t *members = json_object_get(value, "pretokenizers");
    if (!json_is_array(members) || p->depth >= TR_STEPS_MAX)
        return tr_fail(p->err, TR_EFORMAT,
                       "%s: a Sequence pre-tokenizer needs an array \"pretokenizers\"", p->what);
    p->depth++;
    for (size_t i = 0; i < json_array_size(members); i++)
        TR_TRY(parse_value(p, json_array_get(members, i)));
    p->depth--;
    return TR_OK;
}

static enum tr_status parse_value(struct parser *p, const json_t *value) {
    static const struct {
        const char *type;
        enum tr_status (*parse)(struct parser *p, const json_t *value);
    } rows[] = {{"ByteLevel", parse_byte_level},
                {"Split", parse_split},
                {"Digits", parse_digits},
                {"Sequence", parse_sequence}};
    const char *type = "null";
    TR_TRY(tr_json_string(value, "type", &type, p->what, p->err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].type, type))
            return rows[i].parse(p, value);
    return tr_fail(p->err, TR_EUNSUPPORTED,
                   "%s: the pre-tokenizer \"%.64s\" is not supported; known: ByteLevel, Split, "
                   "Digits, Sequence (pass token ids instead)",
                   p->what, type);
}

enum tr_status tr_pretokenizer_parse(struct tr_pretokenizer **pretokenizer_p, const json_t *value,
                                     const char *what, struct tr_err *err) {
    struct parser p = {.what = what, .err = err};
    TR_TRY(TR_NEW(&p.pretokenizer, 1, "the pre-tokenizer", err));
    enum tr_status status = parse_value(&p, value);
    if (status == TR_OK && !p.pretokenizer->byte_level)
        status = tr_fail(err, TR_EUNSUPPORTED,
                         "%s: without a ByteLevel pre-tokenizer it is not byte-level BPE, which is "
                         "what we tokenise (pass token ids instead)",
                         what);
    if (status == TR_OK)
        *pretokenizer_p = p.pretokenizer;
    else
        tr_pretokenizer_free(p.pretokenizer);
    return status;
}

void tr_pretokenizer_free(struct tr_pretokenizer *pretokenizer) {
    for (int i = 0; pretokenizer && i < pretokenizer->count; i++)
        pcre2_code_free(pretokenizer->steps[i].code);
    free(pretokenizer);
}
