// SPDX-License-Identifier: Apache-2.0
#include "normalize.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "unicode_form.h"

static const struct {
    const char *type;
    enum tr_unicode_form form;
} forms[] = {{"NFC", TR_NFC}, {"NFD", TR_NFD}, {"NFKC", TR_NFKC}, {"NFKD", TR_NFKD}};

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
            normalizer->forms[normalizer->count++] = forms[i].form;
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

// Replaces the content of `memory` by its normalised form.
static enum tr_status apply(enum tr_unicode_form form, struct tr_string *memory,
                            struct tr_err *err) {
    struct tr_string out = {0};
    enum tr_status status = tr_unicode_form(form, memory->data, memory->size, &out, err);
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
