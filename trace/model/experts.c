// SPDX-License-Identifier: Apache-2.0
// The MLP sublayer as a mixture of experts: the router and the shared expert in one slab, then
// groups of routed experts, each run only for the tokens routed to it.
#include <math.h>
#include <omp.h>
#include <string.h>

#include "forward_state.h"

// ---- routing, on the host ----------------------------------------------------------------------

static void softmax(float *values, int64_t count) {
    double exponentials[TR_MAX_EXPERTS], total = 0;
    float highest = values[0];
    for (int64_t i = 1; i < count; i++)
        highest = fmaxf(highest, values[i]);
    for (int64_t i = 0; i < count; i++)
        total += exponentials[i] = exp((double)values[i] - (double)highest);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(exponentials[i] / total);
}

// NaN counts as highest, so that a broken model has an order, too.
static bool is_higher(float a, float b) {
    return a > b || (isnan(a) && !isnan(b));
}

// The indices of the `used` highest values, the highest first, of equals the lower index first.
static void best_of(const float *values, int64_t count, int64_t used, int32_t *best) {
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i < used ? i : used - 1;
        if (i >= used && !is_higher(values[i], values[best[at]]))
            continue;
        for (; at > 0 && is_higher(values[i], values[best[at - 1]]); at--)
            best[at] = best[at - 1];
        best[at] = (int32_t)i;
    }
}

// Group-limited choice: experts outside the best groups, by their best member, are set to 0.
static void limit_groups(const struct tr_config *c, float *probabilities) {
    int64_t size = c->experts / c->groups;
    float best[TR_MAX_EXPERT_GROUPS];
    int32_t member = 0, kept[TR_MAX_EXPERT_GROUPS];
    for (int64_t g = 0; g < c->groups; g++) {
        best_of(probabilities + g * size, size, 1, &member);
        best[g] = probabilities[g * size + member];
    }
    best_of(best, c->groups, c->groups_used, kept);
    for (int64_t k = 0; k < c->groups_used; k++)
        best[kept[k]] = -1;
    for (int64_t e = 0; e < c->experts; e++)
        if (best[e / size] >= 0)
            probabilities[e] = 0;
}

