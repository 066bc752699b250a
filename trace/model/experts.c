// SPDX-License-Identifier: Apache-2.0
// The MLP sublayer as a mixture of experts: the router and the shared expert in one slab, then
// groups of routed experts, each run only for the tokens routed to it.
#include <math.h>

#include "forward_state.h"

// ---- router and shared expert ------------------------------------------------------------------

// The micro-batch's part of the activations that router and experts read.
static struct kn_matrix routed_input(const struct tr_forward *f, const struct tr_batch *b) {
    size_t size = kn_type_size(f->kn->activation_type) * (size_t)f->config.hidden;
    return tr_scratch(f, b, (char *)b->streams->routed_input + size * (size_t)b->row,
                      f->config.hidden);
}

// The layer's correction of the router outlives the slab that has it.
static enum tr_status keep_correction(struct tr_forward *f, const struct tr_batch *b,
                                      struct tr_err *err) {
    int64_t experts = f->config.experts;
    const float *from = b->weights->vector[TR_SLOT_ROUTER_CORRECTION];
    struct kn_matrix x = kn_matrix((void *)(uintptr_t)from, KN_F32, 1, experts);
    struct kn_matrix y = kn_matrix(b->streams->correction, KN_F32, 1, experts);
    struct kn_copy_heads copy = {.y = {.x = y, .count = 1, .pitch = experts, .dim = experts},
                                 .x = {.x = x, .count = 1, .pitch = experts, .dim = experts}};
    if (from)
        KN_TRY(f->kn->ops->copy_heads(f->kn, &copy), "keeping the router's correction");
    return TR_OK;
}

// The router's logits, and the shared expert's gate; what the MLP adds starts at 0.
enum tr_status tr_step_router(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_matrix normed = routed_input(f, b);
    struct kn_matrix logits =
        kn_matrix(b->streams->logits + b->row * c->experts, KN_F32, b->rows, c->experts);
    TR_TRY(tr_normalise(f, b, normed, tr_mlp_entering(f, b), !c->family->no_pre_norm, err));
    TR_TRY(tr_multiply(f, b, logits, normed, TR_SLOT_ROUTER, TR_SLOT_NONE, err));
    TR_TRY(keep_correction(f, b, err));
    b->streams->is_gated = b->weights->matrix[TR_SLOT_SHARED_GATE].rows > 0;
    if (b->streams->is_gated)
        TR_TRY(tr_multiply(f, b, kn_matrix(b->streams->gates + b->row, KN_F32, b->rows, 1), normed,
                           TR_SLOT_SHARED_GATE, TR_SLOT_NONE, err));
    struct kn_scale clear = {.x = tr_mlp_delta(f, b), .factor = 0, .limit = INFINITY};
    KN_TRY(f->kn->ops->scale(f->kn, &clear), "clearing what the MLP adds");
    return TR_OK;
}

// Adds experts' outputs to what the MLP adds; `combine` lacks y.
static enum tr_status combine(struct tr_forward *f, const struct tr_batch *b,
                              struct kn_combine combine, struct tr_err *err) {
    combine.y = tr_mlp_delta(f, b);
    KN_TRY(f->kn->ops->combine(f->kn, &combine), "combining experts");
    return TR_OK;
}

// The shared expert's weight of a token is 1, or the sigmoid of its gate.
enum tr_status tr_step_shared_expert(struct tr_forward *f, const struct tr_batch *b,
                                     struct tr_err *err) {
    const struct tr_config *c = &f->config;
    if (!c->shared_ffn)
        return TR_OK;
    struct kn_matrix inner = tr_scratch(f, b, f->inner, c->shared_ffn);
    struct kn_matrix out = kn_matrix(f->branch, KN_F32, b->rows, c->hidden);
    struct kn_grouped_product in = {
        .product = {.x = routed_input(f, b), .w = b->weights->matrix[TR_SLOT_IN]}};
    TR_TRY(tr_activate(f, b, inner, in, err));
    TR_TRY(tr_multiply(f, b, out, inner, TR_SLOT_OUT, TR_SLOT_NONE, err));
    return combine(f, b,
                   (struct kn_combine){.x = out,
                                       .positions = f->shared_rows,
                                       .weights = b->streams->shared_weights + b->row,
                                       .used = 1},
                   err);
}

