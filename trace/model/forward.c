// SPDX-License-Identifier: Apache-2.0
// The run over steps, candidates and micro-batches.
#include "model/forward.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "forward_state.h"

enum tr_status tr_forward_new(struct tr_forward **forward_p, struct kn_backend *kn,
                              const struct tr_config *config,
                              const struct tr_forward_options *options, struct tr_err *err) {
    struct tr_forward *f;
    TR_TRY(TR_NEW(&f, 1, "the forward pass", err));
    f->kn = kn;
    f->config = *config;
    f->options = *options;
    enum tr_status status = tr_forward_allocate(f, err);
    if (status != TR_OK) {
        tr_forward_free(f);
        return status;
    }
    *forward_p = f;
    return TR_OK;
}

void tr_forward_free(struct tr_forward *f) {
    if (!f)
        return;
    tr_forward_release(f);
    free(f);
}

// How a step runs: for every micro-batch, or once for the item; and the sublayer that it belongs
// to, without which it is left out (TR_MODULES: none).
static const struct {
    tr_step_func batch, item;
    tr_step_together_func together; // instead of `batch`, where divergences are measured
    enum tr_module module;
    bool is_end; // from the head on
} step_rows[TR_STEPS] = {
    [TR_STEP_EMBED] = {.batch = tr_step_embed, .module = TR_MODULES},
    [TR_STEP_POSITIONS] = {.batch = tr_step_positions, .module = TR_MODULES},
    [TR_STEP_EMBED_NORM] = {.batch = tr_step_embed_norm, .module = TR_MODULES},
    [TR_STEP_BLOCKS] = {.batch = tr_step_blocks, .module = TR_MODULES},
    [TR_STEP_ATTENTION] = {.batch = tr_step_attention, .module = TR_ATTN},
    [TR_STEP_SCAN] = {.batch = tr_step_scan, .module = TR_ATTN},
    [TR_STEP_MLP] = {.batch = tr_step_mlp, .module = TR_MLP},
    [TR_STEP_ROUTER] = {.batch = tr_step_router, .module = TR_MLP},
    [TR_STEP_SHARED_EXPERT] = {.batch = tr_step_shared_expert, .module = TR_MLP},
    [TR_STEP_EXPERTS] = {.batch = tr_step_experts, .module = TR_MLP},
    [TR_STEP_EXPERTS_END] = {.batch = tr_step_experts_end, .module = TR_MLP},
    [TR_STEP_BLOCK_END] = {.batch = tr_step_block_end, .module = TR_MODULES},
    [TR_STEP_LAYER_END] = {.item = tr_step_layer_end, .module = TR_MODULES},
    [TR_STEP_HEAD_DENSE] = {.batch = tr_step_head_dense, .module = TR_MODULES},
    [TR_STEP_HEAD] = {.batch = tr_step_head,
                      .together = tr_step_heads,
                      .module = TR_MODULES,
                      .is_end = true},
    [TR_STEP_COMPARE] = {.batch = tr_step_no_comparison,
                         .together = tr_step_compare,
                         .module = TR_MODULES,
                         .is_end = true},
    [TR_STEP_LOSSES] = {.item = tr_step_losses, .module = TR_MODULES, .is_end = true},
};

// A run of the forward pass.
struct run {
    struct tr_forward *f;
    const struct tr_weight_source *source;
    const struct tr_candidate *candidates;
    int count;
    const struct tr_step *steps; // the plan's
    int64_t *begins;             // [count]: the step from which a candidate goes on by itself
    struct tr_batch *batches;    // [count]
};

static bool leaves_out(const struct tr_candidate *candidate, const struct tr_step *step) {
    enum tr_module module = step_rows[step->kind].module;
    return module != TR_MODULES && tr_drop_set_has(candidate->drop, module, step->layer);
}

