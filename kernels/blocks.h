// SPDX-License-Identifier: Apache-2.0
#ifndef KN_BLOCKS_H
#define KN_BLOCKS_H

#include "backend.h"

// The blocks that a backend's alloc has given, with the bytes that were asked for: what lies
// between these and what a heap or a driver sets aside is never touched. Private to this folder;
// all zero at first.
struct kn_block {
    void *memory;
    size_t bytes;
};
struct kn_blocks {
    struct kn_block *list; // [count], in no order
    int count, capacity;
};

// Counts a block in self's memory_used and memory_peak. KN_ENOMEM: it is not counted.
enum kn_status kn_blocks_add(struct kn_blocks *blocks, struct kn_backend *self, void *memory,
                             size_t bytes);

// Counts it no more; a block that was never added changes nothing.
void kn_blocks_remove(struct kn_blocks *blocks, struct kn_backend *self, const void *memory);

void kn_blocks_free(struct kn_blocks *blocks);

#endif
