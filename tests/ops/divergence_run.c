// SPDX-License-Identifier: Apache-2.0
#include "divergence_run.h"

#include <math.h>

struct head head_random(enum kn_type type, const int64_t shape[4], bool with_bias) {
    int64_t n = shape[0], vocabulary = shape[1];
    struct head h = {.w = matrix_weights(type, vocabulary, shape[2], 1), .scale = 1};
    int32_t *targets = host_new((size_t)n * sizeof *targets);
    for (int64_t r = 0; r < n; r++)
        targets[r] = r % 5 == 3 ? -1 : (int32_t)(r * 37 % vocabulary);
    h.targets = buffer_new(targets, (size_t)n * sizeof *targets);
    h.bias = with_bias ? vector_random(&h.host_bias, vocabulary) : NULL;
    h.panels = shape[3];
    return h;
}

struct kn_loss panel_of(const struct head *h, int64_t p) {
    const struct kn_matrix *w = &h->w.m;
    int64_t first = w->rows * p / h->panels, end = w->rows * (p + 1) / h->panels;
    struct kn_loss loss = {.w = *w,
                           .bias = h->bias ? h->bias + first : NULL,
                           .targets = h->targets,
                           .first_id = first,
                           .scale = h->scale,
                           .softcap = h->softcap};
    loss.w.rows = end - first;
    loss.w.data = (char *)w->data + (size_t)(first * w->stride) * kn_type_size(w->type);
    return loss;
}

void set_state(struct kn_loss *loss, const struct kn_loss *state) {
    loss->x = state->x;
    loss->maximum = state->maximum;
    loss->sum = state->sum;
    loss->target = state->target;
}

struct numbers run_divergence(const struct head *h, const struct matrix *x, int64_t candidates) {
    int64_t n = x->m.rows, streams = 1 + candidates;
    size_t bytes = (size_t)(streams * SUMS * n) * sizeof(double);
    size_t best_bytes = (size_t)(streams * n) * sizeof(int32_t);
    struct numbers host = {host_new(bytes), host_new(best_bytes), n, NULL};
    struct numbers at = {buffer_new(host.sums, bytes), buffer_new(NULL, best_bytes), n, NULL};
    struct kn_head_candidate candidate[MOST];
    for (int64_t i = 1; i < streams; i++)
        candidate[i - 1] = (struct kn_head_candidate){x[i].m,
                                                      sums_of(&at, i, MAXIMUM),
                                                      sums_of(&at, i, SUM),
                                                      sums_of(&at, i, TARGET),
                                                      sums_of(&at, i, CROSS),
                                                      at.best + i * n,
                                                      sums_of(&at, i, BEST_LOGIT)};
    struct kn_loss state = {.maximum = sums_of(&at, 0, MAXIMUM),
                            .sum = sums_of(&at, 0, SUM),
                            .target = sums_of(&at, 0, TARGET),
                            .x = x->m};
    struct kn_divergence op = {state, at.best, sums_of(&at, 0, BEST_LOGIT), candidates, candidate};
    check_status(kn_divergence_begin(kn, &op));
    for (int64_t p = 0; p < h->panels; p++) {
        op.base = panel_of(h, p);
        set_state(&op.base, &state);
        check_status(kn->ops->divergence(kn, &op));
    }
    buffer_read(at.sums, host.sums, bytes);
    buffer_read(at.best, host.best, best_bytes);
    return host;
}

void run_comparison(const struct head *h, const struct matrix *x, int64_t candidates,
                    struct numbers *got) {
    int64_t n = x->m.rows;
    size_t bytes = (size_t)((1 + candidates) * SUMS * n) * sizeof(double);
    size_t compared_bytes = (size_t)(candidates * KN_COMPARED * n) * sizeof(double);
    struct numbers at = {.sums = buffer_new(got->sums, bytes), .rows = n};
    double *compared = buffer_new(NULL, compared_bytes);
    struct kn_compared candidate[MOST];
    for (int64_t i = 1; i <= candidates; i++)
        candidate[i - 1] =
            (struct kn_compared){x[i].m, sums_of(&at, i, MAXIMUM), sums_of(&at, i, SUM),
                                 compared + (i - 1) * KN_COMPARED * n};
    struct kn_loss state = {
        .maximum = sums_of(&at, 0, MAXIMUM), .sum = sums_of(&at, 0, SUM), .x = x->m};
    struct kn_comparison op = {state, candidates, candidate};
    check_status(kn_comparison_begin(kn, &op));
    for (int64_t p = 0; p < h->panels; p++) {
        op.base = panel_of(h, p);
        set_state(&op.base, &state);
        check_status(kn->ops->comparison(kn, &op));
    }
    got->compared = host_new(compared_bytes);
    buffer_read(compared, got->compared, compared_bytes);
}

double log_sum(const struct numbers *got, int64_t stream, int64_t r) {
    return sums_of(got, stream, MAXIMUM)[r] + log(sums_of(got, stream, SUM)[r]);
}

double divergence_of(const struct numbers *got, int64_t stream, int64_t r) {
    return sums_of(got, stream, CROSS)[r] / sums_of(got, 0, SUM)[r] + log_sum(got, stream, r) -
           log_sum(got, 0, r);
}
