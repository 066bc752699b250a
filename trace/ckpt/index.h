// SPDX-License-Identifier: Apache-2.0
#ifndef TR_INDEX_H
#define TR_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// The index of a sharded checkpoint: which file holds which tensor. Internal.

struct tr_index_entry {
    const char *tensor;
    const char *shard; // a path below the folder, without "." and ".."
};

struct tr_index {
    struct tr_index_entry *entries; // [count], sorted by tensor
    int64_t count;                  // at least 1
    const char **shards;            // [shard_count], sorted, each once
    int64_t shard_count;
    char *text; // what the names point into
};

// Parses bytes[0, size), {"metadata": ..., "weight_map": {tensor: shard}}; `what` opens each
// sentence. Refused: a tensor placed twice, a shard outside the folder, an empty map.
enum tr_status tr_index_parse(struct tr_index *index, const char *bytes, size_t size,
                              const char *what, struct tr_err *err);
void tr_index_free(struct tr_index *index);

// Takes wrappers' words out of the tensors' names, as out of the files'.
void tr_index_unwrap(struct tr_index *index);

// An entry of the tensor, NULL when there is none.
const struct tr_index_entry *tr_index_find(const struct tr_index *index, const char *tensor);

#endif
