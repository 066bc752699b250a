// SPDX-License-Identifier: Apache-2.0
#ifndef AN_CHANGE_POINTS_H
#define AN_CHANGE_POINTS_H

#include <stdint.h>

#include "base/status.h"

// Where a series jumps: the segmentation with the least
//   sum over segments of sum (y - segment mean)^2 + penalty * change points,
// exactly, by PELT (Killick, Fearnhead & Eckley 2012), no segment shorter than `shortest`. Values
// that are not finite are skipped.
struct an_change_points {
    int64_t count;
    int64_t *at;    // [count] indices in the series at which a new level begins
    double cost;    // the sum that is least, penalties included
    double penalty; // as given, or an_change_penalty's
};

// `penalty` < 0: an_change_penalty. TR_ENOMEM, TR_EUSAGE for shortest < 1.
enum tr_status an_change_points(struct an_change_points *changes, const double *y, int64_t count,
                                double penalty, int64_t shortest, struct tr_err *err);
void an_change_points_free(struct an_change_points *changes);

// 2 sigma^2 ln n (Yao 1988's order), sigma = 1.4826 median |d - median d| / sqrt 2 of the first
// differences d: the noise, whatever the jumps. Slow drift and autocorrelation are no noise to it:
// a smooth trend gives several change points. 0 when more than half the differences are equal.
enum tr_status an_change_penalty(double *penalty, const double *y, int64_t count,
                                 struct tr_err *err);

#endif
