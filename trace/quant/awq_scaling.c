// SPDX-License-Identifier: Apache-2.0
#include "awq_scaling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/backend.h"
#include "model/backend_status.h"
#include "model/weight_source.h"
#include "rounding/awq.h"
#include "targets.h"

static const struct tr_slab_plan *plan_of(const struct tr_quantizer *q, int64_t slab) {
    return &q->plan->slabs[slab];
}

static const struct tr_config *config_of(const struct tr_quantizer *q) {
    return &tr_held_loaded(q->held)->config;
}

// ---- what may be scaled ------------------------------------------------------------------------

// Whether all weights of a stage are put into few bits: others would change, too.
static bool takes_all(const struct tr_quantizer *q, const struct tr_slab_plan *plan, int stage) {
    for (uint64_t i = 0; i < plan->placement_count; i++)
        if (tr_target_stage(plan, plan->placements[i].slot) == stage &&
            !tr_quantizer_takes(q, plan, &plan->placements[i]))
            return false;
    return true;
}

static bool has_own_norm(const struct tr_quantizer *q, const struct tr_slab_plan *plan) {
    const struct tr_config *c = config_of(q);
    bool shared = c->parallel && c->family->parallel_shares_norm;
    if (plan->kind == TR_SLAB_MLP)
        return !c->family->no_pre_norm && !shared;
    bool is_mixer = plan->kind == TR_SLAB_ATTN || plan->kind == TR_SLAB_SCAN;
    return is_mixer && tr_config_norms_attn(c, plan->layer) && !shared;
}

// The rows of values go through attention to the columns of its output one by one.
static bool has_own_values(const struct tr_quantizer *q, int layer) {
    const struct tr_config *c = config_of(q);
    return !c->kv_rank && c->heads == tr_config_kv_heads(c, layer) && c->clip_qkv <= 0;
}

enum tr_awq_source tr_awq_source_of(const struct tr_quantizer *q, int64_t slab, int stage) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    if (!takes_all(q, plan, stage))
        return TR_AWQ_NOTHING;
    if (stage == 0)
        return has_own_norm(q, plan) ? TR_AWQ_NORM : TR_AWQ_NOTHING;
    if (stage != tr_target_stage(plan, TR_SLOT_OUT) || plan->kind == TR_SLAB_SCAN ||
        !takes_all(q, plan, 0))
        return TR_AWQ_NOTHING;
    if (plan->kind == TR_SLAB_ATTN)
        return has_own_values(q, plan->layer) ? TR_AWQ_ROWS : TR_AWQ_NOTHING;
    return config_of(q)->family->gated ? TR_AWQ_ROWS : TR_AWQ_NOTHING;
}

// The first row of a slot of one matrix that is divided, of as many as the output has columns.
static int64_t divided_row(const struct tr_quantizer *q, const struct tr_slab_plan *plan,
                           int64_t matrix) {
    const struct tr_config *c = config_of(q);
    int64_t in = plan->slots[TR_SLOT_OUT].cols;
    int64_t kv_heads = tr_config_kv_heads(c, plan->layer);
    return plan->kind == TR_SLAB_ATTN ? (c->heads + kv_heads) * c->qk_dim : matrix * 2 * in + in;
}

bool tr_awq_changes(const struct tr_quantizer *q, int64_t slab, const struct tr_placement *p) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    if (p->slot == TR_SLOT_NORM || p->slot == TR_SLOT_NORM_BIAS)
        return tr_awq_source_of(q, slab, 0) == TR_AWQ_NORM;
    if (p->slot != TR_SLOT_IN_BIAS || !plan->slots[TR_SLOT_OUT].rows)
        return false;
    return tr_awq_source_of(q, slab, tr_target_stage(plan, TR_SLOT_OUT)) == TR_AWQ_ROWS;
}

// ---- applying ----------------------------------------------------------------------------------

