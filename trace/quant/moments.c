// SPDX-License-Identifier: Apache-2.0
#include "moments.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/backend_status.h"
#include "targets.h"

enum { CHUNK = 1 << 20 }; // values that ranks exchange at a time

static size_t bytes_of(const struct tr_moment *m) {
    return (size_t)(m->in * m->in) * sizeof *m->sum;
}

static struct tr_moment *find(const struct tr_moments *s, enum tr_slot slot, int64_t matrix) {
    for (int64_t i = 0; i < s->count; i++)
        if (s->moments[i].slot == slot && s->moments[i].matrix == matrix)
            return &s->moments[i];
    return NULL;
}

const struct tr_moment *tr_moments_of(const struct tr_moments *s, enum tr_slot slot,
                                      int64_t matrix) {
    return find(s, slot, matrix);
}

// ---- memory ------------------------------------------------------------------------------------

static enum tr_status clear(struct kn_backend *kn, struct tr_moment *m, struct tr_err *err) {
    // Doubles of 0 are pairs of floats of 0.
    struct kn_scale op = {
        .x = kn_matrix(m->device, KN_F32, m->in, 2 * m->in), .factor = 0, .limit = (float)INFINITY};
    KN_TRY_ON(kn, kn->ops->scale(kn, &op), "clearing a second moment");
    return TR_OK;
}

static enum tr_status make(struct tr_moments *s, enum tr_slot slot, int64_t matrix,
                           struct tr_err *err) {
    struct kn_backend *kn = s->q->kn;
    struct tr_moment *m = &s->moments[s->count++];
    *m = (struct tr_moment){
        .slot = slot, .matrix = matrix, .in = s->q->plan->slabs[s->slab].slots[slot].cols};
    bool shared = kn->unified && s->q->ranks == 1, scales = s->q->settings->method == TR_QUANT_AWQ;
    if (shared || scales || s->q->ranks > 1)
        TR_TRY(TR_NEW(&m->sum, m->in * m->in, "a second moment", err));
    if (scales) {
        TR_TRY(TR_NEW(&m->magnitude, m->in, "magnitudes", err));
        TR_TRY(TR_NEW(&m->magnitudes, s->q->batches * m->in, "magnitudes", err));
    }
    if (shared)
        m->device = m->sum;
    else
        KN_TRY_ON(kn, kn->ops->alloc(kn, (void **)&m->device, bytes_of(m)),
                  "allocating a second moment");
    return clear(kn, m, err);
}

static enum tr_status make_all(struct tr_moments *s, struct tr_err *err) {
    const struct tr_slab_plan *slab = &s->q->plan->slabs[s->slab];
    int64_t matrices = tr_target_matrices(slab);
    TR_TRY(TR_NEW(&s->moments, TR_SLOTS * matrices, "second moments", err));
    for (int slot = 0; slot < TR_SLOTS; slot++)
        if (tr_target_stage(slab, (enum tr_slot)slot) == s->stage && ++s->slots)
            for (int64_t m = 0; m < matrices; m++)
                TR_TRY(make(s, (enum tr_slot)slot, m, err));
    return TR_OK;
}

void tr_moments_free(struct tr_moments *s) {
    for (int64_t i = 0; s->moments && i < s->count; i++) {
        if (s->moments[i].device && s->moments[i].device != s->moments[i].sum)
            s->q->kn->ops->free(s->q->kn, s->moments[i].device);
        free(s->moments[i].sum);
        free(s->moments[i].magnitude);
        free(s->moments[i].magnitudes);
    }
    free(s->moments);
    *s = (struct tr_moments){0};
}

// ---- one micro-batch ---------------------------------------------------------------------------

static void add_magnitudes(double *sums, const float *x, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        sums[i] += fabs((double)x[i]);
}

// Row by row in host memory: it is a search's smallest part.
static enum tr_status measure_magnitudes(struct tr_moment *m, struct kn_backend *kn, int64_t batch,
                                         struct kn_matrix x, struct tr_err *err) {
    size_t row_bytes = (size_t)x.stride * kn_type_size(x.type);
    char *rows;
    float *wide;
    TR_TRY(TR_NEW(&rows, (size_t)(x.rows + 1) * row_bytes + (size_t)x.cols * sizeof *wide,
                  "rows of inputs", err));
    wide = (float *)(void *)(rows + (size_t)(x.rows + 1) * row_bytes);
    size_t bytes =
        x.rows ? (size_t)(x.rows - 1) * row_bytes + (size_t)x.cols * kn_type_size(x.type) : 0;
    enum kn_status got = kn->ops->download(kn, rows, x.data, bytes);
    if (got == KN_OK)
        got = kn->ops->sync(kn);
    for (int64_t r = 0; r < x.rows && got == KN_OK; r++) {
        kn_convert(wide, KN_F32, rows + (size_t)r * row_bytes, x.type, x.cols);
        add_magnitudes(m->magnitudes + batch * m->in, wide, x.cols);
    }
    free(rows);
    return got == KN_OK ? TR_OK : tr_kernel_failed(kn, got, "copying inputs", err);
}

