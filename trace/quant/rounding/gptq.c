// SPDX-License-Identifier: Apache-2.0
#include "rounding/gptq.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/backend_status.h"

static const double damping_step = 0.01, most_damping = 1;

// ---- memory of the backend ---------------------------------------------------------------------

static enum tr_status room(struct kn_backend *kn, void **memory_p, size_t bytes,
                           struct tr_err *err) {
    KN_TRY_ON(kn, kn->ops->alloc(kn, memory_p, bytes), "memory for putting weights into few bits");
    return TR_OK;
}

// What the host has, where the backend sees it: the same memory where it can.
struct lent {
    struct kn_backend *kn;
    void *memory;
    size_t bytes;
    void *host;
};

static enum tr_status lend(struct lent *lent, struct kn_backend *kn, const void *host, size_t bytes,
                           struct tr_err *err) {
    *lent = (struct lent){kn, (void *)(uintptr_t)host, bytes, (void *)(uintptr_t)host};
    if (kn->unified || !host)
        return TR_OK;
    lent->memory = NULL;
    TR_TRY(room(kn, &lent->memory, bytes, err));
    return TR_OK;
}

static enum tr_status lend_filled(struct lent *lent, struct kn_backend *kn, const void *host,
                                  size_t bytes, struct tr_err *err) {
    TR_TRY(lend(lent, kn, host, bytes, err));
    if (lent->memory != lent->host)
        KN_TRY_ON(kn, kn->ops->upload(kn, lent->memory, host, bytes), "copying weights");
    return TR_OK;
}

static enum tr_status take_back(const struct lent *lent, struct tr_err *err) {
    struct kn_backend *kn = lent->kn;
    if (lent->memory == lent->host)
        return TR_OK;
    KN_TRY_ON(kn, kn->ops->download(kn, lent->host, lent->memory, lent->bytes), "copying codes");
    KN_TRY_ON(kn, kn->ops->sync(kn), "copying codes");
    return TR_OK;
}

static void give_back(struct lent *lent) {
    if (lent->memory && lent->memory != lent->host)
        lent->kn->ops->free(lent->kn, lent->memory);
}

// ---- the factor --------------------------------------------------------------------------------

struct ranked {
    double weight;
    int32_t input;
};

static int by_descending_weight(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return (x->input > y->input) - (x->input < y->input);
}

static enum tr_status find_diagonal(double *weights, struct kn_backend *kn, const double *h,
                                    int64_t in, struct tr_err *err) {
    struct lent lent;
    TR_TRY(lend(&lent, kn, weights, (size_t)in * sizeof *weights, err));
    struct kn_diagonal op = {lent.memory, h, in};
    enum kn_status found = kn->ops->diagonal(kn, &op);
    enum tr_status status =
        found == KN_OK ? take_back(&lent, err) : tr_kernel_failed(kn, found, "a diagonal", err);
    give_back(&lent);
    return status;
}

static enum tr_status find_order(struct tr_gptq_factor *f, const double *weights, bool sorted,
                                 struct tr_err *err) {
    struct ranked *ranked;
    TR_TRY(TR_NEW(&f->order, f->in, "the order of inputs", err));
    TR_TRY(TR_NEW(&ranked, f->in, "the order of inputs", err));
    for (int64_t i = 0; i < f->in; i++)
        ranked[i] = (struct ranked){weights[i], (int32_t)i};
    if (sorted)
        qsort(ranked, (size_t)f->in, sizeof *ranked, by_descending_weight);
    for (int64_t i = 0; i < f->in; i++)
        f->order[i] = ranked[i].input;
    free(ranked);
    size_t bytes = (size_t)f->in * sizeof *f->order;
    TR_TRY(room(f->kn, (void **)&f->order_there, bytes, err));
    KN_TRY_ON(f->kn, f->kn->ops->upload(f->kn, f->order_there, f->order, bytes),
              "copying the order of inputs");
    return TR_OK;
}

