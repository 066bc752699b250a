// SPDX-License-Identifier: Apache-2.0
#include "prefix_set.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sort.h"

enum tr_status tr_prefix_add(struct tr_prefix_set *set, const char *text, size_t size,
                             int32_t value, const char *name, const char *what,
                             struct tr_err *err) {
    if (size > TR_PREFIX_MAX)
        return tr_fail(err, TR_EUNSUPPORTED, "%s: %s of %zu bytes is longer than the %d supported",
                       what, name, size, TR_PREFIX_MAX);
    TR_TRY(tr_grow((void **)&set->members, &set->capacity, set->count + 1, sizeof *set->members,
                   name, err));
    struct tr_prefix member = {set->text.size, size, value};
    TR_TRY(tr_string_append(&set->text, text, size, err));
    set->members[set->count++] = member;
    return TR_OK;
}

// Members with the same text keep the order of their values.
static int compare(const void *a, const void *b, void *text) {
    const struct tr_prefix *x = a, *y = b;
    const char *all = text;
    int order = memcmp(all + x->offset, all + y->offset, x->size < y->size ? x->size : y->size);
    if (!order)
        order = (x->size > y->size) - (x->size < y->size);
    return order ? order : (x->value > y->value) - (x->value < y->value);
}

static bool same_text(const struct tr_prefix_set *set, const struct tr_prefix *a,
                      const struct tr_prefix *b) {
    const char *text = set->text.data;
    return a->size == b->size && !memcmp(text + a->offset, text + b->offset, a->size);
}

const struct tr_prefix *tr_prefix_finish(struct tr_prefix_set *set) {
    const char *text = set->text.data;
    if (set->count)
        tr_sort(set->members, set->count, sizeof *set->members, compare, set->text.data);
    for (uint64_t i = 0; i < set->count; i++)
        set->first[(unsigned char)text[set->members[i].offset] + 1]++;
    for (int byte = 0; byte < 256; byte++)
        set->first[byte + 1] += set->first[byte];
    for (uint64_t i = 1; i < set->count; i++)
        if (same_text(set, &set->members[i - 1], &set->members[i]))
            return &set->members[i - 1];
    return NULL;
}

void tr_prefix_free(struct tr_prefix_set *set) {
    tr_string_free(&set->text);
    free(set->members);
    *set = (struct tr_prefix_set){0};
}

struct tr_prefix_walk tr_prefix_start(const struct tr_prefix_set *set, const char *text,
                                      size_t size) {
    struct tr_prefix_walk walk = {set, text, size, 1, 0, 0};
    if (size) {
        walk.low = set->first[(unsigned char)*text];
        walk.high = set->first[(unsigned char)*text + 1];
    }
    return walk;
}

// The first index in [low, high) whose byte at `depth` is at least `byte`. All are longer.
static uint64_t lower_bound(const struct tr_prefix_set *set, uint64_t low, uint64_t high,
                            size_t depth, int byte) {
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if ((unsigned char)set->text.data[set->members[middle].offset + depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct tr_prefix *tr_prefix_next(struct tr_prefix_walk *w) {
    while (w->low < w->high) {
        const struct tr_prefix *member = &w->set->members[w->low];
        if (member->size == w->depth) {
            w->low++;
            return member;
        }
        if (w->depth == w->size)
            break;
        int byte = (unsigned char)w->text[w->depth];
        w->low = lower_bound(w->set, w->low, w->high, w->depth, byte);
        w->high = lower_bound(w->set, w->low, w->high, w->depth, byte + 1);
        w->depth++;
    }
    return NULL;
}

const struct tr_prefix *tr_prefix_longest(const struct tr_prefix_set *set, const char *text,
                                          size_t size) {
    struct tr_prefix_walk walk = tr_prefix_start(set, text, size);
    const struct tr_prefix *longest = NULL, *next;
    while ((next = tr_prefix_next(&walk)))
        longest = next;
    return longest;
}
