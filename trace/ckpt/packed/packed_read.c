// SPDX-License-Identifier: Apache-2.0
// Reads packed weights some rows at a time.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "float_blocks.h"
#include "packed_tensors.h"

// Values of a block of rows, about; rows begin at multiples of a word's values.
enum { BLOCK_VALUES = 1 << 20, ALIGNMENT = 8 };

struct block {
    struct tr_checkpoint *checkpoint;
    const struct tr_tensor *tensor;
    const struct tr_packed *packed;
    int64_t first; // row
    struct tr_codes *codes;
    struct tr_err *err;
};

static const struct tr_tensor *part_of(const struct block *b, enum tr_packed_part part) {
    int place = b->packed->place[part];
    return place < 0 ? NULL : &b->packed->parts[place];
}

// Columns [first, first + count) of a matrix, row after row.
static enum tr_status read_columns(const struct block *b, const struct tr_tensor *matrix,
                                   int64_t first, int64_t count, size_t element, char *bytes) {
    size_t size = (size_t)count * element;
    uint64_t row_bytes = (uint64_t)matrix->shape[1] * element;
    if (count == matrix->shape[1])
        return tr_checkpoint_read(b->checkpoint, matrix, 0, bytes, (size_t)matrix->bytes, b->err);
    for (int64_t row = 0; row < matrix->shape[0]; row++)
        TR_TRY(tr_checkpoint_read(b->checkpoint, matrix,
                                  (uint64_t)row * row_bytes + (uint64_t)first * element,
                                  bytes + (size_t)row * size, size, b->err));
    return TR_OK;
}

// What a part holds of the block's rows; `turned`: outputs are its columns. Freed by the caller.
static enum tr_status read_part(const struct block *b, enum tr_packed_part part, bool turned,
                                int64_t outputs_each, char **bytes_p) {
    const struct tr_tensor *matrix = part_of(b, part);
    struct tr_part_form form;
    tr_layout_part(b->packed->scheme.layout, b->codes, part, &form);
    size_t element = (size_t)(matrix->bytes / (uint64_t)(matrix->shape[0] * matrix->shape[1]));
    int64_t first = b->first / outputs_each;
    char *bytes;
    TR_TRY(TR_NEW(&bytes, form.bytes, matrix->name, b->err));
    enum tr_status status = turned
                                ? read_columns(b, matrix, first, form.shape[1], element, bytes)
                                : tr_checkpoint_read(b->checkpoint, matrix,
                                                     (uint64_t)(first * matrix->shape[1]) * element,
                                                     bytes, (size_t)form.bytes, b->err);
    if (status == TR_OK)
        *bytes_p = bytes;
    else
        free(bytes);
    return status;
}

static enum tr_status read_words(const struct block *b, enum tr_packed_part part,
                                 const struct tr_word_matrix *matrix, char **bytes_p) {
    return read_part(b, part, matrix->turned, matrix->along_out ? 32 / b->codes->bits : 1, bytes_p);
}

static enum tr_status read_codes(const struct block *b) {
    const struct tr_packed_layout *layout = b->packed->scheme.layout;
    char *bytes;
    TR_TRY(read_words(b, TR_PART_CODES, &layout->codes, &bytes));
    tr_layout_unpack(layout, b->codes, TR_PART_CODES, bytes);
    free(bytes);
    return TR_OK;
}

static enum tr_status read_scales(const struct block *b) {
    const struct tr_packed_layout *layout = b->packed->scheme.layout;
    char *bytes;
    TR_TRY(read_part(b, TR_PART_SCALES, layout->scales_turned, 1, &bytes));
    tr_layout_unpack(layout, b->codes, TR_PART_SCALES, bytes);
    free(bytes);
    return TR_OK;
}

static enum tr_status refuse_zeros(const struct block *b) {
    return tr_fail(b->err, TR_EFORMAT,
                   "%s: tensor %s has zeros that are not in the middle of %d bits, config.json "
                   "says that the weight is symmetric",
                   tr_checkpoint_file(b->checkpoint, part_of(b, TR_PART_ZEROS)),
                   part_of(b, TR_PART_ZEROS)->name, b->codes->bits);
}

static enum tr_status read_zeros(const struct block *b) {
    const struct tr_packed_layout *layout = b->packed->scheme.layout;
    bool good = true;
    char *bytes;
    if (!part_of(b, TR_PART_ZEROS)) {
        memset(b->codes->zero, 1 << (b->codes->bits - 1),
               (size_t)(b->codes->out * b->codes->groups));
        return TR_OK;
    }
    TR_TRY(read_words(b, TR_PART_ZEROS, &layout->zeros, &bytes));
    if (b->codes->symmetric)
        good = tr_layout_unpack_symmetric(layout, b->codes, bytes);
    else
        tr_layout_unpack(layout, b->codes, TR_PART_ZEROS, bytes);
    free(bytes);
    return good ? TR_OK : refuse_zeros(b);
}

