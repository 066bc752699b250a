// SPDX-License-Identifier: Apache-2.0
#ifndef KN_ROW_SUMS_H
#define KN_ROW_SUMS_H

#include "vector_math.h"

// f64 sums over f32 rows: 16 lanes in four vectors, so that no addition waits for the one before,
// combined in a fixed order. No vector is wider than most machines' registers: the compiler would
// keep it in memory.
typedef float kn_float4 __attribute__((vector_size(16)));
typedef double kn_double4 __attribute__((vector_size(32)));

enum { KN_SUM_VECTORS = 4, KN_SUM_STEP = 4 * KN_SUM_VECTORS };

struct kn_sum {
    kn_double4 lanes[KN_SUM_VECTORS];
};

KN_INLINE void kn_load4(kn_float4 *to, const float *from) {
    memcpy(to, from, sizeof *to);
}

KN_INLINE double kn_sum_total(const struct kn_sum *sum, double rest) {
    kn_double4 low = sum->lanes[0] + sum->lanes[2], high = sum->lanes[1] + sum->lanes[3];
    return ((low[0] + low[1]) + (low[2] + low[3])) + ((high[0] + high[1]) + (high[2] + high[3])) +
           rest;
}

#endif
