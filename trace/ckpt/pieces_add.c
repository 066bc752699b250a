// SPDX-License-Identifier: Apache-2.0
// Adds a tensor made of pieces. Boxes are its pieces when each lies in the tensor, no two overlap
// and together they have as many elements as the tensor.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "reader.h"
#include "strided.h"

enum { MAX_PIECES = 1 << 16, MAX_ELEMENT = 8 };

struct checking {
    const struct tr_tensor *tensor;
    const struct tr_weight_file *files;
    int file_count;
    const char *folder;
    uint64_t element; // bytes of one
    uint64_t covered; // elements so far
    struct tr_err *err;
};

static bool volume(int dims, const int64_t *shape, uint64_t *volume_p) {
    *volume_p = 1;
    for (int i = 0; i < dims; i++)
        if (shape[i] < 0 || !tr_mul(*volume_p, (uint64_t)shape[i], volume_p))
            return false;
    return true;
}

static enum tr_status check_tensor(struct checking *c, int64_t count) {
    const struct tr_tensor *tensor = c->tensor;
    uint64_t elements;
    if (!volume(tensor->dims, tensor->shape, &elements))
        return tr_fail(c->err, TR_EFORMAT, "%s: the shape of tensor %s overflows", c->folder,
                       tensor->name);
    c->element = elements ? tensor->bytes / elements : 0;
    if (!c->element || c->element > MAX_ELEMENT || tensor->bytes % elements)
        return tr_fail(c->err, TR_EUNSUPPORTED,
                       "%s: tensor %s has type %s, which cannot be read in pieces", c->folder,
                       tensor->name, tensor->dtype_text);
    if (count > MAX_PIECES)
        return tr_fail(c->err, TR_EUNSUPPORTED,
                       "%s: tensor %s has %" PRId64 " pieces, at most %d are read", c->folder,
                       tensor->name, count, MAX_PIECES);
    return TR_OK;
}

// Whether the piece's elements lie in the file.
static bool fits_file(const struct checking *c, const struct tr_piece *piece) {
    uint64_t last = 0, way, end;
    for (int i = 0; i < c->tensor->dims; i++)
        if (piece->strides[i] < 0 ||
            !tr_mul((uint64_t)(piece->shape[i] - 1), (uint64_t)piece->strides[i], &way) ||
            !tr_add(last, way, &last))
            return false;
    return tr_add(last, 1, &last) && tr_mul(last, c->element, &last) &&
           tr_add(piece->offset, last, &end) && end <= c->files[piece->file].size;
}

static enum tr_status check_piece(struct checking *c, const struct tr_piece *piece) {
    const struct tr_tensor *tensor = c->tensor;
    char begin[TR_INDEX_MAX], shape[TR_INDEX_MAX], whole[TR_INDEX_MAX];
    uint64_t elements;
    bool within = true;
    for (int i = 0; i < tensor->dims; i++)
        within = within && piece->begin[i] >= 0 && piece->begin[i] < tensor->shape[i] &&
                 piece->shape[i] > 0 && piece->shape[i] <= tensor->shape[i] - piece->begin[i];
    if (!within)
        return tr_fail(c->err, TR_EFORMAT,
                       "%s: tensor %s has shape %s; its piece of shape %s at %s is not within it",
                       c->folder, tensor->name, tr_index_text(tensor->dims, tensor->shape, whole),
                       tr_index_text(tensor->dims, piece->shape, shape),
                       tr_index_text(tensor->dims, piece->begin, begin));
    if (piece->file < 0 || piece->file >= c->file_count || !fits_file(c, piece))
        return tr_fail(c->err, TR_EFORMAT,
                       "%s: tensor %s: its piece at %s does not fit into %s, where it should be",
                       c->folder, tensor->name, tr_index_text(tensor->dims, piece->begin, begin),
                       piece->file >= 0 && piece->file < c->file_count ? c->files[piece->file].name
                                                                       : "any file");
    volume(tensor->dims, piece->shape, &elements); // at most the tensor's
    return tr_add(c->covered, elements, &c->covered)
               ? TR_OK
               : tr_fail(c->err, TR_EFORMAT, "%s: the pieces of tensor %s overflow", c->folder,
                         tensor->name);
}

static int compare_pieces(const void *a_, const void *b_) {
    const struct tr_piece *a = a_, *b = b_;
    for (int i = 0; i < TR_MAX_DIMS; i++)
        if (a->begin[i] != b->begin[i])
            return a->begin[i] < b->begin[i] ? -1 : 1;
    return 0;
}

static bool overlap(const struct tr_tensor *tensor, const struct tr_piece *a,
                    const struct tr_piece *b) {
    for (int i = 0; i < tensor->dims; i++)
        if (a->begin[i] + a->shape[i] <= b->begin[i] || b->begin[i] + b->shape[i] <= a->begin[i])
            return false;
    return true;
}

