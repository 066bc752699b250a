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

// The codes of a tensor, whose rows lie apart in the matrix.
static enum tr_status gather(struct tr_codes *to, const struct tr_codes *from,
                             const struct matrix *m, const struct tr_placement *p,
                             struct tr_err *err) {
    int64_t in = from->in, groups = from->groups;
    TR_TRY(tr_codes_new(to, p->rows, in, from->bits, from->group_size, from->group_of != NULL,
                        p->tensor->name, err));
    to->symmetric = from->symmetric;
    to->scale_dtype = from->scale_dtype;
    if (from->group_of)
        memcpy(to->group_of, from->group_of, (size_t)in * sizeof *to->group_of);
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t row = tr_placement_row(p, r) - m->index * m->out;
        memcpy(to->code + r * in, from->code + row * in, (size_t)in);
        memcpy(to->scale + r * groups, from->scale + row * groups,
               (size_t)groups * sizeof *to->scale);
        memcpy(to->zero + r * groups, from->zero + row * groups, (size_t)groups);
    }
    return TR_OK;
}

// Rows of the matrix become what the tensor's codes mean, or its values.
static enum tr_status put_back(const struct matrix *m, const struct tr_placement *p,
                               const struct tr_codes *codes, struct tr_err *err) {
    float *values;
    TR_TRY(TR_NEW(&values, codes->out * codes->in, "a weight", err));
    tr_codes_values(codes, values);
    for (int64_t r = 0; r < p->rows; r++)
        memcpy(m->w + (tr_placement_row(p, r) - m->index * m->out) * m->in, values + r * m->in,
               (size_t)m->in * sizeof *values);
    free(values);
    return TR_OK;
}

// How wrong a tensor's output becomes; its rows in the matrix are still as they were.
static enum tr_status find_error(const struct tr_quantizer *q, const struct matrix *m,
                                 const struct tr_placement *p, const struct tr_moment *moment,
                                 struct tr_quantized *tensor, struct tr_err *err) {
    int64_t size = p->rows * m->in;
    float *values, *before;
    if (!moment || moment->all_rows <= 0)
        return TR_OK;
    TR_TRY(TR_NEW(&values, 2 * size, "a weight", err));
    before = values + size;
    tr_codes_values(&tensor->codes, values);
    for (int64_t r = 0; r < p->rows; r++)
        memcpy(before + r * m->in, m->w + (tr_placement_row(p, r) - m->index * m->out) * m->in,
               (size_t)m->in * sizeof *before);
    enum tr_status status = tr_output_error(&tensor->error, values, before, p->rows, m->in,
                                            moment->sum, q->threads, err);
    free(values);
    return status;
}

static enum tr_status keep_tensor(const struct tr_quantizer *q, struct tr_part *part,
                                  const struct matrix *m, const struct tr_placement *p,
                                  const struct tr_codes *codes, const struct tr_moment *moment,
                                  const struct tr_quantized *facts, struct tr_err *err) {
    struct tr_quantized *tensor;
    TR_TRY(tr_part_add(&tensor, part, p->tensor->name, err));
    tensor->error = facts->error;
    tensor->damping = facts->damping;
    tensor->rows = facts->rows;
    TR_TRY(gather(&tensor->codes, codes, m, p, err));
    TR_TRY(find_error(q, m, p, moment, tensor, err));
    return put_back(m, p, &tensor->codes, err);
}

// ---- into few bits -----------------------------------------------------------------------------

static enum tr_status compensate(const struct tr_quantizer *q, const struct matrix *m,
                                 const struct tr_moment *moment, struct tr_codes *codes,
                                 struct tr_quantized *facts, struct tr_err *err) {
    struct tr_gptq_factor factor = {0};
    TR_TRY(tr_gptq_factor_new(&factor, &q->settings->gptq, moment->sum, m->in, q->threads, err));
    if (factor.factored)
        facts->damping = factor.damping;
    enum tr_status status = tr_gptq(codes, &q->grid, &q->settings->gptq, &factor, m->w, m->out,
                                    q->threads, m->name, err);
    tr_gptq_factor_free(&factor);
    return status;
}

static enum tr_status round_matrix(const struct tr_quantizer *q, const struct matrix *m,
                                   const struct tr_moment *moment, struct tr_codes *codes,
                                   struct tr_quantized *facts, struct tr_err *err) {
    if (q->settings->method == TR_QUANT_GPTQ)
        return compensate(q, m, moment, codes, facts, err);
    return tr_round_to_nearest(codes, &q->grid, m->w, m->out, m->in, q->threads, m->name, err);
}

static enum tr_status quantize_matrix(struct tr_quantizer *q, struct tr_part *part,
                                      const struct matrix *m, const struct tr_moment *moment,
                                      struct tr_err *err) {
    const struct tr_slab_plan *plan = plan_of(q, m->slab);
    struct tr_quantized facts = {.error = NAN, .damping = NAN};
    struct tr_codes codes = {0};
    facts.rows = moment ? (int64_t)moment->all_rows : 0;
    enum tr_status status = round_matrix(q, m, moment, &codes, &facts, err);
    for (uint64_t i = 0; i < plan->placement_count && status == TR_OK; i++)
        if (has_rows(q, m, &plan->placements[i]))
            status = keep_tensor(q, part, m, &plan->placements[i], &codes, moment, &facts, err);
    tr_codes_free(&codes);
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
        struct matrix m = {.in = plan->slots[p->slot].cols,
                           .w = tr_held_slot(q->held, slab, p->slot)};
        if (tensor->codes.out != p->rows || tensor->codes.in != m.in)
            return tr_fail(err, TR_EFORMAT, "the part of %s has another shape", tensor->name);
        TR_TRY(put_back(&m, p, &tensor->codes, err));
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
