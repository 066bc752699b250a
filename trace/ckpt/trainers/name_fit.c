// SPDX-License-Identifier: Apache-2.0
// Patterns of names: '#' is a number, '*' anything.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "naming.h"

// A number of at most nine digits, of which 0 alone may begin with a 0.
static bool take_number(const char **at, int64_t *number) {
    const char *first = *at;
    int64_t value = 0;
    for (; isdigit((unsigned char)**at) && *at - first < 9; ++*at)
        value = value * 10 + (**at - '0');
    *number = value;
    return *at > first && !isdigit((unsigned char)**at) && (*first != '0' || *at - first == 1);
}

static bool fits_tail(const char *pattern, const char *name) {
    size_t size = strlen(pattern), length = strlen(name);
    const char *star = strchr(pattern, '*');
    if (!star)
        return length >= size && !strcmp(name + length - size, pattern);
    for (const char *at = name; *at; at++)
        if (!strncmp(at, pattern, (size_t)(star - pattern)) &&
            fits_tail(star + 1, at + (star - pattern)))
            return true;
    return false;
}

bool tr_naming_fits(const char *pattern, const char *name, int64_t *numbers, int *count_p) {
    *count_p = 0;
    for (; *pattern; pattern++) {
        if (*pattern == '*')
            return fits_tail(pattern + 1, name);
        if (*pattern != '#') {
            if (*name++ != *pattern)
                return false;
        } else if (*count_p == TR_NUMBERS || !take_number(&name, &numbers[(*count_p)++])) {
            return false;
        }
    }
    return !*name;
}

void tr_naming_fill(const char *pattern, const int64_t *numbers, char out[TR_RENAMED_MAX]) {
    size_t at = 0;
    for (; *pattern && at < TR_RENAMED_MAX - 24; pattern++)
        if (*pattern == '#')
            at += (size_t)snprintf(out + at, TR_RENAMED_MAX - at, "%lld", (long long)*numbers++);
        else
            out[at++] = *pattern;
    out[at] = 0;
}
