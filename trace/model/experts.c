// SPDX-License-Identifier: Apache-2.0
// The MLP sublayer as a mixture of experts: the router and the shared expert in one slab, then
// groups of routed experts, each run only for the tokens routed to it.
#include <math.h>
#include <string.h>

#include "forward_state.h"

// ---- routing, on the host ----------------------------------------------------------------------

static void softmax(float *values, int64_t count) {
    double total = 0;
    float highest = values[0];
    for (int64_t i = 1; i < count; i++)
        highest = fmaxf(highest, values[i]);
    for (int64_t i = 0; i < count; i++)
        total += exp((double)values[i] - (double)highest);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(exp((double)values[i] - (double)highest) / total);
}

// The index of the highest value, the lowest index among equals. NaN counts as highest, so that
// chosen experts, marked -1, are distinct in a broken model too.
static int64_t highest_of(const float *values, int64_t count) {
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (values[i] > values[best] || (isnan(values[i]) && !isnan(values[best])))
            best = i;
    return best;
}

// Group-limited choice: experts outside the best groups, by their best member, are set to 0.
static void limit_groups(const struct tr_config *c, float *probabilities) {
    int64_t size = c->experts / c->groups;
    float best[TR_MAX_EXPERT_GROUPS];
    for (int64_t g = 0; g < c->groups; g++)
        best[g] = probabilities[g * size + highest_of(probabilities + g * size, size)];
    for (int64_t k = 0; k < c->groups_used; k++)
        best[highest_of(best, c->groups)] = -1;
    for (int64_t e = 0; e < c->experts; e++)
        if (best[e / size] >= 0)
            probabilities[e] = 0;
}

// The experts of one token, ascending, with their weights. `logits` is overwritten.
static void route(const struct tr_config *c, float *logits, int32_t *chosen, float *shares) {
    float total = 0;
    softmax(logits, c->experts);
    if (c->groups > 1)
        limit_groups(c, logits);
    for (int64_t k = 0; k < c->experts_used; k++) {
        int64_t best = highest_of(logits, c->experts), at = k;
        float share = logits[best];
        logits[best] = -1;
        total += share;
        for (; at > 0 && chosen[at - 1] > best; at--) {
            chosen[at] = chosen[at - 1];
            shares[at] = shares[at - 1];
        }
        chosen[at] = (int32_t)best;
        shares[at] = share;
    }
    float scale = (c->normalise_top ? 1 / total : 1) * c->routed_scale;
    for (int64_t k = 0; k < c->experts_used; k++)
        shares[k] *= scale;
}

// ---- router and shared expert ------------------------------------------------------------------

static enum tr_status choose(struct tr_forward *f, const struct tr_batch *b,
                             struct kn_matrix normed, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_matrix logits = kn_matrix(f->logits, KN_F32, b->rows, c->experts);
    TR_TRY(tr_multiply(f, b, logits, normed, TR_SLOT_ROUTER, TR_SLOTS, err));
    KN_TRY(f->kn->ops->download(f->kn, f->router, f->logits, (size_t)(b->rows * c->experts) * 4),
           "copying the router's logits");
    KN_TRY(f->kn->ops->sync(f->kn), "the router");
    for (int64_t r = 0; r < b->rows; r++)
        route(c, f->router + r * c->experts, f->chosen + (b->row + r) * c->experts_used,
              f->shares + (b->row + r) * c->experts_used);
    return TR_OK;
}

// Adds weights[i] * x[i] to row rows[i] of what the MLP adds, for `count` rows listed on the host.
static enum tr_status add_rows(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix x,
                               const int32_t *rows, const float *weights, struct tr_err *err) {
    size_t bytes = (size_t)x.rows * 4;
    KN_TRY(f->kn->ops->upload(f->kn, f->expert_rows, rows, bytes), "copying routes");
    KN_TRY(f->kn->ops->upload(f->kn, f->expert_weights, weights, bytes), "copying routes");
    struct kn_scatter_add add = {
        .y = tr_mlp_delta(f, b), .x = x, .rows = f->expert_rows, .weights = f->expert_weights};
    KN_TRY(f->kn->ops->scatter_add(f->kn, &add), "combining experts");
    KN_TRY(f->kn->ops->sync(f->kn), "combining experts");
    return TR_OK;
}

// The weight of the shared expert for each token: 1, or the sigmoid of its switch. Written behind
// the row numbers, which are 0, 1, ...
static enum tr_status shared_weights(struct tr_forward *f, const struct tr_batch *b,
                                     struct kn_matrix normed, int32_t *rows, float *weights,
                                     struct tr_err *err) {
    bool switched = b->plan->slots[TR_SLOT_SWITCH].rows > 0;
    if (switched) {
        struct kn_matrix logits = kn_matrix(f->logits, KN_F32, b->rows, 1);
        TR_TRY(tr_multiply(f, b, logits, normed, TR_SLOT_SWITCH, TR_SLOTS, err));
        KN_TRY(f->kn->ops->download(f->kn, weights, f->logits, (size_t)b->rows * 4),
               "copying the shared expert's switch");
        KN_TRY(f->kn->ops->sync(f->kn), "the shared expert's switch");
    }
    for (int64_t r = 0; r < b->rows; r++) {
        rows[r] = (int32_t)r;
        weights[r] = switched ? (float)(1 / (1 + exp(-(double)weights[r]))) : 1;
    }
    return TR_OK;
}