static void scale_columns(struct tr_quantizer *q, int64_t slab, enum tr_slot slot, int64_t matrix,
                          const double *s) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    int64_t in = plan->slots[slot].cols, out = plan->slots[slot].rows / tr_target_matrices(plan);
    float *w = tr_held_slot(q->held, slab, slot) + matrix * out * in;
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++)
            w[o * in + i] = (float)((double)w[o * in + i] * s[i]);
}

// A value as the checkpoint's type has it.
static float stored(const struct tr_placement *p, float value) {
    static const enum kn_type types[] = {
        [TR_F64] = KN_F32, [TR_F32] = KN_F32, [TR_F16] = KN_F16, [TR_BF16] = KN_BF16};
    float less = p->transform == TR_PLUS_ONE ? 1 : 0, left = value - less;
    uint32_t bits;
    kn_convert(&bits, types[p->tensor->dtype], &left, KN_F32, 1);
    kn_convert(&left, KN_F32, &bits, types[p->tensor->dtype], 1);
    return left + less;
}

static const struct tr_placement *placement_of(const struct tr_slab_plan *plan, enum tr_slot slot) {
    for (uint64_t i = 0; i < plan->placement_count; i++)
        if (plan->placements[i].slot == slot)
            return &plan->placements[i];
    return NULL;
}

// The norm's weights are divided, and rounded to the type of their file; the scales become what
// that has made of them, so that the product stays what it was.
static void divide_norm(struct tr_quantizer *q, int64_t slab, double *s) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    float *weight = tr_held_slot(q->held, slab, TR_SLOT_NORM);
    float *bias = tr_held_slot(q->held, slab, TR_SLOT_NORM_BIAS);
    for (int64_t i = 0; i < plan->slots[TR_SLOT_NORM].rows; i++) {
        float before = weight[i];
        float after = stored(placement_of(plan, TR_SLOT_NORM), (float)((double)before / s[i]));
        s[i] = after != 0 && before != 0 ? (double)before / (double)after : 1;
        weight[i] = after != 0 && before != 0 ? after : before;
        if (bias)
            bias[i] =
                stored(placement_of(plan, TR_SLOT_NORM_BIAS), (float)((double)bias[i] / s[i]));
    }
}

static void divide_rows(struct tr_quantizer *q, int64_t slab, int64_t matrix, const double *s) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    int64_t first = divided_row(q, plan, matrix), in = plan->slots[TR_SLOT_IN].cols;
    float *w = tr_held_slot(q->held, slab, TR_SLOT_IN);
    float *bias = tr_held_slot(q->held, slab, TR_SLOT_IN_BIAS);
    for (int64_t i = 0; i < plan->slots[TR_SLOT_OUT].cols; i++) {
        for (int64_t j = 0; j < in; j++)
            w[(first + i) * in + j] = (float)((double)w[(first + i) * in + j] / s[i]);
        if (bias)
            bias[first + i] = stored(placement_of(plan, TR_SLOT_IN_BIAS),
                                     (float)((double)bias[first + i] / s[i]));
    }
}

// ---- the search by a weight's own output -------------------------------------------------------

static void means_of(double *x_mean, const struct tr_moment *m) {
    for (int64_t i = 0; i < m->in; i++)
        x_mean[i] = m->magnitude[i] / m->all_rows;
}

// What a search has at hand for weights that read one thing.
struct search {
    double *x_mean, *w_mean, *s, *best; // [in] each
    int64_t in;
};

static enum tr_status open_search(struct search *search, int64_t in, struct tr_err *err) {
    *search = (struct search){.in = in};
    TR_TRY(TR_NEW(&search->x_mean, 4 * in, "a search for scales", err));
    search->w_mean = search->x_mean + in;
    search->s = search->w_mean + in;
    search->best = search->s + in;
    for (int64_t i = 0; i < in; i++)
        search->best[i] = 1;
    return TR_OK;
}

static void close_search(struct search *search) {
    free(search->x_mean);
}

