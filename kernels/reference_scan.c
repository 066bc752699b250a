// SPDX-License-Identifier: Apache-2.0
// Convolutions along sequences and selective state spaces, as the formulas read.
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "reference_entries.h"

static double convolve(const struct kn_convolution *op, int64_t row, int64_t col) {
    double sum = op->bias ? (double)op->bias[col] : 0;
    int64_t position = row % op->length, first = op->taps - 1 - position;
    for (int64_t t = first > 0 ? first : 0; t < op->taps; t++) {
        const float *x = kn_reference_row(&op->x, row - op->taps + 1 + t);
        sum += (double)op->weight[col * op->taps + t] * (double)x[col];
    }
    return sum;
}

enum kn_status kn_reference_convolution(struct kn_backend *self, const struct kn_convolution *op) {
    KN_TRY(kn_check_convolution(op, self->activation_type));
    for (int64_t r = 0; r < op->y.rows; r++)
        for (int64_t c = 0; c < op->y.cols; c++)
            kn_reference_row(&op->y, r)[c] =
                (float)kn_reference_activate(op->activation, NULL, convolve(op, r, c));
    return KN_OK;
}

static double step_of(const struct kn_scan *op, int64_t row, int64_t head) {
    double dt = (double)*kn_reference_head(&op->dt, row, head) + (double)op->dt_bias[head];
    double step = fmax(dt, 0) + log1p(exp(-fabs(dt)));
    step = step < (double)op->low ? (double)op->low : step; // NaN stays NaN
    return step > (double)op->high ? (double)op->high : step;
}

// One entry of a head at one position; `state` is its row of S, [b.dim].
static void advance(const struct kn_scan *op, int64_t row, int64_t head, int64_t entry,
                    double *state) {
    int64_t group = head / (op->x.count / op->b.count);
    const float *b = kn_reference_head(&op->b, row, group),
                *c = kn_reference_head(&op->c, row, group);
    double step = step_of(op, row, head), x = (double)kn_reference_head(&op->x, row, head)[entry];
    double decay = exp(-exp((double)op->a_log[head]) * step), sum = (double)op->d[head] * x;
    for (int64_t n = 0; n < op->b.dim; n++) {
        state[n] = decay * state[n] + step * x * (double)b[n];
        sum += state[n] * (double)c[n];
    }
    kn_reference_head(&op->y, row, head)[entry] = (float)sum;
}

enum kn_status kn_reference_scan(struct kn_backend *self, const struct kn_scan *op) {
    KN_TRY(kn_check_scan(op, self->activation_type));
    double *state = malloc((size_t)op->b.dim * sizeof *state);
    if (!state)
        return KN_ENOMEM;
    for (int64_t h = 0; h < op->x.count; h++)
        for (int64_t i = 0; i < op->x.dim; i++)
            for (int64_t r = 0; r < op->x.x.rows; r++) {
                for (int64_t n = 0; n < op->b.dim && r % op->length == 0; n++)
                    state[n] = 0;
                advance(op, r, h, i, state);
            }
    free(state);
    return KN_OK;
}
