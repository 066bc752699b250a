// SPDX-License-Identifier: Apache-2.0
#include "passes.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "model/costs.h"

static int64_t lesser(int64_t a, int64_t b) {
    return a < b ? a : b;
}

void tr_item_sequences(const struct tr_job *job, const struct dist_item *item, int64_t *begin_p,
                       int64_t *end_p) {
    int64_t all = job->calibration.sequences;
    *begin_p = lesser(lesser(item->begin, job->micro_batches) * job->micro_batch, all);
    *end_p = lesser(lesser(item->end, job->micro_batches) * job->micro_batch, all);
}

static enum tr_status add(struct tr_item_passes *passes, const struct tr_item_pass *pass,
                          struct tr_err *err) {
    TR_TRY(tr_grow((void **)&passes->passes, &passes->capacity, (uint64_t)passes->count + 1,
                   sizeof *passes->passes, "the passes of an item", err));
    passes->passes[passes->count++] = *pass;
    return TR_OK;
}

static enum tr_status add_waves(struct tr_item_passes *passes, const struct tr_job *job,
                                const struct tr_fit *fit, const struct dist_item *item,
                                struct tr_err *err) {
    int64_t begin, end, seq_len = job->calibration.seq_len;
    tr_item_sequences(job, item, &begin, &end);
    for (; begin < end; begin += fit->wave) {
        struct tr_item_pass pass = {.begin = begin, .end = lesser(begin + fit->wave, end)};
        pass.tokens = (double)((pass.end - pass.begin) * seq_len);
        pass.flops = tr_config_flops(&job->first.config, pass.tokens, seq_len, &job->wanted);
        TR_TRY(add(passes, &pass, err));
    }
    return TR_OK;
}

static struct tr_item_pass cost_pass(const struct tr_job *job, const struct tr_cost_block *costs) {
    int64_t seq_len = job->calibration.seq_len, rows = job->info.layout.cost_sequences;
    int64_t first = costs->first_batch * job->micro_batch;
    int64_t last = lesser(costs->last_batch * job->micro_batch, rows);
    double tokens = (double)((last - first) * seq_len);
    struct tr_cost_flops flops =
        tr_cost_plan_flops(&job->cost, &job->first.config, costs->first_candidate,
                           costs->last_candidate, tokens, seq_len, &job->wanted);
    double candidates = (double)(costs->last_candidate - costs->first_candidate);
    return (struct tr_item_pass){.costs = *costs,
                                 .tokens = tokens * candidates * flops.done / flops.whole,
                                 .flops = flops.done,
                                 .cost_flops = flops};
}

// A rectangle of micro-batches and candidates, cut to what a rank has room for.
static enum tr_status add_block(struct tr_item_passes *passes, const struct tr_job *job,
                                const struct tr_fit *fit, const struct tr_cost_block *block,
                                struct tr_err *err) {
    for (int64_t batch = block->first_batch; batch < block->last_batch; batch += fit->cost_batches)
        for (int64_t first = block->first_candidate; first < block->last_candidate;
             first += fit->cost_candidates) {
            struct tr_cost_block part = {
                batch, lesser(batch + fit->cost_batches, block->last_batch), first,
                lesser(first + fit->cost_candidates, block->last_candidate)};
            struct tr_item_pass pass = cost_pass(job, &part);
            TR_TRY(add(passes, &pass, err));
        }
    return TR_OK;
}

// The costs of an item.
static int blocks_of(const struct tr_job *job, const struct dist_item *item,
                     struct tr_cost_block blocks[TR_COST_BLOCKS]) {
    int64_t begin = item->begin - job->micro_batches, end = item->end - job->micro_batches;
    return end > 0 ? tr_cost_blocks(&job->cost, begin > 0 ? begin : 0, end, blocks) : 0;
}

static enum tr_status add_all(struct tr_item_passes *passes, const struct tr_job *job,
                              const struct tr_fit *fit, const struct dist_item *item, bool traced,
                              struct tr_err *err) {
    struct tr_cost_block blocks[TR_COST_BLOCKS];
    int count = blocks_of(job, item, blocks);
    if (!traced)
        TR_TRY(add_waves(passes, job, fit, item, err));
    for (int i = 0; i < count; i++)
        TR_TRY(add_block(passes, job, fit, &blocks[i], err));
    return TR_OK;
}

enum tr_status tr_item_passes(struct tr_item_passes *passes, const struct tr_job *job,
                              const struct tr_fit *fit, const struct dist_item *item, bool traced,
                              struct tr_err *err) {
    struct tr_item_passes made = {0};
    enum tr_status status = add_all(&made, job, fit, item, traced, err);
    if (status == TR_OK)
        *passes = made;
    else
        tr_item_passes_free(&made);
    return status;
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

int64_t tr_item_pass_count(const struct tr_job *job, const struct tr_fit *fit,
                           const struct dist_item *item, bool traced) {
    struct tr_cost_block blocks[TR_COST_BLOCKS];
    int64_t begin, end;
    int count = blocks_of(job, item, blocks);
    tr_item_sequences(job, item, &begin, &end);
    int64_t passes = traced ? 0 : ceil_div(end - begin, fit->wave);
    for (int i = 0; i < count; i++)
        passes +=
            ceil_div(blocks[i].last_batch - blocks[i].first_batch, fit->cost_batches) *
            ceil_div(blocks[i].last_candidate - blocks[i].first_candidate, fit->cost_candidates);
    return passes;
}

void tr_item_passes_free(struct tr_item_passes *passes) {
    free(passes->passes);
    *passes = (struct tr_item_passes){0};
}
