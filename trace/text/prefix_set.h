// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PREFIX_SET_H
#define TR_PREFIX_SET_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

// A set of texts, and which of them another text starts with. They are sorted, and a walk narrows
// them byte by byte, so it costs O(longest x log count) and, the longest being limited, a constant
// for each place of a text.

enum { TR_PREFIX_MAX = 1024 }; // bytes of a member

struct tr_prefix {
    size_t offset, size; // of the text
    int32_t value;
};

struct tr_prefix_set {
    struct tr_string text;
    struct tr_prefix *members; // [count] sorted by bytes once finished, so a prefix comes first
    uint64_t count, capacity;
    uint64_t first[257]; // members that begin with byte b: [first[b], first[b + 1])
};

// Adds a text of 1 to TR_PREFIX_MAX bytes; `name` (a kind of text) and `what` (a file) are for the
// sentence of TR_EUNSUPPORTED when it is longer.
enum tr_status tr_prefix_add(struct tr_prefix_set *set, const char *text, size_t size,
                             int32_t value, const char *name, const char *what, struct tr_err *err);

// Sorts the set, once, before any walk. Returns a member whose text the next one repeats, or NULL.
const struct tr_prefix *tr_prefix_finish(struct tr_prefix_set *set);
void tr_prefix_free(struct tr_prefix_set *set);

// A walk over the members that text[0, size) starts with, shortest first.
struct tr_prefix_walk {
    const struct tr_prefix_set *set;
    const char *text;
    size_t size, depth;
    uint64_t low, high; // members that agree with the first `depth` bytes
};

struct tr_prefix_walk tr_prefix_start(const struct tr_prefix_set *set, const char *text,
                                      size_t size);

// The next one, NULL after the last.
const struct tr_prefix *tr_prefix_next(struct tr_prefix_walk *walk);

// The longest, NULL when there is none.
const struct tr_prefix *tr_prefix_longest(const struct tr_prefix_set *set, const char *text,
                                          size_t size);

#endif
