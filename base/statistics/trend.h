// SPDX-License-Identifier: Apache-2.0
#ifndef AN_TREND_H
#define AN_TREND_H

#include <stdint.h>

#include "base/status.h"

// Is a series going up or down? x[count] is when (log tokens, say), y[count] what; pairs of which
// one is not finite are left out.
//
// Mann-Kendall: s = sum_{i<j} sign(y_j - y_i), with ties' variance and continuity. Neighbours in
// time are alike, which makes a trend out of nothing; the variance is multiplied by a correction,
// the largest of
//   1 (it only ever makes the test more careful);
//   1 + 2 / (n (n-1) (n-2)) sum_k (n-k) (n-k-1) (n-k-2) r(k) over the lags at which the
//   autocorrelation r of the ranks of the detrended series is beyond +-1.96 / sqrt n (Hamed & Rao
//   1998, J. Hydrology 204, eq. 9);
//   (1 + f) / (1 - f), f = (n r(1) + 2) / (n - 4): a first-order process whose r(1) detrending has
//   biased by -(2 + 4 f) / n (Marriott & Pope 1954). Alone, Hamed & Rao's rejects far too often.
// z = s (less continuity) / sqrt(variance correction) is referred to Student's t with
// n / correction - 2 degrees of freedom: as many values as the series is worth.
//
// Theil-Sen: the slope is the median of (y_j - y_i) / (x_j - x_i) over pairs of different x; its
// interval takes the pairs' quantiles (Sen 1968) with the same variance and t.
//
// No p and no interval below AN_TREND_LEAST values, or when they are worth fewer than
// AN_TREND_WORTH: such a series remembers too long to tell a trend from wandering.
enum { AN_TREND_LEAST = 8, AN_TREND_WORTH = 3 };

struct an_trend {
    int64_t count;           // pairs that count
    double s;                // Mann-Kendall's
    double variance;         // of s, if values were independent
    double correction;       // its factor, >= 1; INFINITY: f >= 1
    double z, p;             // two-sided; NaN: cannot be told
    double slope, low, high; // units of y per unit of x; NaN: fewer than two values
    double intercept;        // median(y) - slope median(x)
};

// x must ascend strictly. TR_ENOMEM, TR_EUSAGE for a level outside (0, 1) or descending x.
enum tr_status an_trend(struct an_trend *trend, const double *x, const double *y, int64_t count,
                        double level, struct tr_err *err);

#endif
