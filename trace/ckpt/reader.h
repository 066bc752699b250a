// SPDX-License-Identifier: Apache-2.0
#ifndef TR_READER_H
#define TR_READER_H

#include <sys/stat.h>

#include "base/strings.h"
#include "ckpt/checkpoint.h"

// What a reader of one file format fills in. Internal; a new format is a row in checkpoint.c's
// table and a file with its reader.

struct tr_weight_file {
    char *name; // within the folder
    char *path;
    int fd;
    struct stat info; // when it was opened
    uint64_t size;
    char *names; // what its tensors' names point into
};

struct tr_checkpoint {
    char *folder;
    struct tr_weight_file *files; // [file_count]
    int file_count;
    uint64_t file_capacity;
    struct tr_tensor *tensors; // [tensor_count], sorted by name once opened
    int64_t tensor_count;
    uint64_t tensor_capacity;
    char *config;
    size_t config_size;
    char config_digest[TR_DIGEST_MAX];
    struct tr_string stamps; // a line per file, of which the identity is the digest
};

// Opens the weights of checkpoint->folder, `name` being the file by which the format was
// recognised; adds files, tensors and stamps. What was added is released by the caller.
typedef enum tr_status tr_reader(struct tr_checkpoint *checkpoint, const char *name,
                                 struct tr_err *err);
tr_reader tr_read_safetensors;
tr_reader tr_read_safetensors_index;
tr_reader tr_read_torch;
tr_reader tr_read_torch_index;

// The reader of the index `name`: calls `add` for each shard it names, which adds the file's
// tensors, then makes sure that every tensor is where the index says.
enum tr_status tr_read_shards(struct tr_checkpoint *checkpoint, const char *name, tr_reader *add,
                              struct tr_err *err);

// Adds the regular file `name`, opened for reading; *file_p is valid until the next call.
enum tr_status tr_checkpoint_add_file(struct tr_checkpoint *checkpoint, const char *name,
                                      struct tr_weight_file **file_p, struct tr_err *err);

// Adds tensors[0, count) of the file added last.
enum tr_status tr_checkpoint_add_tensors(struct tr_checkpoint *checkpoint,
                                         const struct tr_tensor *tensors, int64_t count,
                                         struct tr_err *err);

// Sorts the tensors; TR_EFORMAT when two have one name. To be called once, after all were added.
enum tr_status tr_checkpoint_sort(struct tr_checkpoint *checkpoint, struct tr_err *err);

// Adds a file to the identity: name, size, modification time and the bytes that describe it.
enum tr_status tr_checkpoint_stamp(struct tr_checkpoint *checkpoint, const char *name,
                                   const struct stat *info, const void *bytes, size_t size,
                                   struct tr_err *err);

// Refuses what stands for a file that was never downloaded: an empty file, a git-LFS pointer.
// bytes[0, size): the beginning of the file.
enum tr_status tr_refuse_placeholder(const char *path, const void *bytes, size_t size,
                                     struct tr_err *err);

// Why `folder` cannot be opened, in one sentence: what it holds instead, or nothing of
// `looked_for`.
enum tr_status tr_refuse_folder(const char *folder, const char *looked_for, struct tr_err *err);

#endif
