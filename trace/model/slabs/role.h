// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ROLE_H
#define TR_ROLE_H

#include "slabs/bind.h"

// The tensor of a checkpoint that has a role in a layer; `index` is the expert, or the head. All
// refuse, naming the tensor: TR_EFORMAT where it has to be there and is missing or has another
// shape, TR_EUNSUPPORTED for a type that cannot be read.

// The tensor, NULL when there is none, and the name that the family gives it.
enum tr_status tr_role_look_for(const struct tr_binder *binder, enum tr_weight weight, int layer,
                                int64_t index, char name[256], const struct tr_tensor **tensor_p);

// It must be there and be a matrix [rows, cols], or, of a role that is a vector, [rows].
enum tr_status tr_role_find(const struct tr_binder *binder, enum tr_weight weight, int layer,
                            int64_t index, int64_t rows, int64_t cols,
                            const struct tr_tensor **tensor_p);

// It must be there and have this shape; a scalar is a vector [1].
enum tr_status tr_role_find_shape(const struct tr_binder *binder, enum tr_weight weight, int layer,
                                  int64_t index, int dims, const int64_t *shape,
                                  const struct tr_tensor **tensor_p);

// Whether it lies transposed. Quantized ones never do, whatever the family's do.
enum tr_status tr_role_side(const struct tr_binder *binder, enum tr_weight weight, int layer,
                            int64_t index, bool *transposed_p);

int64_t tr_shape_elements(const int64_t *shape, int dims);

#endif
