// SPDX-License-Identifier: Apache-2.0
#include "vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static uint64_t hash_of(const char *text, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); // FNV-1a
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

// The slot that holds the text, or the free one where it belongs. The table is never full.
static uint64_t slot_of(const struct tr_vocabulary *vocabulary, const char *text, size_t size) {
    uint64_t mask = vocabulary->slot_count - 1;
    for (uint64_t slot = hash_of(text, size) & mask;; slot = (slot + 1) & mask) {
        if (!vocabulary->slots[slot])
            return slot;
        const struct tr_vocabulary_entry *entry = &vocabulary->entries[vocabulary->slots[slot] - 1];
        if (entry->size == size && !memcmp(vocabulary->text.data + entry->offset, text, size))
            return slot;
    }
}

static enum tr_status widen(struct tr_vocabulary *vocabulary, struct tr_err *err) {
    uint64_t *slots, count = vocabulary->slot_count ? 2 * vocabulary->slot_count : 1024;
    TR_TRY(TR_NEW(&slots, count, "the vocabulary", err));
    free(vocabulary->slots);
    vocabulary->slots = slots;
    vocabulary->slot_count = count;
    for (uint64_t i = 0; i < vocabulary->count; i++) {
        const struct tr_vocabulary_entry *entry = &vocabulary->entries[i];
        slots[slot_of(vocabulary, vocabulary->text.data + entry->offset, entry->size)] = i + 1;
    }
    return TR_OK;
}

enum tr_status tr_vocabulary_add(struct tr_vocabulary *vocabulary, const char *text, size_t size,
                                 int32_t id, struct tr_err *err) {
    if (2 * (vocabulary->count + 1) > vocabulary->slot_count)
        TR_TRY(widen(vocabulary, err));
    uint64_t slot = slot_of(vocabulary, text, size);
    if (!vocabulary->slots[slot]) {
        TR_TRY(tr_grow((void **)&vocabulary->entries, &vocabulary->capacity, vocabulary->count + 1,
                       sizeof *vocabulary->entries, "the vocabulary", err));
        struct tr_vocabulary_entry entry = {vocabulary->text.size, size, id};
        TR_TRY(tr_string_append(&vocabulary->text, text, size, err));
        vocabulary->entries[vocabulary->count++] = entry;
        vocabulary->slots[slot] = vocabulary->count;
    }
    vocabulary->entries[vocabulary->slots[slot] - 1].id = id;
    if (id >= vocabulary->size)
        vocabulary->size = (int64_t)id + 1;
    return TR_OK;
}

int32_t tr_vocabulary_find(const struct tr_vocabulary *vocabulary, const char *text, size_t size) {
    if (!vocabulary->slot_count)
        return -1;
    uint64_t index = vocabulary->slots[slot_of(vocabulary, text, size)];
    return index ? vocabulary->entries[index - 1].id : -1;
}

void tr_vocabulary_free(struct tr_vocabulary *vocabulary) {
    tr_string_free(&vocabulary->text);
    free(vocabulary->entries);
    free(vocabulary->slots);
    *vocabulary = (struct tr_vocabulary){0};
}
