// SPDX-License-Identifier: Apache-2.0
#ifndef AN_CONCORDANCE_H
#define AN_CONCORDANCE_H

#include <stdint.h>

#include "base/status.h"

// Do the checkpoints order the units alike? values[checkpoints, units]; units that lack a finite
// value at some checkpoint are left out, `units` says how many remain.
//
// Kendall's W with ties corrected (Kendall & Babington Smith 1939):
//   W = 12 S / (N^2 (m^3 - m) - N sum_c T_c),  S = sum_u (R_u - mean R)^2,  T_c = sum (t^3 - t)
// over N checkpoints, m units, rank sums R_u and ties of size t. From 0 (no agreement) to 1 (the
// same order always); mean_spearman = (N W - 1) / (N - 1).
//
// Neighbouring checkpoints are alike whatever is true, so that W's chi-square is no test. Here the
// series is cut into blocks of consecutive checkpoints and each block's units are relabelled at
// random, all its checkpoints alike: what would be seen if blocks had nothing to do with each
// other. For that a block is AN_BLOCK_TIMES correlation times of the ranks long, and AN_GAP_TIMES
// times what these have above one checkpoint is left out between blocks.
// p = (1 + relabellings whose W >= the blocks' W) / (1 + relabellings).
//
// The correlation time is itself estimated, and which series have a p must not depend on their W:
// chance that makes ranks look alike makes their memory look short. Blocks are therefore made for
// the time that the ranks would have if nothing were concordant (*bound in correlation_time.h), and
// for AN_TIME_LEAST at least, which takes AN_CHECKPOINTS_LEAST: fewer cannot tell a memory. Where
// nothing is concordant, at most 7 % of the series that have a p are rejected at 5 %, even where
// only one in fifty has (tests/statistics/coverage.md). Longer blocks alone do not help: the fewer
// pass, the odder they are.
//
// No p below AN_BLOCKS_LEAST blocks, for fewer than 2 units, or when ranks never change (no
// correlation time).
enum { AN_BLOCKS_LEAST = 6, AN_CHECKPOINTS_LEAST = 46 };
#define AN_BLOCK_TIMES 3.0
#define AN_GAP_TIMES 2.0
#define AN_TIME_LEAST 2.0

struct an_concordance {
    int64_t checkpoints, units; // that W is of
    double w, mean_spearman;    // NaN for one unit or all tied
    double correlation_time;    // of the ranks, in checkpoints; INFINITY: longer than can be told
    double block_time;          // that blocks are made for
    int64_t block, gap, blocks; // checkpoints in a block, left out after it; how many blocks
    int64_t relabellings;
    double p; // NaN: not testable
};

enum tr_status an_concordance(struct an_concordance *concordance, const double *values,
                              int64_t checkpoints, int64_t units, int64_t relabellings,
                              uint64_t seed, struct tr_err *err);

// The same null for the share of checkpoints at which a unit is among the `count` lowest:
// p[units] = (1 + relabellings in which the *highest* share of any unit reaches this unit's share)
// / (1 + relabellings), so that it holds for all units at once; *threshold is the (1 - alpha)
// quantile of that highest share. Shares are over the blocks' checkpoints; values[checkpoints,
// units] and `test` are an_concordance's. All NaN when its p is; a unit left out there has NaN.
enum tr_status an_share_test(double *p, double *threshold, const double *values,
                             const struct an_concordance *test, int64_t units, int64_t count,
                             double alpha, uint64_t seed, struct tr_err *err);

#endif
