// SPDX-License-Identifier: Apache-2.0
#include "unpack.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/strings.h"

enum { BLOCK = 1 << 20 };

static const struct {
    const char *magic;
    size_t size;
    const char *advice; // of what is not read
} packings[TR_PACKINGS] = {[TR_GZIP] = {"\x1f\x8b", 2, NULL},
                           [TR_ZSTD] = {"\x28\xb5\x2f\xfd", 4, NULL},
                           [TR_XZ] = {"\xfd"
                                      "7zXZ",
                                      5, "xz -dc"},
                           [TR_BZIP2] = {"BZh", 3, "bzip2 -dc"}};

enum tr_packing tr_packing_of(const void *bytes, size_t size) {
    for (int packing = TR_GZIP; packing < TR_PACKINGS; packing++)
        if (size >= packings[packing].size &&
            memcmp(bytes, packings[packing].magic, packings[packing].size) == 0)
            return (enum tr_packing)packing;
    return TR_UNPACKED;
}

// What is being unpacked.
struct unpacking {
    struct tr_string out;
    const unsigned char *in;
    size_t size, at;
    uint64_t limit;
    const char *path;
    unsigned char *block; // [BLOCK]
};

static enum tr_status take(struct unpacking *u, size_t count, struct tr_err *err) {
    if (u->out.size + count > u->limit)
        return tr_fail(err, TR_EUSAGE, "%s unpacks to more than %llu bytes; give a part of it",
                       u->path, (unsigned long long)u->limit);
    return tr_string_append(&u->out, u->block, count, err);
}

static enum tr_status damaged(const struct unpacking *u, const char *how, struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT, "%s cannot be unpacked: %s", u->path, how);
}

// One gzip member, from u->at on.
static enum tr_status inflate_member(struct unpacking *u, z_stream *z, struct tr_err *err) {
    for (int said = Z_OK; said != Z_STREAM_END;) {
        size_t left = u->size - u->at;
        z->next_in = (unsigned char *)u->in + u->at;
        z->avail_in = (uInt)(left < BLOCK ? left : BLOCK);
        z->next_out = u->block;
        z->avail_out = BLOCK;
        said = inflate(z, Z_NO_FLUSH);
        u->at = (size_t)(z->next_in - u->in);
        if (said != Z_OK && said != Z_STREAM_END && said != Z_BUF_ERROR)
            return damaged(u, z->msg ? z->msg : "gzip", err);
        if (said != Z_STREAM_END && z->avail_out == BLOCK && u->at == u->size)
            return damaged(u, "its gzip stream is cut off", err);
        TR_TRY(take(u, BLOCK - z->avail_out, err));
    }
    return TR_OK;
}

static enum tr_status unpack_gzip(struct unpacking *u, struct tr_err *err) {
    enum { GZIP = 16 }; // added to the window's bits
    z_stream z = {0};
    if (inflateInit2(&z, MAX_WBITS + GZIP) != Z_OK)
        return tr_fail(err, TR_ENOMEM, "out of memory to unpack %s", u->path);
    enum tr_status status = inflate_member(u, &z, err);
    while (status == TR_OK && tr_packing_of(u->in + u->at, u->size - u->at) == TR_GZIP) {
        inflateReset(&z);
        status = inflate_member(u, &z, err);
    }
    inflateEnd(&z);
    if (status == TR_OK && u->at < u->size)
        return damaged(u, "something else stands behind its gzip stream", err);
    return status;
}

static enum tr_status unpack_frames(struct unpacking *u, ZSTD_DStream *z, struct tr_err *err) {
    ZSTD_inBuffer in = {u->in, u->size, 0};
    size_t left = 1;
    while (in.pos < in.size || left != 0) {
        ZSTD_outBuffer out = {u->block, BLOCK, 0};
        size_t before = in.pos;
        left = ZSTD_decompressStream(z, &out, &in);
        if (ZSTD_isError(left))
            return damaged(u, ZSTD_getErrorName(left), err);
        if (left != 0 && out.pos == 0 && in.pos == before)
            return damaged(u, "its zstd frame is cut off", err);
        TR_TRY(take(u, out.pos, err));
    }
    return TR_OK;
}

static enum tr_status unpack_zstd(struct unpacking *u, struct tr_err *err) {
    ZSTD_DStream *z = ZSTD_createDStream();
    if (!z)
        return tr_fail(err, TR_ENOMEM, "out of memory to unpack %s", u->path);
    enum tr_status status = unpack_frames(u, z, err);
    ZSTD_freeDStream(z);
    return status;
}

enum tr_status tr_unpack(char **bytes_p, size_t *size_p, const void *packed, size_t size,
                         uint64_t limit, const char *path, struct tr_err *err) {
    enum tr_packing packing = tr_packing_of(packed, size);
    struct unpacking u = {.in = packed, .size = size, .limit = limit, .path = path};
    if (packings[packing].advice)
        return tr_fail(err, TR_EUSAGE, "%s is compressed; unpack it first: %s %s | ... --text -",
                       path, packings[packing].advice, path);
    TR_TRY(TR_NEW(&u.block, BLOCK, "unpacking", err));
    enum tr_status status = packing == TR_GZIP ? unpack_gzip(&u, err) : unpack_zstd(&u, err);
    if (status == TR_OK)
        status = tr_string_append(&u.out, "", 0, err);
    free(u.block);
    if (status != TR_OK) {
        tr_string_free(&u.out);
        return status;
    }
    *bytes_p = u.out.data;
    *size_p = u.out.size;
    return TR_OK;
}