// Pieces are sorted: those behind a piece that begin behind its end cannot meet it.
static enum tr_status refuse_overlaps(const struct checking *c, const struct tr_piece *pieces,
                                      int64_t count) {
    const struct tr_tensor *tensor = c->tensor;
    char first[TR_INDEX_MAX], second[TR_INDEX_MAX];
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = i + 1; j < count; j++) {
            if (tensor->dims && pieces[j].begin[0] >= pieces[i].begin[0] + pieces[i].shape[0])
                break;
            if (overlap(tensor, &pieces[i], &pieces[j]))
                return tr_fail(c->err, TR_EFORMAT,
                               "%s: tensor %s: its pieces at %s in %s and at %s in %s overlap",
                               c->folder, tensor->name,
                               tr_index_text(tensor->dims, pieces[i].begin, first),
                               c->files[pieces[i].file].name,
                               tr_index_text(tensor->dims, pieces[j].begin, second),
                               c->files[pieces[j].file].name);
        }
    return TR_OK;
}

// Sorts the pieces, having looked at all that a file may have made up about them.
static enum tr_status check_pieces(struct checking *c, struct tr_piece *pieces, int64_t count) {
    TR_TRY(check_tensor(c, count));
    for (int64_t i = 0; i < count; i++)
        TR_TRY(check_piece(c, &pieces[i]));
    if (count)
        qsort(pieces, (size_t)count, sizeof *pieces, compare_pieces);
    TR_TRY(refuse_overlaps(c, pieces, count));
    uint64_t elements = c->tensor->bytes / c->element;
    if (c->covered < elements)
        return tr_fail(c->err, TR_EFORMAT,
                       "%s: tensor %s: %" PRIu64 " of its %" PRIu64 " elements are in no piece",
                       c->folder, c->tensor->name, elements - c->covered, elements);
    return TR_OK;
}

static bool is_empty(int dims, const int64_t *shape) {
    bool empty = false;
    for (int i = 0; i < dims; i++)
        empty = empty || !shape[i];
    return empty;
}

// Copies the pieces that hold something to copy[]; their number.
static int64_t copy_pieces(int dims, const struct tr_piece *pieces, int64_t count,
                           struct tr_piece *copy) {
    int64_t copied = 0;
    for (int64_t i = 0; i < count; i++)
        if (!is_empty(dims, pieces[i].shape)) {
            struct tr_piece *piece = &copy[copied++];
            piece->file = pieces[i].file;
            piece->offset = pieces[i].offset;
            memcpy(piece->begin, pieces[i].begin, (size_t)dims * sizeof *piece->begin);
            memcpy(piece->shape, pieces[i].shape, (size_t)dims * sizeof *piece->shape);
            memcpy(piece->strides, pieces[i].strides, (size_t)dims * sizeof *piece->strides);
        }
    return copied;
}

// Gives the tensor its pieces, of which it becomes the owner unless one is enough.
static void own_pieces(struct tr_tensor *tensor, struct tr_piece *pieces, int64_t count) {
    tensor->piece = pieces[0];
    tensor->strided =
        count > 1 || !tr_is_row_major(tensor->dims, pieces[0].shape, pieces[0].strides);
    tensor->pieces = count > 1 ? pieces : NULL;
    tensor->piece_count = count > 1 ? count : 0;
    if (count == 1)
        free(pieces);
}

static enum tr_status add_tensor(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                                 struct tr_piece *pieces, int64_t count, struct tr_err *err) {
    struct checking checking = {.tensor = tensor,
                                .files = checkpoint->files,
                                .file_count = checkpoint->file_count,
                                .folder = checkpoint->folder,
                                .err = err};
    TR_TRY(check_pieces(&checking, pieces, count));
    TR_TRY(tr_grow((void **)&checkpoint->tensors, &checkpoint->tensor_capacity,
                   (uint64_t)checkpoint->tensor_count + 1, sizeof *tensor, "the table of tensors",
                   err));
    struct tr_tensor *added = &checkpoint->tensors[checkpoint->tensor_count++];
    *added = *tensor;
    own_pieces(added, pieces, count);
    return TR_OK;
}

enum tr_status tr_checkpoint_add_pieces(struct tr_checkpoint *checkpoint,
                                        const struct tr_tensor *tensor,
                                        const struct tr_piece *pieces, int64_t count,
                                        struct tr_err *err) {
    struct tr_piece *copy;
    if (is_empty(tensor->dims, tensor->shape) && !tensor->bytes) // nothing to read
        return tr_checkpoint_add_tensors(checkpoint, tensor, 1, err);
    TR_TRY(TR_NEW(&copy, count, "the pieces of a tensor", err));
    count = copy_pieces(tensor->dims, pieces, count, copy);
    enum tr_status status = add_tensor(checkpoint, tensor, copy, count, err);
    if (status != TR_OK)
        free(copy);
    return status;
}
