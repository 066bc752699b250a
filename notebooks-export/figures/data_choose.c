// SPDX-License-Identifier: Apache-2.0
// What figures show of an analysis: its sets, what it ranks by, what layers cost and the trial of
// proxies, at the checkpoints and layers that are shown.
#include <math.h>
#include <stdio.h>

#include "analysis/prices.h"
#include "analysis/rule.h"
#include "analysis/search_result.h"
#include "base/alloc.h"
#include "base/strings.h"
#include "figures/data.h"

// ---- the trial -------------------------------------------------------------------------------

static enum tr_status new_values(double **values_p, int64_t count, struct tr_err *err) {
    TR_TRY(TR_NEW(values_p, count, "values of a figure", err));
    for (int64_t i = 0; i < count; i++)
        (*values_p)[i] = NAN;
    return TR_OK;
}

static void copy_verdict(struct nx_trial *to, int64_t cell, const struct an_verdict *verdict) {
    to->spearman[cell] = verdict->spearman.value;
    to->spearman_low[cell] = verdict->spearman.low;
    to->spearman_high[cell] = verdict->spearman.high;
}

// Copies what a trial says to the places of the checkpoints that are shown.
static void copy_trial(struct nx_trial *to, const struct nx_data *data, const struct an_trial *from,
                       const struct an_checkpoint *all) {
    for (int64_t i = 0; i < data->checkpoints; i++)
        for (int64_t at = 0; at < from->checkpoints; at++) {
            if (all[from->checkpoint[at]].row != data->store_row[i])
                continue;
            for (int cost = 0; cost < AN_COSTS; cost++) {
                for (int proxy = 0; proxy < AN_PROXIES; proxy++)
                    copy_verdict(to, (cost * AN_PROXIES + proxy) * data->checkpoints + i,
                                 an_verdict_of(from, at, proxy, cost));
                for (int by = 0; by < AN_TRIED; by++)
                    to->told[(cost * AN_TRIED + by) * data->checkpoints + i] =
                        from->forecast[(at * AN_TRIED + by) * AN_COSTS + cost].found.value;
            }
        }
}

// The row of the shown layers that a layer is; -1: it is not shown.
static int64_t shown_row(const struct nx_data *data, int64_t layer) {
    for (int64_t row = 0; row < data->layers; row++)
        if (data->number[row] == layer)
            return row;
    return -1;
}

static void copy_costs(struct nx_trial *to, const struct nx_data *data,
                       const struct an_group_result *group, const struct an_checkpoint *all) {
    const struct an_trial *trial = group->trial;
    for (int64_t i = 0; i < data->checkpoints; i++)
        for (int64_t at = 0; at < trial->checkpoints; at++)
            for (int64_t u = 0; u < AN_COSTS * trial->units; u++) {
                int64_t row = shown_row(data, group->unit[trial->unit[u % trial->units]].layer);
                int64_t cell = row * data->checkpoints + i, cost = u / trial->units;
                if (row < 0 || all[trial->checkpoint[at]].row != data->store_row[i])
                    continue;
                struct an_estimate priced = trial->priced[at * AN_COSTS * trial->units + u];
                to->cost[cost][cell] = priced.value;
                to->low[cost][cell] = priced.low;
                to->high[cost][cell] = priced.high;
            }
}

static enum tr_status take_trial(struct nx_data *data, int module,
                                 const struct an_group_result *group,
                                 const struct an_checkpoint *all, struct tr_err *err) {
    const struct an_trial *trial = group->trial;
    struct nx_trial *to = &data->trial[module];
    int64_t checkpoints = data->checkpoints, values = data->layers * checkpoints;
    TR_TRY(new_values(&to->spearman, AN_COSTS * AN_PROXIES * checkpoints, err));
    TR_TRY(new_values(&to->spearman_low, AN_COSTS * AN_PROXIES * checkpoints, err));
    TR_TRY(new_values(&to->spearman_high, AN_COSTS * AN_PROXIES * checkpoints, err));
    TR_TRY(new_values(&to->told, AN_COSTS * AN_TRIED * checkpoints, err));
    for (int cost = 0; cost < AN_COSTS; cost++) {
        TR_TRY(new_values(&to->cost[cost], values, err));
        TR_TRY(new_values(&to->low[cost], values, err));
        TR_TRY(new_values(&to->high[cost], values, err));
    }
    copy_costs(to, data, group, all);
    to->chance = trial->chance;
    for (int cost = 0; cost < AN_COSTS; cost++)
        to->itself[cost] = trial->told[cost].itself;
    copy_trial(to, data, trial, all);
    return TR_OK;
}

