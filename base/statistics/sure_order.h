// SPDX-License-Identifier: Apache-2.0
#ifndef AN_SURE_ORDER_H
#define AN_SURE_ORDER_H

#include <stdint.h>

#include "base/status.h"

// Which units are surely above which, and what that leaves open of the agreement of two orders.
//
// values[units, rows] are each unit's values by row of text. sign[i, j] is 1 where Student's
// interval of the paired difference mean_i - mean_j lies above 0, -1 below, and 0 where it holds 0:
// the order of those two is open. Confidence sets of ranks are made of such pairs (Mogstad, Romano,
// Shaikh & Wilhelm 2024, Review of Economic Studies 91). Each interval is at
//   1 - (1 - level) / sqrt(units):
// at the level itself Kendall's limits below are too narrow for many units whose orders are the
// same, and divided by all units they are wider and cover no more. What they cover is measured in
// tests/statistics/coverage_cost.md. A row whose value is not finite is left out of its pairs; with
// fewer than two rows all is open.
void an_sure_order(int8_t *sign, const double *values, int64_t units, int64_t rows, double level);

// Agreement of x[units] and y[units], whose sure orders are s and t. Noise of the rows makes a
// correlation of means smaller than that of what they estimate, and resampling adds that noise once
// more, so that percentiles of resamples miss values near 1 and ties (the same table has by how
// much). The limits are therefore those over all orders that the sure pairs allow:
//   tau  = (sum_{i<j} s_ij t_ij -+ pairs open in one or both) / (n (n - 1) / 2),
//   rho  = 12 / (n^3 - n) (sum_i a_i b_i -+ (sum_{s open} |b_i - b_j| / 2
//          + sum_{t open} |a_i - a_j| / 2 + sum_i u_i v_i / 4)),
// a_i = sum_j s_ij / 2 and b_i = sum_j t_ij / 2 being ranks less their mean (Kendall 1948), u_i and
// v_i the open pairs of unit i. The limits of rho are outer ones. Values with ties have tau-b and
// midranks, which lie within them.
struct an_rank_agreement {
    double spearman, spearman_low, spearman_high; // NaN: fewer than two units, or all tied
    double tau, tau_low, tau_high;
};
enum tr_status an_rank_agreement(struct an_rank_agreement *agreement, const double *x,
                                 const double *y, const int8_t *s, const int8_t *t, int64_t units,
                                 struct tr_err *err);

// The limits of the share of the `count` lowest by y that are among those by x, over all orders
// that the sure pairs allow: a unit is surely there when units - count are surely above it, and
// surely not when `count` are surely below it.
struct an_sure_share {
    double low, high;
};
struct an_sure_share an_sure_share(const int8_t *s, const int8_t *t, int64_t units, int64_t count);

// shift[units]: how many units each would have to pass for the order by x to become that by y, from
// pairs that are sure in both and contradict each other: of unit i sum_j t_ij over s_ij = -t_ij.
// Above 0, it is higher by y than by x.
void an_sure_shift(int64_t *shift, const int8_t *s, const int8_t *t, int64_t units);

#endif
