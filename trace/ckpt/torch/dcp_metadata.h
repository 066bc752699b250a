// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DCP_METADATA_H
#define TR_DCP_METADATA_H

#include "torch_pickle.h"

// The file .metadata of a checkpoint of torch.distributed.checkpoint: which tensors there are, in
// which chunks they were cut, and where in which file each chunk lies. (Source:
// torch/distributed/checkpoint/metadata.py and filesystem.py.) Internal.

enum { TR_DCP_LIMIT = 512 << 20 }; // bytes of the file

// Bytes [offset, offset + length) of a file.
struct tr_dcp_place {
    struct tr_slice path; // relative, as the file has it
    uint64_t offset, length;
};

struct tr_dcp_chunk {
    int64_t begin[TR_MAX_DIMS], shape[TR_MAX_DIMS];
    struct tr_dcp_place place;
};

struct tr_dcp_tensor {
    struct tr_slice name;
    int dims;
    int64_t shape[TR_MAX_DIMS];
    struct tr_dcp_chunk *chunks; // [count]
    int64_t count;
};

// An item of the storage's list, by name and place of the chunk.
struct tr_dcp_item {
    struct tr_slice name;
    const struct tr_value *begin; // a tuple of numbers, or NULL for all zero
    struct tr_dcp_place place;
};

struct tr_dcp {
    struct tr_pickle pickle;
    struct tr_dcp_tensor *tensors; // [tensor_count], in the file's order
    int64_t tensor_count;
    struct tr_dcp_item *items; // [item_count], sorted
    int64_t item_count;
    const char *what; // borrowed
};

// Reads bytes[0, size), which names point into. Tensors for which keep(name) is false are left out,
// and nothing is asked of their chunks. Numbers are hostile still: a chunk may leave its tensor or
// its file. `what` opens each sentence.
enum tr_status tr_dcp_parse(struct tr_dcp *dcp, const void *bytes, size_t size,
                            bool (*keep)(struct tr_slice name), const char *what,
                            struct tr_err *err);
void tr_dcp_free(struct tr_dcp *dcp);

// Where the item of that name lies that is no tensor; NULL when there is none. Borrowed.
const struct tr_dcp_place *tr_dcp_find(const struct tr_dcp *dcp, const char *name);

#endif
