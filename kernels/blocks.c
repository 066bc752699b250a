// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

static enum kn_status grow(struct kn_blocks *blocks) {
    int capacity = blocks->capacity ? 2 * blocks->capacity : FIRST_CAPACITY;
    struct kn_block *list = realloc(blocks->list, (size_t)capacity * sizeof *list);
    if (!list)
        return KN_ENOMEM;
    blocks->list = list;
    blocks->capacity = capacity;
    return KN_OK;
}

enum kn_status kn_blocks_add(struct kn_blocks *blocks, struct kn_backend *self, void *memory,
                             size_t bytes) {
    if (blocks->count == blocks->capacity && grow(blocks) != KN_OK)
        return KN_ENOMEM;
    blocks->list[blocks->count++] = (struct kn_block){memory, bytes};
    self->memory_used += bytes;
    if (self->memory_used > self->memory_peak)
        self->memory_peak = self->memory_used;
    return KN_OK;
}

// Backwards: what was given last is freed first.
void kn_blocks_remove(struct kn_blocks *blocks, struct kn_backend *self, const void *memory) {
    for (int i = blocks->count - 1; i >= 0; i--)
        if (blocks->list[i].memory == memory) {
            self->memory_used -= blocks->list[i].bytes;
            blocks->list[i] = blocks->list[--blocks->count];
            return;
        }
}

void kn_blocks_free(struct kn_blocks *blocks) {
    free(blocks->list);
    *blocks = (struct kn_blocks){0};
}
