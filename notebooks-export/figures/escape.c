// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "figures/svg.h"

static const char *entity(unsigned char byte) {
    switch (byte) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return byte < 0x20 && byte != '\n' && byte != '\t' ? "\xef\xbf\xbd" : NULL;
    }
}

// Bytes of the character at text, 0 when it is none that XML 1.0 and HTML may hold.
static size_t character(const char *text) {
    const unsigned char *p = (const unsigned char *)text;
    size_t size = *p < 0x80 ? 1 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    bool control = *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0);
    bool noncharacter = *p == 0xef && p[1] == 0xbf && p[2] >= 0xbe;
    if (control || strnlen(text, size) < size || !tr_utf8_valid(text, size) || noncharacter)
        return 0;
    return size;
}

enum tr_status nx_escape(struct tr_string *out, const char *text, struct tr_err *err) {
    while (*text) {
        const char *replaced = entity((unsigned char)*text);
        size_t size = replaced ? 1 : character(text);
        if (!replaced && !size) {
            replaced = "\xef\xbf\xbd";
            size = 1;
        }
        TR_TRY(tr_string_append(out, replaced ? replaced : text, replaced ? strlen(replaced) : size,
                                err));
        text += size;
    }
    return TR_OK;
}
