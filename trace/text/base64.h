// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BASE64_H
#define TR_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/strings.h"

// Appends the bytes that text[0, size) spells; *valid_p says whether it is base64, in groups of
// four with = at the end.
enum tr_status tr_base64_decode(const char *text, size_t size, struct tr_string *out, bool *valid_p,
                                struct tr_err *err);

#endif
