// SPDX-License-Identifier: Apache-2.0
#include "page.h"

#include "base/wrap.h"

enum tr_status an_page_paragraph(struct an_page *page, int indent, struct tr_err *err) {
    const struct tr_wrap wrap = {.width = page->width, .indent = indent};
    TR_TRY(tr_wrap_words(page->out, page->text.data, page->text.size, &wrap, err));
    page->text.size = 0;
    return tr_string_append(page->out, "\n", 1, err);
}

void an_page_free(struct an_page *page) {
    tr_string_free(&page->text);
}
