// SPDX-License-Identifier: Apache-2.0
#include "analysis/result.h"

#include <stdlib.h>

#include "analysis/prices.h"
#include "analysis/search_result.h"
#include "base/alloc.h"
#include "budget.h"
#include "computation.h"
#include "cost_rows.h"
#include "set_costs.h"
#include "trial.h"

static enum tr_status check_count(const struct an_settings *settings,
                                  const struct an_series *series, struct tr_err *err) {
    int64_t layers = series->layers;
    for (int group = 0; group < AN_GROUPS; group++) {
        int64_t most = group == AN_JOINT ? 2 * layers : layers;
        if (settings->wanted[group] && settings->count > most)
            return tr_fail(err, TR_EUSAGE, "--count %lld asks for more than the %lld %s of %s",
                           (long long)settings->count, (long long)most,
                           group == AN_JOINT ? "sublayers" : "layers", series->path);
    }
    return TR_OK;
}

static enum tr_status close_gaps(struct an_result *result, struct tr_err *err) {
    bool wanted[TR_MODULES] = {false};
    for (int group = 0; group < AN_GROUPS; group++)
        for (int module = 0; module < TR_MODULES; module++)
            wanted[module] |= result->settings.wanted[group] && an_group_holds(group, module);
    return an_series_close_gaps(&result->series, wanted, err);
}

static enum tr_status try_proxies(struct an_result *result, const struct tr_trace *trace,
                                  struct tr_err *err) {
    struct an_cost_rows rows;
    TR_TRY(an_cost_rows_load(&rows, &result->series, trace, err));
    enum tr_status status = TR_OK;
    for (int group = 0; group < AN_GROUPS && status == TR_OK; group++)
        if (result->group[group] && rows.rows >= AN_INTERVAL_LEAST)
            status =
                an_trial_make(result->group[group], &rows, &result->series, &result->settings, err);
    an_cost_rows_free(&rows);
    return status;
}

static enum tr_status take_search(struct an_result *result, const struct tr_trace *trace,
                                  struct tr_err *err) {
    if (!tr_trace_info(trace)->layout.rounds)
        return TR_OK;
    TR_TRY(TR_NEW(&result->search, 1, "the search", err));
    return an_search_load(result->search, trace, result->series.path, err);
}

static enum tr_status compute(struct an_result *result, struct an_work *work,
                              const struct tr_trace *trace, struct tr_err *err) {
    TR_TRY(an_faults_find(result, err));
    TR_TRY(an_work_prepare(work, &result->settings, &result->series, err));
    for (int group = 0; group < AN_GROUPS; group++)
        if (result->settings.wanted[group])
            TR_TRY(an_group_make(&result->group[group], work, group, err));
    TR_TRY(try_proxies(result, trace, err));
    TR_TRY(an_set_costs_make(result, trace, err));
    TR_TRY(an_budget_make(result, trace, err));
    TR_TRY(an_prices_make(result, trace, err));
    TR_TRY(take_search(result, trace, err));
    int64_t samples = result->series.sampled;
    result->method = samples < AN_INTERVAL_LEAST ? AN_NO_INTERVAL
                     : samples < AN_BCA_LEAST    ? AN_BOOTSTRAP_T
                                                 : AN_BCA;
    return an_spans_make(&result->spans, &result->series, trace, result->settings.level, err);
}

enum tr_status an_analyze(struct an_result *result, const struct tr_trace *trace, const char *path,
                          const struct an_settings *settings, struct tr_err *err) {
    struct an_result new = {.settings = *settings};
    struct an_work work = {0};
    TR_TRY(an_series_load(&new.series, trace, path, settings->by, settings->from, err));
    enum tr_status status = check_count(settings, &new.series, err);
    if (status == TR_OK)
        status = close_gaps(&new, err);
    if (status == TR_OK)
        status = compute(&new, &work, trace, err);
    an_work_free(&work);
    if (status == TR_OK)
        *result = new;
    else
        an_result_free(&new);
    return status;
}

void an_result_free(struct an_result *result) {
    for (int64_t i = 0; i < result->faults; i++)
        free(result->fault[i].text);
    free(result->fault);
    for (int group = 0; group < AN_GROUPS; group++)
        an_group_free(result->group[group]);
    an_spans_free(result->spans);
    an_set_costs_free(result);
    an_budget_free(result->budget);
    an_prices_free(result);
    if (result->search)
        an_search_free(result->search);
    free(result->search);
    an_series_free(&result->series);
}
