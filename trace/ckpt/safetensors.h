// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SAFETENSORS_H
#define TR_SAFETENSORS_H

#include <stdint.h>

#include "ckpt/checkpoint.h"

// The safetensors header (https://github.com/huggingface/safetensors#format): u64 little-endian N,
// N bytes of JSON, data. Stricter than the reference parser where two parsers could disagree:
// duplicate keys are refused.

enum { TR_SAFETENSORS_HEADER_LIMIT = 100000000 }; // bytes of JSON, as the reference parser has it

// The place of a dtype, as the format spells it, in the order that the public library gives the
// tensors of a file: wide ones first. -1 when the format does not have it.
int tr_safetensors_rank(const char *dtype_text);

// The bytes of a tensor of the dtype of that place; false when they overflow or are not whole.
bool tr_safetensors_bytes(int rank, int dims, const int64_t *shape, uint64_t *bytes_p);

// Parses the JSON header json[0, size) of a file of `file_size` bytes into *tensors_p [*count_p],
// in order of their offsets; `piece.offset` counts from the start of the file. Names point
// into *names_p. Both are freed with free(). Checked: types and shapes, overflow of products,
// sizes against shapes, no holes, no overlaps, no trailing bytes. `path` opens each sentence.
enum tr_status tr_safetensors_parse(const char *json, uint64_t size, uint64_t file_size,
                                    const char *path, struct tr_tensor **tensors_p,
                                    int64_t *count_p, char **names_p, struct tr_err *err);

#endif
