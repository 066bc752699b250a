// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_MMA_CUH
#define CUDA_MMA_CUH

#include "device.cuh"

#include <type_traits>

// d[16, 8] += a[16, 16] b[16, 8] of a warp, mma.sync m16n8k16. With g = lane / 4 and t = lane % 4:
// a[0] and a[2] are row g, columns 2 t, 2 t + 1 and those 8 further; a[1] and a[3] row g + 8; b0
// and b1 are column g, the same rows; d[0], d[1] are row g, columns 2 t, 2 t + 1, d[2], d[3] row g
// + 8.
#define MMA(TYPE)                                                                                  \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." TYPE "." TYPE ".f32 "                    \
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                 \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
template <typename T>
__device__ inline void mma_multiply(float (&d)[4], const unsigned (&a)[4], unsigned b0,
                                    unsigned b1) {
    if constexpr (std::is_same_v<T, __half>)
        MMA("f16");
    else
        MMA("bf16");
}
#undef MMA

#endif
