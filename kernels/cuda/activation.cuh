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

// The hardware's own approximations, within 2^-22 and 2^-23: results here have 16 bits.
__device__ inline float fast_reciprocal(float v) {
    float result;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(v));
    return result;
}
__device__ inline float fast_exp2(float v) {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(v));
    return result;
}

// v erfc(|v| / sqrt 2) / 2 is what GELU takes from v or, below 0, leaves of it; erfc for 16-bit
// results, within 1.5e-7: Abramowitz & Stegun, 7.1.26.
__device__ inline float gelu_erf(float v) {
    const float half_log2_e = 0.72134752f, p = 0.3275911f * 0.70710678f;
    float t = fast_reciprocal(fmaf(p, fabsf(v), 1));
    float poly = fmaf(t, 0.5f * 1.061405429f, 0.5f * -1.453152027f);
    poly = fmaf(t, poly, 0.5f * 1.421413741f);
    poly = fmaf(t, poly, 0.5f * -0.284496736f);
    poly = fmaf(t, poly, 0.5f * 0.254829592f);
    float half_erfc = t * poly * fast_exp2(-half_log2_e * (v * v)), part = v * half_erfc;
    return v <= 0 ? part : half_erfc > 0 ? v - part : v; // infinity is not multiplied by 0
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
