// SPDX-License-Identifier: Apache-2.0
// A whole file of torch.save before 1.6. Storages of what is accepted lie within the file, apart,
// and are found.
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "torch/torch_legacy.h"

static uint64_t end_of(const struct tr_legacy_storage *storage) {
    const struct tr_value *value = storage->value;
    return storage->offset + (uint64_t)value->storage.count * value->storage.type->size;
}

static void check(const struct tr_legacy *legacy, uint64_t size) {
    for (int64_t i = 0; i < legacy->count; i++) {
        const struct tr_legacy_storage *storage = &legacy->storages[i];
        if (tr_legacy_find(legacy, storage->value->storage.key) != storage)
            abort();
        if (!storage->offset)
            continue; // no record of it: refused when a tensor is of it
        if (storage->offset < legacy->size || end_of(storage) > size)
            abort();
        for (int64_t j = 0; j < i && j < 100; j++)
            if (legacy->storages[j].offset && legacy->storages[j].offset < end_of(storage) &&
                storage->offset < end_of(&legacy->storages[j]))
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;
    struct tr_legacy legacy;
    struct tr_err err;
    if (fd < 0)
        fd = memfd_create("stream", 0);
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    if (!tr_is_legacy(data, size) || tr_legacy_open(&legacy, fd, size, "file", &err) != TR_OK)
        return 0;
    check(&legacy, size);
    tr_legacy_close(&legacy);
    return 0;
}
