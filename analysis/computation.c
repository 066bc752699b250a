// SPDX-License-Identifier: Apache-2.0
#include "computation.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "statistics/consistent.h"

static enum tr_status find_bounds(struct an_work *work, struct tr_err *err) {
    const struct an_panel *claimed = &work->claimed;
    double *limits;
    TR_TRY(TR_NEW(&work->bound, claimed->units, "worst cases", err));
    TR_TRY(TR_NEW(&limits, claimed->checkpoints * claimed->units, "upper limits", err));
    enum tr_status status = an_upper_limits(limits, claimed, work->settings->level, err);
    if (status == TR_OK)
        an_worst_bounds(work->bound, NULL, limits, claimed->checkpoints, claimed->units);
    free(limits);
    return status;
}

static enum tr_status aggregate(struct an_work *work, struct tr_err *err) {
    const struct an_panel *claimed = &work->claimed;
    int64_t values = claimed->units * claimed->sequences;
    for (int which = 0; which < AN_AGGREGATES; which++) {
        TR_TRY(TR_NEW(&work->estimate[which], claimed->units, "means over training", err));
        an_aggregate(work->estimate[which], which, work->means, work->weight, claimed->checkpoints,
                     claimed->units);
        TR_TRY(TR_NEW(&work->pseudo[which], values, "pseudo-values", err));
        TR_TRY(an_pseudo_values(work->pseudo[which], claimed, which, work->weight, err));
    }
    if (work->series->untrained < 0)
        return TR_OK;
    struct an_panel untrained = an_panel_slice(&work->panel, work->series->untrained, 1);
    TR_TRY(TR_NEW(&work->untrained, values, "pseudo-values", err));
    return an_pseudo_values(work->untrained, &untrained, AN_LAST, NULL, err);
}

static enum tr_status resample(struct an_work *work, struct tr_err *err) {
    int64_t count = work->claimed.sequences < AN_INTERVAL_LEAST ? 1 : work->settings->resamples;
    TR_TRY(an_resamples_draw(&work->resamples, count, work->claimed.sequences, work->settings->seed,
                             err));
    return an_draws_make(&work->draws, &work->resamples, &work->claimed, work->weight, err);
}

// Copies the claimed checkpoints' means, with NaN for the layers that are left out.
static enum tr_status gather_means(struct an_work *work, struct tr_err *err) {
    const struct an_series *series = work->series;
    int64_t units = work->panel.units;
    TR_TRY(TR_NEW(&work->means, series->claimed * units, "means", err));
    for (int64_t c = 0; c < series->claimed; c++)
        for (int64_t u = 0; u < units; u++)
            work->means[c * units + u] =
                series->gappy[u] ? NAN : series->value[series->claim[c] * units + u];
    return TR_OK;
}

static bool has_gaps(const struct an_series *series) {
    bool gaps = series->claimed < series->checkpoints - series->first;
    for (int64_t u = 0; u < series->layers * TR_MODULES; u++)
        gaps |= series->gappy[u];
    return gaps;
}

// Makes the claimed checkpoints a panel of their own; where nothing is left out, a slice will do.
static enum tr_status gather_panel(struct an_work *work, struct tr_err *err) {
    const struct an_series *series = work->series;
    int64_t sequences = work->panel.sequences, row = work->panel.units * sequences;
    work->claimed = an_panel_slice(&work->panel, series->first, series->claimed);
    if (!has_gaps(series))
        return TR_OK;
    TR_TRY(TR_NEW(&work->values, series->claimed * row, "values without gaps", err));
    if (work->panel.tokens)
        TR_TRY(TR_NEW(&work->tokens, series->claimed * row, "values without gaps", err));
    for (int64_t c = 0; c < series->claimed; c++)
        for (int64_t i = 0; i < row; i++) {
            int64_t from = series->claim[c] * row + i;
            work->values[c * row + i] =
                series->gappy[i / sequences] ? NAN : work->panel.values[from];
            if (work->tokens)
                work->tokens[c * row + i] = work->panel.tokens[from];
        }
    work->claimed.values = work->values;
    work->claimed.tokens = work->tokens;
    return TR_OK;
}

