// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NPY_H
#define TR_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// How token ids lie in a file.

struct tr_token_type {
    const char *descr; // NumPy's name of it
    int size;          // bytes
    bool is_signed;
};

struct tr_token_layout {
    const struct tr_token_type *type;
    uint64_t offset;       // of the first id
    int64_t rows, columns; // rows 0: one stream, columns ids long
};

// The type of that name, NULL when we read no such ids.
const struct tr_token_type *tr_token_type_find(const char *descr);

// The ids of a layout.
int64_t tr_token_count(const struct tr_token_layout *layout);

// The header of a .npy file, from its first `size` bytes; the file has `file_size`. Anything but
// [n] or [n, columns] in C order of a known type, filling the file exactly, is TR_EFORMAT or
// TR_EUNSUPPORTED by name.
enum { TR_NPY_HEADER_MAX = 65536 + 12 };
bool tr_is_npy(const char *bytes, size_t size);
enum tr_status tr_npy_parse(struct tr_token_layout *layout, const char *bytes, size_t size,
                            uint64_t file_size, const char *what, struct tr_err *err);

#endif
