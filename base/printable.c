// SPDX-License-Identifier: Apache-2.0
#include "base/printable.h"

#include <string.h>

#include "base/strings.h"

// Bytes of the well-formed UTF-8 character that text[0, size) begins with; 0: it begins with none.
static size_t character(const char *text, size_t size) {
    for (size_t length = 1; length <= 4 && length <= size; length++)
        if (tr_utf8_valid(text, length))
            return length;
    return 0;
}

// C0, DEL, and C1 as U+0080 to U+009F.
static bool is_control(const char *character, size_t length) {
    unsigned char first = (unsigned char)character[0];
    if (length == 1)
        return first < 0x20 || first == 0x7f;
    return length == 2 && first == 0xc2 && (unsigned char)character[1] < 0xa0;
}

size_t tr_printable(char *text, size_t size, const char *kept) {
    size_t to = 0;
    for (size_t at = 0, length; at < size; at += length ? length : 1) {
        length = character(text + at, size - at);
        bool keeps = length == 1 && text[at] && strchr(kept, text[at]);
        if (!keeps && (!length || is_control(text + at, length)))
            text[to++] = '?';
        else
            for (size_t i = 0; i < length; i++)
                text[to++] = text[at + i];
    }
    if (to < size)
        text[to] = '\0';
    return to;
}
