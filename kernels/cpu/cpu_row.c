// SPDX-License-Identifier: Apache-2.0
// A row times a row, and a row added to a row, for ops that have few rows at a time.
#include <string.h>

#include "cpu.h"
#include "vector_math.h"

// Four vectors of sums, so that no addition waits for the one before, and so that a long row is
// rounded no worse where vectors are short.
typedef float kn_float8 __attribute__((vector_size(32)));
enum { VECTORS = 4, LANES = 8, STEP = VECTORS * LANES };

KN_INLINE void add_products(kn_float8 *sums, const float *a, const float *b) {
    kn_float8 x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    *sums += x * y;
}

KN_CLONES float cpu_dot(const float *a, const float *b, int64_t count) {
    kn_float8 sums[VECTORS] = {0};
    float total = 0;
    int64_t i = 0;
    for (; i + STEP <= count; i += STEP)
        for (int v = 0; v < VECTORS; v++)
            add_products(&sums[v], a + i + v * LANES, b + i + v * LANES);
    for (; i + LANES <= count; i += LANES)
        add_products(&sums[0], a + i, b + i);
    for (; i < count; i++)
        total += a[i] * b[i];
    kn_float8 all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (int lane = 0; lane < LANES / 2; lane++)
        total += all[lane] + all[lane + LANES / 2];
    return total;
}

KN_CLONES void cpu_add_weighted(float *y, const float *x, float weight, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] += weight * x[i];
}
