// SPDX-License-Identifier: Apache-2.0
// Token by token cosines and centred kernel alignment. Kernel matrices over n tokens exist only as
// a panel of rows at a time, of all representations, and only their lower triangle is computed.
// Threads share out the representations, each with a backend of one thread.
#include "alignment.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "kernels.h"

enum { PANEL = 128 }; // tokens

// What one thread works with.
struct lane {
    struct kn_backend *kn;
    double *xx, *xd, *dd;  // [tokens]
    double *mean;          // [channels]
    enum kn_status status; // the first that is not KN_OK
};

struct comparison {
    float *rows;                           // [count, tokens, channels]
    int64_t count, tokens, used, channels; // the first `used` tokens of each are compared
    int64_t first, panel_rows;             // the present panel's tokens
    double *squares;                       // [count, tokens] x.x, of the rows as they are
    double *sums;                          // [count, tokens] 1^T K~
    double *inner;                         // [count, count] half of tr(K~ L~), j >= i
    float *panel;                          // [count, PANEL, tokens]
    float *similarity;                     // [count, count]
    struct lane *lanes;                    // [threads]
    int threads;
};

double tr_align_bytes(int64_t count, int64_t tokens, int64_t channels, int threads) {
    double n = (double)tokens, b = (double)count;
    return 8 * (2 * b * n + b * b + threads * (3 * n + (double)channels)) + 4 * b * PANEL * n;
}

static enum tr_status failed(enum kn_status status, struct tr_err *err) {
    return tr_fail(err, status == KN_ENOMEM ? TR_ENOMEM : TR_ENVIRONMENT,
                   "comparing boundaries on the cpu failed: %s", kn_status_text(status));
}

static enum tr_status allocate(struct comparison *c, struct tr_err *err) {
    static const char what[] = "the comparison of boundaries";
    TR_TRY(TR_NEW(&c->squares, c->count * c->tokens, what, err));
    TR_TRY(TR_NEW(&c->sums, c->count * c->tokens, what, err));
    TR_TRY(TR_NEW(&c->inner, c->count * c->count, what, err));
    TR_TRY(TR_NEW(&c->panel, c->count * PANEL * c->tokens, what, err));
    TR_TRY(TR_NEW(&c->lanes, c->threads, what, err));
    for (int i = 0; i < c->threads; i++) {
        struct lane *lane = &c->lanes[i];
        TR_TRY(TR_NEW(&lane->xx, 3 * c->tokens, what, err));
        TR_TRY(TR_NEW(&lane->mean, c->channels, what, err));
        lane->xd = lane->xx + c->tokens;
        lane->dd = lane->xd + c->tokens;
        enum kn_status opened = kn_open(&lane->kn, KN_CPU, &(struct kn_options){.threads = 1});
        if (opened != KN_OK)
            return failed(opened, err);
    }
    return TR_OK;
}

static void release(struct comparison *c) {
    for (int i = 0; c->lanes && i < c->threads; i++) {
        if (c->lanes[i].kn)
            c->lanes[i].kn->ops->close(c->lanes[i].kn);
        free(c->lanes[i].xx);
        free(c->lanes[i].mean);
    }
    free(c->lanes);
    free(c->squares);
    free(c->sums);
    free(c->inner);
    free(c->panel);
}

// Calls a step for every representation; what it writes belongs to that one, or to its pairs with
// later ones.
typedef enum kn_status (*each)(struct comparison *c, struct lane *lane, int64_t i);
static enum tr_status for_all(struct comparison *c, each step, struct tr_err *err) {
#pragma omp parallel for schedule(dynamic) num_threads(c->threads)
    for (int64_t i = 0; i < c->count; i++) {
        struct lane *lane = &c->lanes[omp_get_thread_num()];
        if (lane->status == KN_OK)
            lane->status = step(c, lane, i);
    }
    for (int i = 0; i < c->threads; i++)
        if (c->lanes[i].status != KN_OK)
            return failed(c->lanes[i].status, err);
    return TR_OK;
}

static float *row(const struct comparison *c, int64_t index, int64_t token) {
    return c->rows + (index * c->tokens + token) * c->channels;
}