enum tr_status an_work_prepare(struct an_work *work, const struct an_settings *settings,
                               const struct an_series *series, struct tr_err *err) {
    int64_t units = series->layers * TR_MODULES;
    work->settings = settings;
    work->series = series;
    work->panel = (struct an_panel){.checkpoints = series->checkpoints,
                                    .units = units,
                                    .sequences = series->sampled,
                                    .values = series->by_sequence[AN_RANKED],
                                    .tokens = series->tokens};
    TR_TRY(gather_panel(work, err));
    TR_TRY(gather_means(work, err));
    TR_TRY(TR_NEW(&work->weight, series->claimed, "weights", err));
    for (int64_t c = 0; c < series->claimed; c++)
        work->weight[c] = series->checkpoint[series->claim[c]].weight;
    TR_TRY(TR_NEW(&work->share, series->sampled, "token shares", err));
    an_token_shares(work->share, &work->claimed);
    TR_TRY(aggregate(work, err));
    TR_TRY(find_bounds(work, err));
    TR_TRY(resample(work, err));
    if (isnan(settings->below))
        return TR_OK;
    TR_TRY(TR_NEW(&work->below_p, units, "p-values", err));
    return an_not_below_everywhere(work->below_p, &work->claimed, settings->below, err);
}

void an_work_free(struct an_work *work) {
    an_draws_free(&work->draws);
    an_resamples_free(&work->resamples);
    for (int which = 0; which < AN_AGGREGATES; which++) {
        free(work->estimate[which]);
        free(work->pseudo[which]);
    }
    free(work->values);
    free(work->tokens);
    free(work->means);
    free(work->weight);
    free(work->share);
    free(work->untrained);
    free(work->bound);
    free(work->below_p);
}

struct an_sample an_work_sample(const struct an_work *work, enum an_aggregate which, int64_t unit) {
    int64_t sequences = work->claimed.sequences;
    struct an_sample sample = {.estimate = work->estimate[which][unit],
                               .sequences = sequences,
                               .pseudo = work->pseudo[which] + unit * sequences,
                               .share = work->share};
    if (sequences >= AN_INTERVAL_LEAST && which != AN_WORST) {
        sample.draws = work->draws.of[which] + unit;
        sample.stride = work->draws.units;
        sample.resamples = &work->resamples;
    }
    return sample;
}

static double clamp(double limit, struct an_range range) {
    return isnan(limit) ? limit : fmin(fmax(limit, range.low), range.high);
}

void an_keep_within(struct an_estimate *estimate, struct an_range range) {
    estimate->low = clamp(estimate->low, range);
    estimate->high = clamp(estimate->high, range);
}

enum tr_status an_estimate_sample(struct an_estimate *estimate, const struct an_sample *sample,
                                  struct an_range range, double level, struct tr_err *err) {
    struct an_interval interval;
    TR_TRY(an_interval(&interval, sample, level, err));
    *estimate = (struct an_estimate){sample->estimate, interval.low, interval.high};
    an_keep_within(estimate, range);
    return TR_OK;
}

enum tr_status an_estimate_difference(struct an_estimate *estimate, const struct an_sample *a,
                                      const struct an_sample *b, struct an_range range,
                                      double level, struct tr_err *err) {
    struct an_interval interval;
    TR_TRY(an_difference(&interval, a, b, level, err));
    *estimate = (struct an_estimate){a->estimate - b->estimate, interval.low, interval.high};
    an_keep_within(estimate, range);
    return TR_OK;
}

bool an_is_whole(const struct an_group_result *group, int64_t checkpoint) {
    for (int64_t u = 0; u < group->units; u++)
        if (!isfinite(group->value[checkpoint * group->units + u]))
            return false;
    return true;
}
