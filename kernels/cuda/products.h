// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_PRODUCTS_H
#define CUDA_PRODUCTS_H

#include "backend.h"

// to = from in another type, shapes alike. (elementwise.cu)
enum kn_status cuda_convert_matrix(struct kn_backend *self, const struct kn_matrix *to,
                                   const struct kn_matrix *from);

#endif
