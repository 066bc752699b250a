// SPDX-License-Identifier: Apache-2.0
// Which experts each token goes to: chosen on the host between the router's and the experts' steps.
#include <math.h>
#include <omp.h>
#include <string.h>

#include "forward_state.h"

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

// NaN counts as the highest value, so that the experts of a broken model have an order, too.
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

// Group-limited choice: experts outside the best groups, by the sum of their `counted` best
// members, are set to `never`.
static void limit_groups(const struct tr_config *c, float *scores, int64_t counted, float never) {
    int64_t size = c->experts / c->groups;
    float sums[TR_MAX_EXPERT_GROUPS];
    bool eligible[TR_MAX_EXPERT_GROUPS] = {false};
    int32_t members[2] = {0}, kept[TR_MAX_EXPERT_GROUPS];
    for (int64_t g = 0; g < c->groups; g++) {
        best_of(scores + g * size, size, counted, members);
        sums[g] = 0;
        for (int64_t m = 0; m < counted; m++)
            sums[g] += scores[g * size + members[m]];
    }
    best_of(sums, c->groups, c->groups_used, kept);
    for (int64_t k = 0; k < c->groups_used; k++)
        eligible[kept[k]] = true;
    for (int64_t e = 0; e < c->experts; e++)
        if (!eligible[e / size])
            scores[e] = never;
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

static void choose_by_softmax(const struct tr_config *c, float *logits, int32_t *chosen) {
    softmax(logits, c->experts);
    if (c->groups > 1)
        limit_groups(c, logits, 1, 0);
    best_of(logits, c->experts, c->experts_used, chosen);
}

static float sigmoid(float value) {
    return (float)(1 / (1 + exp(-(double)value)));
}

static void choose_by_sigmoid(const struct tr_config *c, float *logits, const float *correction,
                              int32_t *chosen) {
    float corrected[TR_MAX_EXPERTS];
    for (int64_t e = 0; e < c->experts; e++) {
        logits[e] = sigmoid(logits[e]);
        corrected[e] = logits[e] + correction[e];
    }
    if (c->groups > 1)
        limit_groups(c, corrected, 2, -INFINITY);
    best_of(corrected, c->experts, c->experts_used, chosen);
}

// The experts of one token, ascending, with their weights. `logits` is overwritten.
static void route(const struct tr_config *c, float *logits, const float *correction,
                  int32_t *chosen, float *weights) {
    float total = 0;
    if (c->family->sigmoid_router)
        choose_by_sigmoid(c, logits, correction, chosen);
    else
        choose_by_softmax(c, logits, chosen);
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

// All tokens at once: the only wait of a layer with experts.
static enum tr_status download_logits(struct tr_forward *f, const struct tr_streams *s,
                                      int64_t tokens, struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    KN_TRY(
        ops->download(f->kn, s->routes.logits, s->logits, (size_t)(tokens * f->config.experts) * 4),
        "copying the router's logits");
    if (f->config.family->sigmoid_router)
        KN_TRY(ops->download(f->kn, s->routes.correction, s->correction,
                             (size_t)f->config.experts * 4),
               "copying the router's correction");
    if (f->config.shared_ffn)
        KN_TRY(ops->download(f->kn, s->routes.gates, s->gates, (size_t)tokens * 4),
               "copying the shared expert's gate");
    KN_TRY(ops->sync(f->kn), "the router");
    return TR_OK;
}

static enum tr_status upload_routes(struct tr_forward *f, const struct tr_streams *s,
                                    int64_t tokens, struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    const struct tr_routes *r = &s->routes;
    size_t bytes = (size_t)(tokens * f->config.experts_used) * 4;
    KN_TRY(ops->upload(f->kn, s->expert_rows, r->rows, bytes), "copying routes");
    KN_TRY(ops->upload(f->kn, s->expert_positions, r->positions, bytes), "copying routes");
    KN_TRY(ops->upload(f->kn, s->expert_weights, r->weights, bytes), "copying routes");
    if (f->config.shared_ffn)
        KN_TRY(ops->upload(f->kn, s->shared_weights, r->gates, (size_t)tokens * 4),
               "copying the shared expert's gate");
    return TR_OK;
}

enum tr_status tr_step_route(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct tr_routes *r = &b->streams->routes;
    int64_t seq_len = f->options.seq_len, tokens = (f->end - f->begin) * seq_len;
    int64_t micro = f->options.micro_batch * seq_len, batches = (tokens + micro - 1) / micro;
    bool gated = b->streams->is_gated;
    int threads = f->kn->unified ? f->kn->threads : omp_get_max_threads();
    TR_TRY(download_logits(f, b->streams, tokens, err));
#pragma omp parallel for num_threads(threads)
    for (int64_t t = 0; t < tokens; t++) {
        route(c, r->logits + t * c->experts, r->correction, r->chosen + t * c->experts_used,
              r->weights + t * c->experts_used);
        r->gates[t] = gated ? sigmoid(r->gates[t]) : 1;
    }
#pragma omp parallel for num_threads(threads)
    for (int64_t i = 0; i < batches; i++) {
        int64_t left = tokens - i * micro;
        sort_rows(c, r, i, i * micro, left < micro ? left : micro);
    }
    return upload_routes(f, b->streams, tokens, err);
}
