// SPDX-License-Identifier: Apache-2.0
#include "run/search_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "run/cost_plan.h"

// ---- by what -----------------------------------------------------------------------------------

const char *const tr_search_by_names[TR_SEARCH_BYS] = {"nll",   "kl",     "js",
                                                       "angle", "euclid", "finercut"};

static const struct {
    enum tr_quantity quantity;
    bool compares, by_element;
} bys[TR_SEARCH_BYS] = {
    [TR_BY_NLL] = {TR_Q_LOSS, false, false},       [TR_BY_KL] = {TR_Q_DIVERGENCE, false, false},
    [TR_BY_JS] = {TR_Q_JENSEN, true, false},       [TR_BY_ANGLE] = {TR_Q_ANGLE, true, false},
    [TR_BY_EUCLID] = {TR_Q_DISTANCE, true, false}, [TR_BY_FINERCUT] = {TR_Q_REVERSED, true, true},
};

int tr_search_by_find(const char *word) {
    for (int by = 0; by < TR_SEARCH_BYS; by++)
        if (!strcmp(tr_search_by_names[by], word))
            return by;
    return -1;
}

enum tr_quantity tr_search_quantity(enum tr_search_by by) {
    return bys[by].quantity;
}

double tr_search_divisor(enum tr_search_by by, const struct tr_config *config) {
    return bys[by].by_element ? (double)config->vocabulary : 1;
}

bool tr_search_compares(enum tr_search_by by) {
    return bys[by].compares;
}

// ---- candidates --------------------------------------------------------------------------------

static enum tr_status read_modules(const char *over, bool wanted[TR_MODULES], struct tr_err *err) {
    struct tr_err ignored;
    if (tr_cost_modules(over, wanted, &ignored) != TR_OK)
        return tr_fail(err, TR_EUSAGE, "--over takes attn, mlp, attn,mlp or block, not \"%.40s\"",
                       over);
    if (wanted[TR_BLOCK] && (wanted[TR_ATTN] || wanted[TR_MLP]))
        return tr_fail(err, TR_EUSAGE,
                       "--over block stands alone: a block is its attention and its MLP");
    return TR_OK;
}

static bool is_protected(const struct tr_search_wishes *wishes, const struct tr_config *config,
                         int64_t layer) {
    return (wishes->protect_first && layer == 0) ||
           (wishes->protect_last && layer == config->layers - 1);
}

static enum tr_status find_candidates(struct tr_search_plan *plan,
                                      const struct tr_search_wishes *wishes,
                                      const struct tr_config *config,
                                      const struct tr_drop_set *drop, struct tr_err *err) {
    bool wanted[TR_MODULES];
    TR_TRY(read_modules(wishes->over, wanted, err));
    TR_TRY(TR_NEW(&plan->candidates, config->layers * TR_MODULES, "the candidates", err));
    for (int layer = 0; layer < config->layers; layer++)
        for (enum tr_module module = TR_ATTN; module < TR_MODULES; module++)
            if (wanted[module] && !is_protected(wishes, config, layer) &&
                tr_cost_is_there(config, drop, module, layer))
                plan->candidates[plan->count++] = (struct tr_drop){module, layer};
    if (!plan->count)
        return tr_fail(err, TR_EUSAGE, "the search has nothing to leave out");
    plan->rounds = wishes->count ? wishes->count : plan->count;
    if (plan->rounds > plan->count)
        return tr_fail(err, TR_EUSAGE, "--count %lld is more than the %lld candidates",
                       (long long)wishes->count, (long long)plan->count);
    return TR_OK;
}

static int64_t find_candidate(const struct tr_search_plan *plan, const struct tr_drop *drop) {
    for (int64_t i = 0; i < plan->count; i++)
        if (plan->candidates[i].module == drop->module && plan->candidates[i].layer == drop->layer)
            return i;
    return -1;
}

