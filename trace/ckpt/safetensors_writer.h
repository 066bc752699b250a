// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SAFETENSORS_WRITER_H
#define TR_SAFETENSORS_WRITER_H

#include "ckpt/checkpoint.h"

// Writes checkpoints as safetensors, byte for byte as the public library lays them out, in memory
// that does not depend on their size.

// A tensor to be written, and where its bytes come from.
struct tr_tensor_source {
    const char *name;       // UTF-8
    const char *dtype_text; // as safetensors spells it
    int dims;
    int64_t shape[TR_MAX_DIMS];
    // Gives bytes [begin, begin + size) of its row-major form. Called in order, with some MiB at a
    // time, and not for a tensor without elements.
    enum tr_status (*read)(void *user, uint64_t begin, void *bytes, size_t size,
                           struct tr_err *err);
    void *user;
    // Where `read` is NULL, the bytes of this tensor.
    struct tr_checkpoint *checkpoint;
    const struct tr_tensor *tensor;
};

// The source that copies a tensor of an open checkpoint under its own name. Borrows both.
struct tr_tensor_source tr_tensor_source_of(struct tr_checkpoint *checkpoint,
                                            const struct tr_tensor *tensor);

// Writes the tensors into `folder`, which must exist and hold no checkpoint of this format yet
// (TR_ECONFLICT): model.safetensors or, when they take more than `shard_bytes`, shards of at most
// that, in the order of the list (a larger tensor alone makes one), and their index. Every file is
// written aside, synced and renamed, the index last: until all is well there is nothing that reads
// as a checkpoint. TR_EUSAGE for tensors that the format cannot hold: two of one name, an unknown
// type, a shape that does not fill whole bytes.
enum tr_status tr_safetensors_write(const char *folder, const struct tr_tensor_source *tensors,
                                    int64_t count, uint64_t shard_bytes, struct tr_err *err);

// A file of a checkpoint whose files are given: it takes the next `count` tensors of the list.
struct tr_file_plan {
    int64_t count;
    bool there; // somebody else puts it into the folder, under the name below: only the index names
                // it
};

// The same with the tensors in files[0, file_count), at least one.
enum tr_status tr_safetensors_write_files(const char *folder,
                                          const struct tr_tensor_source *tensors,
                                          const struct tr_file_plan *files, int64_t file_count,
                                          struct tr_err *err);

// What file `file` of so many is called: "model.safetensors" of one.
enum { TR_SHARD_NAME_MAX = 64 };
void tr_safetensors_name(int64_t file, int64_t file_count, char out[TR_SHARD_NAME_MAX]);

#endif
