// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NORMALIZE_H
#define TR_NORMALIZE_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"
#include "base/strings.h"
#include "unicode_form.h"

enum { TR_FORMS_MAX = 8 };

// Unicode normalisation forms, one after another.
struct tr_normalizer {
    enum tr_unicode_form forms[TR_FORMS_MAX];
    int count;
};

// The "normalizer" value of a tokenizer.json (which may be null or absent): NFC, NFD, NFKC, NFKD
// and Sequences of them. Anything else is TR_EUNSUPPORTED by its type's name.
enum tr_status tr_normalizer_parse(struct tr_normalizer *normalizer, const json_t *value,
                                   const char *what, struct tr_err *err);

// *out_p is the normalised text: `text` itself where it is so already, else held by `memory`.
enum tr_status tr_normalize(const struct tr_normalizer *normalizer, const char *text, size_t size,
                            struct tr_string *memory, const char **out_p, size_t *out_size_p,
                            struct tr_err *err);

#endif
