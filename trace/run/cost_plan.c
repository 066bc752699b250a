// SPDX-License-Identifier: Apache-2.0
#include "run/cost_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

// ---- which modules -----------------------------------------------------------------------------

static int module_named(const char *word, size_t length) {
    for (int module = 0; module < TR_MODULES; module++)
        if (strlen(tr_module_names[module]) == length &&
            !strncmp(word, tr_module_names[module], length))
            return module;
    return -1;
}

enum tr_status tr_cost_modules(const char *text, bool wanted[TR_MODULES], struct tr_err *err) {
    memset(wanted, 0, TR_MODULES * sizeof *wanted);
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        int module = module_named(at, length);
        if (module < 0)
            return tr_fail(err, TR_EUSAGE,
                           "--cost takes attn, mlp and block with commas between, not \"%.*s\"",
                           (int)(length < 40 ? length : 40), at);
        wanted[module] = true;
        at += length;
        if (!*at)
            return TR_OK;
    }
}

// ---- candidates --------------------------------------------------------------------------------

bool tr_cost_is_there(const struct tr_config *config, const struct tr_drop_set *drop,
                      enum tr_module module, int layer) {
    if (module != TR_BLOCK)
        return tr_config_keeps(config, drop, module, layer);
    return tr_config_keeps(config, drop, TR_ATTN, layer) ||
           tr_config_keeps(config, drop, TR_MLP, layer);
}

static enum tr_status add_candidate(struct tr_cost_plan *plan, enum tr_module module, int layer,
                                    struct tr_err *err) {
    struct tr_cost_candidate *candidate = &plan->candidates[plan->count++];
    candidate->module = module;
    candidate->layer = layer;
    return tr_drop_set_add(&candidate->drop, module, layer, err);
}

// 0, L - 1, 1, L - 2, ...
static int layer_in_turn(int index, int layers) {
    return index % 2 ? layers - 1 - index / 2 : index / 2;
}

static enum tr_status add_singles(struct tr_cost_plan *plan, const char *text,
                                  const struct tr_config *config, const struct tr_drop_set *drop,
                                  struct tr_err *err) {
    bool wanted[TR_MODULES];
    TR_TRY(tr_cost_modules(text, wanted, err));
    for (int i = 0; i < config->layers; i++)
        for (enum tr_module module = TR_ATTN; module < TR_MODULES; module++) {
            int layer = layer_in_turn(i, (int)config->layers);
            if (wanted[module] && tr_cost_is_there(config, drop, module, layer))
                TR_TRY(add_candidate(plan, module, layer, err));
        }
    return plan->count
               ? TR_OK
               : tr_fail(err, TR_EUSAGE,
                         "--cost has nothing to leave out: the model lacks those sublayers");
}

static enum tr_status add_sets(struct tr_cost_plan *plan, const struct tr_named_sets *sets,
                               int64_t layers, struct tr_err *err) {
    for (int64_t i = 0; i < sets->count; i++) {
        struct tr_cost_candidate *candidate = &plan->candidates[plan->count++];
        const struct tr_drop_set *drop = &sets->sets[i].drop;
        candidate->module = TR_MODULES;
        candidate->layer = (int)i;
        TR_TRY(tr_drop_set_check(drop, layers, err));
        for (int64_t d = 0; d < drop->count; d++)
            TR_TRY(tr_drop_set_add(&candidate->drop, drop->drops[d].module, drop->drops[d].layer,
                                   err));
    }
    return TR_OK;
}

static enum tr_status add_candidates(struct tr_cost_plan *plan, const struct tr_cost_wishes *wishes,
                                     const struct tr_config *config, const struct tr_drop_set *drop,
                                     struct tr_err *err) {
    int64_t most = config->layers * TR_MODULES + wishes->sets->count;
    TR_TRY(TR_NEW(&plan->candidates, most, "the candidates", err));
    if (wishes->text)
        TR_TRY(add_singles(plan, wishes->text, config, drop, err));
    return add_sets(plan, wishes->sets, config->layers, err);
}

// How many sequences are enough where nobody says it: a candidate takes about half a forward pass.
static int64_t usual_samples(const struct tr_cost_plan *plan, int64_t sequences) {
    enum { LEAST = 32, TIMES = 4 };
    int64_t samples = 2 * TIMES * sequences / plan->count;
    return samples > LEAST ? samples : LEAST;
}

static void set_layout(struct tr_cost_plan *plan, int64_t samples, int64_t micro_batch,
                       struct tr_layout *layout) {
    int64_t all = (layout->sequences + micro_batch - 1) / micro_batch;
    samples = samples ? samples : usual_samples(plan, layout->sequences);
    samples = samples < layout->sequences ? samples : layout->sequences;
    int64_t batches = (samples + micro_batch - 1) / micro_batch;
    plan->batches = batches;
    layout->cost_batch = micro_batch < layout->sequences ? micro_batch : layout->sequences;
    layout->cost_sequences = batches == all ? layout->sequences : batches * micro_batch;
}

enum tr_status tr_cost_plan_new(struct tr_cost_plan *plan, const struct tr_cost_wishes *wishes,
                                const struct tr_config *config, const struct tr_drop_set *drop,
                                struct tr_layout *layout, struct tr_err *err) {
    struct tr_cost_plan made = {0};
    enum tr_status status = add_candidates(&made, wishes, config, drop, err);
    if (status != TR_OK) {
        tr_cost_plan_free(&made);
        return status;
    }
    set_layout(&made, wishes->samples, wishes->micro_batch, layout);
    layout->drop_sets = wishes->sets->count ? wishes->sets->count : layout->drop_sets;
    *plan = made;
    return TR_OK;
}

void tr_cost_plan_free(struct tr_cost_plan *plan) {
    for (int64_t i = 0; i < plan->count; i++)
        tr_drop_set_free(&plan->candidates[i].drop);
    free(plan->candidates);
    *plan = (struct tr_cost_plan){0};
}

// ---- units -------------------------------------------------------------------------------------

int tr_cost_blocks(const struct tr_cost_plan *plan, int64_t begin, int64_t end,
                   struct tr_cost_block blocks[TR_COST_BLOCKS]) {
    int64_t all = plan->count;
    int count = 0;
    while (begin < end) {
        int64_t batch = begin / all, first = begin % all, left = end - begin;
        int64_t whole = first ? 0 : left / all; // micro-batches that are measured whole from here
        struct tr_cost_block block = {batch, batch + (whole ? whole : 1), first, all};
        if (!whole && left < all - first)
            block.last_candidate = first + left;
        blocks[count++] = block;
        begin += (block.last_batch - batch) * (block.last_candidate - first);
    }
    return count;
}

// ---- what they take ----------------------------------------------------------------------------

struct tr_cost_flops tr_cost_plan_flops(const struct tr_cost_plan *plan,
                                        const struct tr_config *config, int64_t first, int64_t last,
                                        double tokens, int64_t seq_len,
                                        const struct tr_wanted *wanted) {
    struct tr_wanted blocks = {.drop = wanted->drop};
    double all = tr_config_flops(config, tokens, seq_len, wanted);
    double body = tr_config_flops(config, tokens, seq_len, &blocks), count = (double)(last - first);
    struct tr_cost_flops flops = {all, count * all, body, count * body};
    for (int64_t i = first; i < last; i++) {
        const struct tr_cost_candidate *c = &plan->candidates[i];
        flops.done += tr_removal_flops(config, tokens, seq_len, wanted, &c->drop, NULL);
        flops.blocks_done += tr_removal_flops(config, tokens, seq_len, &blocks, &c->drop, NULL);
    }
    return flops;
}
