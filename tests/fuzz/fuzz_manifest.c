// SPDX-License-Identifier: Apache-2.0
// A manifest's CSV. Every accepted row has a path, and its texts end within the manifest's copy.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "series/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tr_manifest manifest;
    struct tr_err err;
    if (tr_manifest_parse(&manifest, (const char *)data, size, "manifest", &err) != TR_OK)
        return 0;
    for (int64_t i = 0; i < manifest.count; i++) {
        const struct tr_manifest_row *row = &manifest.rows[i];
        if (!*row->path || strlen(row->path) > size || strchr(row->name, '/') ||
            strlen(row->stage) > 63 || row->step < -1 || row->tokens < 0)
            abort();
    }
    tr_manifest_free(&manifest);
    return 0;
}