static enum tr_status add(const struct tr_moments *s, struct tr_moment *m, struct kn_backend *kn,
                          struct kn_matrix x, struct tr_err *err) {
    struct kn_second_moment op = {m->device, x};
    m->rows += x.rows;
    if (m->magnitudes)
        TR_TRY(measure_magnitudes(m, kn, s->q->rank + s->batch * s->q->ranks, x, err));
    KN_TRY_ON(kn, kn->ops->second_moment(kn, &op), "a second moment");
    return TR_OK;
}

// A product of all of a slab's experts. Where their rows begin is in the backend's memory.
static enum tr_status add_groups(struct tr_moments *s, struct kn_backend *kn,
                                 const struct tr_product_tap *tap, struct tr_err *err) {
    int64_t groups = tap->op->groups, *first;
    struct kn_matrix all = tap->op->product.x;
    TR_TRY(TR_NEW(&first, groups + 1, "the rows of experts", err));
    enum kn_status got =
        kn->ops->download(kn, first, tap->op->first, (size_t)(groups + 1) * sizeof *first);
    if (got == KN_OK)
        got = kn->ops->sync(kn);
    enum tr_status status =
        got == KN_OK ? TR_OK : tr_kernel_failed(kn, got, "copying the rows of experts", err);
    for (int64_t g = 0; g < groups && status == TR_OK; g++) {
        struct kn_matrix x = all;
        int64_t at = first[g] - first[0];
        x.data = (char *)all.data + (size_t)(at * all.stride) * kn_type_size(all.type);
        x.rows = first[g + 1] - first[g];
        status = add(s, find(s, tap->slot, g), kn, x, err);
    }
    free(first);
    return status;
}

static enum tr_status on_product(void *user, struct kn_backend *kn,
                                 const struct tr_product_tap *tap, struct tr_err *err) {
    struct tr_moments *s = user;
    int stage = tr_target_stage(tap->plan, tap->slot);
    if (tap->plan != &s->q->plan->slabs[s->slab])
        return TR_OK;
    if (stage < s->stage)
        return TR_OK;
    // What comes of the others meets no matrix of this stage.
    s->seen += stage == s->stage;
    *tap->use = s->seen == s->slots ? TR_PRODUCT_LAST : TR_PRODUCT_LEFT_OUT;
    if (stage != s->stage)
        return TR_OK;
    if (tap->op->first)
        return add_groups(s, kn, tap, err);
    return add(s, find(s, tap->slot, 0), kn, tap->op->product.x, err);
}

static enum tr_status run_batch(struct tr_moments *s, int64_t index, int64_t first, int64_t last,
                                struct tr_err *err) {
    s->seen = 0;
    return tr_quantizer_run_batch(s->q, index, first, last, on_product, s, err);
}

// ---- all of them -------------------------------------------------------------------------------

// Adds the ranks' parts of a stretch, rank 0's first. Each part is one rank's, and the others bring
// nothing that is larger.
static void add_ranks(struct tr_quantizer *q, double *sum, const double *own, double *all,
                      int64_t count) {
    for (int64_t i = 0; i < q->ranks * count; i++)
        all[i] = -INFINITY;
    memcpy(all + q->rank * count, own, (size_t)count * sizeof *own);
    dist_max(q->dist, all, (int)(q->ranks * count));
    for (int r = 0; r < q->ranks; r++)
        for (int64_t i = 0; i < count; i++)
            sum[i] += all[r * count + i];
}

static enum tr_status download(struct tr_quantizer *q, const struct tr_moment *m, double *to,
                               struct tr_err *err) {
    const struct kn_ops *ops = q->kn->ops;
    KN_TRY_ON(q->kn, ops->download(q->kn, to, m->device, bytes_of(m)), "copying a second moment");
    KN_TRY_ON(q->kn, ops->sync(q->kn), "copying a second moment");
    return TR_OK;
}

// One micro-batch of every rank has gone through. Collective, whatever this rank's status is.
static enum tr_status join_wave(struct tr_moments *s, double *own, double *all,
                                enum tr_status status, struct tr_err *err) {
    struct tr_quantizer *q = s->q;
    for (int64_t k = 0; k < s->count; k++) {
        struct tr_moment *m = &s->moments[k];
        int64_t values = m->in * m->in;
        if (status == TR_OK)
            status = download(q, m, own, err);
        for (int64_t at = 0; at < values; at += CHUNK / q->ranks)
            add_ranks(q, m->sum + at, own + at, all,
                      values - at < CHUNK / q->ranks ? values - at : CHUNK / q->ranks);
        if (status == TR_OK)
            status = clear(q->kn, m, err);
    }
    return status;
}

