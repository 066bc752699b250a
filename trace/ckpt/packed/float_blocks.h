// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FLOAT_BLOCKS_H
#define TR_FLOAT_BLOCKS_H

#include "packed_tensors.h"

// MXFP4 (Open Compute Project, Microscaling Formats 1.0, section 5), as gpt-oss has its experts: 32
// neighbouring values of a row are floats of 4 bits (1 sign, 2 exponent, 1 mantissa) times one
// power of two. A weight NAME [.., n] lies as NAME_blocks, u8 [.., n / 32, 16], of which a byte has
// two values, the lower bits first, and NAME_scales, u8 [.., n / 32], the exponents plus 127; 255
// is not a number. The weight is a tensor of bf16, which holds all of these values. Internal.

// Whether a tensor holds such blocks, by its name.
bool tr_is_float_blocks(const struct tr_tensor *tensor);

// The weight whose blocks are tensor `at` of the table; its parts are marked in joined
// [tensor_count]. weight->packed is freed by the caller. TR_EFORMAT where the scales are missing or
// the two do not fit.
enum tr_status tr_float_blocks_join(struct tr_checkpoint *checkpoint, int64_t at, bool *joined,
                                    struct tr_tensor *weight, struct tr_err *err);

// Bytes [begin, begin + size) of its values.
enum tr_status tr_float_blocks_read(struct tr_checkpoint *checkpoint,
                                    const struct tr_tensor *tensor, uint64_t begin, void *bytes,
                                    size_t size, struct tr_err *err);

#endif
