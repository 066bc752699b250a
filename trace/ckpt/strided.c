// SPDX-License-Identifier: Apache-2.0
// A range of row-major elements is cut into boxes (at most two for each dimension). A box is read
// in the order in which it lies in the file: windows of a few KB, whose elements are scattered.
#include "strided.h"

#include <string.h>

#include "base/file.h"

enum {
    WINDOW = 1 << 16, // bytes read at once
    DENSITY = 4,      // a window grows while at least a quarter of it is used
};

struct reading {
    int fd;
    const char *path;
    const struct tr_tensor *tensor;
    uint64_t element;            // bytes of one
    uint64_t inner[TR_MAX_DIMS]; // elements that one step of the dimension stands for
    char *to;                    // where the next element goes
    struct tr_err *err;
};

// Counts and steps in bytes, dimensions in the order of their steps in the file.
struct box {
    int dims;
    struct side {
        uint64_t count, from, to;
    } sides[TR_MAX_DIMS];
};

bool tr_is_row_major(int dims, const int64_t *shape, const int64_t *strides) {
    int64_t expected = 1;
    bool row_major = true;
    for (int i = dims; i-- > 0;) {
        if (!shape[i])
            return true;
        row_major = row_major && (shape[i] == 1 || strides[i] == expected);
        if (__builtin_mul_overflow(expected, shape[i], &expected))
            return false;
    }
    return row_major;
}

static uint64_t count_elements(const struct tr_tensor *tensor) {
    uint64_t count = 1;
    for (int i = 0; i < tensor->dims; i++)
        count *= (uint64_t)tensor->shape[i];
    return count;
}

uint64_t tr_strided_span(const struct tr_tensor *tensor) {
    uint64_t last = 0;
    for (int i = 0; i < tensor->dims; i++)
        last += (uint64_t)(tensor->shape[i] - 1) * (uint64_t)tensor->strides[i];
    return (last + 1) * (tensor->bytes / count_elements(tensor));
}

// Copies the elements of a window that belong to sides [0, dims) of the box.
static void scatter(const struct box *box, int dims, uint64_t element, const char *from, char *to) {
    if (!dims) {
        memcpy(to, from, element);
        return;
    }
    const struct side *side = &box->sides[dims - 1];
    if (dims == 1 && side->from == element && side->to == element) {
        memcpy(to, from, side->count * element);
        return;
    }
    for (uint64_t i = 0; i < side->count; i++)
        scatter(box, dims - 1, element, from + i * side->from, to + i * side->to);
}

// The bytes of the file from the box's first element to the end of its last, and those it uses.
static void measure(const struct box *box, uint64_t element, uint64_t *span_p, uint64_t *used_p) {
    *span_p = *used_p = element;
    for (int i = 0; i < box->dims; i++) {
        *span_p += (box->sides[i].count - 1) * box->sides[i].from;
        *used_p *= box->sides[i].count;
    }
}

static bool fits_window(uint64_t span, uint64_t used) {
    return span <= WINDOW && span <= DENSITY * used;
}

static enum tr_status read_window(const struct reading *r, const struct box *box, uint64_t span,
                                  uint64_t from, char *to) {
    char window[WINDOW];
    TR_TRY(tr_file_read_at(r->fd, r->path, from, window, (size_t)span, r->err));
    scatter(box, box->dims, r->element, window, to);
    return TR_OK;
}

// A box too large or too sparse for a window is cut along the side of the longest steps, into as
// few parts as fit one.
static enum tr_status read_box(const struct reading *r, const struct box *box, uint64_t from,
                               char *to) {
    uint64_t span, used, at_once = 1;
    measure(box, r->element, &span, &used);
    if (fits_window(span, used))
        return read_window(r, box, span, from, to);
    struct box inner = *box;
    const struct side outer = inner.sides[--inner.dims];
    measure(&inner, r->element, &span, &used);
    if (fits_window(span, used) && outer.from <= DENSITY * used)
        at_once = outer.from ? 1 + (WINDOW - span) / outer.from : outer.count;
    for (uint64_t i = 0; i < outer.count; i += at_once) {
        struct box part = inner;
        uint64_t count = outer.count - i < at_once ? outer.count - i : at_once;
        if (count > 1)
            part.sides[part.dims++] = (struct side){count, outer.from, outer.to};
        TR_TRY(read_box(r, &part, from + i * outer.from, to + i * outer.to));
    }
    return TR_OK;
}

static void add_side(struct box *box, struct side side) {
    int at = box->dims++;
    for (; at > 0 && box->sides[at - 1].from > side.from; at--)
        box->sides[at] = box->sides[at - 1];
    box->sides[at] = side;
}

// Reads `rows` whole steps of dimension `dim`, the first of which begins at `from`.
static enum tr_status read_rows(struct reading *r, int dim, uint64_t rows, uint64_t from) {
    struct box box = {0};
    for (int i = dim; i < r->tensor->dims; i++) {
        uint64_t count = i == dim ? rows : (uint64_t)r->tensor->shape[i];
        if (count > 1)
            add_side(&box, (struct side){.count = count,
                                         .from = (uint64_t)r->tensor->strides[i] * r->element,
                                         .to = r->inner[i] * r->element});
    }
    TR_TRY(read_box(r, &box, from, r->to));
    r->to += rows * r->inner[dim] * r->element;
    return TR_OK;
}

// Reads elements [begin, end) of dimensions [dim, dims), whose first one lies at `from`.
static enum tr_status read_range(struct reading *r, int dim, uint64_t begin, uint64_t end,
                                 uint64_t from) {
    uint64_t inner = r->inner[dim], step = (uint64_t)r->tensor->strides[dim] * r->element;
    uint64_t row = begin / inner, head = begin % inner;
    if (head) {
        uint64_t stop = end < (row + 1) * inner ? end : (row + 1) * inner;
        TR_TRY(read_range(r, dim + 1, head, stop - row * inner, from + row * step));
        begin = stop;
        row++;
    }
    uint64_t rows = (end - begin) / inner, tail = (end - begin) % inner;
    if (rows)
        TR_TRY(read_rows(r, dim, rows, from + row * step));
    if (tail)
        TR_TRY(read_range(r, dim + 1, 0, tail, from + (row + rows) * step));
    return TR_OK;
}

static enum tr_status read_elements(struct reading *r, uint64_t begin, uint64_t count, char *to) {
    r->to = to;
    return read_range(r, 0, begin, begin + count, r->tensor->offset);
}

// Bytes [skip, skip + size) of one element.
static enum tr_status read_part(struct reading *r, uint64_t index, uint64_t skip, size_t size,
                                char *to) {
    char element[8];
    TR_TRY(read_elements(r, index, 1, element));
    memcpy(to, element + skip, size);
    return TR_OK;
}

enum tr_status tr_strided_read(int fd, const char *path, const struct tr_tensor *tensor,
                               uint64_t begin, void *bytes, size_t size, struct tr_err *err) {
    if (!size)
        return TR_OK;
    uint64_t element = tensor->bytes / count_elements(tensor);
    struct reading r = {.fd = fd, .path = path, .tensor = tensor, .element = element, .err = err};
    uint64_t inner = 1, skip = begin % element, index = begin / element;
    for (int i = tensor->dims; i-- > 0; inner *= (uint64_t)tensor->shape[i])
        r.inner[i] = inner;
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
