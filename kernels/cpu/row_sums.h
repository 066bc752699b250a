// SPDX-License-Identifier: Apache-2.0
#ifndef KN_ROW_SUMS_H
#define KN_ROW_SUMS_H

#include "vector_math.h"

// f64 sums over f32 rows: 16 lanes in two vectors, so that no addition waits for the one before,
// combined in a fixed order. The compiler maps them on what the machine has.
typedef float kn_float8 __attribute__((vector_size(32)));
typedef double kn_double8 __attribute__((vector_size(64)));

enum { KN_SUM_STEP = 16 };

struct kn_sum {
    kn_double8 even, odd;
};

KN_INLINE void kn_load8(kn_float8 *to, const float *from) {
    memcpy(to, from, sizeof *to);
}

KN_INLINE double kn_sum_total(const struct kn_sum *sum, double rest) {
    kn_double8 lanes = sum->even + sum->odd;
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
           ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7])) + rest;
}

#endif