static enum tr_status shared_expert(struct tr_forward *f, const struct tr_batch *b,
                                    struct kn_matrix normed, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_matrix inner = tr_scratch(f, b, f->inner, c->shared_ffn);
    struct kn_matrix out = kn_matrix(f->branch, KN_F32, b->rows, c->hidden);
    int32_t *rows = (int32_t *)(void *)f->host;
    float *weights = (float *)(void *)(f->host + b->rows);
    TR_TRY(tr_activate(f, b, inner, normed, tr_slab_matrix(b->plan, b->weights, TR_SLOT_IN), NULL,
                       err));
    TR_TRY(tr_multiply(f, b, out, inner, TR_SLOT_OUT, TR_SLOTS, err));
    TR_TRY(shared_weights(f, b, normed, rows, weights, err));
    return add_rows(f, b, out, rows, weights, err);
}

// Routes the tokens of the micro-batch; what the MLP adds starts as the shared expert's part.
enum tr_status tr_step_router(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    size_t size = kn_type_size(f->kn->activation_type) * (size_t)c->hidden;
    struct kn_matrix normed =
        tr_scratch(f, b, (char *)f->routed_input + size * (size_t)b->row, c->hidden);
    TR_TRY(tr_normalise(f, b, normed, tr_mlp_entering(f, b), !c->family->no_pre_norm, err));
    TR_TRY(choose(f, b, normed, err));
    struct kn_scale clear = {.x = tr_mlp_delta(f, b), .factor = 0, .limit = INFINITY};
    KN_TRY(f->kn->ops->scale(f->kn, &clear), "clearing what the MLP adds");
    return c->shared_ffn ? shared_expert(f, b, normed, err) : TR_OK;
}

// ---- routed experts ----------------------------------------------------------------------------

// The slab's rows of one expert's matrix.
static struct kn_matrix expert_matrix(const struct tr_batch *b, enum tr_slot slot, int64_t expert,
                                      int64_t rows) {
    struct kn_matrix all = tr_slab_matrix(b->plan, b->weights, slot);
    int64_t first = (expert - b->plan->first_id) * rows;
    char *data = (char *)all.data + (size_t)(first * all.stride) * kn_type_size(all.type);
    return kn_matrix(data, all.type, rows, all.cols);
}

// Lists the micro-batch's tokens that chose the expert, with its weight for each.
static int64_t tokens_of(const struct tr_forward *f, const struct tr_batch *b, int64_t expert,
                         int32_t *rows, float *weights) {
    int64_t used = f->config.experts_used, count = 0;
    for (int64_t r = 0; r < b->rows; r++)
        for (int64_t k = 0; k < used; k++)
            if (f->chosen[(b->row + r) * used + k] == expert) {
                rows[count] = (int32_t)r;
                weights[count++] = f->shares[(b->row + r) * used + k];
            }
    return count;
}

static enum tr_status run_expert(struct tr_forward *f, const struct tr_batch *b, int64_t expert,
                                 struct tr_err *err) {
    const struct tr_config *c = &f->config;
    enum kn_type type = f->kn->activation_type;
    int32_t *rows = (int32_t *)(void *)f->host;
    float *weights = (float *)(void *)(f->host + b->rows);
    int64_t count = tokens_of(f, b, expert, rows, weights);
    if (!count)
        return TR_OK;
    size_t size = kn_type_size(type) * (size_t)c->hidden;
    struct kn_gather gather = {
        .y = kn_matrix(f->normed, type, count, c->hidden),
        .x = tr_scratch(f, b, (char *)f->routed_input + size * (size_t)b->row, c->hidden),
        .rows = f->expert_rows};
    KN_TRY(f->kn->ops->upload(f->kn, f->expert_rows, rows, (size_t)count * 4), "copying routes");
    KN_TRY(f->kn->ops->gather(f->kn, &gather), "gathering an expert's tokens");
    struct kn_matrix inner = kn_matrix(f->inner, type, count, c->expert_ffn);
    TR_TRY(tr_activate(f, b, inner, gather.y,
                       expert_matrix(b, TR_SLOT_IN, expert, tr_config_in_rows(c, c->expert_ffn)),
                       NULL, err));
    struct kn_product down = {.y = kn_matrix(f->branch, KN_F32, count, c->hidden),
                              .x = inner,
                              .w = expert_matrix(b, TR_SLOT_OUT, expert, c->hidden)};
    KN_TRY(f->kn->ops->product(f->kn, &down), "an expert's product");
    f->routed_rows += count;
    return add_rows(f, b, down.y, rows, weights, err);
}

// One group of experts for one micro-batch; the block ends with the last group.
enum tr_status tr_step_experts(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    for (int64_t expert = b->plan->first_id; expert < b->plan->last_id; expert++)
        TR_TRY(run_expert(f, b, expert, err));
    if (!b->plan->closes)
        return TR_OK;
    struct kn_matrix delta = tr_mlp_delta(f, b), branch = delta;
    if (tr_has_post_norm(f, TR_W_MLP_POST_NORM)) {
        branch = kn_matrix(f->branch, KN_F32, b->rows, f->config.hidden);
        struct kn_copy_heads copy = {
            .y = {.x = branch, .count = 1, .pitch = branch.cols, .dim = branch.cols},
            .x = {.x = delta, .count = 1, .pitch = branch.cols, .dim = branch.cols}};
        KN_TRY(f->kn->ops->copy_heads(f->kn, &copy), "copying what the experts add");
    }
    TR_TRY(tr_finish_branch(f, b, delta, branch, err));
    return tr_close_block(f, b, err);
}

int64_t tr_forward_routed_rows(const struct tr_forward *f) {
    return f->routed_rows;
}