// One matrix, by the square of its output's error.
static enum tr_status search_alone(struct tr_quantizer *q, int64_t slab, enum tr_slot slot,
                                   const struct tr_moment *m, struct search *search,
                                   struct tr_err *err) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    int64_t in = m->in, out = plan->slots[slot].rows / tr_target_matrices(plan);
    const float *w = tr_held_slot(q->held, slab, slot) + m->matrix * out * in;
    double least = INFINITY, error;
    float *values;
    TR_TRY(TR_NEW(&values, out * in, "a weight", err));
    means_of(search->x_mean, m);
    tr_awq_add_weights(search->w_mean, &q->grid, w, out, in);
    for (int64_t i = 0; i < in; i++)
        search->w_mean[i] /= (double)out;
    enum tr_status status = TR_OK;
    for (int step = 0; step < TR_AWQ_TRIED && status == TR_OK; step++) {
        tr_awq_scales(search->s, search->x_mean, search->w_mean, in, step);
        status = tr_awq_round(values, &q->grid, w, search->s, out, in, q->threads, err);
        if (status == TR_OK)
            status = tr_output_error(&error, q->kn, values, w, out, in, m->device, err);
        if (status == TR_OK && error < least) {
            least = error;
            memcpy(search->best, search->s, (size_t)in * sizeof *search->s);
        }
    }
    free(values);
    return status;
}

static enum tr_status scale_rows(struct tr_quantizer *q, int64_t slab,
                                 const struct tr_moments *moments, struct tr_err *err) {
    for (int64_t i = 0; i < tr_target_matrices(plan_of(q, slab)); i++) {
        const struct tr_moment *m = tr_moments_of(moments, TR_SLOT_OUT, i);
        struct search search;
        if (m->all_rows <= 0)
            continue;
        TR_TRY(open_search(&search, m->in, err));
        enum tr_status status = search_alone(q, slab, TR_SLOT_OUT, m, &search, err);
        if (status == TR_OK) {
            divide_rows(q, slab, i, search.best);
            scale_columns(q, slab, TR_SLOT_OUT, i, search.best);
        }
        close_search(&search);
        TR_TRY(status);
    }
    return TR_OK;
}

// ---- the search by what the whole sublayer adds ------------------------------------------------

// The sublayer's matrices of a stage as they were, and what it added then.
struct sublayer {
    int64_t slab, first, last; // steps
    int stage;
    enum tr_module module;
    float *kept[TR_SLOTS]; // copies of the slots of the stage
    float *added;          // [tokens of the own micro-batches, hidden]
    double *errors;        // [batches]
};

static int64_t batch_values(const struct tr_quantizer *q) {
    return q->micro_batch * q->job.calibration.seq_len * config_of(q)->hidden;
}

// Values of own micro-batch `index`, which may be the last and shorter one.
static int64_t values_of(const struct tr_quantizer *q, int64_t index) {
    int64_t begin = (q->rank + index * q->ranks) * q->micro_batch;
    int64_t left = q->sequences - begin;
    return (left < q->micro_batch ? left : q->micro_batch) * q->job.calibration.seq_len *
           config_of(q)->hidden;
}

static enum tr_status run_once(struct tr_quantizer *q, const struct sublayer *l, int64_t index,
                               float *to, struct tr_err *err) {
    struct kn_backend *kn = q->kn;
    TR_TRY(tr_quantizer_run_batch(q, index, l->first, l->last, NULL, NULL, err));
    const float *delta = tr_forward_delta(q->forward, q->streams[index], l->module);
    size_t bytes = (size_t)values_of(q, index) * sizeof *to;
    KN_TRY_ON(kn, kn->ops->download(kn, to, delta, bytes), "copying what a sublayer adds");
    KN_TRY_ON(kn, kn->ops->sync(kn), "copying what a sublayer adds");
    return TR_OK;
}

static double squared_distance(const float *a, const float *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = (double)a[i] - (double)b[i];
        sum += difference * difference;
    }
    return sum;
}

