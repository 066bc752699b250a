// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TORCH_LEGACY_H
#define TR_TORCH_LEGACY_H

#include <stdint.h>

#include "torch_pickle.h"

// What torch.save wrote before 1.6, and writes on demand: a stream of pickles (a magic number, a
// version, the machine it was written on, the value, the keys of its storages) and behind them, in
// the order of the keys, each storage as a count of elements and their bytes. Internal.

struct tr_legacy_storage {
    const struct tr_value *value; // its key, type and number of elements
    uint64_t offset;              // of its first element, from the start of the file
};

struct tr_legacy {
    char *bytes; // what texts of the values point into
    size_t size; // of the pickles, from the start of the file
    const struct tr_value *root;
    struct tr_legacy_storage *storages; // [count], sorted by key
    int64_t count;
    struct tr_pickle value, keys;
};

// Whether a file that begins with bytes[0, size) is one.
bool tr_is_legacy(const void *bytes, size_t size);

// Reads the pickles of the open file of `size` bytes and finds every storage; `path` opens each
// sentence. The storages must fill the file to its end: it has no other mark of being whole.
enum tr_status tr_legacy_open(struct tr_legacy *legacy, int fd, uint64_t size, const char *path,
                              struct tr_err *err);
void tr_legacy_close(struct tr_legacy *legacy);

// The storage of that key, NULL when there is none. Borrowed.
const struct tr_legacy_storage *tr_legacy_find(const struct tr_legacy *legacy, struct tr_slice key);

#endif
