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

// Where the micro-batch's routes are: its first token's, and its place among the micro-batches.
static int64_t routes_at(const struct tr_forward *f, const struct tr_batch *b) {
    return b->row * f->config.experts_used;
}

static int64_t *routes_first(const struct tr_forward *f, const struct tr_batch *b) {
    int64_t batch = (b->first_sequence - f->begin) / f->options.micro_batch;
    return b->streams->expert_first + batch * (f->config.experts + 1);
}

// Each token's experts, from the router's logits and the shared expert's gate in scratch.
static enum tr_status route(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix logits,
                            struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct tr_streams *s = b->streams;
    bool gated = b->weights->matrix[TR_SLOT_SHARED_GATE].rows > 0;
    _Static_assert((int)TR_MAX_EXPERTS <= (int)KN_MAX_EXPERTS, "all experts can be routed to");
    struct kn_route op = {.rows = s->expert_rows + routes_at(f, b),
                          .positions = s->expert_positions + routes_at(f, b),
                          .weights = s->expert_weights + routes_at(f, b),
                          .first = routes_first(f, b),
                          .shared_weights = c->shared_ffn ? s->shared_weights + b->row : NULL,
                          .logits = logits,
                          .correction = b->weights->vector[TR_SLOT_ROUTER_CORRECTION],
                          .shared_gates = gated ? f->shared_gates : NULL,
                          .used = c->experts_used,
                          .groups = c->groups,
                          .groups_used = c->groups_used,
                          .sigmoid = c->family->sigmoid_router,
                          .normalise = c->normalise_top,
                          .scale = c->routed_scale};
    KN_TRY(f->kn->ops->route(f->kn, &op), "choosing experts");
    return TR_OK;
}

// What the MLP adds starts at 0.
enum tr_status tr_step_router(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_matrix normed = routed_input(f, b);
    struct kn_matrix logits = kn_matrix(f->router_logits, KN_F32, b->rows, c->experts);
    TR_TRY(tr_normalise(f, b, normed, tr_mlp_entering(f, b), !c->family->no_pre_norm, err));
    TR_TRY(tr_multiply(f, b, logits, normed, TR_SLOT_ROUTER, TR_SLOT_ROUTER_BIAS, err));
    if (b->weights->matrix[TR_SLOT_SHARED_GATE].rows > 0)
        TR_TRY(tr_multiply(f, b, kn_matrix(f->shared_gates, KN_F32, b->rows, 1), normed,
                           TR_SLOT_SHARED_GATE, TR_SLOT_NONE, err));
    TR_TRY(route(f, b, logits, err));
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

// The slab's experts for one micro-batch. Only the backend knows how many rows they have: at most
// each token's for all of its experts, or for all of the slab's.
struct routed {
    const int64_t *first; // of the slab's experts
    struct kn_range range;
    int64_t experts, room;
};

static struct routed routed_of(const struct tr_forward *f, const struct tr_batch *b) {
    const struct tr_slab_plan *plan = b->weights->plan;
    const int64_t *first = routes_first(f, b) + plan->first_id;
    int64_t experts = plan->last_id - plan->first_id, used = f->config.experts_used;
    return (struct routed){.first = first,
                           .range = {first, first + experts},
                           .experts = experts,
                           .room = b->rows * (used < experts ? used : experts)};
}

static struct kn_grouped_product grouped(const struct tr_batch *b, const struct routed *r,
                                         struct kn_matrix x, enum tr_slot slot, enum tr_slot bias) {
    return (struct kn_grouped_product){
        .product = {.x = x, .w = b->weights->matrix[slot], .bias = b->weights->vector[bias]},
        .first = r->first,
        .groups = r->experts};
}

// Rows that experts worked on; a device keeps the number to itself.
static void count_rows(struct tr_forward *f, const struct routed *r) {
    if (f->kn->unified)
        f->routed_rows += *r->range.end - *r->range.begin;
}

enum tr_status tr_step_experts(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    enum kn_type type = f->kn->activation_type;
    struct routed r = routed_of(f, b);
    struct kn_gather gather = {.y = kn_matrix(f->normed, type, r.room, c->hidden),
                               .x = routed_input(f, b),
                               .rows = b->streams->expert_rows + routes_at(f, b),
                               .range = r.range};
    struct kn_combine add = {.x = kn_matrix(f->branch, KN_F32, r.room, c->hidden),
                             .positions = b->streams->expert_positions + routes_at(f, b),
                             .weights = b->streams->expert_weights + routes_at(f, b),
                             .used = c->experts_used,
                             .range = r.range};
    if (c->family->weighs_input) {
        gather.weights = add.weights;
        gather.positions = add.positions;
        gather.used = add.used;
        add.weights = NULL;
    }
    KN_TRY(f->kn->ops->gather(f->kn, &gather), "gathering the tokens of experts");
    struct kn_matrix inner = kn_matrix(f->inner, type, r.room, c->expert_ffn);
    TR_TRY(tr_activate(f, b, inner, grouped(b, &r, gather.y, TR_SLOT_IN, TR_SLOT_IN_BIAS), err));
    struct kn_grouped_product down = grouped(b, &r, inner, TR_SLOT_OUT, TR_SLOT_OUT_BIAS);
    down.product.y = add.x;
    TR_TRY(tr_product(f, b, &down, TR_SLOT_OUT, err));
    count_rows(f, &r);
    return combine(f, b, add, err);
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
