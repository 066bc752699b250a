// SPDX-License-Identifier: Apache-2.0
// One block: which of its weights come when, and what meets them.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "awq_scaling.h"
#include "base/alloc.h"
#include "model/weight_source.h"
#include "moments.h"
#include "targets.h"

// One of the matrices of a slot.
struct matrix {
    int64_t slab;
    enum tr_slot slot;
    int64_t index, out, in;
    float *w;         // [out, in], in the held slab
    const char *name; // of a tensor that it has rows of
};

static const struct tr_slab_plan *plan_of(const struct tr_quantizer *q, int64_t slab) {
    return &q->plan->slabs[slab];
}

bool tr_quantizer_takes(const struct tr_quantizer *q, const struct tr_slab_plan *slab,
                        const struct tr_placement *placement) {
    if (tr_target_stage(slab, placement->slot) < 0)
        return false;
    for (int64_t i = 0; i < q->settings->skips; i++)
        if (strstr(placement->tensor->name, q->settings->skip[i]))
            return false;
    return true;
}

// ---- a matrix and its tensors ------------------------------------------------------------------

// The place of a placement's first row in a matrix; negative or beyond it where it is of another.
static int64_t first_row(const struct matrix *m, const struct tr_placement *p) {
    return tr_placement_row(p, 0) - m->index * m->out;
}

static bool has_rows(const struct tr_quantizer *q, const struct matrix *m,
                     const struct tr_placement *p) {
    return p->slot == m->slot && first_row(m, p) >= 0 && first_row(m, p) < m->out &&
           tr_quantizer_takes(q, plan_of(q, m->slab), p);
}

static struct matrix matrix_of(const struct tr_quantizer *q, int64_t slab, enum tr_slot slot,
                               int64_t index) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    struct matrix m = {.slab = slab,
                       .slot = slot,
                       .index = index,
                       .out = plan->slots[slot].rows / tr_target_matrices(plan),
                       .in = plan->slots[slot].cols};
    m.w = tr_held_slot(q->held, slab, slot) + index * m.out * m.in;
    for (uint64_t i = plan->placement_count; i-- > 0;)
        if (has_rows(q, &m, &plan->placements[i]))
            m.name = plan->placements[i].tensor->name;
    return m;
}

// What a matrix becomes, and the squares of its rows' outputs: of what is wrong, and of all.
struct outcome {
    struct tr_codes codes;
    float *values;       // [out, in]
    double *wrong, *all; // [out], where text met it; else NULL
    double damping;
    int64_t rows; // of text
};

static enum tr_status find_values(const struct tr_quantizer *q, const struct matrix *m,
                                  const struct tr_moment *moment, struct outcome *outcome,
                                  struct tr_err *err) {
    TR_TRY(TR_NEW_UNSET(&outcome->values, m->out * m->in, "a weight", err));
    tr_rounded_values(&outcome->codes, outcome->values, q->threads);
    if (!moment || moment->all_rows <= 0)
        return TR_OK;
    TR_TRY(TR_NEW(&outcome->wrong, 2 * m->out, "the squares of outputs", err));
    outcome->all = outcome->wrong + m->out;
    TR_TRY(tr_squared_outputs(outcome->wrong, q->kn, outcome->values, m->w, m->out, m->in,
                              moment->device, err));
    return tr_squared_outputs(outcome->all, q->kn, m->w, NULL, m->out, m->in, moment->device, err);
}

static void forget(struct outcome *outcome) {
    tr_codes_free(&outcome->codes);
    free(outcome->values);
    free(outcome->wrong);
}

// The part of a tensor's output that is wrong, NaN where nothing met it.
static double error_of(const struct matrix *m, const struct tr_placement *p,
                       const struct outcome *outcome) {
    double wrong = 0, all = 0;
    if (!outcome->wrong)
        return NAN;
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t row = tr_placement_row(p, r) - m->index * m->out;
        wrong += outcome->wrong[row];
        all += outcome->all[row];
    }
    return all > 0 ? fmax(wrong, 0) / all : 0;
}

