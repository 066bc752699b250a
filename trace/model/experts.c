// SPDX-License-Identifier: Apache-2.0
// The MLP sublayer as a mixture of experts: the router and the shared expert in one slab, then
// groups of routed experts, each run only for the tokens routed to it.
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "forward_state.h"

// Who goes where, on the host; T tokens, B micro-batches.
struct tr_routes {
    float *logits, *switches; // [T, experts], [T]
    int32_t *chosen;          // [T, experts_used]: experts of each token, ascending
    float *shares;            // [T, experts_used]: their weights
    int64_t *first;           // [B, experts + 1]: where an expert's rows begin in its micro-batch's
    int32_t *rows;            // [T, experts_used]: by micro-batch, then expert, ascending
    float *weights;           // [T, experts_used]
};

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

// Sorts what the rows of one micro-batch chose by expert.
static void group(const struct tr_config *c, struct tr_routes *routes, int64_t batch, int64_t row,
                  int64_t rows) {
    int64_t used = c->experts_used, *first = routes->first + batch * (c->experts + 1);
    const int32_t *chosen = routes->chosen + row * used;
    memset(first, 0, (size_t)(c->experts + 1) * sizeof *first);
    for (int64_t i = 0; i < rows * used; i++)
        first[chosen[i] + 1]++;
    for (int64_t e = 0; e < c->experts; e++)
        first[e + 1] += first[e];
    for (int64_t i = 0; i < rows * used; i++) { // first[e] moves on to where expert e ends
        int64_t to = row * used + first[chosen[i]]++;
        routes->rows[to] = (int32_t)(i / used);
        routes->weights[to] = routes->shares[row * used + i];
    }
    memmove(first + 1, first, (size_t)c->experts * sizeof *first);
    first[0] = 0;
}

static int64_t micro_batches(const struct tr_forward *f, int64_t sequences) {
    return (sequences + f->options.micro_batch - 1) / f->options.micro_batch;
}

enum tr_status tr_routes_new(struct tr_forward *f, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    int64_t tokens = f->options.max_sequences * f->calibration->seq_len;
    int64_t batches = micro_batches(f, f->options.max_sequences), used = c->experts_used;
    TR_TRY(TR_NEW(&f->routes, 1, "the routes of experts", err));
    struct tr_routes *r = f->routes;
    TR_TRY(TR_NEW(&r->logits, tokens * c->experts, "the router's logits", err));
    TR_TRY(TR_NEW(&r->switches, tokens, "the shared expert's switch", err));
    TR_TRY(TR_NEW(&r->chosen, tokens * used, "the chosen experts", err));
    TR_TRY(TR_NEW(&r->shares, tokens * used, "the chosen experts' weights", err));
    TR_TRY(TR_NEW(&r->first, batches * (c->experts + 1), "the routes of experts", err));
    TR_TRY(TR_NEW(&r->rows, tokens * used, "the routes of experts", err));
    return TR_NEW(&r->weights, tokens * used, "the routes of experts", err);
}

void tr_routes_free(struct tr_routes *r) {
    if (!r)
        return;
    free(r->logits);
    free(r->switches);
    free(r->chosen);
    free(r->shares);
    free(r->first);
    free(r->rows);
    free(r->weights);
    free(r);
}

double tr_routes_bytes(const struct tr_config *c, double tokens) {
    return tokens * ((double)c->experts * 4 + 4 + (double)c->experts_used * 16);
}

// All tokens at once: the only wait of a layer with experts.
static enum tr_status download_logits(struct tr_forward *f, int64_t tokens, struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    KN_TRY(ops->download(f->kn, f->routes->logits, f->logits,
                         (size_t)(tokens * f->config.experts) * 4),
           "copying the router's logits");
    if (f->config.shared_ffn)
        KN_TRY(ops->download(f->kn, f->routes->switches, f->switches, (size_t)tokens * 4),
               "copying the shared expert's switch");
    KN_TRY(ops->sync(f->kn), "the router");
    return TR_OK;
}

static enum tr_status upload_routes(struct tr_forward *f, int64_t tokens, struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    const struct tr_routes *r = f->routes;
    size_t bytes = (size_t)(tokens * f->config.experts_used) * 4;
    KN_TRY(ops->upload(f->kn, f->expert_rows, r->rows, bytes), "copying routes");
    KN_TRY(ops->upload(f->kn, f->expert_weights, r->weights, bytes), "copying routes");
    if (f->config.shared_ffn)
        KN_TRY(ops->upload(f->kn, f->shared_weights, r->switches, (size_t)tokens * 4),
               "copying the shared expert's switch");
    return TR_OK;
}

