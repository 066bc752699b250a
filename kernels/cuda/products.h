// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_PRODUCTS_H
#define CUDA_PRODUCTS_H

#include "cuda_backend.h"

// y = x w^T + bias; w is of x's type, bias of y's or NULL; y is of x's type or f32. (products.cu)
enum kn_status cuda_multiply(struct kn_backend *self, const struct kn_matrix *y,
                             const struct kn_matrix *x, const struct kn_matrix *w,
                             const void *bias);

// to = from in another type, shapes alike. (elementwise.cu)
enum kn_status cuda_convert_matrix(struct kn_backend *self, const struct kn_matrix *to,
                                   const struct kn_matrix *from);

#endif
