// SPDX-License-Identifier: Apache-2.0
#ifndef AN_COST_ROWS_H
#define AN_COST_ROWS_H

#include <stdbool.h>

#include "analysis/result.h"
#include "base/status.h"

// The rows of text on which costs were measured, by every criterion that is on trial: what proxies
// say of them and what leaving a sublayer out costs there.
struct an_cost_rows {
    int64_t checkpoints; // the series'
    int64_t units;       // layer * TR_MODULES + module
    int64_t rows;
    double *of[AN_TRIED];   // [checkpoints, units, rows]
    double *mean[AN_TRIED]; // [checkpoints, units] over the rows
};

// Reads them from the store of `series`; `rows` is 0 where it has no costs.
enum tr_status an_cost_rows_load(struct an_cost_rows *rows, const struct an_series *series,
                                 const struct tr_trace *trace, struct tr_err *err);
void an_cost_rows_free(struct an_cost_rows *rows);

// Whether a sublayer has a value by all that is on trial at a checkpoint.
bool an_cost_rows_have(const struct an_cost_rows *rows, int64_t checkpoint, int64_t unit);

#endif
