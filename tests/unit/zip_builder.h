// SPDX-License-Identifier: Apache-2.0
#ifndef TEST_ZIP_BUILDER_H
#define TEST_ZIP_BUILDER_H

// A ZIP archive as torch.save lays it out, whose fields a test then falsifies. To be included after
// cmocka.h.

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ZIP_ENTRIES = 8, ZIP_BYTES = 1 << 16 };

struct zip_builder {
    unsigned char bytes[ZIP_BYTES];
    size_t size;
    struct {
        char name[320];
        size_t size, local, central; // bytes of data; where its headers are
    } entries[ZIP_ENTRIES];
    int count;
    size_t directory, end64, locator, end; // where they are
};

static inline void zip_put(struct zip_builder *zip, size_t at, int width, uint64_t value) {
    for (int i = 0; i < width; i++)
        zip->bytes[at + (size_t)i] = (unsigned char)(value >> 8 * i);
}

static inline size_t zip_append(struct zip_builder *zip, const void *bytes, size_t size) {
    size_t at = zip->size;
    assert_true(size <= ZIP_BYTES - at);
    if (bytes)
        memcpy(zip->bytes + at, bytes, size);
    else
        memset(zip->bytes + at, 0, size);
    zip->size += size;
    return at;
}

static inline void zip_add(struct zip_builder *zip, const char *name, const void *data,
                           size_t size) {
    int i = zip->count++;
    assert_true(i < ZIP_ENTRIES && strlen(name) < sizeof zip->entries[0].name);
    strcpy(zip->entries[i].name, name);
    zip->entries[i].size = size;
    size_t at = zip->entries[i].local = zip_append(zip, NULL, 30);
    zip_put(zip, at, 4, 0x04034b50);
    zip_put(zip, at + 6, 2, 0x0808); // UTF-8 names, sizes in the directory only
    zip_put(zip, at + 26, 2, strlen(name));
    zip_append(zip, name, strlen(name));
    zip_append(zip, data, size);
}

static inline void zip_add_central(struct zip_builder *zip, int i) {
    size_t at = zip->entries[i].central = zip_append(zip, NULL, 46);
    zip_put(zip, at, 4, 0x02014b50);
    zip_put(zip, at + 8, 2, 0x0808);
    zip_put(zip, at + 20, 4, zip->entries[i].size);
    zip_put(zip, at + 24, 4, zip->entries[i].size);
    zip_put(zip, at + 28, 2, strlen(zip->entries[i].name));
    zip_put(zip, at + 42, 4, zip->entries[i].local);
    zip_append(zip, zip->entries[i].name, strlen(zip->entries[i].name));
}

// The record of the directory, before it the ZIP64 one, as torch.save always writes both.
static inline void zip_finish(struct zip_builder *zip) {
    zip->directory = zip->size;
    for (int i = 0; i < zip->count; i++)
        zip_add_central(zip, i);
    size_t size = zip->size - zip->directory;
    size_t at = zip->end64 = zip_append(zip, NULL, 56);
    zip_put(zip, at, 4, 0x06064b50);
    zip_put(zip, at + 4, 8, 44);
    zip_put(zip, at + 24, 8, (uint64_t)zip->count);
    zip_put(zip, at + 32, 8, (uint64_t)zip->count);
    zip_put(zip, at + 40, 8, size);
    zip_put(zip, at + 48, 8, zip->directory);
    at = zip->locator = zip_append(zip, NULL, 20);
    zip_put(zip, at, 4, 0x07064b50);
    zip_put(zip, at + 8, 8, zip->end64);
    zip_put(zip, at + 16, 4, 1);
    at = zip->end = zip_append(zip, NULL, 22);
    zip_put(zip, at, 4, 0x06054b50);
    zip_put(zip, at + 8, 2, (uint64_t)zip->count);
    zip_put(zip, at + 10, 2, (uint64_t)zip->count);
    zip_put(zip, at + 12, 4, size);
    zip_put(zip, at + 16, 4, zip->directory);
}

#endif
