// SPDX-License-Identifier: Apache-2.0
// The MLP sublayer, dense.
#include "forward_state.h"

enum tr_status tr_activate(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix inner,
                           struct kn_grouped_product in, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    bool gated = c->family->gated;
    int64_t cols = tr_config_in_rows(c, inner.cols);
    in.product.y = gated ? kn_matrix(f->wide, inner.type, inner.rows, cols) : inner;
    in.product.activation = gated ? KN_IDENTITY : c->activation;
    in.product.parameters = b->weights->xielu;
    bool fused = gated && !in.product.bias && !(c->gate_limit > 0);
    if (fused) {
        in.gated = inner;
        in.gate = c->activation;
        in.groups = in.first ? in.groups : 1;
    }
    TR_TRY(tr_product(f, b, &in, TR_SLOT_IN, err));
    struct kn_gate gate = {.y = inner,
                           .x = in.product.y,
                           .activation = c->activation,
                           .limit = c->gate_limit,
                           .slope = c->gate_slope};
    if (gated && !fused)
        KN_TRY(f->kn->ops->gate(f->kn, &gate), "the gate");
    return TR_OK;
}

// mlp_delta = residual scale * post-norm(W_down act(W_in norm(v))), v = x + delta or, in a parallel
// residual, x.
enum tr_status tr_step_mlp(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_matrix normed = tr_scratch(f, b, f->normed, c->hidden);
    struct kn_matrix inner = tr_scratch(f, b, f->inner, tr_config_ffn(c, b->step->layer));
    struct kn_matrix delta = tr_mlp_delta(f, b);
    bool post = tr_has_post_norm(f, TR_W_MLP_POST_NORM);
    struct kn_matrix branch = post ? kn_matrix(f->branch, KN_F32, b->rows, c->hidden) : delta;
    TR_TRY(tr_normalise(f, b, normed, tr_mlp_entering(f, b), !c->family->no_pre_norm, err));
    struct kn_grouped_product in = {.product = {.x = normed,
                                                .w = b->weights->matrix[TR_SLOT_IN],
                                                .bias = b->weights->vector[TR_SLOT_IN_BIAS]}};
    TR_TRY(tr_activate(f, b, inner, in, err));
    TR_TRY(tr_multiply(f, b, branch, inner, TR_SLOT_OUT, TR_SLOT_OUT_BIAS, err));
    return tr_finish_branch(f, b, delta, branch, err);
}
