// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_ACTIVATION_CUH
#define CUDA_ACTIVATION_CUH

#include "device.cuh"

// xIELU's four parameters, by value.
struct activation_parameters {
    float v[4];
};

static inline struct activation_parameters activation_parameters(const float *host) {
    struct activation_parameters p = {};
    for (int i = 0; host && i < 4; i++)
        p.v[i] = host[i];
    return p;
}

// The hardware's own approximation, within 2^-22: results here have 16 bits.
__device__ inline float fast_exp2(float v) {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(v));
    return result;
}
__device__ inline float positive_part(float v) { // NaN stays
    float result;
    asm("max.NaN.f32 %0, %1, 0f00000000;" : "=f"(result) : "f"(v));
    return result;
}

// GELU takes v Phi(-|v|) from v or, below 0, leaves that of it. For 16-bit results Phi(m), m <= 0,
// is 2 to a polynomial, fitted to log2 Phi over [-8, 0] for the least largest error: Phi within
// 3.4e-5 of itself there, beyond it below 1e-15 and falling. m = -|v|, at -40 its Phi is 0; v above
// 40 is not multiplied by it, for it may be infinite.
__device__ inline float gelu_erf(float v) {
    float m = fminf(v, -fminf(v, 40)), log2_phi = 1.26245891e-06f;
    log2_phi = fmaf(log2_phi, m, 4.82032992e-05f);
    log2_phi = fmaf(log2_phi, m, 0.000807248231f);
    log2_phi = fmaf(log2_phi, m, 0.0079445783f);
    log2_phi = fmaf(log2_phi, m, 0.0526353791f);
    log2_phi = fmaf(log2_phi, m, -0.459956855f);
    log2_phi = fmaf(log2_phi, m, 1.15060997f);
    log2_phi = fmaf(log2_phi, m, -1.00004303f);
    return fmaf(m, fast_exp2(log2_phi), positive_part(v));
}
__device__ inline double gelu_erf(double v) {
    return 0.5 * v * erfc(-v * 0.70710678118654752440);
}

__device__ inline float logistic(float v) {
    return __fdividef(1, 1 + __expf(-v));
}
__device__ inline double logistic(double v) {
    return 1 / (1 + exp(-v));
}
__device__ inline float exp_minus_1(float v) {
    return expm1f(v);
}
__device__ inline double exp_minus_1(double v) {
    return expm1(v);
}

// (1 + tanh z) / 2 = 1 / (1 + exp(-2 z)), without cancellation
template <typename W> __device__ inline W gelu_tanh(W v) {
    const W twice_sqrt_2_over_pi = (W)1.59576912160573071176;
    return v * logistic(twice_sqrt_2_over_pi * (v + (W)0.044715 * v * v * v));
}

template <typename W> __device__ inline W xielu(const struct activation_parameters &p, W v) {
    W alpha_p = p.v[0], alpha_n = p.v[1], beta = p.v[2], eps = p.v[3];
    return v > 0 ? alpha_p * v * v + beta * v
                 : (exp_minus_1(v > eps ? eps : v) - v) * (beta + alpha_n) + beta * v;
}

template <typename W>
__device__ inline W activate(enum kn_activation activation, const struct activation_parameters &p,
                             W v) {
    switch (activation) {
    case KN_SILU:
        return v * logistic(v);
    case KN_GELU_ERF:
        return gelu_erf(v);
    case KN_GELU_TANH:
        return gelu_tanh(v);
    case KN_RELU:
        return v < 0 ? (W)0 : v;
    case KN_RELU_SQUARED:
        return v < 0 ? (W)0 : v * v;
    case KN_XIELU:
        return xielu(p, v);
    case KN_IDENTITY:
        break;
    }
    return v;
}

// The activation of an element of type T, not yet rounded to it.
template <typename T>
__device__ inline float activated(enum kn_activation activation,
                                  const struct activation_parameters &p, float v) {
    using W = typename wide<T>::type;
    return (float)activate<W>(activation, p, (W)v);
}

#endif
