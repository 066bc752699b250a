// SPDX-License-Identifier: Apache-2.0
#ifndef TR_VOCABULARY_H
#define TR_VOCABULARY_H

#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

// Token text to id, and back to nothing: an open-addressing table over one string of all texts.

struct tr_vocabulary_entry {
    size_t offset, size; // of the text
    int32_t id;
};

struct tr_vocabulary {
    struct tr_string text;
    struct tr_vocabulary_entry *entries; // [count]
    uint64_t count, capacity;
    uint64_t *slots; // [slot_count] 1 + index of an entry, 0 = free; a power of two
    uint64_t slot_count;
    int64_t size; // one more than the highest id
};

// Adds a text or, when it is known, gives it the new id.
enum tr_status tr_vocabulary_add(struct tr_vocabulary *vocabulary, const char *text, size_t size,
                                 int32_t id, struct tr_err *err);

// The id, or -1.
int32_t tr_vocabulary_find(const struct tr_vocabulary *vocabulary, const char *text, size_t size);

void tr_vocabulary_free(struct tr_vocabulary *vocabulary);

#endif
