// SPDX-License-Identifier: Apache-2.0
#include "characters.h"

#include <utf8proc.h>

size_t tr_utf8_first(const char *text, size_t size, int32_t *code_p) {
    utf8proc_ssize_t used =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, code_p);
    return used > 0 ? (size_t)used : 0;
}

size_t tr_character_size(const char *text, size_t size) {
    int32_t code;
    size_t used = size ? tr_utf8_first(text, size, &code) : 0;
    return used ? used : size > 0;
}

static size_t last_of(const char *text, size_t size, int32_t *code_p) {
    size_t start = size - 1;
    while (start > 0 && ((unsigned char)text[start] & 0xc0) == 0x80)
        start--;
    return tr_utf8_first(text + start, size - start, code_p);
}

static bool is_space(int32_t code) {
    if (code < 0x80)
        return code == ' ' || (code >= '\t' && code <= '\r');
    utf8proc_category_t category = utf8proc_category(code);
    return code == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP;
}

size_t tr_spaces_at_start(const char *text, size_t size) {
    size_t at = 0;
    while (at < size) {
        int32_t code;
        size_t used = tr_utf8_first(text + at, size - at, &code);
        if (!used || !is_space(code))
            break;
        at += used;
    }
    return at;
}

size_t tr_spaces_at_end(const char *text, size_t size) {
    size_t left = size;
    while (left) {
        int32_t code;
        size_t used = last_of(text, left, &code);
        if (!used || !is_space(code))
            break;
        left -= used;
    }
    return size - left;
}

// Alphabetic is the letters, the letter numbers, marks, and these circled and squared letters.
static bool is_alphabetic_symbol(int32_t code) {
    return (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
           (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189);
}

static bool is_word(int32_t code) {
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return code == 0x200c || code == 0x200d || is_alphabetic_symbol(code);
    }
}

bool tr_starts_with_word(const char *text, size_t size) {
    int32_t code;
    return size && tr_utf8_first(text, size, &code) && is_word(code);
}

bool tr_ends_with_word(const char *text, size_t size) {
    int32_t code;
    return size && last_of(text, size, &code) && is_word(code);
}

size_t tr_utf8_prefix(const char *text, size_t size) {
    size_t at = 0, used = 1;
    for (; at < size && used; at += used) {
        int32_t code;
        used = (unsigned char)text[at] < 0x80 ? 1 : tr_utf8_first(text + at, size - at, &code);
    }
    return at;
}
