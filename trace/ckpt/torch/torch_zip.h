// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TORCH_ZIP_H
#define TR_TORCH_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "archive_ends.h"

// The ZIP archive that torch.save writes: every entry stored as it is, sizes in the central
// directory only, ZIP64 where something needs it. Stricter than a general reader: the directory
// ends the file, entries neither repeat nor overlap, nothing is compressed or encrypted. Internal.

enum { TR_ZIP_DIRECTORY_LIMIT = 100000000 }; // bytes

struct tr_zip_entry {
    const char *name;
    uint64_t header; // of its local header, from the start of the file
    uint64_t offset; // of its data, from the start of the file
    uint64_t size;   // of its data, bytes
};

struct tr_zip {
    struct tr_zip_entry *entries; // [count], sorted by name (bytewise)
    int64_t count;
    char *directory; // [directory_size], the central directory as it is in the file
    size_t directory_size;
    char *names; // what the entries' names point into
};

// Reads the directory and every local header of an archive: a whole file, or one of several in it.
// The path opens each sentence, whose own offsets count from the archive's start. TR_EFORMAT for
// damage, TR_EUNSUPPORTED for what torch.save does not write.
enum tr_status tr_zip_open(struct tr_zip *zip, const struct tr_ends *file, struct tr_err *err);
void tr_zip_close(struct tr_zip *zip);

// The entry of that exact name, NULL when there is none. Borrowed.
const struct tr_zip_entry *tr_zip_find(const struct tr_zip *zip, const char *name);

#endif