static enum tr_status check_groups(const struct block *b, const struct tr_tensor *tensor) {
    const struct tr_codes *codes = b->codes;
    for (int64_t i = 0; i < codes->in; i++)
        if (codes->group_of[i] < 0 || codes->group_of[i] >= codes->groups)
            return tr_fail(b->err, TR_EFORMAT,
                           "%s: tensor %s puts input %" PRId64 " into group %d, there are %" PRId64,
                           tr_checkpoint_file(b->checkpoint, tensor), tensor->name, i,
                           (int)codes->group_of[i], codes->groups);
    return TR_OK;
}

static enum tr_status read_groups(const struct block *b) {
    const struct tr_tensor *tensor = part_of(b, TR_PART_GROUPS);
    char *bytes;
    if (!tensor)
        return TR_OK;
    TR_TRY(TR_NEW(&bytes, tensor->bytes, tensor->name, b->err));
    enum tr_status status =
        tr_checkpoint_read(b->checkpoint, tensor, 0, bytes, (size_t)tensor->bytes, b->err);
    if (status == TR_OK)
        tr_layout_unpack(b->packed->scheme.layout, b->codes, TR_PART_GROUPS, bytes);
    free(bytes);
    TR_TRY(status);
    return check_groups(b, tensor);
}

static enum tr_status read_block(const struct block *b) {
    TR_TRY(read_groups(b));
    TR_TRY(read_scales(b));
    TR_TRY(read_zeros(b));
    return read_codes(b);
}

enum tr_status tr_packed_codes(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                               int64_t first, int64_t rows, struct tr_codes *codes,
                               struct tr_err *err) {
    const struct tr_packed *packed = tensor->packed;
    const struct tr_codes *form = &packed->form;
    struct tr_codes made;
    TR_TRY(tr_codes_new(&made, rows, form->in, form->bits, form->group_size,
                        packed->place[TR_PART_GROUPS] >= 0, tensor->name, err));
    made.symmetric = form->symmetric;
    made.scale_dtype = form->scale_dtype;
    const struct block block = {checkpoint, tensor, packed, first, &made, err};
    enum tr_status status = read_block(&block);
    if (status == TR_OK)
        *codes = made;
    else
        tr_codes_free(&made);
    return status;
}

// ---- values ------------------------------------------------------------------------------------

static enum tr_status read_values(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                                  int64_t first, int64_t rows, float *values, struct tr_err *err) {
    struct tr_codes codes;
    TR_TRY(tr_packed_codes(checkpoint, tensor, first, rows, &codes, err));
    tr_codes_values(&codes, values);
    tr_codes_free(&codes);
    return TR_OK;
}

// Rows of a block: as many as have about so many values, whole words of them.
static int64_t block_rows(const struct tr_codes *form) {
    int64_t rows = BLOCK_VALUES / form->in / ALIGNMENT * ALIGNMENT;
    return rows < ALIGNMENT ? ALIGNMENT : rows;
}

static void *part_to(void *bytes, uint64_t begin, uint64_t at) {
    return (char *)bytes + (at > begin ? at - begin : 0);
}

// Blocks begin at multiples of a number, so that who reads in order reads none of them twice but
// those in which one range ends and the next begins.
enum tr_status tr_packed_read(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                              uint64_t begin, void *bytes, size_t size, struct tr_err *err) {
    const struct tr_codes *form = &tensor->packed->form;
    if (tensor->packed->scheme.floats)
        return tr_float_blocks_read(checkpoint, tensor, begin, bytes, size, err);
    uint64_t row_bytes = (uint64_t)form->in * sizeof(float), end = begin + size;
    int64_t each = block_rows(form), most = each < form->out ? each : form->out;
    int64_t row = (int64_t)(begin / row_bytes) / ALIGNMENT * ALIGNMENT;
    enum tr_status status = TR_OK;
    float *values;
    TR_TRY(TR_NEW(&values, most * form->in, tensor->name, err));
    for (; (uint64_t)row * row_bytes < end && status == TR_OK; row += each) {
        int64_t rows = form->out - row < each ? form->out - row : each;
        uint64_t needed = (end + row_bytes - 1) / row_bytes - (uint64_t)row;
        rows = needed < (uint64_t)rows ? (int64_t)needed : rows;
        uint64_t from = (uint64_t)row * row_bytes, to = from + (uint64_t)rows * row_bytes;
        uint64_t low = begin > from ? begin : from, high = end < to ? end : to;
        status = read_values(checkpoint, tensor, row, rows, values, err);
        if (status == TR_OK)
            memcpy(part_to(bytes, begin, low), (char *)values + (low - from), high - low);
    }
    free(values);
    return status;
}