// Candidate c's micro-batch that begins with sequence `first`.
static struct tr_batch batch_of(const struct run *r, int c, const struct tr_weights *weights,
                                const struct tr_step *step, int64_t first) {
    const struct tr_candidate *candidate = &r->candidates[c];
    const struct tr_forward *f = r->f;
    int64_t left = f->end - first, micro = f->options.micro_batch;
    int64_t sequences = left < micro ? left : micro;
    return (struct tr_batch){
        .step = step,
        .weights = weights,
        .streams = candidate->streams,
        .base = r->candidates[0].streams,
        .first_sequence = first,
        .sequences = sequences,
        .row = (first - f->begin) * f->options.seq_len,
        .rows = sequences * f->options.seq_len,
        .taps = candidate->taps,
        .compares = candidate->compares,
        .has_attn = step->has_attn && !tr_drop_set_has(candidate->drop, TR_ATTN, step->layer),
        .has_mlp = step->has_mlp && !tr_drop_set_has(candidate->drop, TR_MLP, step->layer)};
}

static enum tr_status run_step(const struct run *r, int c, const struct tr_weights *weights,
                               int64_t index, int64_t first, struct tr_err *err) {
    const struct tr_step *step = &r->steps[index];
    if (index < r->begins[c] || leaves_out(&r->candidates[c], step))
        return TR_OK;
    if (r->candidates[c].blocks_only && step_rows[step->kind].is_end)
        return TR_OK;
    struct tr_batch b = batch_of(r, c, weights, step, first);
    if (step_rows[step->kind].item)
        return step_rows[step->kind].item(r->f, &b, err);
    enum tr_status status = step_rows[step->kind].batch(r->f, &b, err);
    return status == tr_enough ? TR_OK : status;
}

// Runs a step that takes all candidates at once.
static enum tr_status run_whole(const struct run *r, const struct tr_weights *weights,
                                int64_t index, struct tr_err *err) {
    const struct tr_forward *f = r->f;
    const struct tr_step *step = &r->steps[index];
    for (int64_t first = f->begin; first < f->end; first += f->options.micro_batch) {
        int count = 0;
        for (int c = 0; c < r->count; c++)
            if (!r->candidates[c].blocks_only)
                r->batches[count++] = batch_of(r, c, weights, step, first);
        TR_TRY(step_rows[step->kind].together(r->f, r->batches, count, err));
    }
    return TR_OK;
}

// Runs steps [begin, end), which are all for every micro-batch or all for the item. Each
// micro-batch goes through all of them before the next one does, so that the scratch which they
// share stays its own.
static enum tr_status run_together(const struct run *r, const struct tr_weights *weights,
                                   int64_t begin, int64_t end, struct tr_err *err) {
    struct tr_forward *f = r->f;
    bool once = step_rows[r->steps[begin].kind].item != NULL;
    for (int c = 0; c < r->count; c++)
        for (int64_t first = f->begin; first < f->end; first += f->options.micro_batch) {
            for (int64_t s = begin; s < end; s++)
                TR_TRY(run_step(r, c, weights, s, first, err));
            if (once)
                break;
        }
    return TR_OK;
}

// ---- candidates that fork ----------------------------------------------------------------------

// The first of the steps [begin, end) from which a candidate differs from its parent, or the head's
// first. Both need weights.
static int64_t fork_step(const struct run *r, const struct tr_candidate *candidate, int64_t begin,
                         int64_t end) {
    for (int64_t s = begin; s < end; s++)
        if (r->steps[s].kind == TR_STEP_HEAD ||
            leaves_out(candidate, &r->steps[s]) != leaves_out(candidate->parent, &r->steps[s]))
            return s;
    return end;
}

// Whether a step is the first of its block: the stream before it is whole.
static bool enters_block(const struct run *r, int64_t index) {
    if (step_rows[r->steps[index].kind].module == TR_MODULES || index == 0)
        return false;
    enum tr_step_kind before = r->steps[index - 1].kind;
    return before == TR_STEP_BLOCKS || before == TR_STEP_LAYER_END;
}

