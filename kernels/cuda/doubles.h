// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_DOUBLES_H
#define CUDA_DOUBLES_H

#include "cuda_backend.h"

// Products of matrices of doubles, row-major, in the lane of ops: the algorithm of a shape is the
// first that cuBLASLt's heuristic names among those that do not split a sum, so that bits are the
// same in every run. Where there is none, a plain kernel.
struct doubles {
    double *data;
    int64_t stride;
};

// c[m,n] = alpha a[m,k] b[k,n] + beta c; with `turned` b is [n,k] and its transpose is meant.
struct doubles_product {
    struct doubles c, a, b;
    int64_t m, n, k;
    double alpha, beta;
    bool turned;
};
enum kn_status multiply_doubles(struct kn_backend *self, const struct doubles_product *op);

#endif
