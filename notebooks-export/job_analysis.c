// SPDX-License-Identifier: Apache-2.0
#include "job_analysis.h"

#include <math.h>

enum { RESAMPLES = 10000, FEWER_RESAMPLES = 1000, FEWEST_RESAMPLES = 100 };
#define HIGHEST 1e3     // of --below, where a criterion has no bound of its own
#define MANY_VALUES 1e6 // by checkpoint, layer, module and sequence

// What a value of the criterion can be at most and at least.
static enum tr_status take_below(struct an_settings *settings, const char *text,
                                 struct tr_err *err) {
    const struct an_criterion *by = &an_criteria[settings->by];
    double low = by->is_signed ? -HIGHEST : 0.0, high = fmin(by->most, HIGHEST);
    if (!text || tr_parse_f64(text, low, high, &settings->below))
        return TR_OK;
    return tr_fail(err, TR_EUSAGE, "--below takes a number from %g to %g, not \"%s\"", low, high,
                   text);
}

static enum tr_status take_by(struct an_settings *settings, const char *text, struct tr_err *err) {
    settings->by = text ? an_criterion_find(text) : AN_BY_IMPORTANCE;
    if (settings->by < AN_CRITERIA)
        return TR_OK;
    return tr_fail(err, TR_EUSAGE,
                   "--by takes importance, update_ratio, alignment, cost-nll (or cost), cost-kl or "
                   "cost-agree, not \"%s\"",
                   text);
}

// The options as trace-analyze takes them.
static enum tr_status take_options(struct an_settings *settings, const struct nx_options *options,
                                   struct tr_err *err) {
    const struct {
        const char *option, *text;
        int64_t low, *value_p;
    } numbers[] = {{"count", options->count, 1, &settings->count},
                   {"from", options->from, 0, &settings->from}};
    for (int i = 0; i < 2; i++)
        if (numbers[i].text &&
            !tr_parse_i64(numbers[i].text, numbers[i].low, INT64_C(1) << 53, numbers[i].value_p))
            return tr_fail(err, TR_EUSAGE, "--%s takes a whole number from %lld on, not \"%s\"",
                           numbers[i].option, (long long)numbers[i].low, numbers[i].text);
    TR_TRY(take_by(settings, options->by, err));
    TR_TRY(take_below(settings, options->below, err));
    if (options->level && !tr_parse_f64(options->level, 0.5, 0.9999, &settings->level))
        return tr_fail(err, TR_EUSAGE, "--level takes a number from 0.5 to 0.9999, not \"%s\"",
                       options->level);
    return TR_OK;
}

enum tr_status nx_analyze(struct an_result *result, const struct nx_job *job, bool intervals,
                          struct tr_err *err) {
    struct an_settings settings = {
        .below = NAN, .from = INT64_MIN, .resamples = RESAMPLES, .level = 0.95};
    for (int group = 0; group < AN_GROUPS; group++)
        settings.wanted[group] = true;
    TR_TRY(take_options(&settings, job->options, err));
    const struct tr_layout *layout = &tr_trace_info(job->trace)->layout;
    double values = (double)tr_trace_rows(job->trace) * (double)layout->layers * TR_MODULES *
                    (double)layout->sequences;
    if (values > MANY_VALUES)
        settings.resamples = FEWER_RESAMPLES;
    if (!intervals)
        settings.resamples = FEWEST_RESAMPLES;
    return an_analyze(result, job->trace, job->options->store, &settings, err);
}
