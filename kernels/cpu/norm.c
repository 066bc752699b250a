// SPDX-License-Identifier: Apache-2.0
// RMSNorm and LayerNorm. Sums in f64, the rest in f32 as the reference implementations do.
#include "cpu.h"

#include "check.h"

#include <math.h>

KN_CLONES static void normalise_row(float *y, const float *x, const float *addend,
                                    const struct kn_norm *op) {
    int64_t cols = op->x.cols;
    const float *weight = op->weight, *bias = op->bias;
    double sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < cols; c++) {
        y[c] = addend ? x[c] + addend[c] : x[c];
        sum += (double)y[c];
    }
    float mean = op->kind == KN_LAYER_NORM ? (float)(sum / (double)cols) : 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < cols; c++) {
        double v = (double)(y[c] - mean);
        squares += v * v;
    }
    float scale = 1 / sqrtf((float)(squares / (double)cols) + op->epsilon);
#pragma omp simd
    for (int64_t c = 0; c < cols; c++) {
        float v = (y[c] - mean) * scale;
        v = weight ? v * weight[c] : v;
        y[c] = bias ? v + bias[c] : v;
    }
}

enum kn_status cpu_norm(struct kn_backend *self, const struct kn_norm *op) {
    enum kn_status status = kn_check_norm(op, KN_F32);
    if (status != KN_OK) {
        return status;
    }
#pragma omp parallel for num_threads(self->threads)
    for (int64_t r = 0; r < op->x.rows; r++) {
        normalise_row(cpu_row(&op->y, r), cpu_row(&op->x, r), cpu_row(&op->addend, r), op);
    }
    return KN_OK;
}
