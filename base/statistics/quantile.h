// SPDX-License-Identifier: Apache-2.0
#ifndef AN_QUANTILE_H
#define AN_QUANTILE_H

#include <stdint.h>

// Sorts ascending; no NaN.
void an_sort(double *values, int64_t count);

// The quantile of ascending values by linear interpolation at (count - 1) * probability (type 7 of
// Hyndman & Fan 1996: NumPy's default). NaN for no values.
double an_sorted_quantile(const double *sorted, int64_t count, double probability);

// Moves the finite values to the front, in order, and returns their number.
int64_t an_keep_finite(double *values, int64_t count);

// The median; sorts `values`. NaN for none.
double an_median(double *values, int64_t count);

#endif
