// SPDX-License-Identifier: Apache-2.0
#ifndef AN_OVERLAP_H
#define AN_OVERLAP_H

#include <stdint.h>

#include "base/status.h"

// Agreement of the heads of two orders a[units], b[units] (an_order) of the same units, and what
// two orders at random would give.

// |A and B| / |A or B| of the first k; 1 <= k <= units. TR_EUSAGE otherwise, TR_ENOMEM.
enum tr_status an_jaccard(double *jaccard, const int64_t *a, const int64_t *b, int64_t units,
                          int64_t k, struct tr_err *err);

// Its expectation for random orders: the overlap is hypergeometric (units, k, k).
double an_jaccard_chance(int64_t units, int64_t k);

// Rank-biased overlap (Webber, Moffat & Zobel 2010) over the first `depth` places, with overlap
// x_d = |A_{:d} and B_{:d}| and persistence 0 < p < 1:
//   plain        (1 - p) sum_{d=1}^{depth} p^{d-1} x_d / d         (eq. 4 cut at depth: a floor)
//   extrapolated (x_depth / depth) p^depth + (1 - p)/p sum_d p^d x_d / d           (eq. 23)
// The first 1 / (1 - p) places carry most of the weight.
struct an_rbo {
    double plain, extrapolated;
};
enum tr_status an_rbo(struct an_rbo *rbo, const int64_t *a, const int64_t *b, int64_t units,
                      int64_t depth, double p, struct tr_err *err);

// Its expectation for random orders: x_d = d^2 / units.
struct an_rbo an_rbo_chance(int64_t units, int64_t depth, double p);

#endif
