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

// What one token adds to a comparison (struct kn_comparison): log p and z of the base, log q and z
// of the candidate.
struct kn_compared_token {
    double sums[KN_COMPARED];
};

// With a = |log(q / p)| / 2 and m = max(p, q), and cosh a - 1 = (1 - exp(-a))^2 / 2 exp(-a):
//   (p log(2 p / (p + q)) + q log(2 q / (p + q))) / 2
//       = m / 2 (a (1 - exp(-2 a)) - (1 + exp(-2 a)) log cosh a)
//   (p + q) / 2 (log((p + q) / 2) - (log p + log q) / 2)
//       = m / 2 (1 + exp(-2 a)) log cosh a
KN_HEAD_INLINE void kn_mixture(double log_p, double log_q, double sums[KN_COMPARED]) {
    double a = fabs(log_q - log_p) / 2, e = expm1(-a), w = 1 + e;
    double log_cosh = a < 20 ? log1p(e * e / (2 * w)) : a - 0.693147180559945309417;
    double half = exp(log_q > log_p ? log_q : log_p) / 2, reversed = (1 + w * w) * log_cosh;
    sums[KN_JENSEN] = half * (a * -expm1(-2 * a) - reversed);
    sums[KN_REVERSED] = half * reversed;
}

KN_HEAD_INLINE struct kn_compared_token kn_compare(double z_base, double z, double log_sum_base,
                                                   double log_sum) {
    struct kn_compared_token token;
    double difference = z_base - z;
    kn_mixture(z_base - log_sum_base, z - log_sum, token.sums);
    token.sums[KN_DOT] = z_base * z;
    token.sums[KN_SQUARE] = z * z;
    token.sums[KN_BASE_SQUARE] = z_base * z_base;
    token.sums[KN_DISTANCE] = difference * difference;
    return token;
}

#endif