static struct kn_matrix matrix(const struct comparison *c, int64_t index, int64_t first,
                               int64_t tokens) {
    return kn_matrix(row(c, index, first), KN_F32, tokens, c->channels);
}

// Row by row x.x, x.y and y.y into the lane's xx, xd, dd.
static enum kn_status inner_products(const struct lane *lane, struct kn_matrix x,
                                     struct kn_matrix y) {
    struct kn_statistics op = {.xx = lane->xx, .xd = lane->xd, .dd = lane->dd, .x = x, .delta = y};
    enum kn_status status = lane->kn->ops->statistics(lane->kn, &op);
    return status == KN_OK ? lane->kn->ops->sync(lane->kn) : status;
}

static enum kn_status measure_squares(struct comparison *c, struct lane *lane, int64_t i) {
    struct kn_matrix x = matrix(c, i, 0, c->used);
    enum kn_status status = inner_products(lane, x, x);
    if (status == KN_OK)
        memcpy(c->squares + i * c->tokens, lane->xx, (size_t)c->used * sizeof *lane->xx);
    return status;
}

static bool has_directions(const struct comparison *c, int64_t token) {
    for (int64_t i = 0; i < c->count; i++) {
        double square = c->squares[i * c->tokens + token];
        if (!(isfinite(square) && square > 0))
            return false;
    }
    return true;
}

// Moves the tokens that count to the front, in order.
static void leave_out_the_rest(struct comparison *c) {
    int64_t used = 0;
    for (int64_t token = 0; token < c->tokens; token++) {
        if (!has_directions(c, token))
            continue;
        for (int64_t i = 0; used < token && i < c->count; i++) {
            memcpy(row(c, i, used), row(c, i, token), (size_t)c->channels * sizeof *c->rows);
            c->squares[i * c->tokens + used] = c->squares[i * c->tokens + token];
        }
        used++;
    }
    c->used = used;
}

static void put(const struct comparison *c, float *values, int64_t i, int64_t j, double value) {
    values[i * c->count + j] = values[j * c->count + i] = (float)value;
}

static enum kn_status compare_directions(struct comparison *c, struct lane *lane, int64_t i) {
    enum kn_status status = KN_OK;
    for (int64_t j = i; status == KN_OK && j < c->count; j++) {
        double total = 0;
        status = inner_products(lane, matrix(c, i, 0, c->used), matrix(c, j, 0, c->used));
        for (int64_t t = 0; t < c->used; t++)
            total += lane->xd[t] / sqrt(lane->xx[t] * lane->dd[t]);
        put(c, c->similarity, i, j, total / (double)c->used);
    }
    return status;
}

// Takes each channel's mean over the tokens from it.
static enum kn_status centre(struct comparison *c, struct lane *lane, int64_t i) {
    memset(lane->mean, 0, (size_t)c->channels * sizeof *lane->mean);
    for (int64_t t = 0; t < c->used; t++) {
        const float *x = row(c, i, t);
        for (int64_t k = 0; k < c->channels; k++)
            lane->mean[k] += (double)x[k];
    }
    for (int64_t k = 0; k < c->channels; k++)
        lane->mean[k] /= (double)c->used;
    for (int64_t t = 0; t < c->used; t++) {
        float *x = row(c, i, t);
        for (int64_t k = 0; k < c->channels; k++)
            x[k] = (float)((double)x[k] - lane->mean[k]);
    }
    return measure_squares(c, lane, i);
}

// The present rows of K~, as far as the last of them.
static struct kn_matrix panel_of(const struct comparison *c, int64_t i) {
    return kn_matrix(c->panel + i * PANEL * c->tokens, KN_F32, c->panel_rows,
                     c->first + c->panel_rows);
}

