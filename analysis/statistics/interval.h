// SPDX-License-Identifier: Apache-2.0
#ifndef AN_INTERVAL_H
#define AN_INTERVAL_H

#include <stdint.h>

#include "bootstrap.h"
#include "status.h"

// Intervals of means over sequences and of their paired differences.
enum an_method {
    AN_NO_INTERVAL, // fewer than two sequences: limits are NaN
    AN_SKEW_T,      // Student's t with Hall's correction for skewness
    AN_BOOTSTRAP_T, // resampled t: fewer than AN_BCA_LEAST sequences
    AN_BCA,         // bias-corrected and accelerated bootstrap: AN_BCA_LEAST and more
};
enum { AN_BCA_LEAST = 64 };

struct an_interval {
    double low, high;
    enum an_method method;
};

const char *an_method_name(enum an_method method); // for records: "BCa", "bootstrap-t", ...

// A quantity, its pseudo-values (an_pseudo_values), and its resampled values.
struct an_sample {
    double estimate;
    int64_t sequences;
    const double *pseudo; // [sequences]; NaN: left out
    const double *draws;  // draws[i * stride]: its value in resample i; NULL: not resampled
    int64_t stride;
    const struct an_resamples *resamples; // behind the draws; NULL: none
};

// The two-sided interval at `level`, for example 0.95.
//   AN_BCA (Efron 1987; Efron & Tibshirani 1993, eq. 14.9-14.15): percentiles of the draws moved
//   for their bias and, by the pseudo-values, for the skewness.
//   AN_BOOTSTRAP_T (Efron & Tibshirani 1993, eq. 12.22): quantiles of (theta* - theta) / se* over
//   the resamples' own standard errors, times the standard error.
//   AN_SKEW_T when there are no resamples (Hall 1992, "On the removal of skewness by
//   transformation", with t in place of the normal quantile):
//   theta - se g^-1(t), g(x) = x + skew x^2 / 3 sqrt n + skew^2 x^3 / 27 n + skew / 6 sqrt n.
// Pseudo-values without spread give an interval of no width. TR_ENOMEM.
enum tr_status an_interval(struct an_interval *interval, const struct an_sample *sample,
                           double level, struct tr_err *err);

// The interval of a.estimate - b.estimate, both over the same sequences and resamples: paired.
enum tr_status an_difference(struct an_interval *interval, const struct an_sample *a,
                             const struct an_sample *b, double level, struct tr_err *err);

// One-sided, AN_SKEW_T: the estimate is below the limit with confidence `level`; and the p-value of
// "it is not below `bound`", which is at most 1 - level exactly when the limit is below the bound.
// NaN for fewer than two sequences; p is 0 or 1 without spread.
double an_upper_limit(double estimate, const double *pseudo, int64_t sequences, double level);
double an_not_below_p(double estimate, const double *pseudo, int64_t sequences, double bound);

#endif
