// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_HOPPER_CUH
#define CUDA_HOPPER_CUH

// What compute capability 9.0a has of its own, as the PTX ISA 9.0 describes it: barriers in shared
// memory that count bytes, copies of tensor tiles, and products of a warpgroup (wgmma). Tiles in
// shared memory have rows of 128 bytes in the 128-byte swizzle: 16 bytes at column c of row r lie
// at column c ^ (r % 8). They start at a multiple of 1024 bytes.

#include <cuda.h>

#include <stdint.h>
#include <type_traits>

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HOPPER_CODE 1
#endif

// Shared addresses as the instructions take them.
__device__ static inline unsigned hopper_address(const void *p) {
    return (unsigned)__cvta_generic_to_shared(p);
}

#ifdef HOPPER_CODE

// ---- barriers ----------------------------------------------------------------------------------

__device__ static inline void barrier_init(uint64_t *barrier, unsigned arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(hopper_address(barrier)),
                 "r"(arrivals)
                 : "memory");
}

// Makes the barriers' first state known to the copy engine.
__device__ static inline void barriers_publish() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ static inline void barrier_arrive(uint64_t *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(hopper_address(barrier))
                 : "memory");
}

// Arrives, and lets the phase last until so many bytes have been copied.
__device__ static inline void barrier_expect(uint64_t *barrier, unsigned bytes) {
    asm volatile(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(hopper_address(barrier)),
        "r"(bytes)
        : "memory");
}

// Waits for the phase of a parity: 0 for the first, third ... Of a new barrier, parity 1 is over.
__device__ static inline void barrier_await(uint64_t *barrier, unsigned parity) {
    unsigned address = hopper_address(barrier), is_over;
    do
        asm volatile("{\n"
                     ".reg .pred p;\n"
                     "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                     "selp.u32 %0, 1, 0, p;\n"
                     "}"
                     : "=r"(is_over)
                     : "r"(address), "r"(parity)
                     : "memory");
    while (!is_over);
}

// The block's numbered barriers, of so many threads.
__device__ static inline void named_await(int name, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(name), "r"(threads) : "memory");
}

__device__ static inline void named_arrive(int name, int threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(name), "r"(threads) : "memory");
}

// ---- copies ------------------------------------------------------------------------------------

struct tensor_place {
    int column, head, position, sequence;
};

// A box of the tensor, zeros beyond its ends; its bytes count for the barrier.
__device__ static inline void copy_tile(void *to, const CUtensorMap *map, tensor_place from,
                                        uint64_t *barrier) {
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(hopper_address(to)),
                 "l"(map), "r"(hopper_address(barrier)), "r"(from.column), "r"(from.head),
                 "r"(from.position), "r"(from.sequence)
                 : "memory");
}

// ---- products ----------------------------------------------------------------------------------

template <int REGISTERS> __device__ static inline void registers_raise() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

template <int REGISTERS> __device__ static inline void registers_lower() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

// Before the first product, and after registers that a product uses were written.
__device__ static inline void products_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ static inline void products_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// All committed groups but the last PENDING are done.
template <int PENDING> __device__ static inline void products_await() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// Keeps the compiler from reading or writing the registers of a product before this point.
template <int N> __device__ static inline void registers_settle(float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++)
        asm volatile("" : "+f"(d[i])::"memory");
}

// A matrix descriptor (PTX ISA, "Matrix Descriptor Format"), all offsets in units of 16 bytes:
// bits 0-13 the address, 16-29 the leading offset, 32-45 the stride offset, 62-63 the swizzle, 1
// for 128 bytes. The stride is that of 8 rows, 1024 bytes. Where rows are columns of the product (a
// transposed right operand), the leading offset leads to the next 64 columns; else it is unused.
__device__ static inline uint64_t descriptor_of(const void *tile, unsigned leading_bytes) {
    return (uint64_t)1 << 62 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)(leading_bytes >> 4) << 16 |
           (hopper_address(tile) & 0x3ffff) >> 4;
}

#define HOPPER_D4(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define HOPPER_D16(i) HOPPER_D4(i), HOPPER_D4((i) + 4), HOPPER_D4((i) + 8), HOPPER_D4((i) + 12)
#define HOPPER_D32 HOPPER_D16(0), HOPPER_D16(16)
#define HOPPER_D64 HOPPER_D32, HOPPER_D16(32), HOPPER_D16(48)
#define HOPPER_D128 HOPPER_D64, HOPPER_D16(64), HOPPER_D16(80), HOPPER_D16(96), HOPPER_D16(112)
#define HOPPER_LIST32                                                                              \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, "            \
    "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
#define HOPPER_LIST64                                                                              \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, "            \
    "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, "             \
    "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, "             \
    "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "

#define HOPPER_LIST128                                                                             \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                      \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "             \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "             \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "             \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "             \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "             \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, "   \
    "%127}, "

// d[64, N] (+)= a[64, 16] b[N, 16]^T, both in shared memory.
#define HOPPER_SHARED_256(TYPE)                                                                    \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"                                     \
                 "wgmma.mma_async.sync.aligned.m64n256k16.f32." TYPE "." TYPE " " HOPPER_LIST128   \
                 "%128, %129, p, 1, 1, 0, 0;\n}"                                                   \
                 : HOPPER_D128                                                                     \
                 : "l"(a), "l"(b), "r"(accumulates))
#define HOPPER_SHARED_128(TYPE)                                                                    \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"                                      \
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " " HOPPER_LIST64    \
                 "%64, %65, p, 1, 1, 0, 0;\n}"                                                     \
                 : HOPPER_D64                                                                      \
                 : "l"(a), "l"(b), "r"(accumulates))
// d[64, N] += a[64, 16] b[16, N]: a in registers as mma.sync has it, b by rows in shared memory.
#define HOPPER_REGISTERS_64(TYPE)                                                                  \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"                                      \
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " " HOPPER_LIST32     \
                 "{%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}"                                       \
                 : HOPPER_D32                                                                      \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1))
#define HOPPER_REGISTERS_128(TYPE)                                                                 \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"                                      \
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " " HOPPER_LIST64    \
                 "{%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}"                                       \
                 : HOPPER_D64                                                                      \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1))

template <typename T>
__device__ static inline void multiply_shared(float (&d)[64], uint64_t a, uint64_t b,
                                              int accumulates) {
    if constexpr (std::is_same_v<T, __half>)
        HOPPER_SHARED_128("f16");
    else
        HOPPER_SHARED_128("bf16");
}

template <typename T>
__device__ static inline void multiply_shared(float (&d)[128], uint64_t a, uint64_t b,
                                              int accumulates) {
    if constexpr (std::is_same_v<T, __half>)
        HOPPER_SHARED_256("f16");
    else
        HOPPER_SHARED_256("bf16");
}

template <typename T>
__device__ static inline void multiply_registers(float (&d)[32], const unsigned *a, uint64_t b) {
    if constexpr (std::is_same_v<T, __half>)
        HOPPER_REGISTERS_64("f16");
    else
        HOPPER_REGISTERS_64("bf16");
}

template <typename T>
__device__ static inline void multiply_registers(float (&d)[64], const unsigned *a, uint64_t b) {
    if constexpr (std::is_same_v<T, __half>)
        HOPPER_REGISTERS_128("f16");
    else
        HOPPER_REGISTERS_128("bf16");
}

#endif
#endif
