// SPDX-License-Identifier: Apache-2.0
#include "python_text.h"

#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

// The code point at `text`, which moves behind it.
static int32_t next_code(const char **text) {
    const unsigned char *at = (const unsigned char *)*text;
    int more = at[0] >= 0xf0 ? 3 : at[0] >= 0xe0 ? 2 : at[0] >= 0xc0 ? 1 : 0;
    int32_t code = more ? at[0] & (0x3f >> more) : at[0];
    for (int i = 1; i <= more; i++)
        code = code << 6 | (at[i] & 0x3f);
    *text += 1 + more;
    return code;
}

static bool is_space(int32_t code) {
    static const struct {
        int32_t first, last;
    } ranges[] = {{0x09, 0x0d},     {0x1c, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},
                  {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
                  {0x205f, 0x205f}, {0x3000, 0x3000}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

size_t tr_python_trailing_space(const char *text, size_t size) {
    const char *at = text, *end = text + size, *words_end = text;
    while (at < end)
        if (!is_space(next_code(&at)))
            words_end = at;
    return (size_t)(end - words_end);
}

int64_t tr_python_length(const char *text) {
    int64_t count = 0;
    for (; *text; text++)
        count += (*text & 0xc0) != 0x80;
    return count;
}

int64_t tr_python_words(const char *text) {
    int64_t words = 1;
    bool in_space = false;
    while (*text) {
        bool space = is_space(next_code(&text));
        words += space && !in_space;
        in_space = space;
    }
    return words;
}

static bool is_punctuation(int32_t code) {
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') ||
           (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
}

// The next code point that counts, 0 at the end.
static int32_t next_compared(const char **text, bool ignore_case, bool ignore_punctuation) {
    while (**text) {
        int32_t code = next_code(text);
        if (!ignore_punctuation || !is_punctuation(code))
            return ignore_case ? utf8proc_tolower(code) : code;
    }
    return 0;
}

bool tr_python_same_text(const char *a, const char *b, bool ignore_case, bool ignore_punctuation) {
    for (;;) {
        int32_t x = next_compared(&a, ignore_case, ignore_punctuation);
        int32_t y = next_compared(&b, ignore_case, ignore_punctuation);
        if (x != y || !x)
            return x == y;
    }
}
