// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SAFETENSORS_FILE_H
#define TR_SAFETENSORS_FILE_H

#include "base/strings.h"
#include "ckpt/safetensors_writer.h"

// One file of a checkpoint that is being written. Internal.

struct tr_file_entry {
    const struct tr_tensor_source *source;
    uint64_t bytes; // of the tensor
    int rank;       // of its type, see tr_safetensors_rank
    int64_t shard;  // that it goes to
};

enum { TR_WRITE_BUFFER = 8 << 20 }; // bytes

// Writes `path` aside and renames it: the tensors of entries[0, count), which it sorts as the
// library does; through buffer[TR_WRITE_BUFFER].
enum tr_status tr_safetensors_write_file(const char *path, struct tr_file_entry *entries,
                                         int64_t count, char *buffer, struct tr_err *err);

// Appends the text as a JSON string, escaped as the library does.
enum tr_status tr_append_json_string(struct tr_string *to, const char *text, struct tr_err *err);

#endif
