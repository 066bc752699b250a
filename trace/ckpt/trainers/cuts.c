// SPDX-License-Identifier: Apache-2.0
#include "cuts.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "pieces.h"

// Takes the first axis away from a piece that has index `lead` of it. False: it has not.
static bool drop_lead(struct tr_piece *piece, int dims, int64_t lead, uint64_t element) {
    if (lead < piece->begin[0] || lead >= piece->begin[0] + piece->shape[0])
        return false;
    piece->offset += (uint64_t)(lead - piece->begin[0]) * (uint64_t)piece->strides[0] * element;
    size_t size = (size_t)(dims - 1) * sizeof *piece->begin;
    memmove(piece->begin, piece->begin + 1, size);
    memmove(piece->shape, piece->shape + 1, size);
    memmove(piece->strides, piece->strides + 1, size);
    return true;
}

// What a piece has of a run: the run's indices [*first_p, *first_p + *count_p).
static bool meet(const struct tr_piece *piece, int axis, const struct tr_run *run, int64_t *first_p,
                 int64_t *count_p) {
    int64_t begin = piece->begin[axis] - run->from, end = begin + piece->shape[axis];
    int64_t first = begin > 0 ? (begin + run->step - 1) / run->step : 0;
    int64_t last = end > 0 ? (end + run->step - 1) / run->step : 0; // one behind it
    *first_p = first;
    *count_p = (last < run->count ? last : run->count) - first;
    return *count_p > 0;
}

static enum tr_status add_piece(struct tr_cut *cut, const struct tr_piece *piece,
                                struct tr_err *err) {
    TR_TRY(tr_grow((void **)&cut->pieces, &cut->capacity, (uint64_t)cut->count + 1,
                   sizeof *cut->pieces, "the pieces of a tensor", err));
    cut->pieces[cut->count++] = *piece;
    return TR_OK;
}

static enum tr_status add_runs(struct tr_cut *cut, const struct tr_piece *piece, int axis,
                               const struct tr_run *runs, int64_t run_count, uint64_t element,
                               struct tr_err *err) {
    for (int64_t i = 0; i < run_count; i++) {
        const struct tr_run *run = &runs[i];
        struct tr_piece part = *piece;
        int64_t first, count;
        if (!meet(piece, axis, run, &first, &count))
            continue;
        int64_t skip = run->from + first * run->step - piece->begin[axis];
        part.offset += (uint64_t)skip * (uint64_t)piece->strides[axis] * element;
        part.begin[axis] = run->to + first;
        part.shape[axis] = count;
        part.strides[axis] = piece->strides[axis] * run->step;
        TR_TRY(add_piece(cut, &part, err));
    }
    return TR_OK;
}

enum tr_status tr_cut_add(struct tr_cut *cut, const struct tr_cut_source *source, int axis,
                          const struct tr_run *runs, int64_t run_count, struct tr_err *err) {
    const struct tr_tensor *tensor = source->tensor;
    uint64_t element = tr_tensor_element(tensor);
    int64_t count;
    const struct tr_piece *pieces = tr_tensor_pieces(tensor, &count);
    for (int64_t i = 0; i < count; i++) {
        struct tr_piece piece = pieces[i];
        if (source->lead < 0 || drop_lead(&piece, tensor->dims, source->lead, element))
            TR_TRY(add_runs(cut, &piece, axis, runs, run_count, element, err));
    }
    return TR_OK;
}

static void swap(int64_t pair[2]) {
    int64_t first = pair[0];
    pair[0] = pair[1];
    pair[1] = first;
}

void tr_cut_transpose(struct tr_cut *cut) {
    for (int64_t i = 0; i < cut->count; i++) {
        swap(cut->pieces[i].begin);
        swap(cut->pieces[i].shape);
        swap(cut->pieces[i].strides);
    }
}

void tr_cut_free(struct tr_cut *cut) {
    free(cut->pieces);
    *cut = (struct tr_cut){0};
}
