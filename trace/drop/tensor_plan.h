// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TENSOR_PLAN_H
#define TR_TENSOR_PLAN_H

#include "ckpt/safetensors_writer.h"
#include "form.h"
#include "packer.h"

// Which tensors are written, under which names, into which files. A file of the source becomes a
// file of the target, or none; one of which nothing changes is copied whole. Private to this
// folder.

struct tr_tensor_reader {
    const struct tr_drop_job *job;
    const struct tr_tensor *tensor; // NULL: zeros
    struct tr_packer *packer;       // that makes its bytes; NULL: they are the source's
    enum tr_packed_part part;       // of the packed weight; TR_PACKED_PARTS: other values
};

struct tr_tensor_plan {
    struct tr_tensor_source *sources; // [count], file by file
    struct tr_tensor_reader *readers; // [count]
    char **names;                     // [count], owned; NULL: the source's
    int64_t count;
    struct tr_file_plan *files; // [file_count]; there: to be copied
    const char **paths;         // [file_count], of the source's file. Borrowed
    int64_t file_count;
    struct tr_packer packer;
    uint64_t bytes, bytes_before; // of the tensors
    int64_t copied;               // files
    int64_t zeroed;               // tensors
};

enum tr_status tr_tensor_plan_new(struct tr_tensor_plan *plan, const struct tr_drop_job *job,
                                  struct tr_err *err);
void tr_tensor_plan_free(struct tr_tensor_plan *plan);

// Writes, and copies or links, all into `folder`. TR_EIO where the source changed meanwhile.
enum tr_status tr_tensor_plan_write(const struct tr_tensor_plan *plan,
                                    const struct tr_drop_job *job, const char *folder,
                                    struct tr_err *err);

#endif
