// SPDX-License-Identifier: Apache-2.0
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/file.h"

enum { DIGEST = TR_DIGEST_MAX - 1, SIZE_DIGITS = 16 };
static const char mark[] = "\ntrace-ckpts seal 1\n";
enum { MARK = sizeof mark - 1, FOOTER = MARK + SIZE_DIGITS + DIGEST };

static uint64_t blocks_of(uint64_t size) {
    return size / TR_SEAL_BLOCK + (size % TR_SEAL_BLOCK != 0);
}

static uint64_t block_size(uint64_t size, uint64_t block) {
    uint64_t left = size - block * TR_SEAL_BLOCK;
    return left < TR_SEAL_BLOCK ? left : TR_SEAL_BLOCK;
}

static enum tr_status digest_block(int fd, const char *path, uint64_t size, uint64_t block,
                                   char digest[TR_DIGEST_MAX], struct tr_err *err) {
    static _Thread_local char bytes[TR_SEAL_BLOCK];
    size_t length = (size_t)block_size(size, block);
    TR_TRY(tr_file_read_at(fd, path, block * TR_SEAL_BLOCK, bytes, length, err));
    tr_digest_bytes(bytes, length, digest);
    return TR_OK;
}

// ---- sealing ---------------------------------------------------------------------------------

// Digests and footer of `size` bytes, without a 0 at the end.
static enum tr_status make(int fd, const char *path, uint64_t size, char *text,
                           struct tr_err *err) {
    char digest[TR_DIGEST_MAX], number[SIZE_DIGITS + 1], *to = text;
    for (uint64_t block = 0; block < blocks_of(size); block++, to += DIGEST) {
        TR_TRY(digest_block(fd, path, size, block, digest, err));
        memcpy(to, digest, DIGEST);
    }
    snprintf(number, sizeof number, "%016" PRIx64, size);
    memcpy(to, mark, MARK);
    memcpy(to + MARK, number, SIZE_DIGITS);
    to += MARK + SIZE_DIGITS;
    tr_digest_bytes(text, (size_t)(to - text), digest);
    memcpy(to, digest, DIGEST);
    return TR_OK;
}

static enum tr_status write_at(int fd, const char *path, uint64_t at, const char *bytes,
                               size_t size, struct tr_err *err) {
    while (size) {
        ssize_t put = pwrite(fd, bytes, size, (off_t)at);
        if (put < 0 && errno != EINTR)
            return tr_fail(err, TR_EIO, "cannot write %s: %s", path, strerror(errno));
        if (put > 0) {
            bytes += put;
            at += (uint64_t)put;
            size -= (size_t)put;
        }
    }
    return TR_OK;
}

static enum tr_status append(int fd, const char *path, struct tr_err *err) {
    struct stat about;
    char *text;
    if (fstat(fd, &about))
        return tr_fail(err, TR_EIO, "cannot examine %s: %s", path, strerror(errno));
    uint64_t size = (uint64_t)about.st_size, length = blocks_of(size) * DIGEST + FOOTER;
    TR_TRY(TR_NEW(&text, length, "a seal", err));
    enum tr_status status = make(fd, path, size, text, err);
    if (status == TR_OK)
        status = write_at(fd, path, size, text, (size_t)length, err);
    free(text);
    return status;
}

enum tr_status tr_seal_append(const char *path, struct tr_err *err) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return tr_fail(err, TR_EIO, "cannot open %s: %s", path, strerror(errno));
    enum tr_status status = append(fd, path, err);
    if (close(fd) && status == TR_OK)
        status = tr_fail(err, TR_EIO, "cannot write %s: %s", path, strerror(errno));
    return status;
}

// ---- reading ---------------------------------------------------------------------------------

static enum tr_status broken(const char *path, struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT,
                   "%s is damaged: the digests at its end are not what was written", path);
}

// A footer's size, which its digest has yet to confirm; false where its digits are none.
static bool parse_size(const char *footer, uint64_t *size_p) {
    char digits[SIZE_DIGITS + 1] = "", *end;
    memcpy(digits, footer + MARK, SIZE_DIGITS);
    *size_p = strtoull(digits, &end, 16);
    return strspn(digits, "0123456789abcdef") == SIZE_DIGITS;
}

// The text in front of `whole` bytes' end is a seal of the `size` bytes before it.
static enum tr_status load(struct tr_seal *seal, int fd, const char *path, uint64_t whole,
                           uint64_t size, struct tr_err *err) {
    uint64_t blocks = blocks_of(size), length = blocks * DIGEST + FOOTER;
    char digest[TR_DIGEST_MAX];
    if (size > whole || length != whole - size)
        return broken(path, err);
    TR_TRY(TR_NEW(&seal->digests, length, "a seal", err));
    TR_TRY(TR_NEW(&seal->known, blocks, "a seal", err));
    TR_TRY(tr_file_read_at(fd, path, size, seal->digests, (size_t)length, err));
    tr_digest_bytes(seal->digests, (size_t)length - DIGEST, digest);
    if (memcmp(digest, seal->digests + length - DIGEST, DIGEST))
        return broken(path, err);
    seal->size = size;
    return TR_OK;
}

enum tr_status tr_seal_load(struct tr_seal *seal, int fd, const char *path, uint64_t size,
                            struct tr_err *err) {
    char footer[FOOTER];
    *seal = (struct tr_seal){.size = size};
    if (size < FOOTER)
        return TR_OK;
    TR_TRY(tr_file_read_at(fd, path, size - FOOTER, footer, FOOTER, err));
    if (memcmp(footer, mark, MARK))
        return TR_OK;
    struct tr_seal found = {0};
    uint64_t sealed;
    enum tr_status status =
        parse_size(footer, &sealed) ? load(&found, fd, path, size, sealed, err) : broken(path, err);
    if (status == TR_OK)
        *seal = found;
    else
        tr_seal_free(&found);
    return status;
}

void tr_seal_free(struct tr_seal *seal) {
    free(seal->digests);
    free(seal->known);
    *seal = (struct tr_seal){0};
}

static enum tr_status check_block(struct tr_seal *seal, int fd, const char *path, uint64_t block,
                                  struct tr_err *err) {
    char digest[TR_DIGEST_MAX];
    TR_TRY(digest_block(fd, path, seal->size, block, digest, err));
    if (memcmp(digest, seal->digests + block * DIGEST, DIGEST))
        return tr_fail(err, TR_EFORMAT, "bytes %" PRIu64 " to %" PRIu64 " are not what was written",
                       block * TR_SEAL_BLOCK,
                       block * TR_SEAL_BLOCK + block_size(seal->size, block));
    seal->known[block] = 1;
    return TR_OK;
}

enum tr_status tr_seal_check(struct tr_seal *seal, int fd, const char *path, uint64_t at,
                             uint64_t size, struct tr_err *err) {
    uint64_t last = at < seal->size && size < seal->size - at ? at + size : seal->size;
    if (!seal->digests)
        return TR_OK;
    for (uint64_t block = at / TR_SEAL_BLOCK; block < blocks_of(last); block++)
        if (!seal->known[block])
            TR_TRY(check_block(seal, fd, path, block, err));
    return TR_OK;
}
