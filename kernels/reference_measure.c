// SPDX-License-Identifier: Apache-2.0
// What is measured of a residual stream, as the formulas read.
#include <math.h>

#include "check.h"
#include "reference_entries.h"
#include "summary.h"

// A row of a residual add, as struct kn_block_end has it: v = x + x_addend, e = delta +
// delta_addend. Addends may be NULL; delta is NULL where nothing of the add is there.
struct residual_add {
    const float *x, *x_addend, *delta, *delta_addend;
};

static float sum_of(const float *x, const float *addend, int64_t c) {
    return addend ? x[c] + addend[c] : x[c];
}

static void write_statistics(const struct kn_block_end *op, int64_t at,
                             const struct residual_add *add) {
    double xx = 0, xd = 0, dd = 0;
    if (!add->delta)
        xx = xd = dd = (double)NAN;
    for (int64_t c = 0; add->delta && c < op->x.cols; c++) {
        double v = (double)sum_of(add->x, add->x_addend, c);
        double e = (double)sum_of(add->delta, add->delta_addend, c);
        xx += v * v;
        xd += v * e;
        dd += e * e;
    }
    op->xx[at] = xx;
    op->xd[at] = xd;
    op->dd[at] = dd;
}

static void end_row(const struct kn_block_end *op, int64_t row) {
    float *x = kn_reference_row(&op->x, row);
    const float *attention = kn_reference_row(&op->attention, row),
                *mlp = kn_reference_row(&op->mlp, row);
    const float *delta = attention ? attention : mlp, *addend = attention ? mlp : NULL;
    const struct residual_add adds[KN_RESIDUAL_ADDS] = {
        [KN_ADD_ATTENTION] = {x, NULL, attention, NULL},
        [KN_ADD_MLP] = {x, op->parallel ? NULL : attention, mlp, NULL},
        [KN_ADD_BLOCK] = {x, NULL, delta, addend}};
    for (int64_t a = 0; op->xx && a < KN_RESIDUAL_ADDS; a++)
        write_statistics(op, a * op->x.rows + row, &adds[a]);
    for (int64_t c = 0; delta && c < op->x.cols; c++)
        x[c] += sum_of(delta, addend, c);
}

enum kn_status kn_reference_block_end(struct kn_backend *self, const struct kn_block_end *op) {
    (void)self;
    KN_TRY(kn_check_block_end(op));
    for (int64_t r = 0; r < op->x.rows; r++)
        end_row(op, r);
    return KN_OK;
}

enum kn_status kn_reference_summary(struct kn_backend *self, const struct kn_summary *op) {
    (void)self;
    KN_TRY(kn_check_summary(op));
    for (int64_t s = 0; s < op->sequences; s++)
        kn_summarise_sequence(op, s);
    return KN_OK;
}

static double dot(const float *x, const float *y, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

enum kn_status kn_reference_gram(struct kn_backend *self, const struct kn_gram *op) {
    (void)self;
    KN_TRY(kn_check_gram(op));
    bool on_diagonal = op->row == op->col && op->rows == op->width;
    for (int64_t i = 0; i < op->rows; i++)
        for (int64_t j = 0; j < (on_diagonal ? i + 1 : op->width); j++)
            op->y[i * op->width + j] = (float)dot(op->x + (op->row + i) * op->cols,
                                                  op->x + (op->col + j) * op->cols, op->cols);
    return KN_OK;
}

enum kn_status kn_reference_inner_products(struct kn_backend *self,
                                           const struct kn_inner_products *op) {
    (void)self;
    KN_TRY(kn_check_inner_products(op));
    for (int64_t i = 0; i < op->count; i++)
        for (int64_t j = 0; j <= i; j++)
            op->y[i * op->count + j] =
                dot(op->x + i * op->pitch, op->x + j * op->pitch, op->length);
    return KN_OK;
}

// The reference has f32 activations alone.
enum kn_status kn_reference_second_moment(struct kn_backend *self,
                                          const struct kn_second_moment *op) {
    (void)self;
    KN_TRY(kn_check_second_moment(op, KN_F32));
    const float *x = op->x.data;
    for (int64_t i = 0; i < op->x.cols; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t r = 0; r < op->x.rows; r++)
                sum += (double)x[r * op->x.stride + i] * (double)x[r * op->x.stride + j];
            op->y[i * op->x.cols + j] += sum;
        }
    return KN_OK;
}