// The sum of squares over all micro-batches, in their order. Collective.
static enum tr_status distance(struct tr_quantizer *q, struct sublayer *l, double *distance_p,
                               struct tr_err *err) {
    float *now = NULL;
    enum tr_status status = TR_NEW(&now, batch_values(q), "what a sublayer adds", err);
    for (int64_t b = 0; b < q->batches; b++)
        l->errors[b] = 0;
    for (int64_t i = 0; i < q->own_batches && status == TR_OK; i++) {
        status = run_once(q, l, i, now, err);
        l->errors[q->rank + i * q->ranks] =
            squared_distance(now, l->added + i * batch_values(q), values_of(q, i));
    }
    free(now);
    dist_max(q->dist, l->errors, (int)q->batches);
    *distance_p = 0;
    for (int64_t b = 0; b < q->batches; b++)
        *distance_p += l->errors[b];
    return status;
}

static size_t slot_bytes(const struct tr_slab_plan *plan, int slot) {
    return (size_t)(plan->slots[slot].rows * plan->slots[slot].cols) * sizeof(float);
}

static enum tr_status keep(struct tr_quantizer *q, struct sublayer *l, struct tr_err *err) {
    const struct tr_slab_plan *plan = plan_of(q, l->slab);
    for (int slot = 0; slot < TR_SLOTS; slot++)
        if (tr_target_stage(plan, (enum tr_slot)slot) == l->stage) {
            TR_TRY(TR_NEW(&l->kept[slot], slot_bytes(plan, slot) / sizeof(float), "a weight", err));
            memcpy(l->kept[slot], tr_held_slot(q->held, l->slab, (enum tr_slot)slot),
                   slot_bytes(plan, slot));
        }
    TR_TRY(TR_NEW(&l->errors, q->batches, "errors", err));
    TR_TRY(TR_NEW(&l->added, q->own_batches * batch_values(q), "what a sublayer adds", err));
    for (int64_t i = 0; i < q->own_batches; i++)
        TR_TRY(run_once(q, l, i, l->added + i * batch_values(q), err));
    return TR_OK;
}

static void restore(struct tr_quantizer *q, const struct sublayer *l) {
    for (int slot = 0; slot < TR_SLOTS; slot++)
        if (l->kept[slot])
            memcpy(tr_held_slot(q->held, l->slab, (enum tr_slot)slot), l->kept[slot],
                   slot_bytes(plan_of(q, l->slab), slot));
}

static void forget(struct sublayer *l) {
    for (int slot = 0; slot < TR_SLOTS; slot++)
        free(l->kept[slot]);
    free(l->errors);
    free(l->added);
}

static void add_weight_means(const struct tr_quantizer *q, const struct sublayer *l,
                             struct search *search) {
    const struct tr_slab_plan *plan = plan_of(q, l->slab);
    int64_t rows = 0;
    for (int slot = 0; slot < TR_SLOTS; slot++)
        if (l->kept[slot]) {
            tr_awq_add_weights(search->w_mean, &q->grid, l->kept[slot], plan->slots[slot].rows,
                               search->in);
            rows += plan->slots[slot].rows;
        }
    for (int64_t i = 0; i < search->in; i++)
        search->w_mean[i] /= (double)rows;
}

// The stage's weights become what these scales make of them. Collective.
static enum tr_status try_scales(struct tr_quantizer *q, struct sublayer *l, const double *s,
                                 double *distance_p, struct tr_err *err) {
    const struct tr_slab_plan *plan = plan_of(q, l->slab);
    for (int slot = 0; slot < TR_SLOTS; slot++)
        if (l->kept[slot])
            TR_TRY(tr_awq_round(tr_held_slot(q->held, l->slab, (enum tr_slot)slot), &q->grid,
                                l->kept[slot], s, plan->slots[slot].rows, plan->slots[slot].cols,
                                q->threads, err));
    TR_TRY(tr_held_changed(q->held, l->slab, err));
    return distance(q, l, distance_p, err);
}

