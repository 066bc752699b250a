// SPDX-License-Identifier: Apache-2.0
#ifndef AN_CRITERION_H
#define AN_CRITERION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "store/store.h"

// What sublayers can be ranked by, as rows: three proxies, which a forward pass gives, and three
// costs of leaving the sublayer out. The lower a value, the less the sublayer matters.
enum an_by {
    AN_BY_IMPORTANCE,
    AN_BY_UPDATE_RATIO,
    AN_BY_ALIGNMENT,
    AN_BY_COST_NLL,
    AN_BY_COST_KL,
    AN_BY_COST_AGREE,
    AN_CRITERIA
};
// Those that are held against each other where a store has costs: the first so many are proxies,
// the others of them costs.
enum { AN_TRIED = AN_BY_COST_AGREE, AN_PROXIES = AN_BY_COST_NLL, AN_COSTS = AN_TRIED - AN_PROXIES };

struct an_criterion {
    const char *name; // on the command line and in JSON: "cost-nll"
    const char *noun; // "cost in loss"
    const char *unit; // "no unit", "nats"
    const char *axis; // what a scale is labelled with: "1 - cos"
    const char *meaning;
    enum tr_variable_id variable; // by row of text
    enum tr_variable_id mean;     // its mean over tokens; TR_VARIABLES: the mean of the rows
    enum tr_variable_id base;     // by row, subtracted; TR_VARIABLES: nothing
    double from, factor;          // a value is from + factor * variable - base
    double most;                  // no value is above
    bool of_cost;                 // known of the rows on which costs were measured
    bool logarithmic;             // spans orders of magnitude above 0: shown, searched by logarithm
    bool is_signed;               // may be below 0
};
extern const struct an_criterion an_criteria[AN_CRITERIA];

// What a value can be, and a difference of two.
struct an_range {
    double low, high;
};
struct an_range an_value_range(enum an_by by);
struct an_range an_difference_range(enum an_by by);

extern const char *const an_by_names[AN_CRITERIA]; // the rows' names

// The criterion of that name, "cost" being cost-nll; AN_CRITERIA: there is none.
enum an_by an_criterion_find(const char *name);

// How many rows of text its values are of.
int64_t an_criterion_rows(const struct an_criterion *criterion, const struct tr_layout *layout);

// values[layers, TR_MODULES, rows] of one row of the store; NaN: missing.
enum tr_status an_criterion_read(double *values, const struct an_criterion *criterion,
                                 const struct tr_trace *trace, int64_t row, struct tr_err *err);

// means[layers, TR_MODULES]: over tokens where the store has them, else over `values` as read.
enum tr_status an_criterion_means(double *means, const double *values,
                                  const struct an_criterion *criterion,
                                  const struct tr_trace *trace, int64_t row, struct tr_err *err);

#endif
