// SPDX-License-Identifier: Apache-2.0
#include "page.h"

#include <string.h>

static int columns_of(const char *text, size_t size) {
    int columns = 0;
    for (size_t i = 0; i < size; i++)
        columns += ((unsigned char)text[i] & 0xc0) != 0x80; // UTF-8 continuation bytes take none
    return columns;
}

static void replace_controls(struct tr_string *text) {
    for (size_t i = 0; i < text->size; i++)
        if ((unsigned char)text->data[i] < 0x20 || text->data[i] == 0x7f)
            text->data[i] = '?';
}

enum tr_status an_page_paragraph(struct an_page *page, int indent, struct tr_err *err) {
    int at = 0;
    size_t size;
    replace_controls(&page->text);
    for (const char *word = page->text.data; word && *word; word += size + (word[size] == ' ')) {
        size = strcspn(word, " ");
        int columns = columns_of(word, size);
        if (at > 0 && at + 1 + columns > page->width) {
            TR_TRY(tr_string_format(page->out, err, "\n%*s", indent, ""));
            at = indent;
        } else if (at > 0) {
            TR_TRY(tr_string_append(page->out, " ", 1, err));
            at++;
        }
        TR_TRY(tr_string_append(page->out, word, size, err));
        at += columns;
    }
    page->text.size = 0;
    return tr_string_append(page->out, "\n", 1, err);
}

void an_page_free(struct an_page *page) {
    tr_string_free(&page->text);
}
