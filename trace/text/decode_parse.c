// SPDX-License-Identifier: Apache-2.0
// Which steps a tokenizer's decoder has.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "decode_steps.h"

static const char low_line[] = "\xe2\x96\x81"; // U+2581, which stands for a space

// Appends a step with copies of its texts (NULL: none).
static enum tr_status add(struct tr_decode_steps *steps, struct tr_decode_step step,
                          const char *from, const char *to, struct tr_err *err) {
    step.from = step.to = NULL;
    TR_TRY(tr_grow((void **)&steps->steps, &steps->capacity, steps->count + 1, sizeof step,
                   "the decoder", err));
    struct tr_decode_step *added = &steps->steps[steps->count++];
    *added = step;
    TR_TRY(tr_strdup(&added->from, from ? from : "", err));
    return tr_strdup(&added->to, to ? to : "", err);
}

static enum tr_status add_kind(struct tr_decode_steps *steps, enum tr_decode_kind kind,
                               struct tr_err *err) {
    return add(steps, (struct tr_decode_step){.kind = kind}, NULL, NULL, err);
}

enum tr_status tr_decode_steps_pieces(struct tr_decode_steps *steps, struct tr_err *err) {
    TR_TRY(add(steps, (struct tr_decode_step){.kind = TR_DECODE_REPLACE}, low_line, " ", err));
    TR_TRY(add_kind(steps, TR_DECODE_BYTE_FALLBACK, err));
    TR_TRY(add_kind(steps, TR_DECODE_FUSE, err));
    return add(steps, (struct tr_decode_step){.kind = TR_DECODE_STRIP, .start = 1}, " ", NULL, err);
}

enum tr_status tr_decode_steps_bytes(struct tr_decode_steps *steps, struct tr_err *err) {
    return add_kind(steps, TR_DECODE_BYTES, err);
}

// ---- a tokenizer.json --------------------------------------------------------------------------

struct parser {
    struct tr_decode_steps *steps;
    const char *what;
    struct tr_err *err;
};

static enum tr_status refuse(struct parser *p, const char *type) {
    return p->steps->refused ? TR_OK : tr_strdup(&p->steps->refused, type, p->err);
}

static enum tr_status parse_byte_level(struct parser *p, const json_t *value) {
    (void)value;
    return add_kind(p->steps, TR_DECODE_BYTE_LEVEL, p->err);
}

static enum tr_status parse_fallback(struct parser *p, const json_t *value) {
    (void)value;
    return add_kind(p->steps, TR_DECODE_BYTE_FALLBACK, p->err);
}

static enum tr_status parse_fuse(struct parser *p, const json_t *value) {
    (void)value;
    return add_kind(p->steps, TR_DECODE_FUSE, p->err);
}

static enum tr_status parse_replace(struct parser *p, const json_t *value) {
    const json_t *pattern = NULL;
    const char *from = NULL, *to = NULL;
    TR_TRY(tr_json_object(value, "pattern", &pattern, p->what, p->err));
    TR_TRY(tr_json_string(pattern, "String", &from, p->what, p->err));
    TR_TRY(tr_json_string(value, "content", &to, p->what, p->err));
    if (!from || !*from || !to)
        return refuse(p, "Replace of a pattern");
    return add(p->steps, (struct tr_decode_step){.kind = TR_DECODE_REPLACE}, from, to, p->err);
}

static enum tr_status parse_strip(struct parser *p, const json_t *value) {
    struct tr_decode_step step = {.kind = TR_DECODE_STRIP};
    const char *content = NULL;
    TR_TRY(tr_json_string(value, "content", &content, p->what, p->err));
    TR_TRY(tr_json_i64(value, "start", &step.start, p->what, p->err));
    TR_TRY(tr_json_i64(value, "stop", &step.stop, p->what, p->err));
    return add(p->steps, step, content, NULL, p->err);
}

static enum tr_status parse_metaspace(struct parser *p, const json_t *value) {
    struct tr_decode_step step = {.kind = TR_DECODE_METASPACE, .begins = true};
    const char *from = low_line, *scheme = NULL;
    TR_TRY(tr_json_bool(value, "add_prefix_space", &step.begins, p->what, p->err));
    TR_TRY(tr_json_string(value, "prepend_scheme", &scheme, p->what, p->err));
    TR_TRY(tr_json_string(value, "replacement", &from, p->what, p->err));
    if (scheme)
        step.begins = strcmp(scheme, "never") != 0;
    return add(p->steps, step, from, " ", p->err);
}

static enum tr_status parse_step(struct parser *p, const json_t *value);

static enum tr_status parse_sequence(struct parser *p, const json_t *value) {
    const json_t *list = NULL;
    TR_TRY(tr_json_list(value, "decoders", &list, p->what, p->err));
    for (size_t i = 0; i < json_array_size(list); i++)
        TR_TRY(parse_step(p, json_array_get(list, i)));
    return TR_OK;
}

static enum tr_status parse_step(struct parser *p, const json_t *value) {
    static const struct {
        const char *type;
        enum tr_status (*parse)(struct parser *p, const json_t *value);
    } rows[] = {{"ByteLevel", parse_byte_level},
                {"ByteFallback", parse_fallback},
                {"Fuse", parse_fuse},
                {"Replace", parse_replace},
                {"Strip", parse_strip},
                {"Metaspace", parse_metaspace},
                {"Sequence", parse_sequence}};
    const char *type = "one without a type";
    TR_TRY(tr_json_string(value, "type", &type, p->what, p->err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].type, type) == 0)
            return rows[i].parse(p, value);
    return refuse(p, type);
}

static enum tr_status take_special(struct parser *p, const json_t *added) {
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *token = json_array_get(added, i);
        bool special = false;
        int64_t id = -1;
        TR_TRY(tr_json_bool(token, "special", &special, p->what, p->err));
        TR_TRY(tr_json_i64(token, "id", &id, p->what, p->err));
        if (special && id >= 0 && id <= INT32_MAX)
            TR_TRY(tr_ids_append(&p->steps->special, (int32_t)id, p->err));
    }
    return TR_OK;
}

enum tr_status tr_decode_steps_parse(struct tr_decode_steps *steps, const json_t *decoder,
                                     const json_t *added, const char *what, struct tr_err *err) {
    struct parser p = {steps, what, err};
    TR_TRY(take_special(&p, added));
    if (!json_is_object(decoder))
        return add_kind(steps, TR_DECODE_WORDS, err);
    return parse_step(&p, decoder);
}

void tr_decode_steps_free(struct tr_decode_steps *steps) {
    for (uint64_t i = 0; i < steps->count; i++) {
        free(steps->steps[i].from);
        free(steps->steps[i].to);
    }
    free(steps->steps);
    free(steps->refused);
    free(steps->special.ids);
    *steps = (struct tr_decode_steps){0};
}
