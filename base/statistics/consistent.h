// SPDX-License-Identifier: Apache-2.0
#ifndef AN_CONSISTENT_H
#define AN_CONSISTENT_H

#include <stdint.h>

#include "base/status.h"
#include "statistics/panel.h"

// limits[checkpoints, units]: the one-sided upper limit of each mean (an_upper_limit); NaN where it
// cannot be told.
enum tr_status an_upper_limits(double *limits, const struct an_panel *panel, double level,
                               struct tr_err *err);

// worst[units]: max over checkpoints of the limits, and at[units] the checkpoint: with confidence
// `level`, the highest mean at any checkpoint is below it, since the limit at that checkpoint alone
// already is. NaN when a checkpoint has no limit. (A percentile interval of the maximum itself
// would be biased upwards and too short.) `at` may be NULL.
void an_worst_bounds(double *worst, int64_t *at, const double *limits, int64_t checkpoints,
                     int64_t units);

// p[units] of "the mean is not below `bound` at some checkpoint": the largest of the checkpoints'
// p-values (intersection-union test, Berger 1982). A checkpoint at which a unit was not measured,
// or on one sequence only, shows nothing: p is 1. NaN for a unit for which that is all there is.
enum tr_status an_not_below_everywhere(double *p, const struct an_panel *panel, double bound,
                                       struct tr_err *err);

// adjusted[count]: p-values adjusted for the false discovery rate (Benjamini & Hochberg 1995): of
// the units with adjusted p <= q, an expected share of at most q is there wrongly. NaN stays NaN
// and is no hypothesis. TR_ENOMEM.
enum tr_status an_benjamini_hochberg(double *adjusted, const double *p, int64_t count,
                                     struct tr_err *err);

#endif
