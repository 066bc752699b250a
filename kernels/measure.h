// SPDX-License-Identifier: Apache-2.0
#ifndef KN_MEASURE_H
#define KN_MEASURE_H

#include "kernels/ops.h"

// Ops that measure: what blocks add to the residual stream, and what a model makes of it in the
// end. They keep the conventions of kernels/ops.h.

// ---- the residual stream -----------------------------------------------------------------------

// The end of a block in one pass over its streams, all f32 [n,d]: the sufficient statistics of its
// three residual adds, then x += attention + mlp in place. An add brings e to a stream v:
//   KN_ADD_ATTENTION: v = x, e = attention
//   KN_ADD_MLP:       v = x + attention (parallel: x), e = mlp
//   KN_ADD_BLOCK:     v = x, e = attention + mlp
// each sum rounded to f32 as the stream itself is. Row r of add a has at [a * n + r], in f64,
//   xx = v.v,  xd = v.e,  dd = e.e
// attention, mlp or both may be absent, as those of a dropped sublayer: x += what is there. An add
// of which nothing is there has NaN for its three statistics, so that a summary finds no finite
// token in it. Its counts of non-finite tokens then say nothing: callers leave such adds out.
// xx == NULL: nobody asks for statistics (xd and dd are not looked at), and x becomes what it
// becomes with them, bit for bit.
enum kn_residual_add { KN_ADD_ATTENTION, KN_ADD_MLP, KN_ADD_BLOCK, KN_RESIDUAL_ADDS };
struct kn_block_end {
    double *xx, *xd, *dd; // [KN_RESIDUAL_ADDS, n], or NULL
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

// ---- vectors with each other -------------------------------------------------------------------

// Products of the vectors x_0, x_1, ... with each other, f32 and `cols` long, one after the other
// in x, accumulated in f32: the block y[i * width + j] = x_(row + i) . x_(col + j), f32 [rows,
// width]. Of a block on the diagonal (row == col, rows == width) what lies right of the diagonal
// stays as it was. gram and inner_products keep no state and run on one thread: any number of
// threads may call them for one handle at once. Hosts alone have them; elsewhere KN_EUNSUPPORTED.
struct kn_gram {
    float *y;
    const float *x;
    int64_t cols, row, rows, col, width;
};

// y[i * count + j] = x_i . x_j for j <= i < count, summed in f64; x_i has `length` f32 values, the
// first at x + i * pitch. The other half of y stays as it was.
struct kn_inner_products {
    double *y;
    const float *x;
    int64_t count, pitch, length;
};

// What meets a weight, as far as its second moment goes: y[i * x.cols + j] += sum_r x[r, i] x[r, j]
// for j <= i, f64; the other half of y stays as it was. x activations or f32. The rows of one call
// are summed in f32, so calls of a micro-batch each keep what a sum over many would lose. Where
// there are no rows, nothing is added.
struct kn_second_moment {
    double *y;
    struct kn_matrix x;
};

// ---- the head ----------------------------------------------------------------------------------

// One panel of the head, for the loss without ever holding all logits:
//   z[r, c] = scale * (x[r,:] . w[c,:] + bias[c]),  c in the panel's vocabulary rows [first_id,
//   first_id + w.rows);  z = softcap * tanh(z / softcap) where softcap > 0
//   maximum[r], sum[r]: running max and sum of exp(z - max) over the panels so far
//   target[r]: z of targets[r] once its panel has passed; targets[r] < 0: no target
// kn_loss_begin sets maximum = -infinity, sum = 0, target = 0; after all panels
//   loss = maximum + log(sum) - target.
// x activations, w any type.
struct kn_loss {
    double *maximum, *sum, *target; // [n]
    struct kn_matrix x, w;
    const float *bias;      // f32 [w.rows] or NULL
    const int32_t *targets; // [n]
    int64_t first_id;
    float scale, softcap; // softcap 0: none
};

// The state of a loss before its first panel; reads op->x.rows and the three pointers. Waits.
enum kn_status kn_loss_begin(struct kn_backend *kn, const struct kn_loss *op);

// The same panel for a base stream and several candidates, for their losses and how far each is
// from the base. base is a loss of its own, x the base's; each candidate's maximum, sum and target
// are what `loss` makes of its x, w and the rest as the base's, bit for bit. Beyond those
//   cross[r]: running sum of exp(z_base - maximum_base) * (z_base - z_candidate)
//   best[r], best_logit[r]: the id of the highest logit so far, the lower of equals; and its logit
// kn_divergence_begin sets cross = 0, best = -1, best_logit = -infinity, the losses as
// kn_loss_begin does; after all panels, in nats,
//   KL(base || candidate) = cross / sum_base + (maximum + log(sum)) - (maximum_base +
//   log(sum_base))
// which is exactly 0 for a candidate of the base's bits that lies as the base does (stride and
// alignment: products go by them), and is otherwise known to about 1e-7, as logarithms of sums are:
// a KL below that may come out negative. A row with a logit that is not
// finite, the base's or the candidate's, has a cross that is NaN; a stream's best is -1 and its
// best_logit NaN where it had a NaN or +infinity: such rows have no KL and agree with nothing.
// A candidate's numbers do not depend on the others in the call.
struct kn_head_candidate {
    struct kn_matrix x;                     // activations, the base's shape
    double *maximum, *sum, *target, *cross; // [n]
    int32_t *best;                          // [n]
    double *best_logit;                     // [n]
};
struct kn_divergence {
    struct kn_loss base;
    int32_t *best;      // [n]
    double *best_logit; // [n]
    int64_t candidates;
    const struct kn_head_candidate *candidate; // [candidates]; host memory
};

// The state before the first panel; reads base.x.rows, candidates and the pointers. Waits.
enum kn_status kn_divergence_begin(struct kn_backend *kn, const struct kn_divergence *op);

// Texts that go on: the rows of a step of decoding become those of the next one, each the token
// that was the likeliest to follow, a position further. Of every row r, in place:
//   chosen[*step % ahead * rows + r] = ids[r] = best[r]
//   positions[r] += 1,  table_rows[r] += 1
//   cache_rows[i][r] = sequences[r] * slots[i] + positions[r] % slots[i],  i = 0, 1; -1 where
//   there are no slots
// then best and its logit, maximum, sum and target as kn_divergence_begin leaves them, and *step
// += 1. A best of -1 stays -1.
struct kn_advance {
    int32_t *ids, *positions, *table_rows, *cache_rows[2]; // [rows]
    const int32_t *sequences;                              // [rows]
    int64_t rows, slots[2];
    int32_t *chosen, *step; // [ahead, rows], [1]
    int64_t ahead;
    int32_t *best;                               // [rows]
    double *best_logit, *maximum, *sum, *target; // [rows]
};

// The same panels once more, when maximum and sum of the base and of the candidates are complete:
// how alike their logits are, and their distributions p = exp(z_base - log_sum_base) of the base
// and q of a candidate. compared[KN_COMPARED, n] of each candidate, running sums over the panels:
//   KN_JENSEN       (p log(2 p / (p + q)) + q log(2 q / (p + q))) / 2: in the end the
//                   Jensen-Shannon divergence in nats, between 0 and log 2
//   KN_DOT          z_base * z
//   KN_SQUARE, KN_BASE_SQUARE   z^2, z_base^2: the angle of the logits is
//                   acos(dot / sqrt(square * base square))
//   KN_DISTANCE     (z_base - z)^2: the square of their Euclidean distance
//   KN_REVERSED     m (log(m / p) + log(m / q)) / 2, m = (p + q) / 2: half of KL(m || p) + KL(m ||
//                   q), what FinerCut's code computes under the name of Jensen-Shannon; without a
//                   bound
// They begin at 0. Without cancellation: with h half of log(q / p), a term of the first is sqrt(p
// q) (h sinh h - cosh h log cosh h), of the last sqrt(p q) cosh h log cosh h. Logits that are not
// finite give NaN. base.target and targets are not used. A candidate's numbers do not depend on the
// others in the call.
enum { KN_JENSEN, KN_DOT, KN_SQUARE, KN_BASE_SQUARE, KN_DISTANCE, KN_REVERSED, KN_COMPARED };
struct kn_compared {
    struct kn_matrix x;          // activations, the base's shape
    const double *maximum, *sum; // [n]
    double *compared;            // [KN_COMPARED, n]
};
struct kn_comparison {
    struct kn_loss base;
    int64_t candidates;
    const struct kn_compared *candidate; // [candidates]; host memory
};

// The state before the first panel; reads base.x.rows, candidates and the pointers. Waits.
enum kn_status kn_comparison_begin(struct kn_backend *kn, const struct kn_comparison *op);

#endif
