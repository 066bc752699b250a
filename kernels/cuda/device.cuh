// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_DEVICE_CUH
#define CUDA_DEVICE_CUH

// Pieces that kernels are made of: elements and packs of them, sums over a warp and a block, and
// the choice of a kernel by type and alignment.

#include "cuda_backend.h"

#include <stdint.h>

constexpr int WARP = 32;

__device__ inline float to_float(float v) {
    return v;
}
__device__ inline float to_float(__half v) {
    return __half2float(v);
}
__device__ inline float to_float(__nv_bfloat16 v) {
    return __bfloat162float(v);
}

template <typename T> __device__ inline T from_float(float v);
template <> __device__ inline float from_float<float>(float v) {
    return v;
}
template <> __device__ inline __half from_float<__half>(float v) {
    return __float2half_rn(v);
}
template <> __device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float v) {
    return __float2bfloat16_rn(v);
}

__device__ inline void round_pair(__half *to, float a, float b) {
    *reinterpret_cast<__half2 *>(to) = __floats2half2_rn(a, b);
}
__device__ inline void round_pair(__nv_bfloat16 *to, float a, float b) {
    *reinterpret_cast<__nv_bfloat162 *>(to) = __floats2bfloat162_rn(a, b);
}

// What values of a type are computed in between: f32 activations lose nothing on the way.
template <typename T> struct wide { using type = float; };
template <> struct wide<float> { using type = double; };

// N elements that are loaded and stored at once.
template <typename T, int N> struct alignas(sizeof(T) * N) pack { T v[N]; };

template <typename T, int N> __device__ inline pack<T, N> load(const T *from) {
    return *reinterpret_cast<const pack<T, N> *>(from);
}
template <typename T, int N> __device__ inline void store(T *to, const pack<T, N> &value) {
    *reinterpret_cast<pack<T, N> *>(to) = value;
}

// Elements that a thread of a kernel over rows takes at a time.
constexpr int ROW_GROUP = 4;

// The group of a row at column c, zeros beyond the row's columns. Packed or not, a thread has the
// same columns: the order of sums does not depend on how rows are aligned.
template <bool PACKED, typename INDEX>
__device__ inline pack<float, ROW_GROUP> read_group(const float *row, INDEX c, INDEX cols) {
    pack<float, ROW_GROUP> group = {};
    if constexpr (PACKED) {
        if (c < cols)
            group = load<float, ROW_GROUP>(row + c);
    } else {
#pragma unroll
        for (int i = 0; i < ROW_GROUP; i++)
            if (c + i < cols)
                group.v[i] = row[c + i];
    }
    return group;
}

template <typename T, bool PACKED, typename INDEX>
__device__ inline void write_group(T *row, INDEX c, INDEX cols, const pack<T, ROW_GROUP> &group) {
    if constexpr (PACKED) {
        if (c < cols)
            store(row + c, group);
    } else {
#pragma unroll
        for (int i = 0; i < ROW_GROUP; i++)
            if (c + i < cols)
                row[c + i] = group.v[i];
    }
}

// N floats as elements, two at a time where the hardware rounds so.
template <typename T, int N> __device__ inline pack<T, N> rounded(const float (&v)[N]) {
    pack<T, N> out;
    if constexpr (N % 2 == 0 && sizeof(T) == 2) {
#pragma unroll
        for (int i = 0; i < N; i += 2)
            round_pair(&out.v[i], v[i], v[i + 1]);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++)
            out.v[i] = from_float<T>(v[i]);
    }
    return out;
}

// Sums in a fixed order: the same bits whatever runs beside it.
template <typename T> __device__ inline T warp_sum(T value) {
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

// The sums of COUNT values over the block, in every thread; blockDim.x is a multiple of 32. The
// shared memory may be used again after the next __syncthreads.
template <typename T, int COUNT>
__device__ inline void block_sum(T (&value)[COUNT], T (&shared)[COUNT][WARP]) {
    int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    int warps = (int)blockDim.x / WARP;
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        value[i] = warp_sum(value[i]);
        if (lane == 0)
            shared[i][warp] = value[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < COUNT; i++)
        value[i] = warp_sum(lane < warps ? shared[i][lane] : (T)0);
}

// ---- host side ---------------------------------------------------------------------------------

// Calls f with a value of the element type.
template <typename F> inline void by_type(enum kn_type type, F f) {
    if (type == KN_F32)
        f(float{});
    else if (type == KN_F16)
        f(__half{});
    else
        f(__nv_bfloat16{});
}

// Whether rows that start at `data` and follow each other by `stride` elements, and their `cols`,
// can be read in packs of `width` elements.
static inline bool is_packable(const void *data, int64_t stride, int64_t cols, enum kn_type type,
                               int64_t width) {
    size_t bytes = kn_type_size(type) * (size_t)width;
    return (uintptr_t)data % bytes == 0 && stride % width == 0 && cols % width == 0;
}

static inline bool is_packable(const struct kn_matrix *m, int64_t width) {
    return !m->data || is_packable(m->data, m->stride, m->cols, m->type, width);
}

// Threads for one row: about 16 elements each.
static inline unsigned row_threads(int64_t cols) {
    int64_t threads = (cols / 16 + WARP - 1) / WARP * WARP;
    threads = threads < WARP ? WARP : threads;
    return (unsigned)(threads > 512 ? 512 : threads);
}

static inline unsigned blocks_of(int64_t count, int64_t each) {
    return (unsigned)((count + each - 1) / each);
}

#endif
