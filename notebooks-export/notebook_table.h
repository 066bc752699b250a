// SPDX-License-Identifier: Apache-2.0
#ifndef NX_NOTEBOOK_TABLE_H
#define NX_NOTEBOOK_TABLE_H

#include "analysis/result.h"
#include "export/export.h"

// What a notebook holds of the analysis, with the columns that the Python package's tables have
// (python/trace_ckpts/results.py); tables are CSV, of the modules that are wanted.
struct nx_notebook_tables {
    struct tr_string layers;   // the set of each module, least important first
    struct tr_string about;    // the sentences that say how
    struct tr_string rule;     // an_rule_text
    struct tr_string by, axis; // what is ranked by; what says where in training a checkpoint is
    // Of a store with costs, else only their headings: what leaving layers out costs at the last
    // checkpoint at which that was measured, and the trial over training.
    struct tr_string costs, verdicts, forecasts;
    struct tr_string prices; // what less of a resource costs
};

enum tr_status nx_notebook_tables_make(struct nx_notebook_tables *tables, const struct nx_job *job,
                                       struct tr_err *err);
void nx_notebook_tables_free(struct nx_notebook_tables *tables);

// Appends "," and a number, nothing for one that the data cannot support.
enum tr_status nx_put_number(struct tr_string *table, double value, struct tr_err *err);

// Appends a text in quotes. What would end a string of Python or CSV becomes '?'.
enum tr_status nx_put_text(struct tr_string *table, const char *text, struct tr_err *err);

// Fills in costs, verdicts, forecasts and prices.
enum tr_status nx_notebook_costs(struct nx_notebook_tables *tables, const struct nx_job *job,
                                 const struct an_result *result, struct tr_err *err);

#endif
