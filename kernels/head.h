// SPDX-License-Identifier: Apache-2.0
#ifndef KN_HEAD_H
#define KN_HEAD_H

#include <float.h>

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

#endif
