// SPDX-License-Identifier: Apache-2.0
#include "normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/json.h"
#include "characters.h"

static const struct {
    const char *type;
    int options;
} forms[] = {
    {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
    {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
    {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
    {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
};

static enum tr_status parse_sequence(struct tr_normalizer *normalizer, const json_t *value,
                                     const char *what, struct tr_err *err) {
    const json_t *members = json_object_get(value, "normalizers");
    if (!json_is_array(members))
        return tr_fail(err, TR_EFORMAT, "%s: a Sequence normalizer needs an array \"normalizers\"",
                       what);
    for (size_t i = 0; i < json_array_size(members); i++)
        TR_TRY(tr_normalizer_parse(normalizer, json_array_get(members, i), what, err));
    return TR_OK;
}

enum tr_status tr_normalizer_parse(struct tr_normalizer *normalizer, const json_t *value,
                                   const char *what, struct tr_err *err) {
    const char *type = "";
    if (!value || json_is_null(value))
        return TR_OK;
    TR_TRY(tr_json_string(value, "type", &type, what, err));
    if (!strcmp(type, "Sequence"))
        return parse_sequence(normalizer, value, what, err);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(forms[i].type, type) && normalizer->count < TR_FORMS_MAX) {
            normalizer->forms[normalizer->count++] = forms[i].options;
            return TR_OK;
        }
    return tr_fail(err, TR_EUNSUPPORTED,
                   "%s: the normalizer \"%.64s\" is not supported; known: at most %d of NFC, NFD, "
                   "NFKC, NFKD, alone or in a Sequence (pass token ids instead)",
                   what, type, TR_FORMS_MAX);
}

static bool is_ascii(const char *text, size_t size) {
    unsigned char all = 0;
    for (size_t i = 0; i < size; i++)
        all |= (unsigned char)text[i];
    return all < 0x80;
}

// The library normalises by the tables of Unicode 9: it leaves characters that came later as they
// are and moves no mark across them. These are the later ones (to Unicode 15) for which that makes
// a difference: marks with a combining class, and parts or results of a decomposition. U+11A7, no
// jamo that composes, is among them because utf8proc before 2.10 loses it after a syllable.
static const int32_t later[][2] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x11a7, 0x11a7},
    {0x1715, 0x1715},   {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},
    {0xa7f2, 0xa7f4},   {0xa82c, 0xa82c},   {0xab69, 0xab69},   {0x10781, 0x10785},
    {0x10787, 0x107b0}, {0x107b2, 0x107ba}, {0x10d24, 0x10d27}, {0x10eab, 0x10eac},
    {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070},
    {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a}, {0x11930, 0x11930},
    {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0},
    {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42},
    {0x11d44, 0x11d45}, {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1},
    {0x1e030, 0x1e06d}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae},
    {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9}};

static bool came_later(int32_t code) {
    size_t low = 0, high = sizeof later / sizeof *later;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (later[middle][1] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof later / sizeof *later && later[low][0] <= code;
}

// Bytes of text[0, size) before the first character that came later, and those of the character.
static size_t find_later(const char *text, size_t size, size_t *later_size_p) {
    size_t at = 0;
    *later_size_p = 0;
    while (at < size) {
        int32_t code;
        size_t used = tr_utf8_first(text + at, size - at, &code);
        if (came_later(code)) {
            *later_size_p = used;
            break;
        }
        at += used;
    }
    return at;
}

// Appends the form of text[0, size), which has no character that came later.
static enum tr_status append_form(int options, const char *text, size_t size, struct tr_string *out,
                                  struct tr_err *err) {
    utf8proc_uint8_t *mapped = NULL;
    if (!size)
        return TR_OK;
    utf8proc_ssize_t mapped_size =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &mapped,
                     (utf8proc_option_t)options);
    if (mapped_size < 0)
        return tr_fail(err, mapped_size == UTF8PROC_ERROR_NOMEM ? TR_ENOMEM : TR_EUNSUPPORTED,
                       "normalising %zu bytes of text failed: %s", size,
                       utf8proc_errmsg(mapped_size));
    enum tr_status status = tr_string_append(out, mapped, (size_t)mapped_size, err);
    free(mapped);
    return status;
}

static enum tr_status append_all(int options, const char *text, size_t size, struct tr_string *out,
                                 struct tr_err *err) {
    while (size) {
        size_t skipped, known = find_later(text, size, &skipped);
        TR_TRY(append_form(options, text, known, out, err));
        TR_TRY(tr_string_append(out, text + known, skipped, err));
        text += known + skipped;
        size -= known + skipped;
    }
    return TR_OK;
}

// Replaces the content of `memory` by its normalised form.
static enum tr_status apply(int options, struct tr_string *memory, struct tr_err *err) {
    struct tr_string out = {0};
    enum tr_status status = append_all(options, memory->data, memory->size, &out, err);
    if (status != TR_OK) {
        tr_string_free(&out);
        return status;
    }
    tr_string_free(memory);
    *memory = out;
    return TR_OK;
}

enum tr_status tr_normalize(const struct tr_normalizer *normalizer, const char *text, size_t size,
                            struct tr_string *memory, const char **out_p, size_t *out_size_p,
                            struct tr_err *err) {
    if (!normalizer->count || is_ascii(text, size)) { // ASCII is its own form in all four
        *out_p = text;
        *out_size_p = size;
        return TR_OK;
    }
    memory->size = 0;
    TR_TRY(tr_string_append(memory, text, size, err));
    for (int i = 0; i < normalizer->count; i++)
        TR_TRY(apply(normalizer->forms[i], memory, err));
    *out_p = memory->data;
    *out_size_p = memory->size;
    return TR_OK;
}
