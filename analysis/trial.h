// SPDX-License-Identifier: Apache-2.0
#ifndef AN_TRIAL_H
#define AN_TRIAL_H

#include "analysis/result.h"
#include "cost_rows.h"

enum { AN_SPLITS = 50 }; // random halvings of the rows

// Makes the group's trial; it stays NULL where fewer than two of its units have all values at a
// checkpoint that claims may rest on.
enum tr_status an_trial_make(struct an_group_result *group, const struct an_cost_rows *rows,
                             const struct an_series *series, const struct an_settings *settings,
                             struct tr_err *err);
void an_trial_free(struct an_trial *trial); // accepts NULL

// The values that a trial looks at, at one time: of every criterion by unit and row, their means,
// and the sure order of the units.
struct an_exhibit {
    double *value[AN_TRIED];   // [units, rows]
    double *mean[AN_TRIED];    // [units]
    int8_t *sign[AN_TRIED];    // [units, units]
    double reliable[AN_TRIED]; // reliability of the order
};

// Adds how well each checkpoint tells the last one's cheapest; `last` is of the last checkpoint.
enum tr_status an_forecast_make(struct an_forecast *forecast, int64_t checkpoint,
                                const struct an_trial *trial, const struct an_exhibit *here,
                                const struct an_exhibit *last, const struct an_settings *settings,
                                struct tr_err *err);

// Fills in from when on the last checkpoint's cheapest are told.
void an_told_make(struct an_trial *trial);

#endif
