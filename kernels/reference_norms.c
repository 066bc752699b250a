// SPDX-License-Identifier: Apache-2.0
// Norms of rows and of heads, as the formulas read.
#include <math.h>

#include "check.h"
#include "reference_entries.h"

// In place; weight and bias may be NULL.
static void normalise(float *y, int64_t count, enum kn_norm_kind kind, const float *weight,
                      const float *bias, float epsilon) {
    if (kind == KN_NO_NORM)
        return;
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < count; c++)
        sum += (double)y[c];
    double mean = kind == KN_LAYER_NORM ? sum / (double)count : 0;
    for (int64_t c = 0; c < count; c++)
        squares += ((double)y[c] - mean) * ((double)y[c] - mean);
    double scale = 1 / sqrt(squares / (double)count + (double)epsilon);
    for (int64_t c = 0; c < count; c++) {
        double v = ((double)y[c] - mean) * scale * (weight ? (double)weight[c] : 1);
        y[c] = (float)(v + (bias ? (double)bias[c] : 0));
    }
}

enum kn_status kn_reference_norm(struct kn_backend *self, const struct kn_norm *op) {
    KN_TRY(kn_check_norm(op, self->activation_type));
    for (int64_t r = 0; r < op->x.rows; r++) {
        const float *x = kn_reference_row(&op->x, r), *addend = kn_reference_row(&op->addend, r);
        float *y = kn_reference_row(&op->y, r);
        for (int64_t c = 0; c < op->x.cols; c++)
            y[c] = addend ? x[c] + addend[c] : x[c];
        normalise(y, op->x.cols, op->kind, op->weight, op->bias, op->epsilon);
    }
    return KN_OK;
}

enum kn_status kn_reference_head_norm(struct kn_backend *self, const struct kn_head_norm *op) {
    KN_TRY(kn_check_head_norm(op, self->activation_type));
    for (int64_t r = 0; r < op->heads.x.rows; r++) {
        for (int64_t h = 0; h < op->heads.count; h++) {
            int64_t own = h * op->weight_pitch;
            normalise(kn_reference_head(&op->heads, r, h), op->heads.dim, op->kind,
                      op->weight ? op->weight + own : NULL, op->bias ? op->bias + own : NULL,
                      op->epsilon);
        }
    }
    return KN_OK;
}
