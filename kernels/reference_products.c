// SPDX-License-Identifier: Apache-2.0
// Products, activations and gates, as the formulas read.
#include <math.h>

#include "check.h"
#include "reference_entries.h"

static double xielu(const float *p, double v) {
    double alpha_p = (double)p[0], alpha_n = (double)p[1], beta = (double)p[2], eps = (double)p[3];
    if (v > 0)
        return alpha_p * v * v + beta * v;
    return (expm1(v > eps ? eps : v) - v) * (beta + alpha_n) + beta * v;
}

double kn_reference_activate(enum kn_activation activation, const float *parameters, double v) {
    const double sqrt_half = 0.70710678118654752440, sqrt_2_over_pi = 0.79788456080286535588;
    switch (activation) {
    case KN_SILU:
        return v / (1 + exp(-v));
    case KN_GELU_ERF:
        return 0.5 * v * erfc(-v * sqrt_half);
    case KN_GELU_TANH: // (1 + tanh z) / 2 = 1 / (1 + exp(-2 z)), without cancellation
        return v / (1 + exp(-2 * sqrt_2_over_pi * (v + 0.044715 * v * v * v)));
    case KN_RELU:
        return v < 0 ? 0 : v;
    case KN_RELU_SQUARED:
        return v < 0 ? 0 : v * v;
    case KN_XIELU:
        return xielu(parameters, v);
    case KN_IDENTITY:
        break;
    }
    return v;
}

enum kn_status kn_reference_product(struct kn_backend *self, const struct kn_product *op) {
    KN_TRY(kn_check_product(op, self->activation_type));
    for (int64_t r = 0; r < op->y.rows; r++) {
        for (int64_t c = 0; c < op->y.cols; c++) {
            double sum = kn_reference_dot(kn_reference_row(&op->x, r), &op->w, c) +
                         (op->bias ? (double)op->bias[c] : 0);
            kn_reference_row(&op->y, r)[c] =
                (float)kn_reference_activate(op->activation, op->parameters, sum);
        }
    }
    return KN_OK;
}

// `rows` rows of m from `first` on; those of no rows keep m's address, which may be NULL.
static struct kn_matrix rows_of(const struct kn_matrix *m, int64_t first, int64_t rows) {
    struct kn_matrix part = *m;
    if (rows > 0)
        part.data = (char *)m->data + (size_t)(first * m->stride) * kn_type_size(m->type);
    part.rows = rows;
    return part;
}

struct kn_product kn_product_of_group(const struct kn_grouped_product *op, int64_t group) {
    struct kn_product product = op->product;
    if (!op->first)
        return product;
    int64_t first = op->first[group] - op->first[0], rows = op->first[group + 1] - op->first[group];
    product.y = rows_of(&op->product.y, first, rows);
    product.x = rows_of(&op->product.x, first, rows);
    product.w = rows_of(&op->product.w, group * product.y.cols, product.y.cols);
    if (product.bias)
        product.bias += group * product.y.cols;
    return product;
}

int64_t kn_rows_of_groups(const struct kn_grouped_product *op) {
    return op->first ? op->first[op->groups] - op->first[0] : op->product.y.rows;
}

enum kn_status kn_gate_groups(struct kn_backend *self, const struct kn_grouped_product *op,
                              int64_t rows) {
    struct kn_gate gate = {.y = op->gated, .x = op->product.y, .activation = op->gate};
    gate.y.rows = gate.x.rows = rows;
    return op->gated.data ? self->ops->gate(self, &gate) : KN_OK;
}

// The groups one after the other, by the backend's own product.
enum kn_status kn_reference_grouped_product(struct kn_backend *self,
                                            const struct kn_grouped_product *op) {
    KN_TRY(kn_check_grouped_product(op, self->activation_type));
    KN_TRY(kn_check_groups(op));
    for (int64_t g = 0; g < op->groups; g++) {
        struct kn_product product = kn_product_of_group(op, g);
        KN_TRY(self->ops->product(self, &product));
    }
    return kn_gate_groups(self, op, kn_rows_of_groups(op));
}

static double head_sum(const struct kn_head_product *op, int64_t row, int64_t head, int64_t col) {
    const float *x = kn_reference_head(&op->x, row, head);
    int64_t first = op->first_row + head * op->row_pitch;
    if (op->transposed)
        return kn_reference_dot(x, &op->w, first + col);
    double sum = 0;
    for (int64_t i = 0; i < op->x.dim; i++)
        sum += (double)x[i] *
               (double)kn_load(op->w.data, op->w.type, (first + i) * op->w.stride + col);
    return sum;
}

enum kn_status kn_reference_head_product(struct kn_backend *self,
                                         const struct kn_head_product *op) {
    KN_TRY(kn_check_head_product(op, self->activation_type));
    for (int64_t r = 0; r < op->y.x.rows; r++)
        for (int64_t h = 0; h < op->y.count; h++)
            for (int64_t c = 0; c < op->y.dim; c++)
                kn_reference_head(&op->y, r, h)[c] = (float)head_sum(op, r, h, c);
    return KN_OK;
}

static double gate_of(const struct kn_gate *op, double v, double up) {
    double limit = (double)op->limit;
    if (!(limit > 0))
        return kn_reference_activate(op->activation, NULL, v) * up;
    v = v > limit ? limit : v;
    up = up > limit ? limit : up < -limit ? -limit : up;
    return v / (1 + exp(-(double)op->slope * v)) * (1 + up);
}

enum kn_status kn_reference_gate(struct kn_backend *self, const struct kn_gate *op) {
    KN_TRY(kn_check_gate(op, self->activation_type));
    for (int64_t r = 0; r < op->y.rows; r++) {
        const float *x = kn_reference_row(&op->x, r);
        for (int64_t c = 0; c < op->y.cols; c++)
            kn_reference_row(&op->y, r)[c] =
                (float)gate_of(op, (double)x[c], (double)x[op->y.cols + c]);
    }
    return KN_OK;
}
