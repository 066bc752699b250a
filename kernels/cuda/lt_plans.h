// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_LT_PLANS_H
#define CUDA_LT_PLANS_H

#include "lt.h"

// What an algorithm is chosen by. y[n,m] = x[n,k] w[m,k]^T, in cuBLAS's columns y^T = w x^T. n is
// rounded up, so that experts with a few rows more or less share an algorithm.
struct product_key {
    int64_t n, m, k, y_stride, x_stride, w_stride;
    enum kn_type type, y_type; // of x and w, of y
    unsigned alignment;        // bytes, of all three
    size_t workspace;          // bytes at most
    bool bias;                 // added by the library, in y's type
    bool columns;              // instead y[n,m] = x[k,n]^T w[k,m]; then k is rounded up, not n
};

struct product_plan {
    struct product_key key;
    bool found;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t w, x, y;
    cublasLtMatmulAlgo_t algorithm;
};

// The plan of a key, made when it is first asked for; the backend owns it. plan->found says whether
// the library has an algorithm at all. Keys are compared as bytes, so padding has to be zeros.
enum kn_status lt_plan_for(struct cuda_backend *cuda, const struct product_key *key,
                           struct product_plan **plan_p);
void lt_plans_free(struct cuda_backend *cuda);

// One attribute of a plan's product.
enum kn_status lt_set_desc(struct kn_backend *self, struct product_plan *plan,
                           cublasLtMatmulDescAttributes_t attribute, const void *value,
                           size_t size);

// What all three keep to: the largest power of two, at most 16, that divides their addresses and
// row lengths in bytes.
unsigned lt_alignment(const struct kn_matrix *a, const struct kn_matrix *b,
                      const struct kn_matrix *c);

// The next of four steps an octave; 64 at least.
int64_t lt_rounded_rows(int64_t n);

#endif
