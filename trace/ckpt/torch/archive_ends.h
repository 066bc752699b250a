// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ARCHIVE_ENDS_H
#define TR_ARCHIVE_ENDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// An archive that is a part of a file, with its beginning and end in memory: there torch.save has
// everything but the values of a tensor, in a dozen small parts. A checkpoint of thousands of
// archives is opened with two reads for each. Internal.

enum { TR_ENDS_BYTES = 2048 };

struct tr_ends {
    int fd;           // borrowed
    const char *path; // borrowed
    uint64_t start;   // of the archive in the file
    uint64_t size;    // of the archive, bytes
    size_t kept;      // bytes of each end
    char head[TR_ENDS_BYTES], tail[TR_ENDS_BYTES];
};

// Bytes [start, start + size) of an open file, which must be there; TR_EIO when they are not.
enum tr_status tr_ends_open(struct tr_ends *ends, int fd, uint64_t start, uint64_t size,
                            const char *path, struct tr_err *err);

// Bytes [offset, offset + size) of the archive: from memory, or read.
enum tr_status tr_ends_read(const struct tr_ends *ends, uint64_t offset, void *bytes, size_t size,
                            struct tr_err *err);

#endif
