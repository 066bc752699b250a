// SPDX-License-Identifier: Apache-2.0
#include "base/wrap.h"

#include "base/printable.h"

static int columns_of(const char *text, size_t size) {
    int columns = 0;
    for (size_t i = 0; i < size; i++)
        columns += ((unsigned char)text[i] & 0xc0) != 0x80; // UTF-8 continuation bytes take none
    return columns;
}

static enum tr_status append(struct tr_string *out, const char *text, size_t size,
                             struct tr_err *err) {
    size_t start = out->size;
    TR_TRY(tr_string_append(out, text, size, err));
    out->size = start + tr_printable(out->data + start, out->size - start, "");
    return TR_OK;
}

// The size of what text[0, size) begins with: spaces, or no spaces.
static size_t run_of(const char *text, size_t size, bool spaces) {
    size_t i = 0;
    while (i < size && (text[i] == ' ') == spaces)
        i++;
    return i;
}

enum tr_status tr_wrap_words(struct tr_string *out, const char *text, size_t size,
                             const struct tr_wrap *wrap, struct tr_err *err) {
    int at = wrap->column;
    bool begun = at > wrap->indent; // something stands on the line
    for (size_t i = 0, word; i < size; i += word) {
        size_t spaces = run_of(text + i, size - i, true);
        i += spaces;
        word = run_of(text + i, size - i, false);
        int columns = columns_of(text + i, word);
        if (word && begun && at + (int)spaces + columns > wrap->width) {
            TR_TRY(tr_string_format(out, err, "\n%*s", wrap->indent, ""));
            at = wrap->indent;
        } else {
            TR_TRY(append(out, text + i - spaces, spaces, err));
            at += (int)spaces;
        }
        TR_TRY(append(out, text + i, word, err));
        at += columns;
        begun = true;
    }
    return TR_OK;
}
