// SPDX-License-Identifier: Apache-2.0
#ifndef AN_PAGE_H
#define AN_PAGE_H

#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

// Text for people in the making: a paragraph is appended to `text` and then broken into lines.
struct an_page {
    struct tr_string *out;
    struct tr_string text; // the paragraph being written
    int width;             // columns
};

// Moves the paragraph to `out`, broken between words, lines after the first indented. It may quote
// a file: control characters become '?'.
enum tr_status an_page_paragraph(struct an_page *page, int indent, struct tr_err *err);

void an_page_free(struct an_page *page); // not `out`

#endif
