// SPDX-License-Identifier: Apache-2.0
#include "analysis/search_result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/drop_set.h"
#include "statistics/correlation.h"

// ---- what is read ------------------------------------------------------------------------------

struct reading {
    const struct tr_trace *trace;
    const struct tr_layout *layout;
    struct an_search *search;
    int64_t *drop;            // [rounds]
    double *value;            // [rounds, candidates]
    double *nll, *kl, *whole; // [rounds, sequences] twice, [sequences]
};

static double mean_of(const double *values, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

static enum tr_status read_candidates(struct reading *r, struct tr_err *err) {
    struct an_search *search = r->search;
    TR_TRY(TR_NEW(&search->candidate, search->candidates, "the candidates", err));
    for (int64_t i = 0; i < search->candidates; i++) {
        struct tr_drop_set set = {0};
        TR_TRY(tr_drop_set_parse(&set, tr_trace_info(r->trace)->candidate[i], err));
        bool sound = set.count == 1 && set.drops[0].layer < search->layers;
        if (sound)
            search->candidate[i] = set.drops[0];
        tr_drop_set_free(&set);
        if (!sound)
            return tr_fail(err, TR_EFORMAT, "%s is damaged: a candidate of its search is \"%.40s\"",
                           search->path, tr_trace_info(r->trace)->candidate[i]);
    }
    return TR_OK;
}

static enum tr_status read_row(struct reading *r, int64_t row, struct tr_err *err) {
    TR_TRY(tr_trace_read(r->trace, TR_V_SEARCH_DROP, row, 1, r->drop, err));
    TR_TRY(tr_trace_read(r->trace, TR_V_SEARCH_VALUE, row, 1, r->value, err));
    TR_TRY(tr_trace_read(r->trace, TR_V_SEARCH_NLL, row, 1, r->nll, err));
    TR_TRY(tr_trace_read(r->trace, TR_V_SEARCH_KL, row, 1, r->kl, err));
    return tr_trace_read(r->trace, TR_V_NLL, row, 1, r->whole, err);
}

// ---- where they lie ----------------------------------------------------------------------------

// Whether layer `layer` lacks the module after the first `count` rounds.
static bool is_gone(const struct an_search *search, const struct an_searched *at, int64_t count,
                    int module, int64_t layer) {
    for (int64_t i = 0; i < count; i++) {
        const struct tr_drop *drop = &search->candidate[at->round[i].candidate];
        if (drop->layer == layer && ((int)drop->module == module || drop->module == TR_BLOCK))
            return true;
    }
    return false;
}

static void find_runs(const struct an_search *search, const struct an_searched *at,
                      struct an_round *round, int64_t count) {
    for (int module = TR_ATTN; module <= TR_MLP; module++)
        for (int64_t layer = 0, length = 0; layer < search->layers; layer++) {
            length = is_gone(search, at, count, module, layer) ? length + 1 : 0;
            round->runs += length == 1;
            round->longest = length > round->longest ? length : round->longest;
        }
}

static void find_place(const struct an_search *search, const struct an_searched *at,
                       struct an_round *round, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        const struct tr_drop *drop = &search->candidate[at->round[i].candidate];
        round->attention += drop->module == TR_ATTN ? 1 : drop->module == TR_BLOCK ? 0.5 : 0;
        round->depth += search->layers > 1 ? (double)drop->layer / (double)(search->layers - 1) : 0;
    }
    round->attention /= (double)count;
    round->depth /= (double)count;
    find_runs(search, at, round, count);
}

// ---- checkpoints -------------------------------------------------------------------------------

static enum tr_status check_rounds(const struct reading *r, int64_t rounds, const char *name,
                                   struct tr_err *err) {
    for (int64_t i = 0; i < rounds; i++)
        if (r->drop[i] >= r->search->candidates)
            return tr_fail(
                err, TR_EFORMAT, "%s is damaged: a round of %s drops candidate %lld of %lld",
                r->search->path, name, (long long)r->drop[i], (long long)r->search->candidates);
    return TR_OK;
}

static void take_rounds(const struct reading *r, struct an_searched *at) {
    int64_t rows = r->layout->sequences;
    double whole = mean_of(r->whole, rows);
    for (int64_t i = 0; i < at->rounds; i++) {
        struct an_round *round = &at->round[i];
        round->candidate = r->drop[i];
        round->value = r->value[i * r->search->candidates + r->drop[i]];
        round->loss = mean_of(r->nll + i * rows, rows) - whole;
        round->kl = mean_of(r->kl + i * rows, rows);
        find_place(r->search, at, round, i + 1);
    }
}

