// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WRAP_H
#define TR_WRAP_H

#include <stddef.h>

#include "base/strings.h"

// Text for people: broken into lines between words.
struct tr_wrap {
    int width;  // columns of a line
    int column; // at which the first line begins; what stands before it is the caller's
    int indent; // spaces before the other lines
};

// Appends text[0, size), without a line end behind it. Spaces between words stay, but for those at
// which a line ends. A word that is longer than a line stays whole. Control characters and
// what is not UTF-8, which a file may hold, become '?'. Columns are code points of UTF-8.
enum tr_status tr_wrap_words(struct tr_string *out, const char *text, size_t size,
                             const struct tr_wrap *wrap, struct tr_err *err);

#endif
