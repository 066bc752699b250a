// SPDX-License-Identifier: Apache-2.0
#ifndef TR_UNICODE_FORM_H
#define TR_UNICODE_FORM_H

#include <stddef.h>

#include "base/status.h"
#include "base/strings.h"

enum tr_unicode_form { TR_NFC, TR_NFD, TR_NFKC, TR_NFKD };

// Appends the normalisation form of text[0, size), valid UTF-8, in O(size log size).
enum tr_status tr_unicode_form(enum tr_unicode_form form, const char *text, size_t size,
                               struct tr_string *out, struct tr_err *err);

#endif
