// SPDX-License-Identifier: Apache-2.0
#ifndef KN_MEASURE_H
#define KN_MEASURE_H

#include "kernels/ops.h"

// Ops that measure what a forward pass adds to its residual stream. They take the conventions of
// kernels/ops.h.

// The sufficient statistics of a residual add, per token, f64 accumulation of f32 values:
//   v = x + x_addend,  e = delta + delta_addend  (each sum rounded to f32 as the stream itself is)
//   xx[n] = v.v,  xd[n] = v.e,  dd[n] = e.e
// addends may have data == NULL. x f32; delta f32.
struct kn_statistics {
    double *xx, *xd, *dd; // [n]
    struct kn_matrix x, x_addend, delta, delta_addend;
};

// In place: x[n,d] += delta[n,d] + delta_addend[n,d] (data == NULL: absent); delta is summed first.
struct kn_add {
    struct kn_matrix x, delta, delta_addend;
};

// The end of a block in one pass over its streams: the statistics of its three residual adds, then
// x += attention + mlp. Row r of add a has its statistics at [a * n + r]:
//   KN_ADD_ATTENTION: x, attention   KN_ADD_MLP: x + attention (parallel: x), mlp
//   KN_ADD_BLOCK: x, attention + mlp
// Sums are rounded to f32 as in kn_statistics and kn_add: the same bits as those ops one by one.
// attention, mlp or both may be absent, as those of a dropped sublayer: x += what is there. An add
// of which nothing is there has NaN for its three statistics, so that a summary finds no finite
// token in it. Its counts of non-finite tokens then say nothing: callers leave such adds out.
enum kn_residual_add { KN_ADD_ATTENTION, KN_ADD_MLP, KN_ADD_BLOCK, KN_RESIDUAL_ADDS };
struct kn_block_end {
    double *xx, *xd, *dd; // [KN_RESIDUAL_ADDS, n]
    struct kn_matrix x, attention, mlp;
    bool parallel;
};

// What the statistics of residual adds say, summed over the tokens of each sequence. Per token,
// with a = xx, b = xd, e = dd and y = x + delta:
//   cos(x, y)      = (a + b) / sqrt(a (a + 2b + e))
//   importance     = 1 - cos, without cancellation: sin^2 / (1 + cos) where cos >= 0, with
//                    sin^2 = (a e - b^2) / (a (a + 2b + e))
//   update ratio   = sqrt(e / a)
//   alignment      = b / sqrt(a e); 0 where delta is exactly 0
// Tokens with a non-finite statistic are counted as such and left out of everything else; so are
// tokens with x = 0 or y = 0, which have no angle, but they are in no count: what the finite and
// the non-finite leave of seq_len. Histograms: a value belongs to the last bin that starts at or
// below it, to bin 0 when there is none.
enum {
    KN_SUM_COS,
    KN_SUM_IMPORTANCE,
    KN_SUM_RATIO,
    KN_SUM_ALIGNMENT,
    KN_SUM_XX,
    KN_SUM_XD,
    KN_SUM_DD,
    KN_SUM_NORM, // of x: sqrt(a)
    KN_SUMS
};
enum {
    KN_COUNT_FINITE, // with an angle
    KN_COUNT_NONFINITE,
    KN_COUNT_FIRST, // position of the first non-finite token; seq_len: none
    KN_COUNTS
};
struct kn_summary {
    double *sums;      // [sequences, KN_SUMS + position_bins]: then importance by position bin
    uint32_t *counts;  // [sequences, KN_COUNTS + bins + position_bins]: then the histogram of
                       // importance and the finite tokens by position bin
    float *importance; // [sequences * seq_len], NaN where there is none; or NULL
    const double *xx, *xd, *dd; // [sequences * seq_len]
    int64_t sequences, seq_len;
    const double *bin_starts;    // [bins], ascending
    const int32_t *position_bin; // [seq_len], not descending
    int64_t bins, position_bins;
};

#endif