// The codes of a tensor, whose rows may lie apart in the matrix; the rows become what they mean.
static enum tr_status gather(struct tr_codes *to, const struct outcome *outcome,
                             const struct matrix *m, const struct tr_placement *p, int threads,
                             struct tr_err *err) {
    const struct tr_codes *from = &outcome->codes;
    int64_t in = from->in, groups = from->groups;
    TR_TRY(tr_codes_new(to, p->rows, in, from->bits, from->group_size, from->group_of != NULL,
                        p->tensor->name, err));
    to->symmetric = from->symmetric;
    to->scale_dtype = from->scale_dtype;
    if (from->group_of)
        memcpy(to->group_of, from->group_of, (size_t)in * sizeof *to->group_of);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t row = tr_placement_row(p, r) - m->index * m->out;
        memcpy(to->code + r * in, from->code + row * in, (size_t)in);
        memcpy(to->scale + r * groups, from->scale + row * groups,
               (size_t)groups * sizeof *to->scale);
        memcpy(to->zero + r * groups, from->zero + row * groups, (size_t)groups);
        memcpy(m->w + row * in, outcome->values + row * in, (size_t)in * sizeof *m->w);
    }
    return TR_OK;
}

static enum tr_status keep_tensor(struct tr_part *part, const struct matrix *m,
                                  const struct tr_placement *p, const struct outcome *outcome,
                                  int threads, struct tr_err *err) {
    struct tr_quantized *tensor;
    TR_TRY(tr_part_add(&tensor, part, p->tensor->name, err));
    tensor->error = error_of(m, p, outcome);
    tensor->damping = outcome->damping;
    tensor->rows = outcome->rows;
    return gather(&tensor->codes, outcome, m, p, threads, err);
}

// ---- into few bits -----------------------------------------------------------------------------

static enum tr_status compensate(const struct tr_quantizer *q, const struct matrix *m,
                                 const struct tr_moment *moment, struct outcome *outcome,
                                 struct tr_err *err) {
    struct tr_gptq_factor factor = {0};
    TR_TRY(tr_gptq_factor_new(&factor, q->kn, &q->settings->gptq, moment->device, m->in, err));
    if (factor.factored)
        outcome->damping = factor.damping;
    enum tr_status status = tr_gptq(&outcome->codes, &q->grid, &q->settings->gptq, &factor, m->w,
                                    m->out, q->threads, m->name, err);
    tr_gptq_factor_free(&factor);
    return status;
}

static enum tr_status round_matrix(const struct tr_quantizer *q, const struct matrix *m,
                                   const struct tr_moment *moment, struct outcome *outcome,
                                   struct tr_err *err) {
    if (q->settings->method == TR_QUANT_GPTQ)
        return compensate(q, m, moment, outcome, err);
    return tr_round_to_nearest(&outcome->codes, &q->grid, m->w, m->out, m->in, q->threads, m->name,
                               err);
}

static enum tr_status quantize_matrix(struct tr_quantizer *q, struct tr_part *part,
                                      const struct matrix *m, const struct tr_moment *moment,
                                      struct tr_err *err) {
    const struct tr_slab_plan *plan = plan_of(q, m->slab);
    struct outcome outcome = {.damping = NAN};
    outcome.rows = moment ? (int64_t)moment->all_rows : 0;
    enum tr_status status = round_matrix(q, m, moment, &outcome, err);
    if (status == TR_OK)
        status = find_values(q, m, moment, &outcome, err);
    for (uint64_t i = 0; i < plan->placement_count && status == TR_OK; i++)
        if (has_rows(q, m, &plan->placements[i]))
            status = keep_tensor(part, m, &plan->placements[i], &outcome, q->threads, err);
    forget(&outcome);
    return status;
}

static enum tr_status quantize_stage(struct tr_quantizer *q, struct tr_part *part, int64_t slab,
                                     int stage, const struct tr_moments *moments,
                                     struct tr_err *err) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    for (int slot = 0; slot < TR_SLOTS; slot++) {
        if (tr_target_stage(plan, (enum tr_slot)slot) != stage)
            continue;
        for (int64_t i = 0; i < tr_target_matrices(plan); i++) {
            struct matrix m = matrix_of(q, slab, (enum tr_slot)slot, i);
            if (m.name)
                TR_TRY(quantize_matrix(q, part, &m,
                                       moments ? tr_moments_of(moments, m.slot, i) : NULL, err));
        }
    }
    return tr_held_changed(q->held, slab, err);
}

// ---- the order ---------------------------------------------------------------------------------

static bool has_stage(const struct tr_slab_plan *plan, int stage) {
    for (int slot = 0; slot < TR_SLOTS; slot++)
        if (tr_target_stage(plan, (enum tr_slot)slot) == stage)
            return true;
    return false;
}

