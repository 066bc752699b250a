// SPDX-License-Identifier: Apache-2.0
// A row times a row, and a row added to a row, for ops that have few rows at a time.
#include "cpu.h"

KN_CLONES float cpu_dot(const float *a, const float *b, int64_t count) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

KN_CLONES void cpu_add_weighted(float *y, const float *x, float weight, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] += weight * x[i];
}
