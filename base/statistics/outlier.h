// SPDX-License-Identifier: Apache-2.0
#ifndef AN_OUTLIER_H
#define AN_OUTLIER_H

#include <stdint.h>

#include "base/status.h"

// z[count] = deviation / (1.4826 median |deviation|): how many standard deviations each value of a
// series is from the median of the up to four values within two steps of it, where values may be
// outliers. Finds a checkpoint that fits its neighbours badly, whatever the trend. NaN for what is
// not finite and for fewer than five values. Where more than half the deviations are 0: 0 for
// those, infinite for the others.
enum tr_status an_neighbour_z(double *z, const double *series, int64_t count, struct tr_err *err);

#endif
