// SPDX-License-Identifier: Apache-2.0
// RMSNorm and LayerNorm. Sums in f64, the rest in f32 as the reference implementations do.
#include <math.h>
#include <string.h>

#include "check.h"
#include "cpu.h"
#include "row_sums.h"

KN_INLINE double sum_row(const float *y, int64_t count) {
    struct kn_sum sum = {0};
    double rest = 0;
    int64_t c = 0;
    for (; c + KN_SUM_STEP <= count; c += KN_SUM_STEP)
        for (int i = 0; i < KN_SUM_VECTORS; i++) {
            kn_float4 v;
            kn_load4(&v, y + c + 4 * i);
            sum.lanes[i] += __builtin_convertvector(v, kn_double4);
        }
    for (; c < count; c++)
        rest += (double)y[c];
    return kn_sum_total(&sum, rest);
}

// The sum of (y - mean)^2, each difference rounded to f32.
KN_INLINE double sum_squares(const float *y, float mean, int64_t count) {
    struct kn_sum sum = {0};
    double rest = 0;
    int64_t c = 0;
    for (; c + KN_SUM_STEP <= count; c += KN_SUM_STEP)
        for (int i = 0; i < KN_SUM_VECTORS; i++) {
            kn_float4 v;
            kn_load4(&v, y + c + 4 * i);
            kn_double4 d = __builtin_convertvector(v - mean, kn_double4);
            sum.lanes[i] += d * d;
        }
    for (; c < count; c++) {
        double v = (double)(y[c] - mean);
        rest += v * v;
    }
    return kn_sum_total(&sum, rest);
}

struct norm {
    const float *weight, *bias; // or NULL
    enum kn_norm_kind kind;
    float epsilon;
};

// x may be y.
KN_CLONES static void normalise_row(float *y, const float *x, const float *addend, int64_t cols,
                                    struct norm norm) {
    const float *weight = norm.weight, *bias = norm.bias;
    if (addend) {
#pragma omp simd
        for (int64_t c = 0; c < cols; c++)
            y[c] = x[c] + addend[c];
        x = y;
    }
    if (norm.kind == KN_NO_NORM) {
        memmove(y, x, (size_t)cols * sizeof *y);
        return;
    }
    float mean = norm.kind == KN_LAYER_NORM ? (float)(sum_row(x, cols) / (double)cols) : 0;
    double squares = sum_squares(x, mean, cols);
    float scale = 1 / sqrtf((float)(squares / (double)cols) + norm.epsilon);
#pragma omp simd
    for (int64_t c = 0; c < cols; c++)
        y[c] = (x[c] - mean) * scale;
    if (weight) {
#pragma omp simd
        for (int64_t c = 0; c < cols; c++)
            y[c] *= weight[c];
    }
    if (bias) {
#pragma omp simd
        for (int64_t c = 0; c < cols; c++)
            y[c] += bias[c];
    }
}

enum kn_status cpu_norm(struct kn_backend *self, const struct kn_norm *op) {
    KN_TRY(kn_check_norm(op, KN_F32));
    struct norm norm = {op->weight, op->bias, op->kind, op->epsilon};
    int threads = cpu_row_threads(self, &op->x);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < op->x.rows; r++)
        normalise_row(cpu_row(&op->y, r), cpu_row(&op->x, r), cpu_row(&op->addend, r), op->x.cols,
                      norm);
    return KN_OK;
}

enum kn_status cpu_head_norm(struct kn_backend *self, const struct kn_head_norm *op) {
    KN_TRY(kn_check_head_norm(op, KN_F32));
    const struct kn_heads *heads = &op->heads;
    int threads = cpu_threads(self, heads->x.rows * heads->count * heads->dim);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < heads->x.rows; r++) {
        for (int64_t h = 0; h < heads->count; h++) {
            float *head = cpu_head(heads, r, h);
            int64_t own = h * op->weight_pitch;
            struct norm norm = {op->weight ? op->weight + own : NULL,
                                op->bias ? op->bias + own : NULL, op->kind, op->epsilon};
            normalise_row(head, head, NULL, heads->dim, norm);
        }
    }
    return KN_OK;
}
