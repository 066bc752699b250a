// SPDX-License-Identifier: Apache-2.0
#ifndef KN_VECTOR_MATH_H
#define KN_VECTOR_MATH_H

#include "kernels/convert.h"
#include "kernels/ops.h"

// Branch-free functions for loops that the compiler vectorises. NaN goes in and out.

#define KN_INLINE static inline __attribute__((always_inline))

// exp(r) = 1 + r + r^2 q(r) on [-ln 2 / 2, ln 2 / 2]: q.
KN_INLINE float kn_exp_rest(float r) {
    float p = 0x1.6a1a72p-10F;
    p = p * r + 0x1.123fc6p-7F;
    p = p * r + 0x1.555916p-5F;
    p = p * r + 0x1.55548ap-3F;
    return p * r + 0x1.fffffcp-2F;
}

// exp(high + low), |low| << 1, to about 1 ulp; underflows to 0, overflows to infinity.
KN_INLINE float kn_exp_sum(float high, float low) {
    const float shift = 0x1.8p23F; // adding it rounds to an integer, kept in the low bits
    high = high > 89.F ? 89.F : high;
    high = high < -104.F ? -104.F : high;
    float shifted = high * 0x1.715476p0F + shift;
    float n = shifted - shift;
    float r = (high - n * 0x1.62e4p-1F) - n * 0x1.7f7d1cp-20F + low; // ln 2 in two parts
    float p = kn_exp_rest(r) * r + 1.F;
    p = p * r + 1.F;
    // 2^n in two factors: subnormal results come out rounded once
    uint32_t exponent = kn_bits_of_float(shifted) - kn_bits_of_float(shift);
    uint32_t half = (uint32_t)((int32_t)exponent >> 1);
    return p * kn_float_of_bits((half + 127) << 23) *
           kn_float_of_bits((exponent - half + 127) << 23);
}

KN_INLINE float kn_exp(float x) {
    return kn_exp_sum(x, 0.F);
}

// exp(x) - 1 for x <= 0, small x included: 2^n (exp(r) - 1) + (2^n - 1) with x = n ln 2 + r. For
// x > 0 some number, so that loops may drop it.
KN_INLINE float kn_expm1(float x) {
    const float shift = 0x1.8p23F;
    x = x < -30.F ? -30.F : x;
    x = x > 0.F ? 0.F : x;
    float shifted = x * 0x1.715476p0F + shift;
    float n = shifted - shift;
    float r = (x - n * 0x1.62e4p-1F) - n * 0x1.7f7d1cp-20F;
    uint32_t exponent = kn_bits_of_float(shifted) - kn_bits_of_float(shift);
    float power = kn_float_of_bits((exponent + 127) << 23);
    return power * (kn_exp_rest(r) * r * r + r) + (power - 1.F);
}

// With e = exp(-2 |x|) - 1: tanh |x| = -e / (e + 2).
KN_INLINE float kn_tanh(float x) {
    float e = kn_expm1(-2.F * (x < 0.F ? -x : x));
    float y = e / (e + 2.F);
    return x < 0.F ? y : -y;
}

KN_INLINE float kn_cap(float x, float softcap) {
    return softcap * kn_tanh(x * (1.F / softcap));
}

// p as in struct kn_product.
KN_INLINE float kn_xielu(float x, const float *p) {
    float small = x > p[3] ? p[3] : x;
    float negative = (kn_expm1(small) - x) * (p[2] + p[1]) + p[2] * x;
    return x > 0.F ? p[0] * x * x + p[2] * x : negative;
}

