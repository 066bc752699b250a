// SPDX-License-Identifier: Apache-2.0
// A range of row-major elements is cut into boxes of the tensor (at most two for each dimension);
// what a box has in common with a piece is read as one box of the file.
#include "pieces.h"

#include <string.h>

#include "strided.h"

static uint64_t count_elements(const struct tr_tensor *tensor) {
    uint64_t count = 1;
    for (int i = 0; i < tensor->dims; i++)
        count *= (uint64_t)tensor->shape[i];
    return count;
}

uint64_t tr_tensor_element(const struct tr_tensor *tensor) {
    uint64_t count = count_elements(tensor);
    return count ? tensor->bytes / count : 0;
}

void tr_row_major_strides(int dims, const int64_t *shape, int64_t *strides) {
    uint64_t stride = 1; // of an empty tensor it may be anything, and overflow
    for (int i = dims; i-- > 0; stride *= (uint64_t)shape[i])
        strides[i] = (int64_t)stride;
}

uint64_t tr_piece_span(const struct tr_tensor *tensor, const struct tr_piece *piece) {
    uint64_t last = 0;
    for (int i = 0; i < tensor->dims; i++)
        last += (uint64_t)(piece->shape[i] - 1) * (uint64_t)piece->strides[i];
    return (last + 1) * tr_tensor_element(tensor);
}

// ---- ranges ------------------------------------------------------------------------------------

// Boxes [count] of a tensor, as pieces of which only `begin` and `shape` say something.
struct cutting {
    const struct tr_tensor *tensor;
    uint64_t inner[TR_MAX_DIMS]; // elements that one step of the dimension stands for
    int64_t index[TR_MAX_DIMS];  // of the dimensions before those that are being cut
    struct tr_piece *boxes;
    int count;
};

// Adds `rows` whole steps of dimension `dim`.
static void add_box(struct cutting *c, int dim, uint64_t row, uint64_t rows) {
    struct tr_piece *box = &c->boxes[c->count++];
    *box = (struct tr_piece){0};
    for (int i = 0; i < c->tensor->dims; i++) {
        box->begin[i] = i < dim ? c->index[i] : i == dim ? (int64_t)row : 0;
        box->shape[i] = i < dim ? 1 : i == dim ? (int64_t)rows : c->tensor->shape[i];
    }
}

// Cuts elements [begin, end) of dimensions [dim, dims).
static void cut_range(struct cutting *c, int dim, uint64_t begin, uint64_t end) {
    if (dim == c->tensor->dims) {
        add_box(c, dim, 0, 0);
        return;
    }
    uint64_t inner = c->inner[dim], row = begin / inner, head = begin % inner;
    if (head) {
        uint64_t stop = end < (row + 1) * inner ? end : (row + 1) * inner;
        c->index[dim] = (int64_t)row;
        cut_range(c, dim + 1, head, stop - row * inner);
        begin = stop;
        row++;
    }
    uint64_t rows = (end - begin) / inner, tail = (end - begin) % inner;
    if (rows)
        add_box(c, dim, row, rows);
    if (tail) {
        c->index[dim] = (int64_t)(row + rows);
        cut_range(c, dim + 1, 0, tail);
    }
}

static int cut(const struct tr_tensor *tensor, uint64_t begin, uint64_t end,
               struct tr_piece boxes[2 * TR_MAX_DIMS]) {
    struct cutting c = {.tensor = tensor, .boxes = boxes};
    uint64_t inner = 1;
    for (int i = tensor->dims; i-- > 0; inner *= (uint64_t)tensor->shape[i])
        c.inner[i] = inner;
    cut_range(&c, 0, begin, end);
    return c.count;
}

// The place of a box's first element among the tensor's in row order.
static uint64_t first_of(const struct tr_tensor *tensor, const int64_t *begin) {
    uint64_t first = 0;
    for (int i = 0; i < tensor->dims; i++)
        first = first * (uint64_t)tensor->shape[i] + (uint64_t)begin[i];
    return first;
}

