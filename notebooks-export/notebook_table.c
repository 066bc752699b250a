// SPDX-License-Identifier: Apache-2.0
#include "notebook_table.h"

#include <math.h>

#include "analysis/rule.h"
#include "figures/data.h"
#include "job_analysis.h"

enum tr_status nx_put_number(struct tr_string *table, double value, struct tr_err *err) {
    return isfinite(value) ? tr_string_format(table, err, ",%.9g", value)
                           : tr_string_append(table, ",", 1, err);
}

// As the report prints it: it may be a bound.
static enum tr_status put_probability(struct tr_string *table, double p,
                                      const struct an_result *result, struct tr_err *err) {
    char text[AN_PROBABILITY_MAX];
    if (result->method == AN_NO_INTERVAL || !isfinite(p))
        return nx_put_number(table, NAN, err);
    return tr_string_format(table, err, ",%s",
                            an_probability_text(p, result->settings.resamples, text));
}

enum tr_status nx_put_text(struct tr_string *table, const char *text, struct tr_err *err) {
    size_t start = table->size + 1;
    TR_TRY(tr_string_format(table, err, "\"%s\"", text));
    for (char *at = table->data + start; at < table->data + table->size - 1; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < 0x20)
            *at = '?';
    return TR_OK;
}

// The label of a checkpoint, which may be its name.
static enum tr_status put_onset(struct tr_string *table, const struct an_result *result,
                                int64_t onset, struct tr_err *err) {
    TR_TRY(tr_string_append(table, ",", 1, err));
    return nx_put_text(table, onset < 0 ? "" : result->series.checkpoint[onset].label, err);
}

static enum tr_status put_unit(struct tr_string *table, const struct an_result *result,
                               const struct an_group_result *group, int64_t u, struct tr_err *err) {
    const struct an_unit *unit = &group->unit[u];
    const struct an_estimate *mean = &unit->by[AN_MEAN], *worst = &unit->by[AN_WORST];
    const double numbers[] = {mean->value,  mean->low,   mean->high,
                              worst->value, worst->high, unit->share};
    TR_TRY(tr_string_format(table, err, "%s,%lld", tr_module_names[unit->module],
                            (long long)unit->layer));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        TR_TRY(nx_put_number(table, numbers[i], err));
    TR_TRY(put_probability(
        table, an_choice_probability(&group->set[AN_MEAN].choice, u, group->count), result, err));
    TR_TRY(put_onset(table, result, unit->onset, err));
    if (!isnan(result->settings.below))
        TR_TRY(tr_string_format(table, err, ",%s", unit->below ? "True" : "False"));
    return tr_string_append(table, "\n", 1, err);
}

// The set of each wanted module by the mean over training, lowest first.
static enum tr_status put_table(struct tr_string *table, const struct nx_job *job,
                                const struct an_result *result, struct tr_err *err) {
    static const enum an_group groups[TR_MODULES] = {AN_ATTN, AN_MLP, AN_BLOCK};
    const int64_t *modules = job->excerpt.index[TR_DIM_MODULE];
    TR_TRY(tr_string_format(table, err,
                            "module,layer,mean,low,high,worst,worst_bound,lowest_share,"
                            "probability,onset%s\n",
                            isnan(result->settings.below) ? "" : ",below"));
    for (int64_t m = 0; m < job->excerpt.count[TR_DIM_MODULE]; m++) {
        const struct an_group_result *group = result->group[groups[modules[m]]];
        for (int64_t i = 0; group && i < group->count; i++)
            TR_TRY(put_unit(table, result, group, group->set[AN_MEAN].choice.order[i], err));
    }
    return TR_OK;
}

static enum tr_status put_about(struct tr_string *about, const struct an_result *result,
                                const char *rule, struct tr_err *err) {
    const struct an_settings *settings = &result->settings;
    TR_TRY(tr_string_format(
        about, err,
        "Computed by trace-analyze over %lld checkpoints: the least important layers of each "
        "module, %s. `low` to `high` is the %g %% "
        "interval of the mean (%s over %lld sequences, %lld resamples, seed %llu). `worst` is the "
        "highest at "
        "any checkpoint; below `worst_bound` the importance is at every checkpoint, with %g %% "
        "confidence (one-sided). ",
        (long long)result->series.claimed, rule, 100 * settings->level,
        an_method_name(result->method), (long long)result->series.sequences,
        (long long)settings->resamples, (unsigned long long)settings->seed, 100 * settings->level));
    return tr_string_format(
        about, err,
        "`lowest_share` is the share of training during which the layer is among the lowest, "
        "`probability` that of belonging to them by the mean, `onset` the checkpoint from which on "
        "it always is among them%s. What the data cannot support is NaN.",
        isnan(settings->below) ? ""
                               : ", `below` whether it surely is below tau at every checkpoint");
}

static enum tr_status put_tables(struct nx_notebook_tables *tables, const struct nx_job *job,
                                 const struct an_result *result, struct tr_err *err) {
    TR_TRY(tr_string_format(&tables->by, err, "%s", an_by_names[result->settings.by]));
    TR_TRY(tr_string_format(&tables->axis, err, "%s", nx_progress_label(result->series.axis)));
    TR_TRY(an_rule_text(&tables->rule, result, err));
    TR_TRY(put_table(&tables->layers, job, result, err));
    TR_TRY(put_about(&tables->about, result, tables->rule.data, err));
    return nx_notebook_costs(tables, job, result, err);
}

enum tr_status nx_notebook_tables_make(struct nx_notebook_tables *tables, const struct nx_job *job,
                                       struct tr_err *err) {
    struct an_result result;
    TR_TRY(nx_analyze(&result, job, true, err));
    enum tr_status status = put_tables(tables, job, &result, err);
    an_result_free(&result);
    return status;
}

void nx_notebook_tables_free(struct nx_notebook_tables *tables) {
    struct tr_string *const all[] = {&tables->layers,   &tables->about,     &tables->rule,
                                     &tables->by,       &tables->axis,      &tables->costs,
                                     &tables->verdicts, &tables->forecasts, &tables->prices};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tr_string_free(all[i]);
}
