// SPDX-License-Identifier: Apache-2.0
// Embeddings, copies, conversions and scales, as the formulas read.
#include <string.h>

#include "check.h"
#include "kernels/convert.h"
#include "reference_entries.h"

static int64_t head_col(const struct kn_heads *h, int64_t head) {
    return h->first_col + head * h->pitch;
}

// `count` elements of row y_row of y from column y_col on; y and x have the same type.
static void copy(const struct kn_matrix *y, int64_t y_row, int64_t y_col, const struct kn_matrix *x,
                 int64_t x_row, int64_t x_col, int64_t count) {
    size_t size = kn_type_size(y->type);
    char *to = (char *)y->data + (size_t)(y_row * y->stride + y_col) * size;
    const char *from = (const char *)x->data + (size_t)(x_row * x->stride + x_col) * size;
    if (count)
        memcpy(to, from, (size_t)count * size);
}

enum kn_status kn_reference_copy_heads(struct kn_backend *self, const struct kn_copy_heads *op) {
    (void)self;
    KN_TRY(kn_check_copy_heads(op));
    for (int64_t r = 0; r < op->x.x.rows; r++)
        for (int64_t h = 0, to = op->rows ? op->rows[r] : r; to >= 0 && h < op->y.count; h++)
            copy(&op->y.x, to, head_col(&op->y, h), &op->x.x, r,
                 head_col(&op->x, op->x.count == 1 ? 0 : h), op->y.dim);
    return KN_OK;
}

enum kn_status kn_reference_scale(struct kn_backend *self, const struct kn_scale *op) {
    KN_TRY(kn_check_scale(op, self->activation_type));
    for (int64_t r = 0; r < op->x.rows; r++) {
        float *x = kn_reference_row(&op->x, r);
        for (int64_t c = 0; c < op->x.cols; c++) {
            float v = op->factor == 0 ? 0 : op->factor * x[c];
            v = v > op->limit ? op->limit : v;
            x[c] = v < -op->limit ? -op->limit : v;
        }
    }
    return KN_OK;
}

// The weight of the row that stands at a place.
static float weight_at(const struct kn_gather *op, int64_t place) {
    int64_t i = (int64_t)op->rows[place] * op->used, end = i + op->used;
    while (i + 1 < end && op->positions[i] != place)
        i++;
    return op->weights[i];
}

static void scale_row(const struct kn_matrix *y, int64_t row, float factor) {
    for (int64_t i = row * y->stride; i < row * y->stride + y->cols; i++)
        kn_store(y->data, y->type, i, factor * kn_load(y->data, y->type, i));
}

enum kn_status kn_reference_gather(struct kn_backend *self, const struct kn_gather *op) {
    (void)self;
    KN_TRY(kn_check_gather(op));
    int64_t begin = kn_range_begin(&op->range), end = kn_range_end(&op->range, op->y.rows);
    for (int64_t r = 0; r < op->y.rows && begin + r < end; r++) {
        copy(&op->y, r, 0, &op->x, op->rows[begin + r], 0, op->y.cols);
        if (op->weights)
            scale_row(&op->y, r, weight_at(op, begin + r));
    }
    return KN_OK;
}

enum kn_status kn_reference_combine(struct kn_backend *self, const struct kn_combine *op) {
    (void)self;
    KN_TRY(kn_check_combine(op));
    int64_t begin = kn_range_begin(&op->range), end = kn_range_end(&op->range, op->x.rows);
    for (int64_t i = 0; i < op->y.rows * op->used; i++) {
        int64_t row = op->positions[i] - begin;
        if (row < 0 || op->positions[i] >= end || row >= op->x.rows)
            continue;
        float *y = kn_reference_row(&op->y, i / op->used);
        double weight = op->weights ? (double)op->weights[i] : 1;
        for (int64_t c = 0; c < op->x.cols; c++)
            y[c] = (float)((double)y[c] + weight * (double)kn_reference_row(&op->x, row)[c]);
    }
    return KN_OK;
}

enum kn_status kn_reference_convert(struct kn_backend *self, const struct kn_conversion *op) {
    (void)self;
    KN_TRY(kn_check_conversion(op));
    for (int64_t i = 0; i < op->count; i++)
        kn_store(op->to, op->to_type, i, kn_load(op->from, op->from_type, i));
    return KN_OK;
}

enum kn_status kn_reference_embed(struct kn_backend *self, const struct kn_embed *op) {
    (void)self;
    KN_TRY(kn_check_embed(op));
    for (int64_t r = 0; r < op->y.rows; r++) {
        int64_t id = op->ids[r] - op->first_id;
        if (id < 0 || id >= op->table.rows)
            continue;
        for (int64_t c = 0; c < op->y.cols; c++) {
            int64_t from = id * op->table.stride + c;
            float *y = kn_reference_row(&op->y, r) + c;
            float value = op->scale * kn_load(op->table.data, op->table.type, from);
            *y = op->accumulate ? *y + value : value;
        }
    }
    return KN_OK;
}

// By the backend's own entries.
enum kn_status kn_reference_keep(struct kn_backend *self, const struct kn_keep *op) {
    KN_TRY(kn_check_keep(op, self->activation_type));
    KN_TRY(self->ops->rope(self, &op->q));
    KN_TRY(self->ops->rope(self, &op->k));
    KN_TRY(self->ops->copy_heads(self, &op->keys));
    return self->ops->copy_heads(self, &op->values);
}