int tr_pieces_of_run(const struct tr_tensor *tensor, uint64_t first, uint64_t count, int file,
                     uint64_t offset, struct tr_piece pieces[2 * TR_MAX_DIMS]) {
    int pieces_count = count ? cut(tensor, first, first + count, pieces) : 0;
    for (int i = 0; i < pieces_count; i++) {
        struct tr_piece *piece = &pieces[i];
        uint64_t before = first_of(tensor, piece->begin) - first;
        piece->file = file;
        piece->offset = offset + before * tr_tensor_element(tensor);
        tr_row_major_strides(tensor->dims, piece->shape, piece->strides);
    }
    return pieces_count;
}

// ---- reading -----------------------------------------------------------------------------------

struct reading {
    struct tr_checkpoint *checkpoint;
    const struct tr_tensor *tensor;
    uint64_t element; // bytes of one
    uint64_t first;   // element, which goes to:
    char *to;
    struct tr_err *err;
};

// Reads what a box of the tensor has in common with a piece.
static enum tr_status read_common(const struct reading *r, const struct tr_piece *box,
                                  const struct tr_piece *piece) {
    const struct tr_tensor *tensor = r->tensor;
    struct tr_box common = {0};
    int64_t begin[TR_MAX_DIMS];
    uint64_t from = piece->offset, step = r->element; // of a dimension in the tensor
    for (int i = tensor->dims; i-- > 0; step *= (uint64_t)tensor->shape[i]) {
        int64_t box_end = box->begin[i] + box->shape[i], end = piece->begin[i] + piece->shape[i];
        begin[i] = box->begin[i] > piece->begin[i] ? box->begin[i] : piece->begin[i];
        end = end < box_end ? end : box_end;
        if (begin[i] >= end)
            return TR_OK;
        uint64_t stride = (uint64_t)piece->strides[i] * r->element;
        from += (uint64_t)(begin[i] - piece->begin[i]) * stride;
        tr_box_add(&common, (uint64_t)(end - begin[i]), stride, step);
    }
    const struct tr_weight_file *file = &r->checkpoint->files[piece->file];
    char *to = r->to + (first_of(tensor, begin) - r->first) * r->element;
    int fd = -1;
    TR_TRY(tr_checkpoint_take_file(r->checkpoint, piece->file, &fd, r->err));
    enum tr_status status = tr_box_read(fd, file->path, &common, r->element, from, to, r->err);
    tr_checkpoint_give_file(r->checkpoint, piece->file);
    return status;
}

// Pieces come in the order of their first index.
static enum tr_status read_box(const struct reading *r, const struct tr_piece *box) {
    int64_t count;
    const struct tr_piece *pieces = tr_tensor_pieces(r->tensor, &count);
    for (int64_t i = 0; i < count; i++) {
        if (r->tensor->dims && pieces[i].begin[0] >= box->begin[0] + box->shape[0])
            break;
        TR_TRY(read_common(r, box, &pieces[i]));
    }
    return TR_OK;
}

static enum tr_status read_elements(struct reading *r, uint64_t first, uint64_t count, char *to) {
    struct tr_piece boxes[2 * TR_MAX_DIMS];
    r->first = first;
    r->to = to;
    int box_count = cut(r->tensor, first, first + count, boxes);
    for (int i = 0; i < box_count; i++)
        TR_TRY(read_box(r, &boxes[i]));
    return TR_OK;
}

// Bytes [skip, skip + size) of one element.
static enum tr_status read_part(struct reading *r, uint64_t index, uint64_t skip, size_t size,
                                char *to) {
    char element[8];
    TR_TRY(read_elements(r, index, 1, element));
    memcpy(to, element + skip, size);
    return TR_OK;
}

enum tr_status tr_pieces_read(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                              uint64_t begin, void *bytes, size_t size, struct tr_err *err) {
    if (!size)
        return TR_OK;
    uint64_t element = tr_tensor_element(tensor), skip = begin % element, index = begin / element;
    struct reading r = {.checkpoint = checkpoint, .tensor = tensor, .element = element, .err = err};
    char *to = bytes;
    if (skip) {
        size_t part = size < element - skip ? size : (size_t)(element - skip);
        TR_TRY(read_part(&r, index++, skip, part, to));
        to += part;
        size -= part;
    }
    size_t whole = size / element, rest = size % element;
    if (whole)
        TR_TRY(read_elements(&r, index, whole, to));
    if (rest)
        TR_TRY(read_part(&r, index + whole, 0, rest, to + whole * element));
    return TR_OK;
}
