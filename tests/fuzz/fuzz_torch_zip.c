// SPDX-License-Identifier: Apache-2.0
// A whole file of torch.save. Entries of what is accepted lie within the file, apart, and are
// found.
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "torch/torch_zip.h"

static void check(const struct tr_zip *zip, uint64_t size) {
    for (int64_t i = 0; i < zip->count; i++) {
        const struct tr_zip_entry *entry = &zip->entries[i];
        if (entry->header >= entry->offset || entry->offset > size ||
            entry->size > size - entry->offset || tr_zip_find(zip, entry->name) != entry)
            abort();
        for (int64_t j = 0; j < i && j < 100; j++)
            if (zip->entries[j].header < entry->offset + entry->size &&
                entry->header < zip->entries[j].offset + zip->entries[j].size)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;
    struct tr_ends file;
    struct tr_zip zip;
    struct tr_err err;
    if (fd < 0)
        fd = memfd_create("zip", 0);
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    if (tr_ends_open(&file, fd, 0, size, "file", &err) != TR_OK ||
        tr_zip_open(&zip, &file, &err) != TR_OK)
        return 0;
    check(&zip, size);
    tr_zip_close(&zip);
    return 0;
}
