// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PART_H
#define TR_PART_H

#include "ckpt/codes.h"

// What became of the weights of one block, in memory and as a file by which a job that was ended
// goes on. Private to this folder.

// One tensor of the checkpoint: in few bits, or with other values of its own type.
struct tr_quantized {
    char *name;
    struct tr_codes codes; // code NULL: there are values instead
    float *values;         // [count]
    int64_t count;
    double error;   // of the output, relative, as far as it was measured; NaN: it was not
    double damping; // with which its second moment was factored; NaN: rounded to nearest
    int64_t rows;   // of text that met it
};

struct tr_part {
    struct tr_quantized *tensors; // [count]
    int64_t count;
    uint64_t capacity;
};

// Adds a tensor of that name, which is zero but for the name.
enum tr_status tr_part_add(struct tr_quantized **tensor_p, struct tr_part *part, const char *name,
                           struct tr_err *err);
// The tensor of that name, NULL when there is none.
struct tr_quantized *tr_part_find(const struct tr_part *part, const char *name);
void tr_part_free(struct tr_part *part);

// `identity` says what the part was made of and how. A file of another identity is TR_ECONFLICT,
// with a sentence; one that is damaged TR_EFORMAT. *found_p: whether there is one.
enum tr_status tr_part_write(const struct tr_part *part, const char *path, const char *identity,
                             struct tr_err *err);
enum tr_status tr_part_read(struct tr_part *part, const char *path, const char *identity,
                            bool *found_p, struct tr_err *err);

#endif