// The mean of the diagonal, where an input that was always 0 counts as 1.
static double mean_weight(const double *weights, int64_t in) {
    double sum = 0;
    for (int64_t i = 0; i < in; i++)
        sum += weights[i] > 0 ? weights[i] : 1;
    return sum / (double)in;
}

static enum tr_status find_factor(struct tr_gptq_factor *f, const double *h, double mean,
                                  double damping, struct tr_err *err) {
    struct kn_inverse_factor op = {
        .h = h, .order = f->order_there, .n = f->in, .factored = &f->factored};
    size_t bytes = (size_t)(f->in * f->in) * sizeof *f->u;
    enum kn_status done = KN_OK;
    TR_TRY(room(f->kn, (void **)&f->u, bytes, err));
    TR_TRY(room(f->kn, (void **)&op.scratch, bytes, err));
    op.u = f->u;
    for (f->damping = damping; !f->factored && f->damping <= most_damping && done == KN_OK;) {
        op.added = f->damping * mean;
        done = f->kn->ops->inverse_factor(f->kn, &op);
        f->damping += f->factored ? 0 : damping_step;
    }
    f->kn->ops->free(f->kn, op.scratch);
    return done == KN_OK ? TR_OK : tr_kernel_failed(f->kn, done, "factoring a second moment", err);
}

static bool is_empty(const double *weights, int64_t in) {
    for (int64_t i = 0; i < in; i++)
        if (weights[i] > 0)
            return false;
    return true;
}

enum tr_status tr_gptq_factor_new(struct tr_gptq_factor *factor, struct kn_backend *kn,
                                  const struct tr_gptq_options *options, const double *h,
                                  int64_t in, struct tr_err *err) {
    struct tr_gptq_factor made = {.kn = kn, .in = in};
    double *weights;
    if (in > INT_MAX)
        return tr_fail(err, TR_EUNSUPPORTED, "a weight of %lld inputs is not taken", (long long)in);
    TR_TRY(TR_NEW(&weights, in, "a diagonal", err));
    enum tr_status status = find_diagonal(weights, kn, h, in, err);
    if (status == TR_OK)
        status = find_order(&made, weights, options->order != KN_ORDER_FILE, err);
    if (status == TR_OK && !is_empty(weights, in))
        status = find_factor(&made, h, mean_weight(weights, in), options->damping, err);
    free(weights);
    if (status == TR_OK)
        *factor = made;
    else
        tr_gptq_factor_free(&made);
    return status;
}

void tr_gptq_factor_free(struct tr_gptq_factor *factor) {
    if (factor->u)
        factor->kn->ops->free(factor->kn, factor->u);
    if (factor->order_there)
        factor->kn->ops->free(factor->kn, factor->order_there);
    free(factor->order);
    *factor = (struct tr_gptq_factor){0};
}

// ---- the weights -------------------------------------------------------------------------------

// A group's own inputs, where groups go along the new order.
static void note_groups(struct tr_codes *codes, const int32_t *order) {
    for (int64_t i = 0; i < codes->in; i++)
        codes->group_of[order[i]] = (int32_t)(i / codes->group_size);
}

enum { WEIGHT, CODE, SCALE, ZERO, ARRAYS };

static enum tr_status lend_all(struct lent lent[ARRAYS], struct kn_backend *kn,
                               const struct tr_codes *codes, const float *w, struct tr_err *err) {
    size_t values = (size_t)(codes->out * codes->in), steps = (size_t)(codes->out * codes->groups);
    TR_TRY(lend_filled(&lent[WEIGHT], kn, w, values * sizeof *w, err));
    TR_TRY(lend(&lent[CODE], kn, codes->code, values, err));
    TR_TRY(lend(&lent[SCALE], kn, codes->scale, steps * sizeof *codes->scale, err));
    return lend(&lent[ZERO], kn, codes->zero, steps, err);
}

