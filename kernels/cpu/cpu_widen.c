// SPDX-License-Identifier: Apache-2.0
// Elements of any type as f32, which is what the CPU computes with.
#include <string.h>

#include "cpu.h"
#include "kernels/convert.h"

KN_CLONES static void widen_bf16(float *to, const uint16_t *from, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = kn_float_of_bf16(from[i]);
}

KN_CLONES static void widen_f16(float *to, const uint16_t *from, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = kn_float_of_f16(from[i]);
}

void cpu_widen(float *to, const void *from, enum kn_type type, int64_t first, int64_t count) {
    switch (type) {
    case KN_F32:
        memcpy(to, (const float *)from + first, (size_t)count * sizeof *to);
        return;
    case KN_F16:
        widen_f16(to, (const uint16_t *)from + first, count);
        return;
    case KN_BF16:
        widen_bf16(to, (const uint16_t *)from + first, count);
        return;
    }
}
