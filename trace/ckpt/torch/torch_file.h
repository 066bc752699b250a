// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TORCH_FILE_H
#define TR_TORCH_FILE_H

#include "torch_legacy.h"
#include "torch_zip.h"

// One value that torch.save wrote: a ZIP archive with a pickle, STEM/data.pkl, and the bytes of
// each storage, STEM/data/KEY; before 1.6 a stream of pickles. Internal.

struct tr_torch {
    const char *path;    // borrowed
    struct tr_ends file; // needed while it is opened only
    struct tr_zip zip;
    const struct tr_zip_entry *entry; // STEM/data.pkl
    int stem_size;
    bool is_legacy;
    struct tr_legacy legacy;
    char *bytes; // of the pickle
    size_t size;
    struct tr_pickle pickle;
    const struct tr_value *root;
};

// Opens bytes [offset, offset + size) of an open file: a whole file, or an archive among others in
// it. `path` opens each sentence.
enum tr_status tr_torch_open(struct tr_torch *torch, int fd, uint64_t offset, uint64_t size,
                             const char *path, struct tr_err *err);
void tr_torch_close(struct tr_torch *torch);

// Opens the regular file `path` for what it says besides tensors; `path` stays borrowed.
enum tr_status tr_torch_load(struct tr_torch *torch, const char *path, struct tr_err *err);

// The tensor that a value of kind TR_VALUE_TENSOR is: type, shape and place in the file; its name
// is given, for sentences.
enum tr_status tr_torch_tensor(const struct tr_torch *torch, const struct tr_value *value,
                               struct tr_tensor *tensor, struct tr_err *err);

// Why a value is no dict of tensors, in one sentence: TR_EUNSUPPORTED.
enum tr_status tr_torch_refuse(const char *path, const struct tr_value *value, struct tr_err *err);

#endif