// Fills it, what is right of the diagonal zero as the diagonal is.
static enum kn_status fill_panel(struct comparison *c, struct lane *lane, int64_t i) {
    struct kn_matrix panel = panel_of(c, i);
    struct kn_product op = {
        .y = panel, .x = matrix(c, i, c->first, c->panel_rows), .w = matrix(c, i, 0, panel.cols)};
    enum kn_status status = lane->kn->ops->product(lane->kn, &op);
    if (status == KN_OK)
        status = lane->kn->ops->sync(lane->kn);
    double *sums = c->sums + i * c->tokens;
    for (int64_t r = c->first; r < panel.cols; r++) {
        float *k = (float *)panel.data + (r - c->first) * panel.stride;
        memset(k + r, 0, (size_t)(panel.cols - r) * sizeof *k);
        double total = 0;
        for (int64_t t = 0; t < r; t++) {
            total += (double)k[t];
            sums[t] += (double)k[t];
        }
        sums[r] += total;
    }
    return status;
}

static enum kn_status compare_panels(struct comparison *c, struct lane *lane, int64_t i) {
    enum kn_status status = KN_OK;
    for (int64_t j = i; status == KN_OK && j < c->count; j++) {
        status = inner_products(lane, panel_of(c, i), panel_of(c, j));
        for (int64_t r = 0; r < c->panel_rows; r++)
            c->inner[i * c->count + j] += lane->xd[r];
    }
    return status;
}

static double dot(const double *x, const double *y, int64_t count) {
    double total = 0;
    for (int64_t i = 0; i < count; i++)
        total += x[i] * y[i];
    return total;
}

static double sum(const double *x, int64_t count) {
    double total = 0;
    for (int64_t i = 0; i < count; i++)
        total += x[i];
    return total;
}

// <K_i, K_j>: the lower triangle twice, and the diagonal.
static double plain(const struct comparison *c, int64_t i, int64_t j) {
    return 2 * c->inner[i * c->count + j] +
           dot(c->squares + i * c->tokens, c->squares + j * c->tokens, c->used);
}

// n (n - 3) times the unbiased estimate.
static double debiased(const struct comparison *c, int64_t i, int64_t j) {
    const double *k = c->sums + i * c->tokens, *l = c->sums + j * c->tokens;
    double n = (double)c->used;
    return 2 * c->inner[i * c->count + j] +
           sum(k, c->used) * sum(l, c->used) / ((n - 1) * (n - 2)) -
           2 / (n - 2) * dot(k, l, c->used);
}

static void ratios(const struct comparison *c, float *values,
                   double (*product)(const struct comparison *c, int64_t i, int64_t j)) {
    for (int64_t i = 0; i < c->count; i++)
        for (int64_t j = i; j < c->count; j++)
            put(c, values, i, j, product(c, i, j) / sqrt(product(c, i, i) * product(c, j, j)));
}

static double nothing(const struct comparison *c, int64_t i, int64_t j) {
    (void)c;
    (void)i;
    (void)j;
    return NAN;
}

static enum tr_status compare(struct comparison *c, const struct tr_alignment *alignment,
                              struct tr_err *err) {
    enum { LEAST = 4 }; // tokens of an unbiased estimate
    TR_TRY(for_all(c, measure_squares, err));
    leave_out_the_rest(c);
    TR_TRY(for_all(c, compare_directions, err));
    TR_TRY(for_all(c, centre, err));
    for (c->first = 0; c->first < c->used; c->first += PANEL) {
        c->panel_rows = c->used - c->first < PANEL ? c->used - c->first : PANEL;
        TR_TRY(for_all(c, fill_panel, err));
        TR_TRY(for_all(c, compare_panels, err));
    }
    ratios(c, alignment->cka, plain);
    ratios(c, alignment->cka_debiased, c->used < LEAST ? nothing : debiased);
    return TR_OK;
}

enum tr_status tr_align(const struct tr_alignment *alignment, int threads, float *rows,
                        int64_t count, int64_t tokens, int64_t channels, struct tr_err *err) {
    struct comparison c = {.rows = rows,
                           .count = count,
                           .tokens = tokens,
                           .used = tokens,
                           .channels = channels,
                           .similarity = alignment->similarity,
                           .threads = threads};
    enum tr_status status = allocate(&c, err);
    if (status == TR_OK)
        status = compare(&c, alignment, err);
    release(&c);
    return status;
}