static void sort_ascending(int32_t *values, int64_t count) {
    for (int64_t i = 1; i < count; i++) {
        int32_t value = values[i];
        int64_t at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

// The experts of one token, ascending, with their weights. `logits` is overwritten.
static void route(const struct tr_config *c, float *logits, int32_t *chosen, float *weights) {
    float total = 0;
    softmax(logits, c->experts);
    if (c->groups > 1)
        limit_groups(c, logits);
    best_of(logits, c->experts, c->experts_used, chosen);
    for (int64_t k = 0; k < c->experts_used; k++)
        total += logits[chosen[k]];
    sort_ascending(chosen, c->experts_used);
    float scale = (c->normalise_top ? 1 / total : 1) * c->routed_scale;
    for (int64_t k = 0; k < c->experts_used; k++)
        weights[k] = logits[chosen[k]] * scale;
}

// Sorts what the rows of one micro-batch chose by expert.
static void sort_rows(const struct tr_config *c, struct tr_routes *routes, int64_t batch,
                      int64_t row, int64_t rows) {
    int64_t used = c->experts_used, *first = routes->first + batch * (c->experts + 1);
    const int32_t *chosen = routes->chosen + row * used;
    memset(first, 0, (size_t)(c->experts + 1) * sizeof *first);
    for (int64_t i = 0; i < rows * used; i++)
        first[chosen[i] + 1]++;
    for (int64_t e = 0; e < c->experts; e++)
        first[e + 1] += first[e];
    for (int64_t i = 0; i < rows * used; i++) { // first[e] moves on to where expert e ends
        int64_t to = first[chosen[i]]++;
        routes->rows[row * used + to] = (int32_t)(i / used);
        routes->positions[row * used + i] = (int32_t)to;
    }
    memmove(first + 1, first, (size_t)c->experts * sizeof *first);
    first[0] = 0;
}

static int64_t micro_batches(const struct tr_forward *f, int64_t sequences) {
    return (sequences + f->options.micro_batch - 1) / f->options.micro_batch;
}

// All tokens at once: the only wait of a layer with experts.
static enum tr_status download_logits(struct tr_forward *f, int64_t tokens, struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    KN_TRY(
        ops->download(f->kn, f->routes.logits, f->logits, (size_t)(tokens * f->config.experts) * 4),
        "copying the router's logits");
    if (f->config.shared_ffn)
        KN_TRY(ops->download(f->kn, f->routes.switches, f->switches, (size_t)tokens * 4),
               "copying the shared expert's switch");
    KN_TRY(ops->sync(f->kn), "the router");
    return TR_OK;
}

static enum tr_status upload_routes(struct tr_forward *f, int64_t tokens, struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    const struct tr_routes *r = &f->routes;
    size_t bytes = (size_t)(tokens * f->config.experts_used) * 4;
    KN_TRY(ops->upload(f->kn, f->expert_rows, r->rows, bytes), "copying routes");
    KN_TRY(ops->upload(f->kn, f->expert_positions, r->positions, bytes), "copying routes");
    KN_TRY(ops->upload(f->kn, f->expert_weights, r->weights, bytes), "copying routes");
    if (f->config.shared_ffn)
        KN_TRY(ops->upload(f->kn, f->shared_weights, r->switches, (size_t)tokens * 4),
               "copying the shared expert's switch");
    return TR_OK;
}

enum tr_status tr_route(struct tr_forward *f, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct tr_routes *r = &f->routes;
    int64_t seq_len = f->calibration->seq_len, tokens = (f->end - f->begin) * seq_len;
    int64_t micro = f->options.micro_batch * seq_len, batches = micro_batches(f, f->end - f->begin);
    bool switched = f->is_switched;
    int threads = f->kn->unified ? f->kn->threads : omp_get_max_threads();
    TR_TRY(download_logits(f, tokens, err));
#pragma omp parallel for num_threads(threads)
    for (int64_t t = 0; t < tokens; t++) {
        route(c, r->logits + t * c->experts, r->chosen + t * c->experts_used,
              r->weights + t * c->experts_used);
        r->switches[t] = switched ? (float)(1 / (1 + exp(-(double)r->switches[t]))) : 1;
    }
#pragma omp parallel for num_threads(threads)
    for (int64_t b = 0; b < batches; b++) {
        int64_t left = tokens - b * micro;
        sort_rows(c, r, b, b * micro, left < micro ? left : micro);
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

// Adds experts' outputs to what the MLP adds; `combine` lacks y.
static enum tr_status combine(struct tr_forward *f, const struct tr_batch *b,
                              struct kn_combine combine, struct tr_err *err) {
    combine.y = tr_mlp_delta(f, b);
    KN_TRY(f->kn->ops->combine(f->kn, &combine), "combining experts");
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
    struct kn_grouped_product in = {
        .product = {.x = routed_input(f, b), .w = b->weights->matrix[TR_SLOT_IN]}};
    TR_TRY(tr_activate(f, b, inner, in, err));
    TR_TRY(tr_multiply(f, b, out, inner, TR_SLOT_OUT, TR_SLOTS, err));
    return combine(f, b,
                   (struct kn_combine){.x = out,
                                       .positions = f->shared_rows,
                                       .weights = f->shared_weights + b->row,
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

// The next experts whose rows together are no more than the micro-batch's, for which there is
// scratch; those of one expert never are more, for they are different tokens.
static struct group next_group(const struct tr_forward *f, const struct tr_batch *b,
                               int64_t begin) {
    int64_t batch = micro_batches(f, b->first_sequence - f->begin);
    const int64_t *first = f->routes.first + batch * (f->config.experts + 1);
    int64_t end = begin + 1;
    while (end < b->plan->last_id && first[end + 1] - first[begin] <= b->rows)
        end++;
    return (struct group){begin, end, first + begin, first[end] - first[begin]};
}

// Of a group's experts, the slab's matrices of `rows` rows each.
static struct kn_grouped_product grouped(const struct tr_batch *b, const struct group *g,
                                         struct kn_matrix x, enum tr_slot slot, int64_t rows) {
    struct kn_matrix w = b->weights->matrix[slot];
    int64_t first = (g->begin - b->plan->first_id) * rows;
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
                               .rows = f->expert_rows + at + g->first[0]};
    KN_TRY(f->kn->ops->gather(f->kn, &gather), "gathering the tokens of experts");
    struct kn_matrix inner = kn_matrix(f->inner, type, g->rows, c->expert_ffn);
    int64_t in_rows = tr_config_in_rows(c, c->expert_ffn);
    TR_TRY(tr_activate(f, b, inner, grouped(b, g, gather.y, TR_SLOT_IN, in_rows), err));
    struct kn_grouped_product down = grouped(b, g, inner, TR_SLOT_OUT, c->hidden);
    down.product.y = kn_matrix(f->branch, KN_F32, g->rows, c->hidden);
    KN_TRY(f->kn->ops->grouped_product(f->kn, &down), "a product of experts");
    f->routed_rows += g->rows;
    return combine(f, b,
                   (struct kn_combine){.x = down.product.y,
                                       .positions = f->expert_positions + at,
                                       .weights = f->expert_weights + at,
                                       .used = c->experts_used,
                                       .first = g->first[0]},
                   err);
}

// The slab's experts for one micro-batch; the block ends with the layer's last.
enum tr_status tr_step_experts(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    for (struct group g = {.end = b->plan->first_id}; g.end < b->plan->last_id;) {
        g = next_group(f, b, g.end);
        if (g.rows)
            TR_TRY(run_group(f, b, &g, err));
    }
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