enum tr_status tr_route(struct tr_forward *f, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct tr_routes *r = f->routes;
    int64_t seq_len = f->calibration->seq_len, tokens = (f->end - f->begin) * seq_len;
    int64_t micro = f->options.micro_batch * seq_len, batches = micro_batches(f, f->end - f->begin);
    bool switched = f->is_switched;
    int threads = f->kn->unified ? f->kn->threads : omp_get_max_threads();
    TR_TRY(download_logits(f, tokens, err));
#pragma omp parallel for num_threads(threads)
    for (int64_t t = 0; t < tokens; t++) {
        route(c, r->logits + t * c->experts, r->chosen + t * c->experts_used,
              r->shares + t * c->experts_used);
        r->switches[t] = switched ? (float)(1 / (1 + exp(-(double)r->switches[t]))) : 1;
    }
#pragma omp parallel for num_threads(threads)
    for (int64_t b = 0; b < batches; b++) {
        int64_t left = tokens - b * micro;
        group(c, r, b, b * micro, left < micro ? left : micro);
    }
    return upload_routes(f, tokens, err);
}

// ---- router and shared expert ------------------------------------------------------------------

// The micro-batch's part of the activations that router and experts read.
static struct kn_matrix routed_input(const struct tr_forward *f, const struct tr_batch *b) {
    size_t size = kn_type_size(f->kn->activation_type) * (size_t)f->config.hidden;
    return tr_scratch(f, b, (char *)f->routed_input + size * (size_t)b->row, f->config.hidden);
}

// The router's logits, and the shared expert's switch; what the MLP adds starts at 0.
enum tr_status tr_step_router(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_matrix normed = routed_input(f, b);
    struct kn_matrix logits =
        kn_matrix(f->logits + b->row * c->experts, KN_F32, b->rows, c->experts);
    TR_TRY(tr_normalise(f, b, normed, tr_mlp_entering(f, b), !c->family->no_pre_norm, err));
    TR_TRY(tr_multiply(f, b, logits, normed, TR_SLOT_ROUTER, TR_SLOTS, err));
    f->is_switched = b->weights->matrix[TR_SLOT_SWITCH].rows > 0;
    if (f->is_switched)
        TR_TRY(tr_multiply(f, b, kn_matrix(f->switches + b->row, KN_F32, b->rows, 1), normed,
                           TR_SLOT_SWITCH, TR_SLOTS, err));
    struct kn_scale clear = {.x = tr_mlp_delta(f, b), .factor = 0, .limit = INFINITY};
    KN_TRY(f->kn->ops->scale(f->kn, &clear), "clearing what the MLP adds");
    return TR_OK;
}

// Adds weights[i] * x[i] to row rows[i] of what the MLP adds.
static enum tr_status add_rows(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix x,
                               const int32_t *rows, const float *weights, struct tr_err *err) {
    struct kn_scatter_add add = {.y = tr_mlp_delta(f, b), .x = x, .rows = rows, .weights = weights};
    KN_TRY(f->kn->ops->scatter_add(f->kn, &add), "combining experts");
    return TR_OK;
}

// The shared expert's weight of a token is 1, or the sigmoid of its switch.
enum tr_status tr_step_shared_expert(struct tr_forward *f, const struct tr_batch *b,
                                     struct tr_err *err) {
    const struct tr_config *c = &f->config;
    if (!c->shared_ffn)
        return TR_OK;
    struct kn_matrix inner = tr_scratch(f, b, f->inner, c->shared_ffn);
    struct kn_matrix out = kn_matrix(f->branch, KN_F32, b->rows, c->hidden);
    TR_TRY(tr_activate(f, b, inner, routed_input(f, b), b->weights->matrix[TR_SLOT_IN], NULL, err));
    TR_TRY(tr_multiply(f, b, out, inner, TR_SLOT_OUT, TR_SLOTS, err));
    return add_rows(f, b, out, f->shared_rows, f->shared_weights + b->row, err);
}

// ---- routed experts ----------------------------------------------------------------------------

// The slab's rows of one expert's matrix.
static struct kn_matrix expert_matrix(const struct tr_batch *b, enum tr_slot slot, int64_t expert,
                                      int64_t rows) {
    struct kn_matrix all = b->weights->matrix[slot];
    int64_t first = (expert - b->plan->first_id) * rows;
    char *data = (char *)all.data + (size_t)(first * all.stride) * kn_type_size(all.type);
    return kn_matrix(data, all.type, rows, all.cols);
}

static enum tr_status run_expert(struct tr_forward *f, const struct tr_batch *b, int64_t expert,
                                 struct tr_err *err) {
    const struct tr_config *c = &f->config;
    enum kn_type type = f->kn->activation_type;
    int64_t batch = micro_batches(f, b->first_sequence - f->begin);
    const int64_t *first = f->routes->first + batch * (c->experts + 1) + expert;
    int64_t at = b->row * c->experts_used + first[0], count = first[1] - first[0];
    if (!count)
        return TR_OK;
    struct kn_gather gather = {.y = kn_matrix(f->normed, type, count, c->hidden),
                               .x = routed_input(f, b),
                               .rows = f->expert_rows + at};
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
    return add_rows(f, b, down.y, f->expert_rows + at, f->expert_weights + at, err);
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
