// SPDX-License-Identifier: Apache-2.0
#ifndef TR_STRIDED_H
#define TR_STRIDED_H

#include "ckpt/checkpoint.h"

// Tensors whose elements do not lie row-major in the file: transposed, sliced, expanded views.
// Internal.

// Whether elements of that shape, `strides` elements apart, lie row-major without holes.
bool tr_is_row_major(int dims, const int64_t *shape, const int64_t *strides);

// The bytes of the file from the first element of a strided tensor to the end of its last one.
uint64_t tr_strided_span(const struct tr_tensor *tensor);

// Reads bytes [begin, begin + size) of the row-major form of a strided tensor, in memory that does
// not depend on its size. `fd` is its file, open; `path` is for the sentence.
enum tr_status tr_strided_read(int fd, const char *path, const struct tr_tensor *tensor,
                               uint64_t begin, void *bytes, size_t size, struct tr_err *err);

#endif
