// SPDX-License-Identifier: Apache-2.0
// The tables of a store with costs: what layers cost, and the proxies on trial.
#include "notebook_table.h"

// Calls `put` with the trial of each wanted module.
typedef enum tr_status (*put_trial)(struct tr_string *table, const struct an_group_result *group,
                                    const struct an_series *series, struct tr_err *err);

static enum tr_status put_all(struct tr_string *table, const char *heading,
                              const struct nx_job *job, const struct an_result *result,
                              put_trial put, struct tr_err *err) {
    static const enum an_group groups[TR_MODULES] = {AN_ATTN, AN_MLP, AN_BLOCK};
    const int64_t *modules = job->excerpt.index[TR_DIM_MODULE];
    TR_TRY(tr_string_format(table, err, "%s\n", heading));
    for (int64_t m = 0; m < job->excerpt.count[TR_DIM_MODULE]; m++) {
        const struct an_group_result *group = result->group[groups[modules[m]]];
        if (group && group->trial)
            TR_TRY(put(table, group, &result->series, err));
    }
    return TR_OK;
}

// "attn,cost-nll,importance,"NAME",TIME": the columns that all three begin with. The numbers of
// checkpoints count from 1, as on axes. `by`: AN_CRITERIA for none.
static enum tr_status begin_row(struct tr_string *table, const struct an_group_result *group,
                                enum an_by cost, enum an_by by, const struct an_series *series,
                                int64_t checkpoint, struct tr_err *err) {
    TR_TRY(tr_string_format(table, err, "%s,%s,", an_group_names[group->group], an_by_names[cost]));
    if (by < AN_CRITERIA)
        TR_TRY(tr_string_format(table, err, "%s,", an_by_names[by]));
    TR_TRY(nx_put_text(table, series->checkpoint[checkpoint].name, err));
    return nx_put_number(table, series->checkpoint[checkpoint].at + (series->axis == AN_AXIS_INDEX),
                         err);
}

static enum tr_status put_numbers(struct tr_string *table, const double *numbers, int count,
                                  struct tr_err *err) {
    for (int i = 0; i < count; i++)
        TR_TRY(nx_put_number(table, numbers[i], err));
    return tr_string_append(table, "\n", 1, err);
}

static enum tr_status put_costs(struct tr_string *table, const struct an_group_result *group,
                                const struct an_series *series, struct tr_err *err) {
    const struct an_trial *trial = group->trial;
    int64_t last = trial->checkpoints - 1;
    const struct an_estimate *priced = trial->priced + last * AN_COSTS * trial->units;
    for (int64_t i = 0; i < AN_COSTS * trial->units; i++) {
        int64_t unit = trial->unit[i % trial->units];
        enum an_by cost = (enum an_by)(AN_PROXIES + i / trial->units);
        const double numbers[] = {(double)group->unit[unit].layer, priced[i].value, priced[i].low,
                                  priced[i].high};
        TR_TRY(begin_row(table, group, cost, AN_CRITERIA, series, trial->checkpoint[last], err));
        TR_TRY(put_numbers(table, numbers, 4, err));
    }
    return TR_OK;
}

static enum tr_status put_verdicts(struct tr_string *table, const struct an_group_result *group,
                                   const struct an_series *series, struct tr_err *err) {
    for (int64_t i = 0; i < group->trial->verdicts; i++) {
        const struct an_verdict *verdict = &group->trial->verdict[i];
        const double numbers[] = {verdict->spearman.value, verdict->spearman.low,
                                  verdict->spearman.high, verdict->ceiling};
        if (verdict->checkpoint < 0) // over training
            continue;
        TR_TRY(begin_row(table, group, verdict->cost, verdict->proxy, series, verdict->checkpoint,
                         err));
        TR_TRY(put_numbers(table, numbers, 4, err));
    }
    return TR_OK;
}

static enum tr_status put_forecasts(struct tr_string *table, const struct an_group_result *group,
                                    const struct an_series *series, struct tr_err *err) {
    const struct an_trial *trial = group->trial;
    for (int64_t i = 0; i < trial->forecasts; i++) {
        const struct an_forecast *forecast = &trial->forecast[i];
        const double numbers[] = {forecast->found.value, forecast->found.low, forecast->found.high,
                                  trial->told[forecast->cost - AN_PROXIES].itself, trial->chance};
        TR_TRY(begin_row(table, group, forecast->cost, forecast->by, series, forecast->checkpoint,
                         err));
        TR_TRY(put_numbers(table, numbers, 5, err));
    }
    return TR_OK;
}

static enum tr_status put_prices(struct tr_string *table, const struct an_result *result,
                                 struct tr_err *err) {
    TR_TRY(tr_string_format(table, err, "module,resource,context,share,sum\n"));
    for (int64_t i = 0; i < result->prices; i++)
        for (int64_t at = 0; at < result->price[i].points; at++) {
            const struct an_price *price = &result->price[i];
            const double numbers[] = {price->share[at], price->sum[at]};
            TR_TRY(tr_string_format(table, err, "%s,%s,%lld", an_group_names[price->group],
                                    an_resource_names[price->resource], (long long)price->context));
            TR_TRY(put_numbers(table, numbers, 2, err));
        }
    return TR_OK;
}

enum tr_status nx_notebook_costs(struct nx_notebook_tables *tables, const struct nx_job *job,
                                 const struct an_result *result, struct tr_err *err) {
    TR_TRY(put_all(&tables->costs, "module,cost,checkpoint,time,layer,value,low,high", job, result,
                   put_costs, err));
    TR_TRY(put_all(&tables->verdicts, "module,cost,proxy,checkpoint,time,spearman,low,high,ceiling",
                   job, result, put_verdicts, err));
    TR_TRY(put_all(&tables->forecasts,
                   "module,cost,by,checkpoint,time,found,low,high,themselves,chance", job, result,
                   put_forecasts, err));
    return put_prices(&tables->prices, result, err);
}
