// SPDX-License-Identifier: Apache-2.0
#include "archive_ends.h"

#include <string.h>

#include "base/file.h"

static enum tr_status read_file(const struct tr_ends *ends, uint64_t offset, void *bytes,
                                size_t size, struct tr_err *err) {
    return tr_file_read_at(ends->fd, ends->path, ends->start + offset, bytes, size, err);
}

enum tr_status tr_ends_open(struct tr_ends *ends, int fd, uint64_t start, uint64_t size,
                            const char *path, struct tr_err *err) {
    ends->fd = fd;
    ends->path = path;
    ends->start = start;
    ends->size = size;
    ends->kept = size < TR_ENDS_BYTES ? (size_t)size : TR_ENDS_BYTES;
    TR_TRY(read_file(ends, 0, ends->head, ends->kept, err));
    return read_file(ends, size - ends->kept, ends->tail, ends->kept, err);
}

enum tr_status tr_ends_read(const struct tr_ends *ends, uint64_t offset, void *bytes, size_t size,
                            struct tr_err *err) {
    uint64_t tail = ends->size - ends->kept;
    bool in_head = offset <= ends->kept && size <= ends->kept - offset;
    bool in_tail = offset >= tail && offset <= ends->size && size <= ends->size - offset;
    if (!in_head && !in_tail)
        return read_file(ends, offset, bytes, size, err);
    memcpy(bytes, in_head ? ends->head + offset : ends->tail + (offset - tail), size);
    return TR_OK;
}
