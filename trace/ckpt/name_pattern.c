// SPDX-License-Identifier: Apache-2.0
#include "ckpt/name_pattern.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DIGITS = 9 };

static const struct {
    const char *text;
    size_t size;
} placeholders[] = {
    [TR_NAME_LAYER] = {"{layer}", 7},
    [TR_NAME_EXPERT] = {"{expert}", 8},
    [TR_NAME_HEAD] = {"{head}", 6},
};

// The number whose placeholder begins here, TR_NAME_NUMBERS when it is plain text.
static int placeholder_at(const char *pattern) {
    int i = 0;
    while (i < TR_NAME_NUMBERS && strncmp(pattern, placeholders[i].text, placeholders[i].size))
        i++;
    return i;
}

bool tr_pattern_has(const char *pattern, enum tr_name_number number) {
    return strstr(pattern, placeholders[number].text) != NULL;
}

bool tr_pattern_expand(const char *pattern, const struct tr_name_numbers *numbers, char *name,
                       size_t size) {
    size_t at = 0;
    while (*pattern && at < size) {
        int number = placeholder_at(pattern), count;
        if (number == TR_NAME_NUMBERS)
            count = snprintf(name + at, size - at, "%c", *pattern++);
        else
            count = snprintf(name + at, size - at, "%" PRId64, numbers->at[number]);
        pattern += number == TR_NAME_NUMBERS ? 0 : placeholders[number].size;
        at += (size_t)count;
    }
    if (size && at >= size)
        *name = 0;
    else if (size)
        name[at] = 0;
    return at < size;
}

// Reads a number without leading zeros; its digits' count, 0 when there is none.
static size_t read_number(const char *text, int64_t *number_p) {
    size_t count = 0;
    *number_p = 0;
    for (; count < MAX_DIGITS && text[count] >= '0' && text[count] <= '9'; count++)
        *number_p = *number_p * 10 + (text[count] - '0');
    return count > 1 && *text == '0' ? 0 : count;
}

bool tr_pattern_match(const char *pattern, const char *name, struct tr_name_numbers *numbers) {
    struct tr_name_numbers found = {{-1, -1, -1}};
    while (*pattern) {
        int number = placeholder_at(pattern);
        if (number == TR_NAME_NUMBERS) {
            if (*pattern++ != *name++)
                return false;
            continue;
        }
        size_t digits = read_number(name, &found.at[number]);
        if (!digits)
            return false;
        pattern += placeholders[number].size;
        name += digits;
    }
    if (*name)
        return false;
    *numbers = found;
    return true;
}

int tr_pattern_find(const char *const *patterns, int count, const char *name,
                    struct tr_name_numbers *numbers) {
    for (int i = 0; i < count; i++)
        if (patterns[i] && tr_pattern_match(patterns[i], name, numbers))
            return i;
    return -1;
}