// The step with which a candidate goes on from a bookmark: blocks that have no sublayers are passed
// over, which add nothing.
static int64_t resume_step(const struct run *r, int64_t layer, int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; s++)
        if (enters_block(r, s) && r->steps[s].layer >= layer)
            return s;
    return end;
}

// Who goes through the steps before `index` for candidate c.
static const struct tr_candidate *forerunner(const struct run *r, int c, int64_t index) {
    const struct tr_candidate *candidate = r->candidates[c].parent;
    while (r->begins[candidate - r->candidates] > index && candidate->parent)
        candidate = candidate->parent;
    TR_ASSERT(r->begins[candidate - r->candidates] <= index);
    return candidate;
}

static enum tr_status copy_rows(struct tr_forward *f, float *to, float *from, struct tr_err *err) {
    int64_t rows = (f->end - f->begin) * f->options.seq_len, hidden = f->config.hidden;
    struct kn_matrix y = kn_matrix(to, KN_F32, rows, hidden);
    struct kn_matrix x = kn_matrix(from, KN_F32, rows, hidden);
    struct kn_copy_heads op = {.y = {.x = y, .count = 1, .pitch = hidden, .dim = hidden},
                               .x = {.x = x, .count = 1, .pitch = hidden, .dim = hidden}};
    KN_TRY(f->kn->ops->copy_heads(f->kn, &op), "forking a candidate");
    return TR_OK;
}

// Gives the candidates that go on by themselves from this step the streams of those that went
// before them: x, and within a block what its attention added.
static enum tr_status fork_at(const struct run *r, int64_t index, struct tr_err *err) {
    const struct tr_step *step = &r->steps[index];
    for (int c = 1; c < r->count; c++) {
        const struct tr_candidate *candidate = &r->candidates[c];
        if (candidate->resume || !candidate->parent || r->begins[c] != index)
            continue;
        const struct tr_streams *from = forerunner(r, c, index)->streams;
        bool within = step_rows[step->kind].module == TR_MLP && step->has_attn &&
                      !tr_drop_set_has(candidate->drop, TR_ATTN, step->layer);
        TR_TRY(copy_rows(r->f, candidate->streams->x, from->x, err));
        if (within)
            TR_TRY(copy_rows(r->f, candidate->streams->delta, from->delta, err));
    }
    return TR_OK;
}

// Brings the streams of candidates that go on from a bookmark, and keeps those of others that come
// by.
static enum tr_status use_bookmarks(const struct run *r, int64_t index, struct tr_err *err) {
    int layer = r->steps[index].layer;
    for (int c = 0; c < r->count && enters_block(r, index); c++) {
        const struct tr_candidate *candidate = &r->candidates[c];
        float *const *marks = candidate->bookmarks;
        if (!marks)
            continue;
        if (candidate->resume && r->begins[c] == index)
            TR_TRY(copy_rows(r->f, candidate->streams->x, marks[candidate->resume], err));
        else if (marks[layer] && r->begins[c] < index)
            TR_TRY(copy_rows(r->f, marks[layer], candidate->streams->x, err));
    }
    return TR_OK;
}

// ---- the run -----------------------------------------------------------------------------------

// Runs steps [begin, end), which share one slab of weights: the first needs it, the others need
// none.
static enum tr_status run_slab(const struct run *r, int64_t begin, int64_t end,
                               struct tr_err *err) {
    const struct tr_taps *taps = r->candidates[0].taps;
    int64_t slab = r->steps[begin].slab;
    struct tr_weights weights = {0};
    if (slab >= 0) {
        TR_TRY(r->source->next(r->source->user, slab, &weights, err));
        taps->slab(taps->user, slab);
    }
    TR_TRY(use_bookmarks(r, begin, err));
    TR_TRY(fork_at(r, begin, err));
    for (int64_t s = begin, next; s < end; s = next) {
        next = s + 1;
        if (step_rows[r->steps[s].kind].together && tr_measures_divergences(r->f, r->count)) {
            TR_TRY(run_whole(r, &weights, s, err));
            continue;
        }
        while (next < end && step_rows[r->steps[s].kind].batch &&
               step_rows[r->steps[next].kind].batch)
            next++;
        TR_TRY(run_together(r, &weights, s, next, err));
    }
    return slab >= 0 ? r->source->done(r->source->user, err) : TR_OK;
}

