// SPDX-License-Identifier: Apache-2.0
#include "notebook_table.h"

#include <math.h>

#include "analysis/rule.h"
#include "job_analysis.h"

// A number that the data cannot support is an empty field.
static enum tr_status put_number(struct tr_string *table, double value, struct tr_err *err) {
    return isfinite(value) ? tr_string_format(table, err, ",%.6g", value)
                           : tr_string_append(table, ",", 1, err);
}

// As the report prints it: it may be a bound.
static enum tr_status put_probability(struct tr_string *table, double p,
                                      const struct an_result *result, struct tr_err *err) {
    char text[AN_PROBABILITY_MAX];
    if (result->method == AN_NO_INTERVAL || !isfinite(p))
        return put_number(table, NAN, err);
    return tr_string_format(table, err, ",%s",
                            an_probability_text(p, result->settings.resamples, text));
}

// The label of a checkpoint may be its name: what would end a Python or CSV string becomes '?'.
static enum tr_status put_onset(struct tr_string *table, const struct an_result *result,
                                int64_t onset, struct tr_err *err) {
    const char *label = onset < 0 ? "" : result->series.checkpoint[onset].label;
    size_t start = table->size + 2;
    TR_TRY(tr_string_format(table, err, ",\"%s\"\n", label));
    for (char *at = table->data + start; at < table->data + table->size - 2; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < 0x20)
            *at = '?';
    return TR_OK;
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
        TR_TRY(put_number(table, numbers[i], err));
    TR_TRY(put_probability(
        table, an_choice_probability(&group->set[AN_MEAN].choice, u, group->count), result, err));
    return put_onset(table, result, unit->onset, err);
}

// The set of each wanted module by the mean over training, lowest first.
static enum tr_status put_table(struct tr_string *table, const struct nx_job *job,
                                const struct an_result *result, struct tr_err *err) {
    static const enum an_group groups[TR_MODULES] = {AN_ATTN, AN_MLP, AN_BLOCK};
    const int64_t *modules = job->excerpt.index[TR_DIM_MODULE];
    TR_TRY(tr_string_format(table, err,
                            "module,layer,mean,low,high,worst,worst_bound,lowest_share,"
                            "probability,onset\n"));
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
        "it always is among them. What the data cannot support is NaN.");
}

enum tr_status nx_notebook_table(const struct nx_job *job, struct tr_string *table,
                                 struct tr_string *about, struct tr_string *rule,
                                 struct tr_err *err) {
    struct an_result result;
    TR_TRY(nx_analyze(&result, job, true, err));
    enum tr_status status = put_table(table, job, &result, err);
    if (status == TR_OK)
        status = an_rule_text(rule, &result, err);
    if (status == TR_OK)
        status = put_about(about, &result, rule->data, err);
    an_result_free(&result);
    return status;
}