// ---- routed experts ----------------------------------------------------------------------------

// A few of the slab's experts, one after the other: the rows of their matrices.
struct group {
    int64_t begin, end;   // of the slab's experts
    const int64_t *first; // [end - begin + 1]: where their rows begin among the micro-batch's
    int64_t rows;
};

// Finds the next experts whose rows together are no more than the micro-batch's, since scratch has
// room for that many. The rows of a single expert always fit, for they are different tokens.
static struct group next_group(const struct tr_forward *f, const struct tr_batch *b,
                               int64_t begin) {
    int64_t batch = (b->first_sequence - f->begin) / f->options.micro_batch;
    const int64_t *first = b->streams->routes.first + batch * (f->config.experts + 1);
    int64_t end = begin + 1;
    while (end < b->weights->plan->last_id && first[end + 1] - first[begin] <= b->rows)
        end++;
    return (struct group){begin, end, first + begin, first[end] - first[begin]};
}

// The matrices of a group's experts in the slab, `rows` rows each.
static struct kn_grouped_product grouped(const struct tr_batch *b, const struct group *g,
                                         struct kn_matrix x, enum tr_slot slot, int64_t rows) {
    struct kn_matrix w = b->weights->matrix[slot];
    int64_t first = (g->begin - b->weights->plan->first_id) * rows;
    w.data = (char *)w.data + (size_t)(first * w.stride) * kn_type_size(w.type);
    w.rows = (g->end - g->begin) * rows;
    return (struct kn_grouped_product){{.x = x, .w = w}, g->first, g->end - g->begin};
}

static enum tr_status run_group(struct tr_forward *f, const struct tr_batch *b,
                                const struct group *g, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    enum kn_type type = f->kn->activation_type;
    int64_t at = b->row * c->experts_used;
    struct kn_gather gather = {.y = kn_matrix(f->normed, type, g->rows, c->hidden),
                               .x = routed_input(f, b),
                               .rows = b->streams->expert_rows + at + g->first[0]};
    KN_TRY(f->kn->ops->gather(f->kn, &gather), "gathering the tokens of experts");
    struct kn_matrix inner = kn_matrix(f->inner, type, g->rows, c->expert_ffn);
    int64_t in_rows = tr_config_in_rows(c, c->expert_ffn);
    TR_TRY(tr_activate(f, b, inner, grouped(b, g, gather.y, TR_SLOT_IN, in_rows), err));
    struct kn_grouped_product down = grouped(b, g, inner, TR_SLOT_OUT, c->hidden);
    down.product.y = kn_matrix(f->branch, KN_F32, g->rows, c->hidden);
    TR_TRY(tr_product(f, b, &down, TR_SLOT_OUT, err));
    f->routed_rows += g->rows;
    return combine(f, b,
                   (struct kn_combine){.x = down.product.y,
                                       .positions = b->streams->expert_positions + at,
                                       .weights = b->streams->expert_weights + at,
                                       .used = c->experts_used,
                                       .first = g->first[0]},
                   err);
}

// The slab's experts for one micro-batch.
enum tr_status tr_step_experts(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_slab_plan *plan = b->weights->plan;
    for (struct group g = {.end = plan->first_id}; g.end < plan->last_id;) {
        g = next_group(f, b, g.end);
        if (g.rows)
            TR_TRY(run_group(f, b, &g, err));
    }
    return TR_OK;
}

// The post-norm and the multiplier of what all experts together add.
enum tr_status tr_step_experts_end(struct tr_forward *f, const struct tr_batch *b,
                                   struct tr_err *err) {
    struct kn_matrix delta = tr_mlp_delta(f, b), branch = delta;
    if (tr_has_post_norm(f, TR_W_MLP_POST_NORM)) {
        branch = kn_matrix(f->branch, KN_F32, b->rows, f->config.hidden);
        struct kn_copy_heads copy = {
            .y = {.x = branch, .count = 1, .pitch = branch.cols, .dim = branch.cols},
            .x = {.x = delta, .count = 1, .pitch = branch.cols, .dim = branch.cols}};
        KN_TRY(f->kn->ops->copy_heads(f->kn, &copy), "copying what the experts add");
    }
    return tr_finish_branch(f, b, delta, branch, err);
}

int64_t tr_forward_routed_rows(const struct tr_forward *f) {
    return f->routed_rows;
}
