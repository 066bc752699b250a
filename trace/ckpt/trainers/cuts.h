// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CUTS_H
#define TR_CUTS_H

#include "reader.h"

// A tensor made out of parts of others: rows of a fused matrix, every second row, one layer of a
// stack, the parts of a matrix that ranks hold. Only places in files are computed, nothing is read.
// Internal.

// Indices [to, to + count) of the new tensor along one axis are indices from, from + step ... of
// the old one.
struct tr_run {
    int64_t to, from, step, count;
};

// The pieces of a new tensor so far. Zeroed at start.
struct tr_cut {
    struct tr_piece *pieces; // [count]
    int64_t count;
    uint64_t capacity;
};

// What of `tensor` is meant: all of it, or where `lead` is not negative the part of that index
// along its first axis, which the new tensor does not have.
struct tr_cut_source {
    const struct tr_tensor *tensor;
    int64_t lead;
};

// Adds the runs along `axis` of the new tensor; all other axes stay whole.
enum tr_status tr_cut_add(struct tr_cut *cut, const struct tr_cut_source *source, int axis,
                          const struct tr_run *runs, int64_t run_count, struct tr_err *err);

// Exchanges the first two axes of all pieces.
void tr_cut_transpose(struct tr_cut *cut);

void tr_cut_free(struct tr_cut *cut);

#endif
