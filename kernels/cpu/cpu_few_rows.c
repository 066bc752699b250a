// SPDX-License-Identifier: Apache-2.0
// Products of few rows, as steps of decoding have them: they take as long as it takes to read the
// weights, which a BLAS would first lay out anew. Four rows of weights, a stretch of them at a
// time, meet each row of x, whose sums stay in registers. Weights of 16 bits are widened by the
// stretch, so that a sum has the same bits whatever their type.
#include <string.h>

#include "cpu.h"

enum { SIDE = 4, STRETCH = 512 }; // rows of weights at a time, and entries of them

// sums[0 ... 3] += x[count] times four rows of w.
KN_CLONES static void add_four(float *sums, const float *x, const float *const *w, int64_t count) {
    const float *a = w[0], *b = w[1], *c = w[2], *d = w[3];
    float sum_a = 0, sum_b = 0, sum_c = 0, sum_d = 0;
#pragma omp simd reduction(+ : sum_a, sum_b, sum_c, sum_d)
    for (int64_t i = 0; i < count; i++) {
        sum_a += x[i] * a[i];
        sum_b += x[i] * b[i];
        sum_c += x[i] * c[i];
        sum_d += x[i] * d[i];
    }
    sums[0] += sum_a;
    sums[1] += sum_b;
    sums[2] += sum_c;
    sums[3] += sum_d;
}

// Where a stretch of weights is in f32: in `wide`, unless they are so already.
static const float *widened(float *wide, const struct kn_matrix *w, int64_t first, int64_t count) {
    if (w->type == KN_F32)
        return (const float *)w->data + first;
    cpu_widen(wide, w->data, w->type, first, count);
    return wide;
}

// The columns of y that rows row ... row + there - 1 of w make, at most four. The last of them
// stands for those that are not there.
static void multiply_four(float *y, int64_t y_stride, const float *x, int64_t x_stride,
                          int64_t rows, const struct kn_matrix *w, int64_t row, int64_t there) {
    float wide[SIDE][STRETCH], sums[CPU_FEW_ROWS][SIDE] = {{0}};
    const float *at[SIDE];
    for (int64_t first = 0; first < w->cols; first += STRETCH) {
        int64_t count = cpu_min(STRETCH, w->cols - first);
        for (int64_t i = 0; i < SIDE; i++)
            at[i] = widened(wide[i], w, (row + cpu_min(i, there - 1)) * w->stride + first, count);
        for (int64_t r = 0; r < rows; r++)
            add_four(sums[r], x + r * x_stride + first, at, count);
    }
    for (int64_t r = 0; r < rows; r++)
        memcpy(y + r * y_stride, sums[r], (size_t)there * sizeof *y);
}

void cpu_few_rows(float *y, int64_t y_stride, const float *x, int64_t x_stride, int64_t rows,
                  const struct kn_matrix *w, int64_t first_row, int64_t w_rows) {
    for (int64_t c = 0; c < w_rows; c += SIDE)
        multiply_four(y + c, y_stride, x, x_stride, rows, w, first_row + c,
                      cpu_min(SIDE, w_rows - c));
}