static enum tr_status compensate(struct tr_codes *codes, const struct kn_grid *grid,
                                 enum kn_input_order order, const struct tr_gptq_factor *factor,
                                 const float *w, struct tr_err *err) {
    struct kn_backend *kn = factor->kn;
    struct lent lent[ARRAYS] = {{0}};
    enum tr_status status = lend_all(lent, kn, codes, w, err);
    if (status == TR_OK) {
        struct kn_compensation op = {.code = lent[CODE].memory,
                                     .scale = lent[SCALE].memory,
                                     .zero = lent[ZERO].memory,
                                     .w = lent[WEIGHT].memory,
                                     .rows = codes->out,
                                     .n = codes->in,
                                     .u = factor->u,
                                     .order = factor->order_there,
                                     .grid = *grid,
                                     .input_order = order};
        enum kn_status done = kn->ops->compensation(kn, &op);
        if (done != KN_OK)
            status = tr_kernel_failed(kn, done, "putting a weight into few bits", err);
    }
    for (int i = CODE; i < ARRAYS && status == TR_OK; i++)
        status = take_back(&lent[i], err);
    for (int i = 0; i < ARRAYS; i++)
        give_back(&lent[i]);
    return status;
}

enum tr_status tr_gptq(struct tr_codes *codes, const struct kn_grid *grid,
                       const struct tr_gptq_options *options, const struct tr_gptq_factor *factor,
                       const float *w, int64_t out, int threads, const char *name,
                       struct tr_err *err) {
    bool ordered = options->order == KN_ORDER_GROUPS;
    if (!factor->factored)
        return tr_round_to_nearest(codes, grid, w, out, factor->in, threads, name, err);
    TR_TRY(tr_weights_finite(w, out * factor->in, threads, name, err));
    TR_TRY(tr_codes_begin(codes, grid, out, factor->in, ordered, name, err));
    if (ordered)
        note_groups(codes, factor->order);
    enum tr_status status = compensate(codes, grid, options->order, factor, w, err);
    if (status == TR_OK)
        status = tr_scales_finite(codes, name, err);
    if (status != TR_OK)
        tr_codes_free(codes);
    return status;
}

// ---- the error of the output -------------------------------------------------------------------

static enum tr_status square(const struct lent *x, const struct lent *less,
                             const struct lent *squares, int64_t out, int64_t in, const double *h,
                             struct tr_err *err) {
    struct kn_backend *kn = x->kn;
    struct kn_squared_outputs op = {
        .y = squares->memory, .x = x->memory, .less = less->memory, .h = h, .rows = out, .n = in};
    KN_TRY_ON(kn, kn->ops->squared_outputs(kn, &op), "the squares of outputs");
    return take_back(squares, err);
}

enum tr_status tr_squared_outputs(double *squares, struct kn_backend *kn, const float *x,
                                  const float *less, int64_t out, int64_t in, const double *h,
                                  struct tr_err *err) {
    struct lent lent[3] = {{0}};
    size_t bytes = (size_t)(out * in) * sizeof *x;
    enum tr_status status = lend_filled(&lent[0], kn, x, bytes, err);
    if (status == TR_OK)
        status = lend_filled(&lent[1], kn, less, less ? bytes : 0, err);
    if (status == TR_OK)
        status = lend(&lent[2], kn, squares, (size_t)out * sizeof *squares, err);
    if (status == TR_OK)
        status = square(&lent[0], &lent[1], &lent[2], out, in, h, err);
    for (int i = 0; i < 3; i++)
        give_back(&lent[i]);
    return status;
}

enum tr_status tr_output_error(double *error, struct kn_backend *kn, const float *values,
                               const float *w, int64_t out, int64_t in, const double *h,
                               struct tr_err *err) {
    double *squares, wrong = 0, all = 0;
    TR_TRY(TR_NEW(&squares, 2 * out, "the squares of outputs", err));
    enum tr_status status = tr_squared_outputs(squares, kn, values, w, out, in, h, err);
    if (status == TR_OK)
        status = tr_squared_outputs(squares + out, kn, w, NULL, out, in, h, err);
    for (int64_t o = 0; o < out; o++) {
        wrong += squares[o];
        all += squares[out + o];
    }
    free(squares);
    *error = all > 0 ? fmax(wrong, 0) / all : 0;
    return status;
}
