// SPDX-License-Identifier: Apache-2.0
#include "nanotron_slices.h"

#include <stdlib.h>
#include <string.h>

enum { PAIRS = sizeof((struct tr_slices *)0)->pairs / sizeof(struct tr_slice_pair) };

static bool take(const char **at, const char *text) {
    size_t size = strlen(text);
    if (strncmp(*at, text, size))
        return false;
    *at += size;
    return true;
}

// A whole number of at most 15 digits.
static bool take_number(const char **at, int64_t *number) {
    const char *first = *at;
    *number = 0;
    for (; **at >= '0' && **at <= '9' && *at - first < 15; ++*at)
        *number = *number * 10 + (**at - '0');
    return *at > first;
}

// "(128, 64)" or "(64,)".
static bool parse_shape(struct tr_slices *slices, const char *at) {
    if (!take(&at, "("))
        return false;
    while (*at && *at != ')') {
        if (slices->dims == TR_MAX_DIMS || !take_number(&at, &slices->shape[slices->dims++]))
            return false;
        if (take(&at, ","))
            take(&at, " ");
    }
    return slices->dims && take(&at, ")") && !*at;
}

// The axes of one side: where each begins and how many it has, within `sizes`.
static bool parse_side(const char **at, int dims, const int64_t *sizes, int64_t *begin,
                       int64_t *count) {
    for (int i = 0; i < dims; i++) {
        int64_t end = sizes[i], step = 1;
        begin[i] = 0;
        if (i && !take(at, "|"))
            return false;
        if (!take(at, "None,None,None")) {
            if (!take_number(at, &begin[i]) || !take(at, ",") || !take_number(at, &end) ||
                !take(at, ","))
                return false;
            if (!take(at, "None") && (!take_number(at, &step) || step != 1))
                return false;
        }
        if (begin[i] > end || end > sizes[i])
            return false;
        count[i] = end - begin[i];
    }
    return true;
}

bool tr_slices_parse(struct tr_slices *slices, const char *shape, const char *pairs,
                     const int64_t *local) {
    *slices = (struct tr_slices){0};
    if (!parse_shape(slices, shape))
        return false;
    do {
        if (slices->count == PAIRS)
            return false;
        struct tr_slice_pair *pair = &slices->pairs[slices->count++];
        int64_t count[TR_MAX_DIMS];
        if (!parse_side(&pairs, slices->dims, local, pair->from, pair->count) ||
            !take(&pairs, "#") ||
            !parse_side(&pairs, slices->dims, slices->shape, pair->to, count) ||
            memcmp(count, pair->count, (size_t)slices->dims * sizeof *count))
            return false;
    } while (take(&pairs, ";"));
    return !*pairs;
}
