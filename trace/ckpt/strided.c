// SPDX-License-Identifier: Apache-2.0
// A box is read in the order in which it lies in the file: windows of a few KB, whose elements are
// scattered; what lies in the file as in memory goes straight to where it belongs.
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
    uint64_t element; // bytes of one
    struct tr_err *err;
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

void tr_box_add(struct tr_box *box, uint64_t count, uint64_t from, uint64_t to) {
    if (count == 1)
        return;
    int at = box->dims++;
    for (; at > 0 && box->sides[at - 1].from > from; at--)
        box->sides[at] = box->sides[at - 1];
    box->sides[at] = (struct tr_box_side){count, from, to};
}

// Makes one direction of two where the second goes on where the first ends, here and there.
static struct tr_box merge(const struct tr_box *box) {
    struct tr_box merged = {0};
    for (int i = 0; i < box->dims; i++) {
        const struct tr_box_side *side = &box->sides[i];
        struct tr_box_side *last = merged.sides + merged.dims - 1;
        if (merged.dims && side->from == last->count * last->from &&
            side->to == last->count * last->to)
            last->count *= side->count;
        else
            merged.sides[merged.dims++] = *side;
    }
    return merged;
}

static bool is_run(const struct tr_box *box, uint64_t element) {
    return !box->dims ||
           (box->dims == 1 && box->sides[0].from == element && box->sides[0].to == element);
}

// Copies the elements of a window that belong to sides [0, dims) of the box.
static void scatter(const struct tr_box *box, int dims, uint64_t element, const char *from,
                    char *to) {
    if (!dims) {
        memcpy(to, from, element);
        return;
    }
    const struct tr_box_side *side = &box->sides[dims - 1];
    if (dims == 1 && side->from == element && side->to == element) {
        memcpy(to, from, side->count * element);
        return;
    }
    for (uint64_t i = 0; i < side->count; i++)
        scatter(box, dims - 1, element, from + i * side->from, to + i * side->to);
}

// The bytes of the file from the box's first element to the end of its last, and those it uses.
static void measure(const struct tr_box *box, uint64_t element, uint64_t *span_p,
                    uint64_t *used_p) {
    *span_p = *used_p = element;
    for (int i = 0; i < box->dims; i++) {
        *span_p += (box->sides[i].count - 1) * box->sides[i].from;
        *used_p *= box->sides[i].count;
    }
}

static bool fits_window(uint64_t span, uint64_t used) {
    return span <= WINDOW && span <= DENSITY * used;
}

static enum tr_status read_window(const struct reading *r, const struct tr_box *box, uint64_t span,
                                  uint64_t from, char *to) {
    char window[WINDOW];
    TR_TRY(tr_file_read_at(r->fd, r->path, from, window, (size_t)span, r->err));
    scatter(box, box->dims, r->element, window, to);
    return TR_OK;
}

// A box too large or too sparse for a window is cut along the side of the longest steps, into as
// few parts as fit one.
static enum tr_status read_box(const struct reading *r, const struct tr_box *box, uint64_t from,
                               char *to) {
    uint64_t span, used, at_once = 1;
    measure(box, r->element, &span, &used);
    if (is_run(box, r->element))
        return tr_file_read_at(r->fd, r->path, from, to, (size_t)span, r->err);
    if (fits_window(span, used))
        return read_window(r, box, span, from, to);
    struct tr_box inner = *box;
    const struct tr_box_side outer = inner.sides[--inner.dims];
    measure(&inner, r->element, &span, &used);
    if (fits_window(span, used) && outer.from <= DENSITY * used)
        at_once = outer.from ? 1 + (WINDOW - span) / outer.from : outer.count;
    for (uint64_t i = 0; i < outer.count; i += at_once) {
        struct tr_box part = inner;
        uint64_t count = outer.count - i < at_once ? outer.count - i : at_once;
        if (count > 1)
            part.sides[part.dims++] = (struct tr_box_side){count, outer.from, outer.to};
        TR_TRY(read_box(r, &part, from + i * outer.from, to + i * outer.to));
    }
    return TR_OK;
}

enum tr_status tr_box_read(int fd, const char *path, const struct tr_box *box, uint64_t element,
                           uint64_t from, char *to, struct tr_err *err) {
    const struct reading reading = {.fd = fd, .path = path, .element = element, .err = err};
    const struct tr_box merged = merge(box);
    return read_box(&reading, &merged, from, to);
}