static enum tr_status take_order(struct tr_search_plan *plan, const struct tr_drop_set *order,
                                 bool counted, struct tr_err *err) {
    if (counted && order->count < plan->rounds)
        return tr_fail(err, TR_EUSAGE, "--order names %lld of the %lld rounds",
                       (long long)order->count, (long long)plan->rounds);
    plan->rounds = counted ? plan->rounds : order->count;
    TR_TRY(TR_NEW(&plan->order, order->count, "the order", err));
    for (int64_t i = 0; i < plan->rounds; i++) {
        plan->order[i] = find_candidate(plan, &order->drops[i]);
        if (plan->order[i] < 0)
            return tr_fail(err, TR_EUSAGE, "--order: %s:%d is no candidate of the search",
                           tr_module_names[order->drops[i].module], order->drops[i].layer);
    }
    return TR_OK;
}

static enum tr_status read_order(struct tr_search_plan *plan, const struct tr_search_wishes *wishes,
                                 struct tr_err *err) {
    struct tr_drop_set order = {0};
    if (!wishes->order)
        return TR_OK;
    enum tr_status status = tr_drop_set_read(&order, wishes->order, err);
    if (status == TR_OK && !order.count)
        status = tr_fail(err, TR_EUSAGE, "--order is empty");
    if (status == TR_OK)
        status = take_order(plan, &order, wishes->count > 0, err);
    tr_drop_set_free(&order);
    return status;
}

enum tr_status tr_search_plan_new(struct tr_search_plan *plan,
                                  const struct tr_search_wishes *wishes,
                                  const struct tr_config *config, const struct tr_drop_set *drop,
                                  struct tr_err *err) {
    struct tr_search_plan made = {.by = wishes->by};
    enum tr_status status = find_candidates(&made, wishes, config, drop, err);
    if (status == TR_OK)
        status = read_order(&made, wishes, err);
    if (status == TR_OK)
        *plan = made;
    else
        tr_search_plan_free(&made);
    return status;
}

void tr_search_plan_free(struct tr_search_plan *plan) {
    free(plan->candidates);
    free(plan->order);
    *plan = (struct tr_search_plan){0};
}

// ---- as text -----------------------------------------------------------------------------------

enum tr_status tr_search_candidate_text(const struct tr_drop *candidate, struct tr_string *text,
                                        struct tr_err *err) {
    return tr_string_format(text, err, "%s:%d", tr_module_names[candidate->module],
                            candidate->layer);
}

static enum tr_status append_order(const char *argument, struct tr_string *text,
                                   struct tr_err *err) {
    struct tr_drop_set order = {0};
    TR_TRY(tr_drop_set_read(&order, argument, err));
    enum tr_status status = tr_string_format(text, err, " order=");
    for (int64_t i = 0; i < order.count && status == TR_OK; i++) {
        if (i)
            status = tr_string_format(text, err, ",");
        if (status == TR_OK)
            status = tr_search_candidate_text(&order.drops[i], text, err);
    }
    tr_drop_set_free(&order);
    return status;
}

enum tr_status tr_search_text(const struct tr_search_wishes *wishes, struct tr_string *text,
                              struct tr_err *err) {
    bool wanted[TR_MODULES];
    TR_TRY(read_modules(wishes->over, wanted, err));
    TR_TRY(tr_string_format(text, err, "by=%s over=%s", tr_search_by_names[wishes->by],
                            wanted[TR_BLOCK]  ? "block"
                            : !wanted[TR_MLP] ? "attn"
                            : wanted[TR_ATTN] ? "attn,mlp"
                                              : "mlp"));
    if (wishes->protect_first || wishes->protect_last)
        TR_TRY(tr_string_format(text, err, " protect=%s%s%s", wishes->protect_first ? "first" : "",
                                wishes->protect_first && wishes->protect_last ? "," : "",
                                wishes->protect_last ? "last" : ""));
    return wishes->order ? append_order(wishes->order, text, err) : TR_OK;
}

