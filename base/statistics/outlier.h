// SPDX-License-Identifier: Apache-2.0
#ifndef AN_OUTLIER_H
#define AN_OUTLIER_H

#include <stdint.h>

#include "base/status.h"

// z[count] = (value - median) / (1.4826 median |value - median|): how many standard deviations from
// the middle, for values that may hold outliers. NaN for what is not finite. Where more than half
// the values are equal: 0 for those, infinite for the others.
enum tr_status an_robust_z(double *z, const double *values, int64_t count, struct tr_err *err);

// The same for a series, each value against the median of the up to four values within two steps of
// it: finds a checkpoint that fits its neighbours badly, whatever the trend. Fewer than five values
// give NaN.
enum tr_status an_neighbour_z(double *z, const double *series, int64_t count, struct tr_err *err);

#endif
