// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_HOPPER_MAPS_H
#define CUDA_HOPPER_MAPS_H

#include "cuda_backend.h"

#include <cuda.h>

// A tensor of 16-bit elements as Hopper's copy engine takes tiles of it, the innermost dimension
// first. data and strides are multiples of 16 bytes, the innermost box 64 elements.
struct hopper_tensor {
    const void *data;
    enum kn_type type;
    uint64_t sizes[4], strides[3]; // elements; bytes from the second dimension on
    uint32_t box[4];
};

// Describes it for copies into tiles of the 128-byte swizzle, zeros beyond its ends.
enum kn_status hopper_map(struct kn_backend *self, CUtensorMap *map,
                          const struct hopper_tensor *tensor);

// The instructions belong to architecture 90a: code built for plain 9.0 has empty kernels.
#ifdef KN_HAS_90A
enum { HOPPER_BUILT = 1 };
#else
enum { HOPPER_BUILT = 0 };
#endif

#endif