static enum tr_status search_together(struct tr_quantizer *q, struct sublayer *l,
                                      struct search *search, const struct tr_moment *m,
                                      struct tr_err *err) {
    double least = INFINITY, found;
    TR_TRY(keep(q, l, err));
    means_of(search->x_mean, m);
    add_weight_means(q, l, search);
    for (int step = 0; step < TR_AWQ_TRIED; step++) {
        tr_awq_scales(search->s, search->x_mean, search->w_mean, search->in, step);
        TR_TRY(try_scales(q, l, search->s, &found, err));
        if (found < least) {
            least = found;
            memcpy(search->best, search->s, (size_t)search->in * sizeof *search->s);
        }
    }
    restore(q, l);
    return TR_OK;
}

static enum tr_status scale_norm(struct tr_quantizer *q, struct sublayer *l,
                                 const struct tr_moments *moments, struct tr_err *err) {
    const struct tr_slab_plan *plan = plan_of(q, l->slab);
    struct search search;
    TR_TRY(open_search(&search, plan->slots[TR_SLOT_NORM].rows, err));
    enum tr_status status = search_together(q, l, &search, &moments->moments[0], err);
    if (status == TR_OK) {
        divide_norm(q, l->slab, search.best);
        for (int slot = 0; slot < TR_SLOTS; slot++)
            if (l->kept[slot])
                scale_columns(q, l->slab, (enum tr_slot)slot, 0, search.best);
    }
    close_search(&search);
    return status;
}

enum tr_status tr_awq_scale_stage(struct tr_quantizer *q, int64_t slab, int stage, int64_t first,
                                  int64_t last, const struct tr_moments *moments,
                                  struct tr_err *err) {
    enum tr_awq_source source = tr_awq_source_of(q, slab, stage);
    struct sublayer l = {.slab = slab,
                         .first = first,
                         .last = last,
                         .stage = stage,
                         .module = plan_of(q, slab)->kind == TR_SLAB_MLP ? TR_MLP : TR_ATTN};
    if (source == TR_AWQ_NOTHING)
        return TR_OK;
    enum tr_status status =
        source == TR_AWQ_ROWS ? scale_rows(q, slab, moments, err) : scale_norm(q, &l, moments, err);
    forget(&l);
    return status == TR_OK ? tr_held_changed(q->held, slab, err) : status;
}

// ---- clipping ----------------------------------------------------------------------------------

// Queries and keys are not clipped, as AWQ's authors have it.
static bool is_clipped(const struct tr_slab_plan *plan, int slot) {
    return plan->kind != TR_SLAB_ATTN || slot == TR_SLOT_OUT;
}

enum tr_status tr_awq_clip_stage(struct tr_quantizer *q, int64_t slab, int stage,
                                 const struct tr_moments *moments, struct tr_err *err) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    for (int64_t k = 0; k < moments->count && q->settings->grid.clip; k++) {
        const struct tr_moment *m = &moments->moments[k];
        int64_t out = plan->slots[m->slot].rows / tr_target_matrices(plan);
        float *w = tr_held_slot(q->held, slab, m->slot) + m->matrix * out * m->in;
        if (is_clipped(plan, (int)m->slot) && takes_all(q, plan, stage) && m->all_rows > 0)
            TR_TRY(tr_awq_clip(w, &q->grid, m->sum, out, m->in, q->threads, err));
    }
    return TR_OK;
}

// ---- what is written ---------------------------------------------------------------------------

enum tr_status tr_awq_keep(struct tr_quantizer *q, int64_t slab, struct tr_part *part,
                           struct tr_err *err) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    for (uint64_t i = 0; i < plan->placement_count; i++) {
        const struct tr_placement *p = &plan->placements[i];
        struct tr_quantized *tensor;
        if (!tr_awq_changes(q, slab, p))
            continue;
        const float *slot = tr_held_slot(q->held, slab, p->slot);
        TR_TRY(tr_part_add(&tensor, part, p->tensor->name, err));
        TR_TRY(TR_NEW(&tensor->values, p->rows, "a tensor's values", err));
        tensor->count = p->rows;
        tensor->error = tensor->damping = NAN;
        for (int64_t r = 0; r < p->rows; r++)
            tensor->values[r] =
                slot[tr_placement_row(p, r)] - (p->transform == TR_PLUS_ONE ? 1 : 0);
    }
    return TR_OK;
}
