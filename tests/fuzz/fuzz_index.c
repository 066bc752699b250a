// SPDX-License-Identifier: Apache-2.0
// An index of shards. What is accepted must name plain files, each tensor once.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tr_index index;
    struct tr_err err;
    if (tr_index_parse(&index, (const char *)data, size, "index", &err) != TR_OK)
        return 0;
    for (int64_t i = 0; i < index.count; i++)
        if (strchr(index.entries[i].shard, '/') ||
            (i && strcmp(index.entries[i - 1].tensor, index.entries[i].tensor) >= 0))
            abort();
    for (int64_t i = 1; i < index.shard_count; i++)
        if (strcmp(index.shards[i - 1], index.shards[i]) >= 0)
            abort();
    tr_index_free(&index);
    return 0;
}