// ---- prices ----------------------------------------------------------------------------------

static enum tr_status begin_prices(struct nx_prices *prices, const struct an_result *result,
                                   struct tr_err *err) {
    double least = 1;
    for (int64_t i = 0; i < result->prices; i++)
        least = fmin(least, result->price[i].share[result->price[i].points - 1]);
    TR_TRY(TR_NEW(&prices->share, NX_PRICE_STEPS, "prices", err));
    TR_TRY(TR_NEW(&prices->name, NX_PRICE_STEPS, "prices", err));
    for (int i = 0; i < NX_PRICE_STEPS; i++) {
        char text[32];
        prices->share[i] = 1 - i * (1 - least) / (NX_PRICE_STEPS - 1);
        snprintf(text, sizeof text, "%.1f %% saved", 100 - 100 * prices->share[i]);
        TR_TRY(tr_strdup(&prices->name[i], text, err));
    }
    prices->share[NX_PRICE_STEPS - 1] = least;
    prices->context = result->price[0].context;
    prices->over = result->settings.over;
    return TR_OK;
}

// A price is known from the whole model's share on: what costs nothing is there at once.
static enum tr_status take_prices(struct nx_data *data, const struct an_result *result,
                                  struct tr_err *err) {
    struct nx_prices *prices = &data->prices;
    if (!result->prices)
        return TR_OK;
    TR_TRY(begin_prices(prices, result, err));
    for (int64_t i = 0; i < result->prices; i++) {
        const struct an_price *price = &result->price[i];
        if (!prices->sum[price->resource])
            TR_TRY(new_values(&prices->sum[price->resource], AN_GROUPS * NX_PRICE_STEPS, err));
        prices->has[price->resource][price->group] = true;
        for (int step = 0; step < NX_PRICE_STEPS; step++)
            prices->sum[price->resource][price->group * NX_PRICE_STEPS + step] =
                an_price_at(price, prices->share[step]);
    }
    return TR_OK;
}

// ---- searches --------------------------------------------------------------------------------

static enum tr_status begin_search(struct nx_data *data, const struct an_search *from,
                                   struct tr_err *err) {
    struct nx_search *to = &data->search;
    int64_t values = from->checkpoints * from->rounds;
    TR_TRY(tr_strdup(&to->by, from->by, err));
    TR_TRY(TR_NEW(&to->place, from->checkpoints, "searches", err));
    TR_TRY(TR_NEW(&to->at, from->rounds, "searches", err));
    TR_TRY(TR_NEW(&to->name, from->rounds, "searches", err));
    to->rounds = from->rounds;
    for (int64_t i = 0; i < from->rounds; i++) {
        char text[32];
        to->at[i] = (double)(i + 1);
        snprintf(text, sizeof text, "%lld left out", (long long)(i + 1));
        TR_TRY(tr_strdup(&to->name[i], text, err));
    }
    TR_TRY(new_values(&to->attention, values, err));
    TR_TRY(new_values(&to->depth, values, err));
    TR_TRY(new_values(&to->longest, values, err));
    for (int64_t i = 0; i < from->candidates; i++)
        if (!to->round[from->candidate[i].module])
            TR_TRY(new_values(&to->round[from->candidate[i].module],
                              data->layers * data->checkpoints, err));
    return TR_OK;
}

static void copy_rounds(struct nx_data *data, const struct an_search *from,
                        const struct an_searched *at, int64_t place) {
    struct nx_search *to = &data->search;
    int64_t first = to->searched * to->rounds;
    to->place[to->searched++] = place;
    for (int64_t i = 0; i < at->rounds; i++) {
        const struct tr_drop *drop = &from->candidate[at->round[i].candidate];
        int64_t row = shown_row(data, drop->layer);
        to->attention[first + i] = 100 * at->round[i].attention;
        to->depth[first + i] = at->round[i].depth;
        to->longest[first + i] = (double)at->round[i].longest;
        if (row >= 0)
            to->round[drop->module][row * data->checkpoints + place] = (double)(i + 1);
    }
}