// x Phi(x), Phi the normal distribution. With a = |x| the tail is Phi(-a) = exp(-a^2 / 2) g(a);
// g = erfcx(a / sqrt(2)) / 2 is a polynomial in t = 1 / (1 + 0.35 a), least relative error on
// [0, 16]. a^2 is split into an exact square and a rest, so that no bit of the exponent is lost.
KN_INLINE float kn_gelu_erf(float x) {
    float a = x < 0.F ? -x : x;
    a = a > 16.F ? 16.F : a;
    float t = 1.F / (1.F + 0.35F * a);
    float g = -0.028767267F;
    g = g * t + 0.142017782F;
    g = g * t - 0.25137949F;
    g = g * t + 0.153764993F;
    g = g * t - 0.0189402513F;
    g = g * t + 0.103456452F;
    g = g * t + 0.120474882F;
    g = g * t + 0.139739051F;
    g = g * t + 0.139634401F;
    g = g * t - 5.79077607e-7F;
    float head = kn_float_of_bits(kn_bits_of_float(a) & 0xfffff000);
    float tail = kn_exp_sum(-0.5F * head * head, -0.5F * (a - head) * (a + head)) * g;
    return x * (x < 0.F ? tail : 1.F - tail);
}

// (1 + tanh z) / 2 = 1 / (1 + exp(-2 z)), z = sqrt(2 / pi) (x + 0.044715 x^3).
KN_INLINE float kn_gelu_tanh(float x) {
    return x / (1.F + kn_exp(-1.59576912F * (x + 0.044715F * x * x * x)));
}

KN_INLINE float kn_silu(float x) {
    return x / (1.F + kn_exp(-x));
}

KN_INLINE float kn_activate(enum kn_activation activation, float x) {
    switch (activation) {
    case KN_SILU:
        return kn_silu(x);
    case KN_GELU_ERF:
        return kn_gelu_erf(x);
    case KN_GELU_TANH:
        return kn_gelu_tanh(x);
    case KN_RELU:
        return x < 0.F ? 0.F : x;
    case KN_RELU_SQUARED:
        return x < 0.F ? 0.F : x * x;
    case KN_IDENTITY:
    case KN_XIELU: // has parameters: kn_xielu
        break;
    }
    return x;
}

// ---- f64 ---------------------------------------------------------------------------------------

KN_INLINE double kn_double_of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

KN_INLINE uint64_t kn_bits_of_double(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

// exp(x) for x <= 700 to about 1 ulp; below -700 about exp(-700), which is nothing beside 1.
KN_INLINE double kn_exp_f64(double x) {
    const double shift = 0x1.8p52; // adding it rounds to an integer, kept in the low bits
    x = x < -700. ? -700. : x;
    double shifted = x * 0x1.71547652b82fep0 + shift, n = shifted - shift;
    double r = (x - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33; // ln 2 in two parts
    double p = 1. / 6227020800;
    p = p * r + 1. / 479001600;
    p = p * r + 1. / 39916800;
    p = p * r + 1. / 3628800;
    p = p * r + 1. / 362880;
    p = p * r + 1. / 40320;
    p = p * r + 1. / 5040;
    p = p * r + 1. / 720;
    p = p * r + 1. / 120;
    p = p * r + 1. / 24;
    p = p * r + 1. / 6;
    p = p * r + 0.5;
    p = p * r + 1.;
    p = p * r + 1.;
    return p * kn_double_of_bits((kn_bits_of_double(shifted) + 1023) << 52);
}

// log(1 + x) for -1 < x <= 0. 1 + x = 2^k m with m in [sqrt(1/2), sqrt 2), and log m = 2 atanh s
// with s = (m - 1) / (m + 1), whose numerator is x itself where k = 0.
KN_INLINE double kn_log1p_f64(double x) {
    const uint64_t root_half = 0x3fe6a09e667f3bcd, one = 0x3ff0000000000000;
    uint64_t bits = kn_bits_of_double(1. + x) + (one - root_half);
    double k = kn_double_of_bits((bits >> 52) | 0x4330000000000000) - (0x1p52 + 1023.);
    double m = kn_double_of_bits((bits & 0xfffffffffffff) + root_half);
    double over = k == 0. ? x : m - 1., s = over / (2. + over), z = s * s;
    double p = 1. / 23;
    p = p * z + 1. / 21;
    p = p * z + 1. / 19;
    p = p * z + 1. / 17;
    p = p * z + 1. / 15;
    p = p * z + 1. / 13;
    p = p * z + 1. / 11;
    p = p * z + 1. / 9;
    p = p * z + 1. / 7;
    p = p * z + 1. / 5;
    p = p * z + 1. / 3;
    return k * 0x1.62e42fefa39efp-1 + 2. * (s + s * z * p);
}

#endif
