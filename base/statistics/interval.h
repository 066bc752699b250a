// SPDX-License-Identifier: Apache-2.0
#ifndef AN_INTERVAL_H
#define AN_INTERVAL_H

#include <stdint.h>

#include "base/status.h"
#include "statistics/bootstrap.h"
#include "statistics/panel.h"

// Intervals of means over sequences and of their paired differences. What counts is not the number
// of sequences but how many equally long ones they are worth,
//   effective = (sum share)^2 / sum share^2   (Kish 1965),
// share being a sequence's tokens over the mean; the number itself where all have as many.
enum an_method {
    AN_NO_INTERVAL, // fewer than AN_INTERVAL_LEAST sequences: limits are NaN
    AN_SKEW_T,      // Student's t with Hall's correction for skewness
    AN_BOOTSTRAP_T, // resampled t: fewer than AN_BCA_LEAST effective sequences
    AN_BCA,         // bias-corrected and accelerated bootstrap: AN_BCA_LEAST and more
};
enum { AN_BCA_LEAST = 64 };

// Three sequences gave intervals that cover 80 % instead of 95, and four some that are eight times
// as long as what they are about: that is no interval. Of five they cover 93 % and are about as
// long.
enum { AN_INTERVAL_LEAST = 5 };

struct an_interval {
    double low, high;
    enum an_method method;
};

const char *an_method_name(enum an_method method); // for records: "BCa", "bootstrap-t", ...

// share[sequences] of a panel: tokens over all checkpoints and units, divided by their mean over
// the sequences that have any; 0 for the others.
void an_token_shares(double *share, const struct an_panel *panel);

// A quantity, its pseudo-values (an_pseudo_values), and its resampled values.
struct an_sample {
    double estimate;
    int64_t sequences;
    const double *pseudo; // [sequences]; NaN: left out
    const double *share;  // [sequences] an_token_shares; NULL: all alike
    const double *draws;  // draws[i * stride]: its value in resample i; NULL: not resampled
    int64_t stride;
    const struct an_resamples *resamples; // behind the draws; NULL: none
};

// The two-sided interval at `level`, for example 0.95. Pseudo-values p_s, n of them, se their
// standard error sqrt(sum (p_s - mean p)^2 / (n (n - 1))).
//   AN_BCA (Efron 1987; Efron & Tibshirani 1993, eq. 14.9-14.15): percentiles of the draws moved
//   for their bias and, by the pseudo-values, for the skewness; the nominal quantile is
//   sqrt(e / (e - 1)) t_{e-1} instead of the normal's, e = effective, since percentiles alone are
//   too narrow (Hesterberg 2015, "What teachers should know about the bootstrap", 3.3).
//   AN_BOOTSTRAP_T (Efron & Tibshirani 1993, eq. 12.22): theta - se q, q quantiles of
//   (theta* - theta) / se* over the resamples. With weights w, d_s = p_s - theta, and r_s = share,
//   theta* - theta = sum w d / sum w r = D, se* = sqrt(n / (n - 1) sum w (d - r D)^2) / sum w r:
//   the ratio's own standard error in the resample, its length included.
//   AN_SKEW_T when there are no resamples, or all are on one side of the estimate (Hall 1992, "On
//   the removal of skewness by transformation", with t_{e-1} in place of the normal quantile):
//   theta - se g^-1(t), g(x) = x + skew x^2 / 3 sqrt n + skew^2 x^3 / 27 n + skew / 6 sqrt n, skew
//   the adjusted Fisher-Pearson coefficient sqrt(n (n - 1)) / (n - 2) m3 / m2^1.5.
// Pseudo-values without spread give an interval of no width. TR_ENOMEM.
enum tr_status an_interval(struct an_interval *interval, const struct an_sample *sample,
                           double level, struct tr_err *err);

// The interval of a.estimate - b.estimate, both over the same sequences, shares and resamples:
// paired. Two units, or one unit's trained mean and the untrained checkpoint (an_panel_slice).
enum tr_status an_difference(struct an_interval *interval, const struct an_sample *a,
                             const struct an_sample *b, double level, struct tr_err *err);

// One-sided, AN_SKEW_T: the estimate is below the limit with confidence `level`; and the p-value of
// "it is not below `bound`", which is at most 1 - level exactly when the limit is at most the
// bound. Draws are not used. NaN for fewer than AN_INTERVAL_LEAST
// sequences; p is 0 or 1 without spread.
double an_upper_limit(const struct an_sample *sample, double level);
double an_not_below_p(const struct an_sample *sample, double bound);

#endif