static enum tr_status take_search(struct nx_data *data, const struct an_search *from,
                                  struct tr_err *err) {
    if (!from)
        return TR_OK;
    TR_TRY(begin_search(data, from, err));
    for (int64_t place = 0; place < data->checkpoints; place++)
        for (int64_t c = 0; c < from->checkpoints; c++)
            if (from->at[c].row == data->store_row[place])
                copy_rounds(data, from, &from->at[c], place);
    return TR_OK;
}

// ---- the sets --------------------------------------------------------------------------------

static enum tr_status copy_set(struct nx_data *data, int module,
                               const struct an_group_result *group, struct tr_err *err) {
    const struct an_choice *choice = &group->set[AN_MEAN].choice;
    int64_t count = group->count < choice->present ? group->count : choice->present;
    TR_TRY(TR_NEW(&data->chosen[module], count, "a set of layers", err));
    for (int64_t i = 0; i < count; i++)
        data->chosen[module][i] = group->unit[choice->order[i]].layer;
    data->chosen_count[module] = count;
    return TR_OK;
}

static enum tr_status copy_below(struct nx_data *data, int module,
                                 const struct an_group_result *group, struct tr_err *err) {
    const struct an_choice *choice = &group->set[AN_MEAN].choice;
    TR_TRY(TR_NEW(&data->below[module], group->units, "a set of layers", err));
    for (int64_t i = 0; i < group->units && group->below >= 0; i++)
        if (group->unit[choice->order[i]].below)
            data->below[module][data->below_count[module]++] = group->unit[choice->order[i]].layer;
    return TR_OK;
}

// What is ranked by, of the checkpoints and layers that are shown.
static enum tr_status copy_ranked(struct nx_data *data, int module, const struct an_series *series,
                                  struct tr_err *err) {
    TR_TRY(new_values(&data->ranked[module], data->layers * data->checkpoints, err));
    for (int64_t i = 0; i < data->checkpoints; i++)
        for (int64_t c = 0; c < series->checkpoints; c++)
            for (int64_t row = 0; row < data->layers; row++)
                if (series->checkpoint[c].row == data->store_row[i])
                    data->ranked[module][row * data->checkpoints + i] =
                        series->value[an_series_cell(series, c, data->number[row], module)];
    return TR_OK;
}

// Modules without a value of what is ranked by are not shown.
static enum tr_status choose_criterion(struct nx_data *data, const struct an_result *result,
                                       struct tr_err *err) {
    if (result->settings.by == AN_BY_IMPORTANCE)
        return TR_OK;
    data->criterion = &an_criteria[result->settings.by];
    for (int module = 0; module < TR_MODULES; module++) {
        data->shown[module] = data->shown[module] && result->group[module];
        if (data->shown[module])
            TR_TRY(copy_ranked(data, module, &result->series, err));
    }
    return TR_OK;
}

enum tr_status nx_data_choose(struct nx_data *data, const struct an_result *result,
                              struct tr_err *err) {
    struct tr_string rule = {0};
    TR_TRY(choose_criterion(data, result, err));
    data->tau = result->settings.below;
    for (int module = 0; module < TR_MODULES; module++)
        if (data->shown[module] && result->group[module]) {
            TR_TRY(copy_set(data, module, result->group[module], err));
            TR_TRY(copy_below(data, module, result->group[module], err));
        }
    for (int module = 0; module < TR_MODULES; module++)
        if (data->shown[module] && result->group[module] && result->group[module]->trial)
            TR_TRY(take_trial(data, module, result->group[module], result->series.checkpoint, err));
    TR_TRY(take_prices(data, result, err));
    TR_TRY(take_search(data, result->search, err));
    enum tr_status status = an_rule_text(&rule, result, err);
    data->rule = rule.data;
    data->level = result->settings.level;
    return status;
}