static int64_t most_values(const struct tr_moments *s) {
    int64_t most = 0;
    for (int64_t i = 0; i < s->count; i++)
        most = s->moments[i].in > most ? s->moments[i].in : most;
    return most * most;
}

// What all ranks have, where the ops see it.
static enum tr_status upload(struct tr_moments *s, struct tr_err *err) {
    const struct kn_ops *ops = s->q->kn->ops;
    for (int64_t k = 0; k < s->count; k++)
        KN_TRY_ON(s->q->kn,
                  ops->upload(s->q->kn, s->moments[k].device, s->moments[k].sum,
                              bytes_of(&s->moments[k])),
                  "copying a second moment");
    KN_TRY_ON(s->q->kn, ops->sync(s->q->kn), "copying a second moment");
    return TR_OK;
}

// Several ranks: wave after wave, so that sums are taken in the order of micro-batches.
static enum tr_status measure_waves(struct tr_moments *s, int64_t first, int64_t last,
                                    struct tr_err *err) {
    struct tr_quantizer *q = s->q;
    double *own = NULL, *all = NULL;
    enum tr_status status = TR_NEW(&own, most_values(s), "a second moment", err);
    if (status == TR_OK)
        status = TR_NEW(&all, CHUNK, "a second moment", err);
    if (!dist_all_ok(q->dist, status == TR_OK)) {
        free(own);
        return status == TR_OK ? tr_fail(err, TR_ENVIRONMENT, "another rank has no memory")
                               : status;
    }
    for (int64_t wave = 0; wave * q->ranks < q->batches; wave++) {
        s->batch = wave;
        if (status == TR_OK && wave < q->own_batches)
            status = run_batch(s, wave, first, last, err);
        status = join_wave(s, own, all, status, err);
    }
    free(own);
    free(all);
    return status == TR_OK ? upload(s, err) : status;
}

static enum tr_status measure_alone(struct tr_moments *s, int64_t first, int64_t last,
                                    struct tr_err *err) {
    struct tr_quantizer *q = s->q;
    for (s->batch = 0; s->batch < q->own_batches; s->batch++)
        TR_TRY(run_batch(s, s->batch, first, last, err));
    for (int64_t k = 0; k < s->count; k++)
        if (s->moments[k].sum && s->moments[k].device != s->moments[k].sum)
            TR_TRY(download(q, &s->moments[k], s->moments[k].sum, err));
    return TR_OK;
}

// How much text met each matrix.
static enum tr_status count_rows(struct tr_moments *s, struct tr_err *err) {
    double *rows;
    TR_TRY(TR_NEW(&rows, s->q->ranks * s->count, "counts", err));
    for (int64_t k = 0; k < s->count; k++)
        rows[s->q->rank * s->count + k] = (double)s->moments[k].rows;
    dist_max(s->q->dist, rows, (int)(s->q->ranks * s->count));
    for (int64_t i = 0; i < s->q->ranks * s->count; i++)
        s->moments[i % s->count].all_rows += rows[i];
    free(rows);
    return TR_OK;
}

// Sums of magnitudes are none of them below 0, so what a rank has is the largest of all.
static void join_magnitudes(struct tr_moments *s) {
    struct tr_quantizer *q = s->q;
    for (int64_t k = 0; k < s->count; k++) {
        struct tr_moment *m = &s->moments[k];
        for (int64_t b = 0; b < q->batches && m->magnitudes; b++) {
            double *batch = m->magnitudes + b * m->in;
            dist_max(q->dist, batch, (int)m->in);
            for (int64_t i = 0; i < m->in; i++)
                m->magnitude[i] += batch[i];
        }
    }
}

enum tr_status tr_moments_measure(struct tr_moments *moments, struct tr_quantizer *q, int64_t slab,
                                  int stage, int64_t first, int64_t last, struct tr_err *err) {
    *moments = (struct tr_moments){.q = q, .slab = slab, .stage = stage};
    enum tr_status status = make_all(moments, err);
    if (!dist_all_ok(q->dist, status == TR_OK))
        return status == TR_OK ? tr_fail(err, TR_ENVIRONMENT, "another rank has no memory")
                               : status;
    status = q->ranks == 1 ? measure_alone(moments, first, last, err)
                           : measure_waves(moments, first, last, err);
    if (!dist_all_ok(q->dist, status == TR_OK))
        return status == TR_OK ? tr_fail(err, TR_ENVIRONMENT, "the text ended on another rank")
                               : status;
    join_magnitudes(moments);
    return count_rows(moments, err);
}
