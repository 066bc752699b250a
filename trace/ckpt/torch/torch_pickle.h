// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TORCH_PICKLE_H
#define TR_TORCH_PICKLE_H

#include <stddef.h>
#include <stdint.h>

#include "torch_global.h"

// The pickle in a file of torch.save, of protocols 1 to 5, read as data: a pickle is a program for
// a stack machine, and this machine knows only the opcodes that build plain values and the few
// constructors of torch_global.h. It imports nothing and calls nothing: whatever else a pickle asks
// for becomes an object that nobody runs, of which the name, the arguments and the state are kept.
// Internal.

enum {
    TR_PICKLE_LIMIT = 64 << 20,         // bytes of a pickle; a few KB for each layer of a model
    TR_PICKLE_VALUES_LIMIT = 256 << 20, // bytes that its values may take
    TR_PICKLE_NESTING_LIMIT = 64,       // of open marks
};

struct tr_pickle {
    const struct tr_value *root;
    struct tr_pickle_block *blocks;   // what the values lie in
    const struct tr_value **storages; // [storage_count], all there are, in order
    uint64_t storage_count;
};

// Reads bytes[0, size), at most TR_PICKLE_LIMIT of them, into *pickle, whose texts point into
// `bytes`; `what` opens each sentence. Lists and dicts may contain themselves: nothing may descend
// into a value without a bound.
enum tr_status tr_pickle_read(struct tr_pickle *pickle, const void *bytes, size_t size,
                              const char *what, struct tr_err *err);

// The same with `memory` bytes for the values, in place of TR_PICKLE_VALUES_LIMIT.
enum tr_status tr_pickle_read_within(struct tr_pickle *pickle, const void *bytes, size_t size,
                                     size_t memory, const char *what, struct tr_err *err);

// The same of the pickle that bytes[0, size) begin with; *used_p bytes are its own. Where it fails
// because the bytes end too early, *cut_p is set.
enum tr_status tr_pickle_read_first(struct tr_pickle *pickle, const void *bytes, size_t size,
                                    size_t *used_p, bool *cut_p, const char *what,
                                    struct tr_err *err);
void tr_pickle_free(struct tr_pickle *pickle);

#endif
