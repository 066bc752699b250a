// SPDX-License-Identifier: Apache-2.0
// The head's loss, and how far candidates are from a base, as the formulas read.
#include "check.h"
#include "head.h"
#include "reference_entries.h"

static double logit_of(const struct kn_loss *op, const struct kn_matrix *x, int64_t row,
                       int64_t c) {
    double z = kn_reference_dot(kn_reference_row(x, row), &op->w, c) +
               (op->bias ? (double)op->bias[c] : 0);
    return kn_reference_cap(z * (double)op->scale, op->softcap);
}

static void loss_add(double *maximum, double *sum, double z) {
    if (z > *maximum) {
        *sum = *sum * exp(*maximum - z) + 1;
        *maximum = z;
    } else if (z != -INFINITY) {
        *sum += exp(z - *maximum);
    }
}

// Logit c of a row joins the stream's loss and its highest logit; op->base says which is the
// target.
static double add_logit(const struct kn_divergence *op, const struct kn_head_candidate *stream,
                        int64_t row, int64_t c) {
    const struct kn_loss *loss = &op->base;
    double z = logit_of(loss, &stream->x, row, c);
    loss_add(&stream->maximum[row], &stream->sum[row], z);
    if (loss->targets[row] >= 0 && loss->targets[row] - loss->first_id == c)
        stream->target[row] = z;
    if (stream->best)
        kn_head_take_best(stream, row, z, loss->first_id + c);
    return z;
}

enum kn_status kn_reference_loss(struct kn_backend *self, const struct kn_loss *op) {
    KN_TRY(kn_check_loss(op, self->activation_type));
    struct kn_divergence alone = {.base = *op};
    struct kn_head_candidate stream = kn_head_stream(&alone, 0);
    for (int64_t r = 0; r < op->x.rows; r++)
        for (int64_t c = 0; c < op->w.rows; c++)
            add_logit(&alone, &stream, r, c);
    return KN_OK;
}

// `before` is the base's maximum without z_base. A logit that is not finite gives NaN.
static void cross_add(double *cross, double before, double maximum, double z_base, double z) {
    double difference = z_base - z;
    if (maximum > before)
        *cross *= exp(before - maximum);
    *cross += exp(z_base - maximum) * difference + (difference - difference);
}

static void add_column(const struct kn_divergence *op, int64_t row, int64_t c) {
    struct kn_head_candidate base = kn_head_stream(op, 0);
    double before = base.maximum[row], z_base = add_logit(op, &base, row, c);
    for (int64_t i = 0; i < op->candidates; i++) {
        const struct kn_head_candidate *candidate = &op->candidate[i];
        double z = add_logit(op, candidate, row, c);
        cross_add(&candidate->cross[row], before, base.maximum[row], z_base, z);
    }
}

enum kn_status kn_reference_divergence(struct kn_backend *self, const struct kn_divergence *op) {
    KN_TRY(kn_check_divergence(op, self->activation_type));
    for (int64_t r = 0; r < op->base.x.rows; r++)
        for (int64_t c = 0; c < op->base.w.rows; c++)
            add_column(op, r, c);
    return KN_OK;
}

static void compare_row(const struct kn_comparison *op, const struct kn_compared *candidate,
                        int64_t row) {
    const struct kn_loss *base = &op->base;
    double log_sum_base = base->maximum[row] + log(base->sum[row]);
    double log_sum = candidate->maximum[row] + log(candidate->sum[row]);
    for (int64_t c = 0; c < base->w.rows; c++) {
        double z_base = logit_of(base, &base->x, row, c);
        struct kn_compared_token token =
            kn_compare(z_base, exp(z_base - log_sum_base), logit_of(base, &candidate->x, row, c),
                       log_sum_base, log_sum);
        for (int i = 0; i < KN_COMPARED; i++)
            candidate->compared[i * base->x.rows + row] += token.sums[i];
    }
}

enum kn_status kn_reference_comparison(struct kn_backend *self, const struct kn_comparison *op) {
    KN_TRY(kn_check_comparison(op, self->activation_type));
    for (int64_t i = 0; i < op->candidates; i++)
        for (int64_t r = 0; r < op->base.x.rows; r++)
            compare_row(op, &op->candidate[i], r);
    return KN_OK;
}

enum kn_status kn_reference_advance(struct kn_backend *self, const struct kn_advance *op) {
    (void)self;
    KN_TRY(kn_check_advance(op));
    for (int64_t r = 0; r < op->rows; r++)
        kn_advance_row(op, r);
    if (op->rows)
        *op->step += 1;
    return KN_OK;
}
