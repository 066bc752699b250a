// SPDX-License-Identifier: Apache-2.0
// An index of shards. What is accepted must name files within the folder, each tensor once.
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "index.h"

// Whether a path leads out of the folder, or could be shorter.
static bool leads_out(const char *path) {
    for (;; path++) {
        size_t size = strcspn(path, "/");
        if (!size || (size == 1 && *path == '.') || (size == 2 && !memcmp(path, "..", 2)))
            return true;
        path += size;
        if (!*path)
            return false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tr_index index;
    struct tr_err err;
    if (tr_index_parse(&index, (const char *)data, size, "index", &err) != TR_OK)
        return 0;
    for (int64_t i = 0; i < index.count; i++)
        if (leads_out(index.entries[i].shard) ||
            (i && strcmp(index.entries[i - 1].tensor, index.entries[i].tensor) >= 0))
            abort();
    for (int64_t i = 1; i < index.shard_count; i++)
        if (strcmp(index.shards[i - 1], index.shards[i]) >= 0)
            abort();
    tr_index_unwrap(&index);
    for (int64_t i = 0; i < index.count; i++)
        if (!tr_index_find(&index, index.entries[i].tensor) ||
            (i && strcmp(index.entries[i - 1].tensor, index.entries[i].tensor) > 0))
            abort();
    tr_index_free(&index);
    return 0;
}
