// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_TURN_CUH
#define CUDA_TURN_CUH

#include "device.cuh"

// a and b of a pair turned by (cosine, sine), computed wide.
template <typename T> __device__ inline void turn(T *a, T *b, float cosine, float sine) {
    using W = typename wide<T>::type;
    W x = (W)to_float(*a), y = (W)to_float(*b), c = (W)cosine, s = (W)sine;
    *a = from_float<T>((float)(x * c - y * s));
    *b = from_float<T>((float)(y * c + x * s));
}

#endif