static enum tr_status run_steps(const struct run *r, int64_t begin, int64_t end,
                                struct tr_err *err) {
    if (!r->f->goes_on)
        TR_TRY(tr_start_item(r->f, r->candidates, r->count, err));
    for (int64_t s = begin, next; s < end; s = next) {
        next = s + 1;
        while (next < end && r->steps[next].slab < 0)
            next++;
        TR_TRY(run_slab(r, s, next, err));
    }
    for (int c = 0; c < r->count; c++)
        TR_TRY(tr_deliver_layer(r->f, r->candidates[c].streams, r->candidates[c].taps, err));
    return TR_OK;
}

// Bits depend on where micro-batches begin, so all passes have to cut the rows alike.
static void check_pass(const struct tr_forward *f, const struct tr_pass *pass,
                       const struct tr_weight_plan *plan) {
    TR_ASSERT(pass->rows->seq_len == f->options.seq_len);
    TR_ASSERT(f->options.cached == (pass->cached != NULL));
    TR_ASSERT(pass->begin >= 0 && pass->begin % f->options.micro_batch == 0);
    TR_ASSERT(pass->begin <= pass->end && pass->end <= pass->rows->sequences);
    TR_ASSERT(pass->end - pass->begin <= f->options.max_sequences);
    TR_ASSERT(pass->first_step >= 0 && pass->first_step <= plan->step_count);
    TR_ASSERT(pass->last_step >= 0 && pass->last_step <= plan->step_count);
}

static enum tr_status prepare(struct run *r, int64_t begin, int64_t end, struct tr_err *err) {
    TR_TRY(TR_NEW(&r->begins, r->count, "the candidates", err));
    TR_TRY(TR_NEW(&r->batches, r->count, "the candidates", err));
    for (int c = 1; c < r->count; c++)
        if (r->candidates[c].resume)
            r->begins[c] = resume_step(r, r->candidates[c].resume, begin, end);
        else if (r->candidates[c].parent)
            r->begins[c] = fork_step(r, &r->candidates[c], begin, end);
    while (r->candidates[0].at_head && r->begins[0] < end &&
           r->steps[r->begins[0]].kind != TR_STEP_HEAD)
        r->begins[0]++;
    return TR_OK;
}

static void set_rows(struct tr_forward *f, const struct tr_pass *pass) {
    f->rows = *pass->rows;
    f->cached = pass->cached;
    f->begin = pass->begin;
    f->end = pass->end;
    f->goes_on = pass->goes_on;
}

enum tr_status tr_forward_place(struct tr_forward *f, const struct tr_candidate *candidate,
                                const struct tr_pass *pass, struct tr_err *err) {
    TR_ASSERT(f->options.positions && f->options.best);
    set_rows(f, pass);
    return tr_start_item(f, candidate, 1, err);
}

const int32_t *tr_forward_chosen(const struct tr_forward *f) {
    return f->chosen;
}

enum tr_status tr_forward_run(struct tr_forward *f, const struct tr_weight_source *source,
                              const struct tr_candidate *candidates, int count,
                              const struct tr_pass *pass, struct tr_err *err) {
    const struct tr_weight_plan *plan = source->plan;
    struct run run = {f, source, candidates, count, plan->steps, NULL, NULL};
    TR_ASSERT(count >= 1 && !candidates[0].parent);
    check_pass(f, pass, plan);
    set_rows(f, pass);
    int64_t last = pass->last_step ? pass->last_step : plan->step_count;
    enum tr_status status = prepare(&run, pass->first_step, last, err);
    if (status == TR_OK)
        status = run_steps(&run, pass->first_step, last, err);
    source->stop(source->user);
    free(run.begins);
    free(run.batches);
    return status;
}
