// SPDX-License-Identifier: Apache-2.0
#ifndef AN_CROSS_FIT_H
#define AN_CROSS_FIT_H

#include <stdint.h>

#include "base/status.h"

// What is chosen on some rows of text, and paid for on others. x and y are [units, rows]; of y the
// lowest `count` units are the cheapest, of x they are what a proxy takes for the cheapest. Means
// are over the rows that have a value; ties go to the lower unit.

// Rows are cut into AN_FOLDS runs of neighbours, because neighbours may be of one text. With more
// of them sets differ in few folds, and the interval below gets too short where costs are tied.
enum { AN_FOLDS = 2 };

// What the units that x takes for the cheapest cost by y, less what the cheapest by y cost, both
// chosen on the rows of the other folds and paid for on the rows of a fold:
//   d_s = sum_{u in X(-f)} y[u, s] - sum_{u in Y(-f)} y[u, s],  s in fold f,
// of the units that are not in both.
// Their mean is the regret, cross-fitted, and may be below 0. Its interval is Student's, of the
// mean of d over rows: that of the true regret of the sets that were chosen, averaged over folds
// (Bayle, Bayle, Janson & Mackey 2020, "Cross-validation confidence intervals for test error").
// Correcting it for skewness makes it too short where costs are nearly tied; what it covers is
// measured in tests/statistics/coverage_cost.md. Sets that are the same in both folds give an
// interval of no width at 0.
struct an_regret {
    double value, low, high; // NaN: fewer than two rows have all values
};

// TR_ENOMEM; TR_EUSAGE unless 1 <= count <= units.
enum tr_status an_cross_fit(struct an_regret *regret, const double *x, const double *y,
                            int64_t units, int64_t rows, int64_t count, double level,
                            struct tr_err *err);

// Agreement of x on one half of the rows with y on the other, over `splits` random halvings, each
// taken both ways; of x with itself it is how far x can be told. NaN for fewer than two rows.
struct an_halves {
    double spearman; // mean correlation of the ranks
    double found;    // mean share of y's lowest `count` that are x's
};

// Splits depend on seed and rows alone. TR_ENOMEM, TR_EUSAGE as above.
enum tr_status an_halves(struct an_halves *halves, const double *x, const double *y, int64_t units,
                         int64_t rows, int64_t count, int64_t splits, uint64_t seed,
                         struct tr_err *err);

// The reliability of the mean of all rows from that of half of them (Spearman 1910, Brown 1910):
// 2 r / (1 + r); 0 for r < 0.
double an_stepped_up(double half);

#endif
