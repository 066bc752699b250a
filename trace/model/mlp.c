// SPDX-License-Identifier: Apache-2.0
// The MLP sublayer, dense, and the end of a block.
#include <math.h>

#include "forward_state.h"

// xIELU's parameters from its two stored scalars: softplus of each, beta, and the bound of expm1.
static void fill_parameters(float out[4], const float *alphas) {
    out[0] = (float)log1p(exp((double)alphas[0]));
    out[1] = (float)log1p(exp((double)alphas[1]));
    out[2] = 0.5f;
    out[3] = -1e-6f;
}

enum tr_status tr_activate(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix inner,
                           struct kn_matrix x, struct kn_matrix w, const float *bias,
                           struct tr_err *err) {
    const struct tr_config *c = &f->config;
    const float *alphas = tr_slab_vector(b->plan, b->host_weights, TR_SLOT_ALPHAS);
    float parameters[4];
    struct kn_product product = {.y = inner, .x = x, .w = w, .bias = bias};
    if (alphas) {
        fill_parameters(parameters, alphas);
        product.parameters = parameters;
    }
    if (!c->family->gated) {
        product.activation = c->activation;
        KN_TRY(f->kn->ops->product(f->kn, &product), "a product of the MLP");
        return TR_OK;
    }
    product.y = kn_matrix(f->wide, f->kn->activation_type, inner.rows, w.rows);
    KN_TRY(f->kn->ops->product(f->kn, &product), "a product of the MLP");
    struct kn_gate gate = {.y = inner, .x = product.y, .activation = c->activation};
    KN_TRY(f->kn->ops->gate(f->kn, &gate), "the gate");
    return TR_OK;
}

// mlp_delta = residual scale * post-norm(W_down act(W_in norm(v))), v = x + delta or, in a parallel
// residual, x.
enum tr_status tr_step_mlp(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_matrix normed = tr_scratch(f, b, f->normed, c->hidden);
    struct kn_matrix inner = tr_scratch(f, b, f->inner, c->ffn);
    struct kn_matrix delta = tr_mlp_delta(f, b);
    bool post = tr_has_post_norm(f, TR_W_MLP_POST_NORM);
    struct kn_matrix branch = post ? kn_matrix(f->branch, KN_F32, b->rows, c->hidden) : delta;
    TR_TRY(tr_normalise(f, b, normed, tr_mlp_entering(f, b), !c->family->no_pre_norm, err));
    TR_TRY(tr_activate(f, b, inner, normed, tr_slab_matrix(b->plan, b->weights, TR_SLOT_IN),
                       tr_slab_vector(b->plan, b->weights, TR_SLOT_IN_BIAS), err));
    TR_TRY(tr_multiply(f, b, branch, inner, TR_SLOT_OUT, TR_SLOT_OUT_BIAS, err));
    TR_TRY(tr_finish_branch(f, b, delta, branch, err));
    return tr_close_block(f, b, err);
}

enum tr_status tr_close_block(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    struct kn_matrix attention = tr_stream(f, b, f->delta), mlp = tr_mlp_delta(f, b);
    TR_TRY(tr_measure(f, b, TR_MLP, tr_mlp_entering(f, b), mlp, tr_no_matrix, err));
    TR_TRY(tr_measure(f, b, TR_BLOCK, tr_no_matrix, attention, mlp, err));
    struct kn_add add = {.x = tr_stream(f, b, f->x), .delta = attention, .delta_addend = mlp};
    KN_TRY(f->kn->ops->add(f->kn, &add), "the residual add");
    return tr_keep_boundary(f, b, b->plan->layer + 1, err);
}
