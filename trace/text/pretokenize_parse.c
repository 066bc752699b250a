// SPDX-License-Identifier: Apache-2.0
// "pre_tokenizer" of a tokenizer.json to steps: one row per type.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "characters.h"
#include "pattern.h"
#include "pretokenize.h"
#include "pretokenize_steps.h"

static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

// Punctuation of ASCII, its symbols too, and what Unicode 8 calls so, whose tables the library has:
// two characters have since become something else, the listed ones have come since.
static const char punctuation_pattern[] =
    "[!-/:-@\\[-`{-~\\x{166d}\\x{111c9}]|(?!["
    "\\x{61d}\\x{9fd}\\x{a76}\\x{c77}\\x{c84}\\x{1b4e}-\\x{1b4f}\\x{1b7d}-\\x{1b7f}"
    "\\x{2e43}-\\x{2e4f}\\x{2e52}-\\x{2e5d}\\x{10d6e}\\x{10ead}\\x{10f55}-\\x{10f59}"
    "\\x{10f86}-\\x{10f89}\\x{113d4}-\\x{113d5}\\x{113d7}-\\x{113d8}\\x{1144b}-\\x{1144f}"
    "\\x{1145a}-\\x{1145b}\\x{1145d}\\x{11660}-\\x{1166c}\\x{116b9}\\x{1183b}"
    "\\x{11944}-\\x{11946}\\x{119e2}\\x{11a3f}-\\x{11a46}\\x{11a9a}-\\x{11a9c}"
    "\\x{11a9e}-\\x{11aa2}\\x{11b00}-\\x{11b09}\\x{11be1}\\x{11c41}-\\x{11c45}"
    "\\x{11c70}-\\x{11c71}\\x{11ef7}-\\x{11ef8}\\x{11f43}-\\x{11f4f}\\x{11fff}"
    "\\x{12ff1}-\\x{12ff2}\\x{16d6d}-\\x{16d6f}\\x{16e97}-\\x{16e9a}\\x{16fe2}\\x{1e5ff}"
    "\\x{1e95e}-\\x{1e95f}"
    "])\\p{P}";

struct parser {
    struct tr_pretokenizer *pretokenizer;
    int depth; // of Sequences
    const char *what;
    struct tr_err *err;
};

static enum tr_status add_step(struct parser *p, struct tr_step step) {
    struct tr_pretokenizer *t = p->pretokenizer;
    if (t->count == TR_STEPS_MAX) {
        pcre2_code_free(step.code);
        return tr_fail(p->err, TR_EUNSUPPORTED, "%s: more pre-tokenizers in a row than supported",
                       p->what);
    }
    t->steps[t->count++] = step;
    return TR_OK;
}

// A split at the matches of a pattern.
static enum tr_status add_split(struct parser *p, const char *pattern, enum tr_behavior behavior) {
    struct tr_step step = {.run = tr_run_split, .behavior = behavior};
    TR_TRY(tr_pattern_build(&step.code, pattern, p->what, p->err));
    return add_step(p, step);
}

static enum tr_status parse_byte_level(struct parser *p, const json_t *value) {
    bool prefix = true, regex = true;
    TR_TRY(tr_json_bool(value, "add_prefix_space", &prefix, p->what, p->err));
    TR_TRY(tr_json_bool(value, "use_regex", &regex, p->what, p->err));
    if (prefix)
        TR_TRY(add_step(p, (struct tr_step){.run = tr_run_prefix}));
    if (regex)
        TR_TRY(add_split(p, gpt2_pattern, TR_ISOLATED));
    return add_step(p, (struct tr_step){.run = tr_run_spell});
}

// The "behavior" of a step, `behavior` when it is not given.
static enum tr_status parse_behavior(struct parser *p, const json_t *value, const char *type,
                                     const char *behavior, enum tr_behavior *behavior_p) {
    static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious",
                                        "MergedWithNext"};
    TR_TRY(tr_json_string(value, "behavior", &behavior, p->what, p->err));
    int count = sizeof names / sizeof *names, i = 0;
    while (i < count && strcmp(names[i], behavior))
        i++;
    if (i == count)
        return tr_fail(p->err, TR_EUNSUPPORTED, "%s: unknown %s behavior \"%.64s\"", p->what, type,
                       behavior);
    *behavior_p = (enum tr_behavior)i;
    return TR_OK;
}

static enum tr_status parse_split(struct parser *p, const json_t *value) {
    struct tr_step step = {.run = tr_run_split};
    TR_TRY(parse_behavior(p, value, "Split", "", &step.behavior));
    TR_TRY(tr_json_bool(value, "invert", &step.invert, p->what, p->err));
    TR_TRY(tr_pattern_parse(&step.code, json_object_get(value, "pattern"), "Split pre-tokenizer",
                            p->what, p->err));
    return add_step(p, step);
}

