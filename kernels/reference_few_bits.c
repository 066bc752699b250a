// SPDX-License-Identifier: Apache-2.0
// Weights in few bits, as the formulas read.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "reference_entries.h"

enum kn_status kn_reference_diagonal(struct kn_backend *self, const struct kn_diagonal *op) {
    (void)self;
    KN_TRY(kn_check_diagonal(op));
    for (int64_t i = 0; i < op->n; i++)
        op->y[i] = op->h[i * op->n + i];
    return KN_OK;
}

static double moment(const struct kn_inverse_factor *op, int64_t i, int64_t j) {
    int64_t row = op->order[i], col = op->order[j];
    double value = op->h[row > col ? row * op->n + col : col * op->n + row];
    if (i != j)
        return value;
    return (value > 0 ? value : 1) + op->added;
}

// h' = v v^T, from the last column to the first.
static bool factor(const struct kn_inverse_factor *op) {
    int64_t n = op->n;
    double *v = op->scratch;
    for (int64_t j = n - 1; j >= 0; j--)
        for (int64_t i = j; i >= 0; i--) {
            double sum = moment(op, i, j);
            for (int64_t k = j + 1; k < n; k++)
                sum -= v[i * n + k] * v[j * n + k];
            if (i == j && (!(sum > 0) || !isfinite(sum)))
                return false;
            v[i * n + j] = i == j ? sqrt(sum) : sum / v[j * n + j];
        }
    return true;
}

static void invert(double *u, const double *v, int64_t n) {
    memset(u, 0, (size_t)(n * n) * sizeof *u);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = j; i >= 0; i--) {
            double sum = i == j;
            for (int64_t k = i + 1; k <= j; k++)
                sum -= v[i * n + k] * u[k * n + j];
            u[i * n + j] = sum / v[i * n + i];
        }
}

enum kn_status kn_reference_inverse_factor(struct kn_backend *self,
                                           const struct kn_inverse_factor *op) {
    (void)self;
    KN_TRY(kn_check_inverse_factor(op));
    *op->factored = factor(op);
    if (*op->factored)
        invert(op->u, op->scratch, op->n);
    return KN_OK;
}

// ---- rounding that makes up for itself ---------------------------------------------------------

static void set_step(const struct kn_compensation *op, int64_t row, int64_t group, const double *w,
                     int64_t count) {
    struct kn_step_size step = kn_step_size_of(&op->grid, w, count);
    int64_t at = row * kn_grid_groups(&op->grid, op->n) + group;
    op->scale[at] = step.scale;
    op->zero[at] = (uint8_t)step.zero;
}

static void set_all_steps(const struct kn_compensation *op, int64_t row, double *values) {
    int64_t size = kn_grid_group(&op->grid, op->n);
    bool along = op->input_order == KN_ORDER_GROUPS;
    for (int64_t i = 0; i < op->n; i++)
        values[i] = (double)op->w[row * op->n + (along ? op->order[i] : i)];
    for (int64_t first = 0; first < op->n; first += size)
        set_step(op, row, first / size, values + first,
                 op->n - first < size ? op->n - first : size);
}

static void round_row(const struct kn_compensation *op, int64_t row, double *w) {
    int64_t n = op->n, size = kn_grid_group(&op->grid, n);
    if (op->input_order != KN_ORDER_FILE)
        set_all_steps(op, row, w);
    for (int64_t i = 0; i < n; i++)
        w[i] = (double)op->w[row * n + op->order[i]];
    for (int64_t i = 0; i < n; i++) {
        int64_t input = op->order[i];
        int64_t group = (op->input_order == KN_ORDER_GROUPS ? i : input) / size;
        int64_t at = row * kn_grid_groups(&op->grid, n) + group;
        if (op->input_order == KN_ORDER_FILE && i % size == 0)
            set_step(op, row, group, w + i, n - i < size ? n - i : size);
        struct kn_step_size step = {op->scale[at], op->zero[at]};
        int code = kn_code_of(&op->grid, step, w[i]);
        double error = (w[i] - kn_value_of(step, code)) / op->u[i * n + i];
        op->code[row * n + input] = (uint8_t)code;
        for (int64_t j = i + 1; j < n; j++)
            w[j] -= error * op->u[i * n + j];
    }
}

enum kn_status kn_reference_compensation(struct kn_backend *self,
                                         const struct kn_compensation *op) {
    (void)self;
    KN_TRY(kn_check_compensation(op));
    double *w = malloc((size_t)(op->n ? op->n : 1) * sizeof *w);
    if (!w)
        return KN_ENOMEM;
    for (int64_t row = 0; row < op->rows; row++)
        round_row(op, row, w);
    free(w);
    return KN_OK;
}

enum kn_status kn_reference_squared_outputs(struct kn_backend *self,
                                            const struct kn_squared_outputs *op) {
    (void)self;
    KN_TRY(kn_check_squared_outputs(op));
    int64_t n = op->n;
    for (int64_t r = 0; r < op->rows; r++) {
        const float *x = op->x + r * n, *less = op->less ? op->less + r * n : NULL;
        double sum = 0;
        for (int64_t i = 0; i < n; i++) {
            double e = (double)x[i] - (less ? (double)less[i] : 0),
                   part = 0.5 * op->h[i * n + i] * e;
            for (int64_t j = 0; j < i; j++)
                part += op->h[i * n + j] * ((double)x[j] - (less ? (double)less[j] : 0));
            sum += 2 * e * part;
        }
        op->y[r] = sum;
    }
    return KN_OK;
}