// All ranks have the same moments and so the same codes; what fails, fails on all but for want of
// memory.
static enum tr_status measure_and_quantize(struct tr_quantizer *q, struct tr_part *part,
                                           int64_t slab, int stage, int64_t first, int64_t last,
                                           struct tr_err *err) {
    struct tr_moments moments = {0};
    if (!tr_quantizer_runs(q))
        return quantize_stage(q, part, slab, stage, NULL, err);
    enum tr_status status = tr_moments_measure(&moments, q, slab, stage, first, last, err);
    if (status == TR_OK) {
        if (q->settings->method == TR_QUANT_AWQ)
            status = tr_awq_clip_stage(q, slab, stage, &moments, err);
        if (status == TR_OK)
            status = quantize_stage(q, part, slab, stage, &moments, err);
        if (!dist_all_ok(q->dist, status == TR_OK) && status == TR_OK)
            status = tr_fail(err, TR_ENVIRONMENT, "the work ended on another rank");
    }
    tr_moments_free(&moments);
    return status;
}

// Scales of all stages are found before any weight is rounded, for some divide rows of an earlier
// stage.
static enum tr_status scale_stage(struct tr_quantizer *q, int64_t slab, int stage, int64_t first,
                                  int64_t last, struct tr_err *err) {
    struct tr_moments moments = {0};
    if (tr_awq_source_of(q, slab, stage) == TR_AWQ_NOTHING)
        return TR_OK;
    enum tr_status status = tr_moments_measure(&moments, q, slab, stage, first, last, err);
    if (status == TR_OK)
        status = tr_awq_scale_stage(q, slab, stage, first, last, &moments, err);
    tr_moments_free(&moments);
    return dist_all_ok(q->dist, status == TR_OK) || status != TR_OK
               ? status
               : tr_fail(err, TR_ENVIRONMENT, "the work ended on another rank");
}

// Steps [first, last) are those that meet the slab's weights.
static enum tr_status quantize_slab(struct tr_quantizer *q, struct tr_part *part, int64_t slab,
                                    int64_t first, int64_t last, struct tr_err *err) {
    bool scales = q->settings->method == TR_QUANT_AWQ;
    for (int stage = 0; stage < TR_STAGES; stage++)
        if (scales && has_stage(plan_of(q, slab), stage))
            TR_TRY(scale_stage(q, slab, stage, first, last, err));
    for (int stage = 0; stage < TR_STAGES; stage++)
        if (has_stage(plan_of(q, slab), stage))
            TR_TRY(measure_and_quantize(q, part, slab, stage, first, last, err));
    return scales ? tr_awq_keep(q, slab, part, err) : TR_OK;
}

// The steps of a layer, and the slabs that they need.
struct span {
    int64_t first, last, first_slab, last_slab;
};

static struct span span_of(const struct tr_quantizer *q, int layer) {
    struct span span = {-1, -1, -1, -1};
    for (int64_t s = 0; s < q->plan->step_count; s++) {
        const struct tr_step *step = &q->plan->steps[s];
        bool is_block = step->kind >= TR_STEP_ATTENTION && step->kind <= TR_STEP_LAYER_END;
        if (!is_block || step->layer != layer)
            continue;
        span.first = span.first < 0 ? s : span.first;
        span.last = s + 1;
        if (step->slab < 0)
            continue;
        span.first_slab = span.first_slab < 0 ? step->slab : span.first_slab;
        span.last_slab = step->slab + 1;
    }
    return span;
}

// The step behind those that go with the slab of step s: of a router up to the first experts.
static int64_t behind(const struct tr_quantizer *q, int64_t s) {
    const struct tr_step *steps = q->plan->steps;
    int64_t end = s + 1;
    while (steps[s].kind == TR_STEP_ROUTER && steps[end].kind != TR_STEP_EXPERTS)
        end++;
    return end;
}

// Whether later steps of the block read what this one leaves: what attention adds, or the routes.
static bool is_read_on(const struct tr_step *step) {
    return step->kind == TR_STEP_ATTENTION || step->kind == TR_STEP_SCAN ||
           step->kind == TR_STEP_ROUTER;
}

// Experts add to what came before them, so the text goes through them once more from the router on
// when all are done; what meets them does not depend on each other.
static enum tr_status quantize_steps(struct tr_quantizer *q, struct tr_part *part,
                                     const struct span *span, struct tr_err *err) {
    const struct tr_step *steps = q->plan->steps;
    int64_t from = span->first;
    for (int64_t s = span->first; s < span->last; s++) {
        if (steps[s].slab < 0)
            continue;
        TR_TRY(quantize_slab(q, part, steps[s].slab, s, behind(q, s), err));
        if (!is_read_on(&steps[s]) || !tr_quantizer_runs(q))
            continue;
        TR_TRY(tr_quantizer_run(q, s, behind(q, s), err));
        from = steps[s].kind == TR_STEP_ROUTER ? s : s + 1;
    }
    return tr_quantizer_runs(q) ? tr_quantizer_run(q, from, span->last, err) : TR_OK;
}

