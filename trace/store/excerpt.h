// SPDX-License-Identifier: Apache-2.0
#ifndef TR_EXCERPT_H
#define TR_EXCERPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "store/store.h"

// A part of a trace: which indices along each dimension, and which variables.
struct tr_excerpt {
    int64_t count[TR_DIM_COUNT];
    int64_t *index[TR_DIM_COUNT]; // [count] ascending
    bool wanted[TR_VARIABLES];
};

// All of what the file has.
enum tr_status tr_excerpt_whole(struct tr_excerpt *excerpt, const struct tr_trace *trace,
                                struct tr_err *err);
void tr_excerpt_free(struct tr_excerpt *excerpt);

// Elements that one checkpoint has of a variable within the excerpt.
int64_t tr_excerpt_elements(const struct tr_excerpt *excerpt, enum tr_variable_id id);

// The values of row `row` (an index of the trace) of a numeric variable at the excerpt's indices,
// in C order, into values[tr_excerpt_elements()].
enum tr_status tr_excerpt_read(const struct tr_trace *trace, const struct tr_excerpt *excerpt,
                               enum tr_variable_id id, int64_t row, void *values,
                               struct tr_err *err);

// In which form a copy is written. The store's own needs the zstd filter; the others are read
// without plugins.
enum tr_form {
    TR_FORM_STORE,
    TR_FORM_GZIP,  // the store, compressed by gzip
    TR_FORM_NETCDF // the same for readers that check the CF conventions: units that they know
};

#endif