// ---- what it takes -----------------------------------------------------------------------------

void tr_search_costly_order(const struct tr_search_plan *plan, int64_t *order) {
    int64_t taken = 0;
    for (enum tr_module module = TR_ATTN; module < TR_MODULES; module++)
        for (int64_t i = plan->count; i-- > 0 && taken < plan->rounds;)
            if (plan->candidates[i].module == module)
                order[taken++] = i;
}

struct counting {
    const struct tr_search_plan *plan;
    const struct tr_config *config;
    double tokens;
    int64_t seq_len;
    struct tr_wanted blocks; // no head
    double head;             // once
};

static double done_of(const struct counting *c, const struct tr_drop_set *removed,
                      const struct tr_drop_set *from) {
    return tr_removal_flops(c->config, c->tokens, c->seq_len, &c->blocks, removed, from);
}

static double left_of(const struct counting *c, const struct tr_drop_set *removed) {
    return tr_kept_flops(c->config, c->tokens, c->seq_len, &c->blocks, removed, 0);
}

// A round that begins with `set` left out; dropped[count] says which candidates that are.
static enum tr_status count_round(const struct counting *c, struct tr_search_flops *flops,
                                  struct tr_drop_set *set, const bool *dropped,
                                  struct tr_err *err) {
    double heads = tr_search_compares(c->plan->by) ? 2 : 1;
    flops->blocks_done += set->count ? left_of(c, set) : 0;
    flops->done += heads * c->head; // the whole model's
    for (int64_t i = 0; i < c->plan->count; i++) {
        if (dropped[i])
            continue;
        const struct tr_drop *candidate = &c->plan->candidates[i];
        TR_TRY(tr_drop_set_add(set, candidate->module, candidate->layer, err));
        struct tr_drop_set before = {.drops = set->drops, .count = set->count - 1};
        flops->blocks_done += done_of(c, set, &before);
        flops->blocks_skipping += left_of(c, set);
        flops->done += heads * c->head;
        flops->skipping += c->head;
        flops->evaluations++;
        set->count--;
    }
    return TR_OK;
}

static enum tr_status count_rounds(const struct counting *c, struct tr_search_flops *flops,
                                   const int64_t *order, bool *dropped, struct tr_err *err) {
    struct tr_drop_set set = {0};
    enum tr_status status = TR_OK;
    for (int64_t round = 0; round < c->plan->rounds && status == TR_OK; round++) {
        const struct tr_drop *next = &c->plan->candidates[order[round]];
        status = count_round(c, flops, &set, dropped, err);
        if (status == TR_OK)
            status = tr_drop_set_add(&set, next->module, next->layer, err);
        dropped[order[round]] = true;
    }
    tr_drop_set_free(&set);
    return status;
}

enum tr_status tr_search_flops(struct tr_search_flops *flops, const struct tr_search_plan *plan,
                               const int64_t *order, const struct tr_config *config, double tokens,
                               int64_t seq_len, const struct tr_drop_set *drop,
                               struct tr_err *err) {
    struct counting counting = {.plan = plan,
                                .config = config,
                                .tokens = tokens,
                                .seq_len = seq_len,
                                .blocks = {.drop = drop}};
    struct tr_wanted with_head = {.head = true, .drop = drop};
    bool *dropped;
    double blocks = tr_config_flops(config, tokens, seq_len, &counting.blocks);
    counting.head = tr_config_flops(config, tokens, seq_len, &with_head) - blocks;
    TR_TRY(TR_NEW(&dropped, plan->count, "the candidates", err));
    *flops = (struct tr_search_flops){.blocks_done = blocks};
    enum tr_status status = count_rounds(&counting, flops, order, dropped, err);
    flops->done += flops->blocks_done;
    flops->skipping += flops->blocks_skipping;
    free(dropped);
    return status;
}
