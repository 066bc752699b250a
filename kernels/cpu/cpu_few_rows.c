// SPDX-License-Identifier: Apache-2.0
// Products of few rows, as steps of decoding have them: they take as long as it takes to read the
// weights, which a BLAS would first lay out anew. Four rows of weights meet a row of x at a time,
// whose sums stay in registers; further rows of x find the weights in the nearest cache.
#include <stddef.h>
#include <string.h>

#include "cpu.h"
#include "kernels/convert.h"

enum { SIDE = 4 }; // rows of weights at a time

// y[0 ... 3] = x[k] times four rows of w.
KN_CLONES static void four_f32(float *y, const float *x, const float *w, int64_t stride,
                               int64_t k) {
    const float *b = w + stride, *c = b + stride, *d = c + stride;
    float sum_a = 0, sum_b = 0, sum_c = 0, sum_d = 0;
#pragma omp simd reduction(+ : sum_a, sum_b, sum_c, sum_d)
    for (int64_t i = 0; i < k; i++) {
        sum_a += x[i] * w[i];
        sum_b += x[i] * b[i];
        sum_c += x[i] * c[i];
        sum_d += x[i] * d[i];
    }
    y[0] = sum_a;
    y[1] = sum_b;
    y[2] = sum_c;
    y[3] = sum_d;
}

KN_CLONES static void four_bf16(float *y, const float *x, const uint16_t *w, int64_t stride,
                                int64_t k) {
    const uint16_t *b = w + stride, *c = b + stride, *d = c + stride;
    float sum_a = 0, sum_b = 0, sum_c = 0, sum_d = 0;
#pragma omp simd reduction(+ : sum_a, sum_b, sum_c, sum_d)
    for (int64_t i = 0; i < k; i++) {
        sum_a += x[i] * kn_float_of_bf16(w[i]);
        sum_b += x[i] * kn_float_of_bf16(b[i]);
        sum_c += x[i] * kn_float_of_bf16(c[i]);
        sum_d += x[i] * kn_float_of_bf16(d[i]);
    }
    y[0] = sum_a;
    y[1] = sum_b;
    y[2] = sum_c;
    y[3] = sum_d;
}

// Of the last rows of w, fewer than four, the first ones stand for those that are not there, so
// that a sum is the same wherever its row stands.
static void multiply_four(float y[SIDE], const float *x, const struct kn_matrix *w, int64_t row,
                          int64_t there) {
    int64_t stride = there < SIDE ? 0 : w->stride;
    for (int64_t i = 0; i < (there < SIDE ? there : 1); i++) {
        int64_t at = (row + i) * w->stride;
        float *to = y + i, sums[SIDE];
        if (w->type == KN_F32)
            four_f32(sums, x, (const float *)w->data + at, stride, w->cols);
        else
            four_bf16(sums, x, (const uint16_t *)w->data + at, stride, w->cols);
        memcpy(to, sums, (there < SIDE ? 1 : SIDE) * sizeof *to);
    }
}

bool cpu_few_rows_take(int64_t rows, const struct kn_matrix *w) {
    return rows <= CPU_FEW_ROWS && w->type != KN_F16;
}

void cpu_few_rows(float *y, int64_t y_stride, const float *x, int64_t x_stride, int64_t rows,
                  const struct kn_matrix *w, int64_t first_row, int64_t w_rows) {
    for (int64_t c = 0; c < w_rows; c += SIDE)
        for (int64_t r = 0; r < rows; r++)
            multiply_four(y + r * y_stride + c, x + r * x_stride, w, first_row + c,
                          cpu_min(SIDE, w_rows - c));
}
