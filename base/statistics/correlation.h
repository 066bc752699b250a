// SPDX-License-Identifier: Apache-2.0
#ifndef AN_CORRELATION_H
#define AN_CORRELATION_H

#include <stdint.h>

#include "base/status.h"

// Agreement of x[0, count) and y[0, count) in order. Pairs of which one is not finite are left out.
// NaN when fewer than two pairs are left or one side is constant. TR_ENOMEM.

// Spearman's rho: Pearson's correlation of midranks.
enum tr_status an_spearman(double *rho, const double *x, const double *y, int64_t count,
                           struct tr_err *err);

// Kendall's tau-b = (C - D) / sqrt((n0 - n1)(n0 - n2)): concordant less discordant pairs, n0 all
// pairs, n1 and n2 those tied in x and in y (Kendall 1945).
enum tr_status an_kendall_tau_b(double *tau, const double *x, const double *y, int64_t count,
                                struct tr_err *err);

#endif
