// SPDX-License-Identifier: Apache-2.0
#ifndef KN_HEAD_H
#define KN_HEAD_H

#include <float.h>
#include <math.h>

#include "kernels/measure.h"

// What the backends' divergences share, device code included.
#ifdef __CUDACC__
#define KN_HEAD_INLINE static inline __host__ __device__
#else
#define KN_HEAD_INLINE static inline
#endif

// Stream i of a divergence: 0 is the base, whose cross is NULL, i > 0 the candidate i - 1.
KN_HEAD_INLINE struct kn_head_candidate kn_head_stream(const struct kn_divergence *op, int64_t i) {
    const struct kn_loss *base = &op->base;
    struct kn_head_candidate stream = {.x = base->x,
                                       .maximum = base->maximum,
                                       .sum = base->sum,
                                       .target = base->target,
                                       .cross = NULL,
                                       .best = op->best,
                                       .best_logit = op->best_logit};
    return i > 0 ? op->candidate[i - 1] : stream;
}

// Logit z of token `id` meets the highest so far; NaN and +infinity stay, as NaN of no id.
KN_HEAD_INLINE void kn_head_take_best(const struct kn_head_candidate *stream, int64_t row, double z,
                                      int64_t id) {
    double *highest = &stream->best_logit[row];
    int32_t *best = &stream->best[row];
    bool is_broken = !(z <= DBL_MAX);
    if (is_broken || z > *highest || (z == *highest && id < *best)) {
        *highest = is_broken ? z - z : z;
        *best = is_broken ? -1 : (int32_t)id;
    }
}

// Row r of struct kn_advance; *step is its caller's to count.
KN_HEAD_INLINE void kn_advance_row(const struct kn_advance *op, int64_t r) {
    int32_t token = op->best[r], position = ++op->positions[r];
    op->chosen[*op->step % op->ahead * op->rows + r] = token;
    op->ids[r] = token;
    op->table_rows[r]++;
    for (int i = 0; i < 2; i++) {
        int64_t slots = op->slots[i];
        op->cache_rows[i][r] = slots ? (int32_t)(op->sequences[r] * slots + position % slots) : -1;
    }
    op->best[r] = -1;
    op->best_logit[r] = op->maximum[r] = (double)-INFINITY;
    op->sum[r] = op->target[r] = 0;
}

// What one token adds to a comparison (struct kn_comparison): log p and z of the base, log q and z
// of the candidate.
struct kn_compared_token {
    double sums[KN_COMPARED];
};

// -tanh^2 a, a = |log(q / p)| / 2: what the logarithm of a comparison is of, as log1p.
KN_HEAD_INLINE double kn_unlike(double p, double q) {
    double t = p + q > 0 ? (q - p) / (q + p) : 0;
    return -t * t;
}

// What one token adds, of p = exp(log_p) and q = exp(log_q); `logarithm` is log1p(kn_unlike(p, q)).
// With m = (p + q) / 2 and h = log cosh a:
//   (p log(p / m) + q log(q / m)) / 2 = m (a tanh a - h)
//   m (log m - (log p + log q) / 2)   = m h
// h = -log(1 - tanh^2 a) / 2. Where the one is much the smaller that is rounded away, and with r
// their ratio, exp(-2 a), h = a - log 2 + log(1 + r).
KN_HEAD_INLINE void kn_mixture(double log_p, double p, double log_q, double q, double logarithm,
                               double sums[KN_COMPARED]) {
    double a = 0.5 * fabs(log_q - log_p), low = p < q ? p : q, high = p < q ? q : p;
    double t = high > 0 ? (high - low) / (high + low) : 0, r = high > 0 ? low / high : 0;
    double far = a - 0.693147180559945309417 + r * (1 - 0.5 * r);
    double h = a < 6 ? -0.5 * logarithm : far, m = 0.5 * (p + q);
    sums[KN_JENSEN] = m * (a * t - h);
    sums[KN_REVERSED] = m * h;
}

KN_HEAD_INLINE void kn_logits(double z_base, double z, double sums[KN_COMPARED]) {
    sums[KN_DOT] = z_base * z;
    sums[KN_SQUARE] = z * z;
    sums[KN_BASE_SQUARE] = z_base * z_base;
    sums[KN_DISTANCE] = (z_base - z) * (z_base - z);
}

// `p` is exp(z_base - log_sum_base), the same for every candidate.
KN_HEAD_INLINE struct kn_compared_token kn_compare(double z_base, double p, double z,
                                                   double log_sum_base, double log_sum) {
    struct kn_compared_token token;
    double log_q = z - log_sum, q = exp(log_q);
    kn_mixture(z_base - log_sum_base, p, log_q, q, log1p(kn_unlike(p, q)), token.sums);
    kn_logits(z_base, z, token.sums);
    return token;
}

#endif
