// SPDX-License-Identifier: Apache-2.0
#ifndef AN_ORDER_H
#define AN_ORDER_H

#include <stdint.h>

#include "base/status.h"

// order[0, count): the indices of `values` from the lowest to the highest; ties go to the lower
// index; values that are not finite come last, in order. Returns how many are finite.
int64_t an_order(int64_t *order, const double *values, int64_t count);

// ranks[0, count): 1 for the lowest; ties share the average of their places (midranks). What is not
// finite gets NaN and counts for nobody.
enum tr_status an_midranks(double *ranks, const double *values, int64_t count, struct tr_err *err);

#endif
