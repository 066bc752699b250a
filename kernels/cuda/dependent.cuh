// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_DEPENDENT_CUH
#define CUDA_DEPENDENT_CUH

#include "cuda_backend.h"

// Small kernels one after the other, as a step of decoding is made of, cost most of their time
// between them. From capability 9.0 on a kernel may begin while the one before it ends
// (programmatic dependent launch): it sets itself up, reads weights, and waits before it touches
// anything that ops write. What it reads before that it reads without `.nc`: the assembler puts
// such loads behind the wait, whatever stands first.
//
// It is done so within graphs alone: there, weights are where they stay, so nothing has just
// written them. What a kernel that is launched so has to keep to: every thread calls await_previous
// before it reads or writes memory that ops write, and let_next_begin not before that. Then no more
// than two kernels are under way, and all before them are done.
//
// Ops of more than DEPENDENT_ROWS rows begin in turn. Steps of 16 rows took 14 % longer otherwise,
// measured while products still asked for their weights behind the wait (tests/bench/README.md).
constexpr int64_t DEPENDENT_ROWS = 8;

__device__ inline void await_previous(void) {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ inline void let_next_begin(void) {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Launches a kernel that keeps to it, of an op of so many rows.
template <typename... PARAMETERS, typename... ARGUMENTS>
static inline void launch_dependent(const struct cuda_backend *cuda, cudaStream_t stream,
                                    int64_t rows, void (*kernel)(PARAMETERS...), dim3 blocks,
                                    unsigned threads, size_t shared,
                                    const ARGUMENTS &...arguments) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = blocks;
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = cuda->makes_graph && cuda->capability >= 90 && rows <= DEPENDENT_ROWS ? 1 : 0;
    cudaLaunchKernelEx(&config, kernel, PARAMETERS(arguments)...); // cuda_launched says how it went
}

#endif
