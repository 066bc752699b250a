// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PIECES_H
#define TR_PIECES_H

#include "reader.h"

// The way from a range of a tensor's row-major bytes to its pieces, and to where they lie in files.
// Internal.

// Reads bytes [begin, begin + size) of the row-major form of a tensor, whatever its pieces.
enum tr_status tr_pieces_read(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                              uint64_t begin, void *bytes, size_t size, struct tr_err *err);

// The bytes of the file from a piece's first element to the end of its last one.
uint64_t tr_piece_span(const struct tr_tensor *tensor, const struct tr_piece *piece);

// Bytes of one element of a tensor; 0 of one without elements.
uint64_t tr_tensor_element(const struct tr_tensor *tensor);

// Strides of a row-major box of that shape.
void tr_row_major_strides(int dims, const int64_t *shape, int64_t *strides);

// Elements [first, first + count) of a tensor in row order, which lie one after the other from
// `offset` of a file, as pieces: formats that cut a flattened tensor into equal parts need it.
// Gives at most 2 * TR_MAX_DIMS pieces; their number.
int tr_pieces_of_run(const struct tr_tensor *tensor, uint64_t first, uint64_t count, int file,
                     uint64_t offset, struct tr_piece pieces[2 * TR_MAX_DIMS]);

#endif
