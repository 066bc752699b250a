// SPDX-License-Identifier: Apache-2.0
// Ops that pick rows or heads and move them: embed, gather, combine, copy_heads; and
// conversion.
#include "check.h"
#include "cpu.h"
#include "reference.h"
#include "reference_entries.h"
#include "vector_math.h"

// y = scale * table row, or y += that; from: the row's first element in the table.
KN_INLINE void embed_typed(float *y, const struct kn_embed *op, enum kn_type type, int64_t from) {
    const void *data = op->table.data;
    float scale = op->scale;
    if (op->accumulate) {
#pragma omp simd
        for (int64_t c = 0; c < op->table.cols; c++)
            y[c] += scale * kn_load(data, type, from + c);
    } else {
#pragma omp simd
        for (int64_t c = 0; c < op->table.cols; c++)
            y[c] = scale * kn_load(data, type, from + c);
    }
}

KN_CLONES static void embed_row(float *y, const struct kn_embed *op, int64_t from) {
    switch (op->table.type) {
    case KN_F32:
        embed_typed(y, op, KN_F32, from);
        return;
    case KN_F16:
        embed_typed(y, op, KN_F16, from);
        return;
    case KN_BF16:
        embed_typed(y, op, KN_BF16, from);
        return;
    }
}

enum kn_status cpu_embed(struct kn_backend *self, const struct kn_embed *op) {
    KN_TRY(kn_check_embed(op));
    int threads = cpu_row_threads(self, &op->y);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < op->y.rows; r++) {
        int64_t id = op->ids[r] - op->first_id;
        if (id >= 0 && id < op->table.rows)
            embed_row(cpu_row(&op->y, r), op, id * op->table.stride);
    }
    return KN_OK;
}

// `count` elements of any one type.
static void copy(const struct kn_matrix *y, int64_t to, const struct kn_matrix *x, int64_t from,
                 int64_t count) {
    size_t size = kn_type_size(y->type);
    if (count)
        memcpy((char *)y->data + (size_t)to * size, (const char *)x->data + (size_t)from * size,
               (size_t)count * size);
}

enum kn_status cpu_gather(struct kn_backend *self, const struct kn_gather *op) {
    if (op->weights)
        return kn_reference_gather(self, op);
    KN_TRY(kn_check_gather(op));
    int64_t begin = kn_range_begin(&op->range), end = kn_range_end(&op->range, op->y.rows);
    int64_t rows = cpu_min(op->y.rows, end - begin);
    int threads = cpu_row_threads(self, &op->y);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < rows; r++)
        copy(&op->y, r * op->y.stride, &op->x, op->rows[begin + r] * op->x.stride, op->y.cols);
    return KN_OK;
}

enum kn_status cpu_combine(struct kn_backend *self, const struct kn_combine *op) {
    KN_TRY(kn_check_combine(op));
    int64_t begin = kn_range_begin(&op->range), end = kn_range_end(&op->range, op->x.rows);
    int64_t rows = cpu_min(op->x.rows, end - begin);
    int threads = cpu_row_threads(self, &op->x);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < op->y.rows; r++) {
        for (int64_t i = r * op->used; i < (r + 1) * op->used; i++) {
            int64_t row = op->positions[i] - begin;
            float weight = op->weights ? op->weights[i] : 1;
            if (row >= 0 && row < rows)
                cpu_add_weighted(cpu_row(&op->y, r), cpu_row(&op->x, row), weight, op->x.cols);
        }
    }
    return KN_OK;
}

enum kn_status cpu_copy_heads(struct kn_backend *self, const struct kn_copy_heads *op) {
    KN_TRY(kn_check_copy_heads(op));
    const struct kn_heads *y = &op->y, *x = &op->x;
    int64_t x_pitch = x->count == 1 ? 0 : x->pitch;
    int threads = cpu_threads(self, x->x.rows * y->count * y->dim);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < x->x.rows; r++) {
        int64_t row = op->rows ? op->rows[r] : r;
        int64_t to = row * y->x.stride + y->first_col, from = r * x->x.stride + x->first_col;
        for (int64_t h = 0; row >= 0 && h < y->count; h++)
            copy(&y->x, to + h * y->pitch, &x->x, from + h * x_pitch, y->dim);
    }
    return KN_OK;
}

enum { CONVERTED_AT_ONCE = 4096 };

KN_CLONES static void convert(const struct kn_conversion *op, int64_t begin, int64_t end) {
    switch (op->to_type) {
    case KN_F32:
        cpu_widen((float *)op->to + begin, op->from, op->from_type, begin, end - begin);
        return;
    case KN_F16:
        for (int64_t i = begin; i < end; i++)
            kn_store(op->to, KN_F16, i, kn_load(op->from, op->from_type, i));
        return;
    case KN_BF16:
        for (int64_t i = begin; i < end; i++)
            kn_store(op->to, KN_BF16, i, kn_load(op->from, op->from_type, i));
        return;
    }
}

enum kn_status cpu_convert(struct kn_backend *self, const struct kn_conversion *op) {
    KN_TRY(kn_check_conversion(op));
    int threads = cpu_threads(self, op->count);
#pragma omp parallel for num_threads(threads)
    for (int64_t begin = 0; begin < op->count; begin += CONVERTED_AT_ONCE)
        convert(op, begin, cpu_min(op->count, begin + CONVERTED_AT_ONCE));
    return KN_OK;
}