static enum tr_status parse_digits(struct parser *p, const json_t *value) {
    bool individual = false;
    TR_TRY(tr_json_bool(value, "individual_digits", &individual, p->what, p->err));
    return add_split(p, "\\p{N}", individual ? TR_ISOLATED : TR_CONTIGUOUS);
}

static enum tr_status parse_punctuation(struct parser *p, const json_t *value) {
    enum tr_behavior behavior = TR_ISOLATED;
    TR_TRY(parse_behavior(p, value, "Punctuation", "Isolated", &behavior));
    return add_split(p, punctuation_pattern, behavior);
}

static enum tr_status parse_whitespace(struct parser *p, const json_t *value) {
    (void)value;
    return add_split(p, "\\s", TR_REMOVED);
}

// Whether a string is one character that fits a mark.
static bool is_mark(const json_t *value) {
    int32_t code;
    size_t size = json_string_length(value);
    return json_is_string(value) && size > 0 &&
           tr_utf8_first(json_string_value(value), size, &code) == size && code != 0;
}

// Old files say add_prefix_space, newer ones prepend_scheme; the two must not contradict.
static enum tr_status parse_scheme(struct parser *p, const json_t *value,
                                   enum tr_prepend *prepend_p) {
    static const char *const names[] = {"never", "always", "first"};
    const char *scheme = NULL;
    bool prefix = true;
    TR_TRY(tr_json_bool(value, "add_prefix_space", &prefix, p->what, p->err));
    TR_TRY(tr_json_string(value, "prepend_scheme", &scheme, p->what, p->err));
    *prepend_p = prefix ? TR_PREPEND_ALWAYS : TR_PREPEND_NEVER;
    if (!scheme)
        return TR_OK;
    int i = 0;
    while (i < 3 && strcmp(names[i], scheme))
        i++;
    if (i == 3 || (!prefix && i != TR_PREPEND_NEVER))
        return tr_fail(p->err, TR_EUNSUPPORTED,
                       "%s: a Metaspace with prepend_scheme \"%.64s\"%s is not supported", p->what,
                       scheme, prefix ? "" : " and without add_prefix_space");
    *prepend_p = (enum tr_prepend)i;
    return TR_OK;
}

static enum tr_status parse_metaspace(struct parser *p, const json_t *value) {
    const json_t *mark = json_object_get(value, "replacement");
    struct tr_step step = {.run = tr_run_metaspace, .cut = true};
    if (!is_mark(mark))
        return tr_fail(p->err, TR_EFORMAT,
                       "%s: a Metaspace pre-tokenizer needs a \"replacement\" of one character",
                       p->what);
    memcpy(step.mark, json_string_value(mark), json_string_length(mark));
    TR_TRY(parse_scheme(p, value, &step.prepend));
    TR_TRY(tr_json_bool(value, "split", &step.cut, p->what, p->err));
    return add_step(p, step);
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
    } rows[] = {{"ByteLevel", parse_byte_level},    {"Split", parse_split},
                {"Digits", parse_digits},           {"Metaspace", parse_metaspace},
                {"Punctuation", parse_punctuation}, {"WhitespaceSplit", parse_whitespace},
                {"Sequence", parse_sequence}};
    const char *type = "";
    TR_TRY(tr_json_string(value, "type", &type, p->what, p->err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].type, type))
            return rows[i].parse(p, value);
    return tr_fail(p->err, TR_EUNSUPPORTED,
                   "%s: the pre-tokenizer \"%.64s\" is not supported; known: ByteLevel, Split, "
                   "Digits, Metaspace, Punctuation, WhitespaceSplit, Sequence (pass token ids "
                   "instead)",
                   p->what, type);
}

enum tr_status tr_pretokenizer_parse(struct tr_pretokenizer **pretokenizer_p, const json_t *value,
                                     const char *what, struct tr_err *err) {
    struct parser p = {.what = what, .err = err};
    TR_TRY(TR_NEW(&p.pretokenizer, 1, "the pre-tokenizer", err));
    enum tr_status status = value && !json_is_null(value) ? parse_value(&p, value) : TR_OK;
    if (status == TR_OK)
        *pretokenizer_p = p.pretokenizer;
    else
        tr_pretokenizer_free(p.pretokenizer);
    return status;
}

enum tr_status tr_pretokenizer_split_at(struct tr_pretokenizer **pretokenizer_p,
                                        const char *pattern, const char *what, struct tr_err *err) {
    struct parser p = {.what = what, .err = err};
    TR_TRY(TR_NEW(&p.pretokenizer, 1, "the pre-tokenizer", err));
    enum tr_status status = add_split(&p, pattern, TR_ISOLATED);
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
