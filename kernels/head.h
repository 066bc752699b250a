// SPDX-License-Identifier: Apache-2.0
#ifndef KN_HEAD_H
#define KN_HEAD_H

#include <math.h>

#include "kernels/measure.h"

// Stream i of a divergence: 0 is the base, whose cross is NULL, i > 0 the candidate i - 1.
static inline struct kn_head_candidate kn_head_stream(const struct kn_divergence *op, int64_t i) {
    const struct kn_loss *base = &op->base;
    if (i > 0)
        return op->candidate[i - 1];
    return (struct kn_head_candidate){.x = base->x,
                                      .maximum = base->maximum,
                                      .sum = base->sum,
                                      .target = base->target,
                                      .best = op->best,
                                      .best_logit = op->best_logit};
}

// Logit z of token `id` meets the highest so far; NaN and +infinity stay, as no id.
static inline void kn_head_take_best(const struct kn_head_candidate *stream, int64_t row, double z,
                                     int64_t id) {
    double *highest = &stream->best_logit[row];
    int32_t *best = &stream->best[row];
    bool is_broken = isnan(z) || z == (double)INFINITY;
    if (is_broken || z > *highest || (z == *highest && id < *best)) {
        *highest = is_broken ? (double)NAN : z;
        *best = is_broken ? -1 : (int32_t)id;
    }
}

#endif
