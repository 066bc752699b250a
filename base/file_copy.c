// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

enum { PIECE = 8 << 20 };

struct copying {
    const char *from_path, *to_path;
    int from, to;
    uint64_t size;
    const volatile int *stop;
};

static enum tr_status put(const struct copying *c, const char *bytes, size_t size,
                          struct tr_err *err) {
    while (size) {
        ssize_t done = write(c->to, bytes, size);
        if (done < 0 && errno != EINTR)
            return tr_fail(err, TR_EIO, "cannot write %s: %s", c->to_path, strerror(errno));
        bytes += done > 0 ? done : 0;
        size -= done > 0 ? (size_t)done : 0;
    }
    return TR_OK;
}

static enum tr_status copy_bytes(const struct copying *c, struct tr_err *err) {
    enum tr_status status = TR_OK;
    char *piece;
    TR_TRY(TR_NEW(&piece, PIECE, "a piece of a file", err));
    for (uint64_t at = 0; at < c->size && status == TR_OK; at += PIECE) {
        size_t size = c->size - at < PIECE ? (size_t)(c->size - at) : PIECE;
        status = tr_file_read_at(c->from, c->from_path, at, piece, size, err);
        if (status == TR_OK && c->stop && *c->stop)
            status = tr_fail(err, TR_EIO, "stopped by a signal while copying %s", c->from_path);
        if (status == TR_OK)
            status = put(c, piece, size, err);
    }
    free(piece);
    return status;
}

static enum tr_status fill(const struct copying *c, struct tr_err *err) {
    if (ioctl(c->to, FICLONE, c->from) != 0)
        TR_TRY(copy_bytes(c, err));
    if (fsync(c->to))
        return tr_fail(err, TR_EIO, "cannot sync %s: %s", c->to_path, strerror(errno));
    return TR_OK;
}

static enum tr_status copy_open(struct copying *c, struct tr_err *err) {
    c->to = open(c->to_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (c->to < 0)
        return tr_fail(err, TR_EIO, "cannot create %s: %s", c->to_path, strerror(errno));
    enum tr_status status = fill(c, err);
    if (close(c->to) && status == TR_OK)
        status = tr_fail(err, TR_EIO, "cannot write %s: %s", c->to_path, strerror(errno));
    if (status != TR_OK)
        unlink(c->to_path);
    return status;
}

enum tr_status tr_file_copy(const char *from, const char *to, const volatile int *stop,
                            struct tr_err *err) {
    struct copying copying = {.from_path = from, .to_path = to, .stop = stop};
    struct stat info;
    TR_TRY(tr_file_open(from, &copying.from, &info, err));
    copying.size = (uint64_t)info.st_size;
    enum tr_status status = copy_open(&copying, err);
    close(copying.from);
    return status;
}
