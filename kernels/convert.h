// SPDX-License-Identifier: Apache-2.0
#ifndef KN_CONVERT_H
#define KN_CONVERT_H

#include <string.h>

#include "kernels/backend.h"

// One element between f32 and the 16-bit types, branch-free so that loops over them vectorise.

static inline float kn_float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t kn_bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float kn_float_of_bf16(uint16_t bits) {
    return kn_float_of_bits((uint32_t)bits << 16);
}

// 2^112 moves the exponent from bias 15 to bias 127, subnormal numbers included.
static inline float kn_float_of_f16(uint16_t bits) {
    uint32_t magnitude = (uint32_t)(bits & 0x7fff) << 13;
    uint32_t value = kn_bits_of_float(kn_float_of_bits(magnitude) * 0x1p112f);
    value |= magnitude >= 0x0f800000 ? 0x7f800000 : 0; // infinity and NaN
    return kn_float_of_bits(value | (uint32_t)(bits & 0x8000) << 16);
}

static inline uint16_t kn_bf16_of_float(float value) {
    uint32_t bits = kn_bits_of_float(value);
    uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
    return (uint16_t)((is_nan ? bits | 0x400000 : rounded) >> 16);
}

static inline float kn_round_to_bf16(float value) {
    return kn_float_of_bf16(kn_bf16_of_float(value));
}

// ALiBi's term of a key at `position` as Falcon computes it, before the scores are scaled.
static inline float kn_slope_bf16(float slope, int64_t position) {
    return kn_round_to_bf16(slope * kn_round_to_bf16((float)position));
}

// Adding 0.5 aligns a subnormal result's last bit with the float's last bit: the sum rounds.
static inline uint16_t kn_f16_of_float(float value) {
    uint32_t bits = kn_bits_of_float(value), sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff, half;
    if (magnitude > 0x7f800000)
        half = 0x7e00 | (magnitude >> 13 & 0x3ff);
    else if (magnitude >= 0x477ff000) // 65520 and more
        half = 0x7c00;
    else if (magnitude < 0x38800000) // below 2^-14
        half = kn_bits_of_float(kn_float_of_bits(magnitude) + 0.5F) - 0x3f000000;
    else
        half = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
    return (uint16_t)(sign | half);
}

// Element i of an array of any type.
static inline float kn_load(const void *data, enum kn_type type, int64_t i) {
    switch (type) {
    case KN_F16:
        return kn_float_of_f16(((const uint16_t *)data)[i]);
    case KN_BF16:
        return kn_float_of_bf16(((const uint16_t *)data)[i]);
    case KN_F32:
        break;
    }
    return ((const float *)data)[i];
}

static inline void kn_store(void *data, enum kn_type type, int64_t i, float value) {
    switch (type) {
    case KN_F16:
        ((uint16_t *)data)[i] = kn_f16_of_float(value);
        return;
    case KN_BF16:
        ((uint16_t *)data)[i] = kn_bf16_of_float(value);
        return;
    case KN_F32:
        break;
    }
    ((float *)data)[i] = value;
}

#endif
