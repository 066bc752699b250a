// SPDX-License-Identifier: Apache-2.0
// Activations, gates, the residual add, scale.
#include <string.h>

#include "check.h"
#include "cpu.h"
#include "vector_math.h"

KN_INLINE void activate_row(float *y, const float *bias, int64_t count, enum kn_activation kind) {
    if (bias) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            y[i] = kn_activate(kind, y[i] + bias[i]);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            y[i] = kn_activate(kind, y[i]);
    }
}

// y may be gate itself.
KN_INLINE void gate_row(float *y, const float *gate, const float *up, int64_t count,
                        enum kn_activation kind) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = kn_activate(kind, gate[i]) * up[i];
}

// One loop an activation, so that the choice is made outside; the one with parameters apart.
#define KN_BY_ACTIVATION(kind, call)                                                               \
    switch (kind) {                                                                                \
    case KN_IDENTITY:                                                                              \
        call(KN_IDENTITY);                                                                         \
        return;                                                                                    \
    case KN_SILU:                                                                                  \
        call(KN_SILU);                                                                             \
        return;                                                                                    \
    case KN_GELU_ERF:                                                                              \
        call(KN_GELU_ERF);                                                                         \
        return;                                                                                    \
    case KN_GELU_TANH:                                                                             \
        call(KN_GELU_TANH);                                                                        \
        return;                                                                                    \
    case KN_RELU:                                                                                  \
        call(KN_RELU);                                                                             \
        return;                                                                                    \
    case KN_RELU_SQUARED:                                                                          \
        call(KN_RELU_SQUARED);                                                                     \
        return;                                                                                    \
    case KN_XIELU:                                                                                 \
        return;                                                                                    \
    }

#define ACTIVATE_ROW(kind) activate_row(y, bias, count, kind)
#define GATE_ROW(kind) gate_row(y, gate, up, count, kind)

KN_CLONES static void xielu_row(float *y, const float *bias, int64_t count, const float *p) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = kn_xielu(bias ? y[i] + bias[i] : y[i], p);
}

KN_CLONES void cpu_activate(float *y, const float *bias, int64_t count,
                            enum kn_activation activation, const float *parameters) {
    if (!bias && activation == KN_IDENTITY)
        return;
    if (activation == KN_XIELU) {
        xielu_row(y, bias, count, parameters);
        return;
    }
    KN_BY_ACTIVATION(activation, ACTIVATE_ROW)
}

KN_CLONES static void gate(float *y, const float *gate, const float *up, int64_t count,
                           enum kn_activation activation){KN_BY_ACTIVATION(activation, GATE_ROW)}

KN_CLONES static void gate_limited(float *y, const float *gate, const float *up, int64_t count,
                                   float limit, float slope) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float v = gate[i] > limit ? limit : gate[i];
        float u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];
        y[i] = v / (1 + kn_exp(-slope * v)) * (1 + u);
    }
}

enum kn_status cpu_gate(struct kn_backend *self, const struct kn_gate *op) {
    KN_TRY(kn_check_gate(op, KN_F32));
    int threads = cpu_row_threads(self, &op->y);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < op->y.rows; r++) {
        const float *x = cpu_row(&op->x, r);
        if (op->limit > 0)
            gate_limited(cpu_row(&op->y, r), x, x + op->y.cols, op->y.cols, op->limit, op->slope);
        else
            gate(cpu_row(&op->y, r), x, x + op->y.cols, op->y.cols, op->activation);
    }
    return KN_OK;
}

KN_CLONES void cpu_add_row(float *x, const float *delta, const float *addend, int64_t count) {
    if (addend) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            x[i] += delta[i] + addend[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            x[i] += delta[i];
    }
}

KN_CLONES static void scale_row(float *x, float factor, float limit, int64_t count) {
    if (factor == 0) {
        memset(x, 0, (size_t)count * sizeof *x);
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float v = factor * x[i];
        v = v > limit ? limit : v;
        x[i] = v < -limit ? -limit : v;
    }
}

enum kn_status cpu_scale(struct kn_backend *self, const struct kn_scale *op) {
    KN_TRY(kn_check_scale(op, KN_F32));
    int threads = cpu_row_threads(self, &op->x);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < op->x.rows; r++)
        scale_row(cpu_row(&op->x, r), op->factor, op->limit, op->x.cols);
    return KN_OK;
}