static enum tr_status take(struct tr_quantizer *q, const struct span *span, struct tr_err *err) {
    int64_t none = span->first_slab < 0;
    return tr_held_take(q->held, none ? 0 : span->first_slab, none ? 0 : span->last_slab, err);
}

enum tr_status tr_quantize_block(struct tr_quantizer *q, int layer, struct tr_part *part,
                                 struct tr_err *err) {
    struct span span = span_of(q, layer);
    enum tr_status status = take(q, &span, err);
    if (!dist_all_ok(q->dist, status == TR_OK))
        return status == TR_OK ? tr_fail(err, TR_ENVIRONMENT, "another rank could not read on")
                               : status;
    return quantize_steps(q, part, &span, err);
}

// ---- nothing but rounding ----------------------------------------------------------------------

static enum tr_status round_slab(struct tr_quantizer *q, struct tr_part *part, int64_t slab,
                                 struct tr_err *err) {
    for (int stage = 0; stage < TR_STAGES; stage++)
        if (has_stage(plan_of(q, slab), stage))
            TR_TRY(quantize_stage(q, part, slab, stage, NULL, err));
    return TR_OK;
}

enum tr_status tr_round_block(struct tr_quantizer *q, int layer, int64_t *end_p,
                              struct tr_err *err) {
    struct span span = span_of(q, layer);
    struct tr_part part = {0};
    enum tr_status status = take(q, &span, err);
    for (int64_t slab = span.first_slab; slab >= 0 && slab < span.last_slab; slab++)
        if (status == TR_OK)
            status = round_slab(q, &part, slab, err);
    tr_part_free(&part);
    *end_p = span.last;
    return status;
}

// ---- as an earlier job left it -----------------------------------------------------------------

static enum tr_status put_values(struct tr_quantizer *q, int64_t slab, const struct tr_placement *p,
                                 const struct tr_quantized *tensor, struct tr_err *err) {
    float *slot = tr_held_slot(q->held, slab, p->slot);
    if (tensor->count != p->rows)
        return tr_fail(err, TR_EFORMAT, "the part of %s has another shape", tensor->name);
    for (int64_t r = 0; r < p->rows; r++)
        slot[tr_placement_row(p, r)] = tensor->values[r] + (p->transform == TR_PLUS_ONE ? 1 : 0);
    return TR_OK;
}

static enum tr_status put_codes(struct tr_quantizer *q, int64_t slab, const struct tr_placement *p,
                                const struct tr_quantized *tensor, struct tr_err *err) {
    int64_t in = plan_of(q, slab)->slots[p->slot].cols;
    float *slot = tr_held_slot(q->held, slab, p->slot), *values;
    if (tensor->codes.out != p->rows || tensor->codes.in != in)
        return tr_fail(err, TR_EFORMAT, "the part of %s has another shape", tensor->name);
    TR_TRY(TR_NEW(&values, p->rows * in, "a weight", err));
    tr_rounded_values(&tensor->codes, values, q->threads);
    for (int64_t r = 0; r < p->rows; r++)
        memcpy(slot + tr_placement_row(p, r) * in, values + r * in, (size_t)in * sizeof *values);
    free(values);
    return TR_OK;
}

static enum tr_status put_part(struct tr_quantizer *q, int64_t slab, const struct tr_part *part,
                               struct tr_err *err) {
    const struct tr_slab_plan *plan = plan_of(q, slab);
    for (uint64_t i = 0; i < plan->placement_count; i++) {
        const struct tr_placement *p = &plan->placements[i];
        const struct tr_quantized *tensor = tr_part_find(part, p->tensor->name);
        if (tensor && tensor->values)
            TR_TRY(put_values(q, slab, p, tensor, err));
        if (!tensor || !tensor->codes.code || !tr_quantizer_takes(q, plan, p))
            continue;
        TR_TRY(put_codes(q, slab, p, tensor, err));
    }
    return tr_held_changed(q->held, slab, err);
}

enum tr_status tr_replay_block(struct tr_quantizer *q, int layer, const struct tr_part *part,
                               struct tr_err *err) {
    struct span span = span_of(q, layer);
    TR_TRY(take(q, &span, err));
    for (int64_t slab = span.first_slab; slab >= 0 && slab < span.last_slab; slab++)
        TR_TRY(put_part(q, slab, part, err));
    return tr_quantizer_run(q, span.first, span.last, err);
}
