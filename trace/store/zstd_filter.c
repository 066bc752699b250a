// SPDX-License-Identifier: Apache-2.0
// Compiled twice: into the store, which registers the class itself, and as libh5zstd.so, which HDF5
// finds on HDF5_PLUGIN_PATH. It calls nothing of libhdf5, so the plugin serves any HDF5 that loads
// it; buffers are malloc'ed, as HDF5 expects of filters.
#include "zstd_filter.h"

#include <H5PLextern.h>
#include <stdint.h>
#include <stdlib.h>
#include <zstd.h>

// A block of a frame takes at least 4 bytes and yields at most 128 KiB.
enum { MAX_EXPANSION = 32768 };

static size_t decompress(size_t size, size_t *capacity, void **buffer) {
    unsigned long long content = ZSTD_getFrameContentSize(*buffer, size);
    if (content == ZSTD_CONTENTSIZE_ERROR || content == ZSTD_CONTENTSIZE_UNKNOWN || content == 0 ||
        content > UINT32_MAX || content / MAX_EXPANSION > size)
        return 0;
    void *out = malloc((size_t)content);
    if (!out)
        return 0;
    size_t got = ZSTD_decompress(out, (size_t)content, *buffer, size);
    if (ZSTD_isError(got) || got != content) {
        free(out);
        return 0;
    }
    free(*buffer);
    *buffer = out;
    *capacity = got;
    return got;
}

static size_t compress(int level, size_t size, size_t *capacity, void **buffer) {
    size_t bound = ZSTD_compressBound(size);
    void *out = malloc(bound);
    if (!out)
        return 0;
    size_t got = ZSTD_compress(out, bound, *buffer, size, level);
    if (ZSTD_isError(got)) {
        free(out);
        return 0;
    }
    free(*buffer);
    *buffer = out;
    *capacity = bound;
    return got;
}

// The return value 0 is the failure that HDF5 understands.
static size_t filter(unsigned flags, size_t count, const unsigned values[], size_t size,
                     size_t *capacity, void **buffer) {
    if (flags & H5Z_FLAG_REVERSE)
        return decompress(size, capacity, buffer);
    int level = count && values[0] <= (unsigned)ZSTD_maxCLevel() ? (int)values[0] : TR_ZSTD_LEVEL;
    return compress(level, size, capacity, buffer);
}

const H5Z_class2_t tr_zstd_class = {
    .version = H5Z_CLASS_T_VERS,
    .id = TR_ZSTD_FILTER,
    .encoder_present = 1,
    .decoder_present = 1,
    .name = "Zstandard compression: http://www.zstd.net",
    .filter = filter,
};

H5PL_type_t H5PLget_plugin_type(void) {
    return H5PL_TYPE_FILTER;
}

const void *H5PLget_plugin_info(void) {
    return &tr_zstd_class;
}
