// SPDX-License-Identifier: Apache-2.0
#ifndef AN_CORRELATION_TIME_H
#define AN_CORRELATION_TIME_H

#include <stdint.h>

#include "base/status.h"

// How long series remember, in steps of the series: the integrated correlation time
//   time = 1 + 2 sum_{k=1}^{M} rho(k),
// rho pooled over the series[checkpoints, units], each about its own mean, with the window M the
// smallest with M >= 5 time(M) (Sokal 1997, eq. 3.19; Madras & Sokal 1988). Own means take the
// variance of the mean, v = 2 pi f(0) / checkpoints, out of every autocovariance (Percival 1993,
// Am. Stat. 47, 274); it is put back: with s the windowed sum of raw covariances,
// checkpoints * v = s / (1 - (2 M + 1) / checkpoints).
//
// *bound is for who asks whether the units' means differ. Their variance b is v by chance alone,
// and where it happens to be high, own means take more than v: the means look different and the
// memory short at once. So the time is taken again as if all had one mean, with min(b, v q) put
// back, q the 97.5 % quantile of chi-square over its units - 1 degrees of freedom: what chance
// could not do is left to the means. One standard error is added, time sqrt(2 (2 M + 1) /
// (checkpoints (units - 1))) (Sokal's eq. 3.24; one unit fewer, since ranks sum to a constant). The
// window is wide enough for both times.
//
// 1 for white noise, 0 at least (a variance is not negative). Both INFINITY when no window closes
// within a third of the series: too short to say. NaN when nothing varies. Series must be finite.
double an_correlation_time(double *bound, const double *series, int64_t checkpoints, int64_t units);

#endif
