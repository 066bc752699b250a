// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ROW_H
#define TR_ROW_H

#include <stdint.h>

#include "base/status.h"
#include "store/variables.h"

// One checkpoint's row in memory: for every variable that is present, a pointer to its elements
// (a string variable: char **, one owned string). Rows are plain data; who fills them derives.
enum tr_row_status { TR_ROW_COMPLETE = 1, TR_ROW_FAILED = 2 };

struct tr_row {
    void *data[TR_VARIABLES]; // each tr_variable_elements() long; NULL when not present
};

// Allocates a row with every float NaN, every integer 0 (step -1, nonfinite_first -1), every string
// "" : what a failed checkpoint shows for what it has not.
enum tr_status tr_row_new(struct tr_row *row, const struct tr_layout *layout, struct tr_err *err);
void tr_row_free(struct tr_row *row);

// The value of what is missing, `count` times: NaN, -1 for signed and 0 for unsigned integers.
// Not for strings.
void tr_values_fill(enum tr_value_type type, int64_t count, void *values);

// Bytes that are not UTF-8 are escaped as %XX, as everywhere a name enters a store.
enum tr_status tr_row_set_string(struct tr_row *row, enum tr_variable_id id, const char *text,
                                 struct tr_err *err);
const char *tr_row_string(const struct tr_row *row, enum tr_variable_id id);
static inline double *tr_row_f64(const struct tr_row *row, enum tr_variable_id id) {
    return (double *)row->data[id];
}
static inline float *tr_row_f32(const struct tr_row *row, enum tr_variable_id id) {
    return (float *)row->data[id];
}
static inline uint32_t *tr_row_u32(const struct tr_row *row, enum tr_variable_id id) {
    return (uint32_t *)row->data[id];
}
static inline int64_t *tr_row_i64(const struct tr_row *row, enum tr_variable_id id) {
    return (int64_t *)row->data[id];
}
static inline uint8_t *tr_row_u8(const struct tr_row *row, enum tr_variable_id id) {
    return (uint8_t *)row->data[id];
}

#endif
