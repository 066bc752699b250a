// SPDX-License-Identifier: Apache-2.0
#ifndef NX_CELLS_H
#define NX_CELLS_H

#include "export/export.h"

// The values of an excerpt as the lines of a table, for the formats that are tables.

// One line: an element of one variable (long), or of all wanted ones at the same place (wide).
struct nx_cell {
    const struct tr_layout *layout;
    const char *model, *checkpoint, *stage;
    int64_t step;             // -1: unknown
    double tokens;            // NaN: unknown
    int64_t at[TR_DIM_COUNT]; // the index along each dimension; -1: not over it
    int variables;
    const enum tr_variable_id *ids; // [variables] over the same dimensions
    const void *const *values;      // [variables] of the checkpoint
    int64_t element;                // of each of `values`
    int64_t count;                  // finite tokens that the mean is over; -1: not a mean
};

typedef enum tr_status (*nx_cell_visit)(const struct nx_cell *cell, void *user, struct tr_err *err);

// Visits all lines: by checkpoint, then variable, then place.
enum tr_status nx_cells(const struct nx_job *job, bool wide, nx_cell_visit visit, void *user,
                        struct tr_err *err);

// ---- columns ---------------------------------------------------------------------------------

enum nx_column_kind {
    NX_MODEL,
    NX_CHECKPOINT,
    NX_STAGE,
    NX_STEP,
    NX_TOKENS,
    NX_DIMENSION,
    NX_VARIABLE,
    NX_VALUE,
    NX_COUNT
};

struct nx_column {
    const char *name;
    const char *units; // "" where there are none, or not the same for all lines
    enum nx_column_kind kind;
    int which; // NX_DIMENSION: an enum tr_dim; NX_VALUE: the position in nx_cell.values
};

enum { NX_COLUMNS = NX_COUNT + TR_DIM_COUNT + TR_VARIABLES };

// The columns of the job's table into columns[NX_COLUMNS]. Stage is there when some checkpoint has
// one; dimensions behind layer and module when some variable has them. `wide`: TR_EUSAGE when the
// wanted variables are not over the same dimensions.
enum tr_status nx_columns(const struct nx_job *job, bool wide, struct nx_column *columns,
                          int *count_p, struct tr_err *err);

// What stands in a column. 17 significant digits, so that every number reads back as it was.
struct nx_field {
    const char *text; // NULL: missing
    bool is_number;
    char digits[32];
};
void nx_field(const struct nx_cell *cell, const struct nx_column *column, struct nx_field *field);

#endif
