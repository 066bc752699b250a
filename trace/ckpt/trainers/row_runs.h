// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ROW_RUNS_H
#define TR_ROW_RUNS_H

#include "cuts.h"
#include "naming.h"

// The rows that a layout means, as runs. Internal.
struct tr_row_runs {
    struct tr_run *runs; // [count]
    int64_t count;
    uint64_t capacity;
    int64_t rows; // of the new tensor
};

// Of a tensor of `rows` rows, which is called `name` in sentences: TR_EUNSUPPORTED where the
// numbers do not divide it so.
enum tr_status tr_row_runs_make(struct tr_row_runs *runs, enum tr_layout layout, int64_t rows,
                                const struct tr_model_numbers *numbers, const char *name,
                                struct tr_err *err);

// Where rank `rank` of `ranks` has its rows [0, rows) along the axis by which a tensor is cut into
// `parts` parts, each of them cut over the ranks.
enum tr_status tr_row_runs_of_rank(struct tr_row_runs *runs, int rank, int ranks, int64_t rows,
                                   int parts, struct tr_err *err);

void tr_row_runs_free(struct tr_row_runs *runs);

#endif
