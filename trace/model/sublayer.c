// SPDX-License-Identifier: Apache-2.0
// What attention, the MLP and experts share.
#include <math.h>

#include "forward_state.h"

struct kn_matrix tr_stream(const struct tr_forward *f, const struct tr_batch *b, float *data) {
    int64_t hidden = f->config.hidden;
    return kn_matrix(data + b->row * hidden, KN_F32, b->rows, hidden);
}

struct kn_matrix tr_scratch(const struct tr_forward *f, const struct tr_batch *b, void *data,
                            int64_t cols) {
    return kn_matrix(data, f->kn->activation_type, b->rows, cols);
}

struct kn_matrix tr_mlp_delta(const struct tr_forward *f, const struct tr_batch *b) {
    return f->config.experts ? tr_stream(f, b, b->streams->mlp_delta)
                             : kn_matrix(f->mlp_delta, KN_F32, b->rows, f->config.hidden);
}

struct kn_matrix tr_mlp_entering(const struct tr_forward *f, const struct tr_batch *b) {
    return f->config.parallel || !b->has_attn ? tr_no_matrix : tr_stream(f, b, b->streams->delta);
}

enum tr_status tr_normalise(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix y,
                            struct kn_matrix addend, bool pre_norm, struct tr_err *err) {
    struct kn_norm norm = {.y = y,
                           .x = tr_stream(f, b, b->streams->x),
                           .addend = addend,
                           .kind = pre_norm ? f->config.family->norm : KN_NO_NORM,
                           .weight = b->weights->vector[TR_SLOT_NORM],
                           .bias = b->weights->vector[TR_SLOT_NORM_BIAS],
                           .epsilon = f->config.epsilon};
    KN_TRY(f->kn->ops->norm(f->kn, &norm), "the norm");
    return TR_OK;
}

enum tr_status tr_product(struct tr_forward *f, const struct tr_batch *b,
                          const struct kn_grouped_product *op, enum tr_slot slot,
                          struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    enum tr_product_use use = TR_PRODUCT_COMPUTED;
    struct tr_product_tap tap = {.plan = b->weights->plan, .slot = slot, .op = op, .use = &use};
    if (b->taps->product)
        TR_TRY(b->taps->product(b->taps->user, f->kn, &tap, err));
    if (use != TR_PRODUCT_COMPUTED)
        return use == TR_PRODUCT_LAST ? tr_enough : TR_OK;
    KN_TRY(op->groups ? ops->grouped_product(f->kn, op) : ops->product(f->kn, &op->product),
           "a product");
    return TR_OK;
}

enum tr_status tr_multiply(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix y,
                           struct kn_matrix x, enum tr_slot weight, enum tr_slot bias,
                           struct tr_err *err) {
    struct kn_grouped_product op = {
        .product = {
            .y = y, .x = x, .w = b->weights->matrix[weight], .bias = b->weights->vector[bias]}};
    return tr_product(f, b, &op, weight, err);
}

bool tr_has_post_norm(const struct tr_forward *f, enum tr_weight norm) {
    return f->config.family->weights[norm] != NULL;
}

enum tr_status tr_finish_branch(struct tr_forward *f, const struct tr_batch *b,
                                struct kn_matrix delta, struct kn_matrix branch,
                                struct tr_err *err) {
    if (delta.data != branch.data) {
        struct kn_norm norm = {.y = delta,
                               .x = branch,
                               .kind = f->config.family->norm,
                               .weight = b->weights->vector[TR_SLOT_POST_NORM],
                               .epsilon = f->config.epsilon};
        KN_TRY(f->kn->ops->norm(f->kn, &norm), "the norm after a sublayer");
    }
    if (f->config.residual_scale == 1)
        return TR_OK;
    struct kn_scale scale = {.x = delta, .factor = f->config.residual_scale, .limit = INFINITY};
    KN_TRY(f->kn->ops->scale(f->kn, &scale), "the residual multiplier");
    return TR_OK;
}

const float *tr_forward_delta(const struct tr_forward *f, const struct tr_streams *streams,
                              enum tr_module module) {
    if (module == TR_ATTN)
        return streams->delta;
    return f->config.experts ? streams->mlp_delta : f->mlp_delta;
}