static enum tr_status add_checkpoint(struct reading *r, int64_t row, struct tr_err *err) {
    struct an_search *search = r->search;
    const char *name = tr_trace_string(r->trace, TR_V_NAME, row);
    int64_t rounds = 0;
    TR_TRY(read_row(r, row, err));
    while (rounds < search->rounds && r->drop[rounds] >= 0)
        rounds++;
    if (!rounds)
        return TR_OK;
    TR_TRY(check_rounds(r, rounds, name, err));
    struct an_searched *at = &search->at[search->checkpoints++];
    at->row = row;
    TR_TRY(tr_strdup(&at->name, name, err));
    TR_TRY(tr_trace_read(r->trace, TR_V_STEP, row, 1, &at->step, err));
    TR_TRY(TR_NEW(&at->round, rounds, "the rounds", err));
    at->rounds = rounds;
    take_rounds(r, at);
    return TR_OK;
}

// How many of a checkpoint's rounds left out what as many of the last one's did, and how alike
// their orders are. own, others: room for as many rounds.
static enum tr_status find_shared(struct an_searched *at, const struct an_searched *last,
                                  double *own, double *others, struct tr_err *err) {
    int64_t count = at->rounds < last->rounds ? at->rounds : last->rounds;
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < count; j++)
            if (at->round[i].candidate == last->round[j].candidate) {
                own[at->shared] = (double)i;
                others[at->shared++] = (double)j;
            }
    at->alike = NAN;
    return at->shared < 3 ? TR_OK : an_spearman(&at->alike, own, others, at->shared, err);
}

static enum tr_status compare_orders(struct an_search *search, struct tr_err *err) {
    const struct an_searched *last = &search->at[search->checkpoints - 1];
    double *rounds;
    enum tr_status status = TR_NEW(&rounds, 2 * search->rounds, "the rounds", err);
    for (int64_t c = 0; c < search->checkpoints && status == TR_OK; c++)
        status = find_shared(&search->at[c], last, rounds, rounds + search->rounds, err);
    free(rounds);
    return status;
}

static enum tr_status read_all(struct reading *r, struct tr_err *err) {
    static const char what[] = "the search";
    int64_t rows = r->layout->sequences, rounds = r->search->rounds;
    TR_TRY(TR_NEW(&r->drop, rounds, what, err));
    TR_TRY(TR_NEW(&r->value, rounds * r->search->candidates, what, err));
    TR_TRY(TR_NEW(&r->nll, rounds * rows, what, err));
    TR_TRY(TR_NEW(&r->kl, rounds * rows, what, err));
    TR_TRY(TR_NEW(&r->whole, rows, what, err));
    TR_TRY(read_candidates(r, err));
    TR_TRY(TR_NEW(&r->search->at, tr_trace_rows(r->trace), what, err));
    for (int64_t row = 0; row < tr_trace_rows(r->trace); row++)
        TR_TRY(add_checkpoint(r, row, err));
    return r->search->checkpoints ? compare_orders(r->search, err) : TR_OK;
}

// "js" of "by=js over=attn,mlp".
static enum tr_status take_settings(struct an_search *search, const struct tr_run_info *info,
                                    struct tr_err *err) {
    const struct tr_attribute *of = tr_run_info_find(info, "search");
    const char *text = of && !of->is_number ? of->text : "";
    size_t skip = strncmp(text, "by=", 3) ? strlen(text) : 3, size = strcspn(text + skip, " ");
    TR_TRY(tr_strdup(&search->settings, text, err));
    TR_TRY(tr_strdup(&search->by, text + skip, err));
    search->by[size] = '\0';
    return TR_OK;
}

enum tr_status an_search_load(struct an_search *search, const struct tr_trace *trace,
                              const char *path, struct tr_err *err) {
    const struct tr_run_info *info = tr_trace_info(trace);
    struct reading r = {.trace = trace, .layout = &info->layout, .search = search};
    *search = (struct an_search){.layers = info->layout.layers,
                                 .rounds = info->layout.rounds,
                                 .candidates = info->layout.candidates};
    if (!search->rounds)
        return tr_fail(err, TR_EUSAGE, "%s has no search", path);
    enum tr_status status = tr_strdup(&search->path, path, err);
    if (status == TR_OK)
        status = take_settings(search, info, err);
    if (status == TR_OK)
        status = read_all(&r, err);
    free(r.drop);
    free(r.value);
    free(r.nll);
    free(r.kl);
    free(r.whole);
    if (status != TR_OK)
        an_search_free(search);
    return status;
}

void an_search_free(struct an_search *search) {
    for (int64_t c = 0; c < search->checkpoints; c++) {
        free(search->at[c].name);
        free(search->at[c].round);
    }
    free(search->at);
    free(search->candidate);
    free(search->path);
    free(search->settings);
    free(search->by);
    *search = (struct an_search){0};
}
