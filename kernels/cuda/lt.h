// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_LT_H
#define CUDA_LT_H

#include "cuda_backend.h"

// The functions of cuBLASLt that the backend calls. The library is half a gigabyte, so it is opened
// with the backend and not with the program: a build with CUDA starts at once, and runs on machines
// that have neither.
struct lt_functions {
    size_t (*version)(void);
    cublasStatus_t (*create)(cublasLtHandle_t *);
    cublasStatus_t (*destroy)(cublasLtHandle_t);
    const char *(*status_name)(cublasStatus_t);
    cublasStatus_t (*matmul)(cublasLtHandle_t, cublasLtMatmulDesc_t, const void *, const void *,
                             cublasLtMatrixLayout_t, const void *, cublasLtMatrixLayout_t,
                             const void *, const void *, cublasLtMatrixLayout_t, void *,
                             cublasLtMatrixLayout_t, const cublasLtMatmulAlgo_t *, void *, size_t,
                             cudaStream_t);
    cublasStatus_t (*heuristic)(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int,
                                cublasLtMatmulHeuristicResult_t[], int *);
    cublasStatus_t (*desc_create)(cublasLtMatmulDesc_t *, cublasComputeType_t, cudaDataType_t);
    cublasStatus_t (*desc_destroy)(cublasLtMatmulDesc_t);
    cublasStatus_t (*desc_set)(cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, const void *,
                               size_t);
    cublasStatus_t (*layout_create)(cublasLtMatrixLayout_t *, cudaDataType, uint64_t, uint64_t,
                                    int64_t);
    cublasStatus_t (*layout_destroy)(cublasLtMatrixLayout_t);
    cublasStatus_t (*layout_set)(cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t,
                                 const void *, size_t);
    cublasStatus_t (*preference_create)(cublasLtMatmulPreference_t *);
    cublasStatus_t (*preference_destroy)(cublasLtMatmulPreference_t);
    cublasStatus_t (*preference_set)(cublasLtMatmulPreference_t,
                                     cublasLtMatmulPreferenceAttributes_t, const void *, size_t);
};

extern const struct lt_functions *lt; // filled by lt_load

// Maps the library, so that lt_load finds it mapped. From any thread.
void lt_map(void);

// Opens the library, once. KN_EDEVICE and a sentence when it is not there.
enum kn_status lt_load(struct kn_backend *self);

// KN_OK, or KN_EDEVICE with a sentence in self->error.
enum kn_status lt_check(struct kn_backend *self, cublasStatus_t code, const char *doing);

// Wishes for an algorithm: no sum split over blocks, so much workspace, and operands a, b and c
// (the library's) that lie by so many bytes. The caller destroys *wish_p, which may be there after
// a failure.
enum kn_status lt_wish(struct kn_backend *self, cublasLtMatmulPreference_t *wish_p,
                       size_t workspace, const uint32_t alignment[3]);

#endif
