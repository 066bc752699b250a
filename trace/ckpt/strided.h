// SPDX-License-Identifier: Apache-2.0
#ifndef TR_STRIDED_H
#define TR_STRIDED_H

#include "ckpt/checkpoint.h"

// Elements that lie in a file in another order than in memory: transposed, sliced, expanded views,
// and boxes of a larger tensor. Internal.

// Elements in up to TR_MAX_DIMS directions; counts, and steps in bytes from one to the next in the
// file and in memory. Directions come in the order of their steps in the file, the shortest first.
struct tr_box {
    int dims;
    struct tr_box_side {
        uint64_t count, from, to;
    } sides[TR_MAX_DIMS];
};

// Adds a direction; one of a single element adds nothing. At most TR_MAX_DIMS may be added.
void tr_box_add(struct tr_box *box, uint64_t count, uint64_t from, uint64_t to);

// Reads the elements of `element` bytes (at most 8), the first of which lies at `from` of the open
// file, to memory from `to` on; in memory of its own that does not depend on the box's size. `path`
// is for the sentence.
enum tr_status tr_box_read(int fd, const char *path, const struct tr_box *box, uint64_t element,
                           uint64_t from, char *to, struct tr_err *err);

// Whether elements of that shape, `strides` elements apart, lie row-major without holes.
bool tr_is_row_major(int dims, const int64_t *shape, const int64_t *strides);

#endif
