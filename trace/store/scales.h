// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SCALES_H
#define TR_SCALES_H

#include <hdf5.h>

#include "base/status.h"
#include "store/variables.h"

// The dimensions' own values: each follows from the layout and its place.
enum tr_value_type tr_scale_type(enum tr_dim dim);
const char *tr_scale_long_name(enum tr_dim dim);

// The values at index[size] of a dimension, at 0 ... size - 1 where `index` is NULL; strings are
// constants. Freed with free().
enum tr_status tr_scale_values(void **values_p, enum tr_dim dim, const struct tr_layout *layout,
                               const int64_t *index, int64_t size, struct tr_err *err);

// Reads a scale from an open file and compares it with those.
enum tr_status tr_scale_check(bool *same_p, hid_t dataset, const char *path, enum tr_dim dim,
                              const struct tr_layout *layout, const int64_t *index, int64_t size,
                              struct tr_err *err);

#endif
