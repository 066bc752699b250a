// SPDX-License-Identifier: Apache-2.0
// Proxies on trial: what importance, update ratio and alignment say of what leaving a sublayer out
// costs, over training and at every checkpoint.
#include "trial.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "computation.h"
#include "statistics/cross_fit.h"
#include "statistics/onset.h"
#include "statistics/order.h"
#include "statistics/sure_order.h"

enum { OVER_TRAINING = -1 };

struct court {
    struct an_trial *trial;
    const struct an_group_result *group;
    const struct an_cost_rows *rows;
    const struct an_settings *settings;
    struct an_exhibit here, last;
};

// ---- which units and checkpoints -------------------------------------------------------------

static int64_t index_of(const struct an_group_result *group, int64_t unit) {
    return group->unit[unit].layer * TR_MODULES + group->unit[unit].module;
}

static int64_t count_units(const struct court *court, int64_t checkpoint) {
    int64_t count = 0;
    for (int64_t u = 0; u < court->group->units; u++)
        count += an_cost_rows_have(court->rows, checkpoint, index_of(court->group, u));
    return count;
}

static bool all_have(const struct court *court, int64_t checkpoint) {
    const struct an_trial *trial = court->trial;
    for (int64_t u = 0; u < trial->units; u++)
        if (!an_cost_rows_have(court->rows, checkpoint, index_of(court->group, trial->unit[u])))
            return false;
    return true;
}

// The units are those of the last checkpoint with costs, the checkpoints those at which they have
// them.
static void select_all(struct court *court, const struct an_series *series) {
    struct an_trial *trial = court->trial;
    int64_t last = series->checkpoints - 1;
    while (last > series->first && count_units(court, last) == 0)
        last--;
    for (int64_t u = 0; u < court->group->units; u++)
        if (an_cost_rows_have(court->rows, last, index_of(court->group, u)))
            trial->unit[trial->units++] = u;
    for (int64_t c = series->first; c <= last && trial->units > 1; c++)
        if (all_have(court, c))
            trial->checkpoint[trial->checkpoints++] = c;
}

static enum tr_status weigh(struct an_trial *trial, const struct an_series *series,
                            struct tr_err *err) {
    double *at;
    TR_TRY(TR_NEW(&trial->weight, trial->checkpoints, "weights", err));
    TR_TRY(TR_NEW(&at, trial->checkpoints, "times", err));
    for (int64_t i = 0; i < trial->checkpoints; i++)
        at[i] = series->axis == AN_AXIS_INDEX ? NAN : series->checkpoint[trial->checkpoint[i]].at;
    an_time_weights(trial->weight, at, trial->checkpoints);
    free(at);
    return TR_OK;
}

// ---- values at one time ----------------------------------------------------------------------

static enum tr_status exhibit_new(struct an_exhibit *exhibit, const struct court *court,
                                  struct tr_err *err) {
    int64_t units = court->trial->units;
    for (int by = 0; by < AN_TRIED; by++) {
        TR_TRY(TR_NEW(&exhibit->value[by], units * court->rows->rows, "values", err));
        TR_TRY(TR_NEW(&exhibit->mean[by], units, "values", err));
        TR_TRY(TR_NEW(&exhibit->sign[by], units * units, "orders", err));
    }
    return TR_OK;
}

static void exhibit_free(struct an_exhibit *exhibit) {
    for (int by = 0; by < AN_TRIED; by++) {
        free(exhibit->value[by]);
        free(exhibit->mean[by]);
        free(exhibit->sign[by]);
    }
}

// One unit's value by row at the trial's checkpoint `at`, or its weighted mean over them. A row
// without a value at one of them has none.
static double value_at(const struct court *court, int by, int64_t at, int64_t unit, int64_t row) {
    const struct an_cost_rows *rows = court->rows;
    const struct an_trial *trial = court->trial;
    int64_t first = at == OVER_TRAINING ? 0 : at,
            end = at == OVER_TRAINING ? trial->checkpoints : at + 1;
    double sum = 0.0;
    for (int64_t i = first; i < end; i++) {
        double weight = at == OVER_TRAINING ? trial->weight[i] : 1.0;
        sum +=
            weight * rows->of[by][(trial->checkpoint[i] * rows->units + unit) * rows->rows + row];
    }
    return sum;
}

static double mean_of(const double *values, int64_t count) {
    double sum = 0.0, of = 0.0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i])) {
            sum += values[i];
            of += 1.0;
        }
    return sum / of;
}

static enum tr_status show(struct an_exhibit *exhibit, const struct court *court, int64_t at,
                           struct tr_err *err) {
    const struct an_trial *trial = court->trial;
    const struct an_settings *settings = court->settings;
    int64_t units = trial->units, rows = trial->rows;
    for (int by = 0; by < AN_TRIED; by++) {
        double *value = exhibit->value[by];
        struct an_halves halves;
        for (int64_t u = 0; u < units; u++) {
            for (int64_t s = 0; s < rows; s++)
                value[u * rows + s] =
                    value_at(court, by, at, index_of(court->group, trial->unit[u]), s);
            exhibit->mean[by][u] = mean_of(value + u * rows, rows);
        }
        an_sure_order(exhibit->sign[by], value, units, rows, settings->level);
        TR_TRY(an_halves(&halves, value, value, units, rows, trial->count, AN_SPLITS,
                         settings->seed, err));
        exhibit->reliable[by] = an_stepped_up(halves.spearman);
    }
    return TR_OK;
}

// ---- a verdict -------------------------------------------------------------------------------

// The share of the `count` lowest by y that are among those by x.
static enum tr_status find_share(double *share, const double *x, const double *y,
                                 const struct an_trial *trial, struct tr_err *err) {
    bool *lowest;
    int64_t units = trial->units, common = 0;
    TR_TRY(TR_NEW(&lowest, 2 * units, "the lowest units", err));
    enum tr_status status = an_mark_lowest(lowest, x, 1, units, trial->count, err);
    if (status == TR_OK)
        status = an_mark_lowest(lowest + units, y, 1, units, trial->count, err);
    for (int64_t u = 0; u < units; u++)
        common += lowest[u] && lowest[units + u];
    *share = (double)common / (double)trial->count;
    free(lowest);
    return status;
}

static enum tr_status judge(struct an_verdict *verdict, const struct court *court, int proxy,
                            int cost, struct tr_err *err) {
    const struct an_trial *trial = court->trial;
    const struct an_exhibit *e = &court->here;
    const int8_t *s = e->sign[proxy], *t = e->sign[cost];
    int64_t units = trial->units;
    struct an_rank_agreement agreement;
    struct an_regret regret;
    verdict->proxy = proxy;
    verdict->cost = cost;
    TR_TRY(TR_NEW(&verdict->shift, units, "misjudged units", err));
    an_sure_shift(verdict->shift, s, t, units);
    TR_TRY(an_rank_agreement(&agreement, e->mean[proxy], e->mean[cost], s, t, units, err));
    verdict->spearman =
        (struct an_estimate){agreement.spearman, agreement.spearman_low, agreement.spearman_high};
    verdict->tau = (struct an_estimate){agreement.tau, agreement.tau_low, agreement.tau_high};
    verdict->ceiling = sqrt(e->reliable[proxy] * e->reliable[cost]);
    struct an_sure_share share = an_sure_share(s, t, units, trial->count);
    verdict->found = (struct an_estimate){NAN, share.low, share.high};
    TR_TRY(find_share(&verdict->found.value, e->mean[proxy], e->mean[cost], trial, err));
    TR_TRY(an_cross_fit(&regret, e->value[proxy], e->value[cost], units, trial->rows, trial->count,
                        court->settings->level, err));
    verdict->regret = (struct an_estimate){regret.value, regret.low, regret.high};
    return TR_OK;
}

static enum tr_status judge_all(struct court *court, int64_t at, struct tr_err *err) {
    struct an_trial *trial = court->trial;
    for (int proxy = 0; proxy < AN_PROXIES; proxy++)
        for (int cost = 0; cost < AN_COSTS; cost++) {
            struct an_verdict *verdict = &trial->verdict[trial->verdicts++];
            verdict->checkpoint = at == OVER_TRAINING ? -1 : trial->checkpoint[at];
            TR_TRY(judge(verdict, court, proxy, AN_PROXIES + cost, err));
        }
    return TR_OK;
}

static void settle(struct an_trial *trial) {
    struct an_settled *settled = trial->settled;
    for (int proxy = 0; proxy < AN_PROXIES; proxy++)
        for (int cost = 0; cost < AN_COSTS; cost++, settled++) {
            *settled = (struct an_settled){proxy, AN_PROXIES + cost, -1};
            for (int64_t at = trial->checkpoints - 1; at >= 0; at--) {
                const struct an_verdict *verdict = an_verdict_of(trial, at, proxy, cost);
                if (!(verdict->ceiling > 0.0 &&
                      verdict->spearman.value >= AN_MOST * verdict->ceiling))
                    break;
                settled->from = trial->checkpoint[at];
            }
        }
}

// What a unit costs by the cost k.
static enum tr_status price(struct an_estimate *cost, const struct an_trial *trial,
                            const struct an_exhibit *exhibit, int64_t unit, int k, double level,
                            struct tr_err *err) {
    const struct an_sample sample = {
        .estimate = exhibit->mean[AN_PROXIES + k][unit],
        .sequences = trial->rows,
        .pseudo = exhibit->value[AN_PROXIES + k] + unit * trial->rows,
    };
    return an_estimate_sample(cost, &sample, an_value_range((enum an_by)(AN_PROXIES + k)), level,
                              err);
}

// What each unit costs, to `cost`[units, AN_COSTS].
static enum tr_status price_units(struct an_estimate *cost, const struct an_trial *trial,
                                  const struct an_exhibit *exhibit, double level,
                                  struct tr_err *err) {
    for (int64_t i = 0; i < trial->units * AN_COSTS; i++)
        TR_TRY(price(&cost[i], trial, exhibit, i / AN_COSTS, (int)(i % AN_COSTS), level, err));
    return TR_OK;
}

// The same at the trial's checkpoint `at`.
static enum tr_status price_at(const struct an_trial *trial, int64_t at,
                               const struct an_exhibit *exhibit, double level, struct tr_err *err) {
    struct an_estimate *priced = trial->priced + at * AN_COSTS * trial->units;
    for (int64_t i = 0; i < AN_COSTS * trial->units; i++)
        TR_TRY(price(&priced[i], trial, exhibit, i % trial->units, (int)(i / trial->units), level,
                     err));
    return TR_OK;
}

// ---- all -------------------------------------------------------------------------------------

static enum tr_status allocate(struct court *court, struct tr_err *err) {
    struct an_trial *trial = court->trial;
    int64_t times = trial->checkpoints;
    TR_TRY(TR_NEW(&trial->verdict, (1 + times) * AN_PROXIES * AN_COSTS, "verdicts", err));
    TR_TRY(TR_NEW(&trial->forecast, times * AN_TRIED * AN_COSTS, "forecasts", err));
    TR_TRY(TR_NEW(&trial->priced, times * AN_COSTS * trial->units, "costs", err));
    TR_TRY(TR_NEW(&trial->cost, 2 * trial->units * AN_COSTS, "costs", err));
    TR_TRY(exhibit_new(&court->here, court, err));
    return exhibit_new(&court->last, court, err);
}

static enum tr_status hear(struct court *court, struct tr_err *err) {
    struct an_trial *trial = court->trial;
    double level = court->settings->level;
    int64_t last = trial->checkpoints - 1;
    TR_TRY(show(&court->here, court, OVER_TRAINING, err));
    TR_TRY(judge_all(court, OVER_TRAINING, err));
    TR_TRY(price_units(trial->cost, trial, &court->here, level, err));
    TR_TRY(show(&court->last, court, last, err));
    struct an_estimate *at_last = trial->cost + trial->units * AN_COSTS;
    TR_TRY(price_units(at_last, trial, &court->last, level, err));
    for (int64_t at = 0; at <= last; at++) {
        TR_TRY(show(&court->here, court, at, err));
        TR_TRY(judge_all(court, at, err));
        TR_TRY(price_at(trial, at, &court->here, level, err));
        TR_TRY(an_forecast_make(trial->forecast + trial->forecasts, trial->checkpoint[at], trial,
                                &court->here, &court->last, court->settings, err));
        trial->forecasts += AN_TRIED * AN_COSTS;
    }
    an_told_make(trial);
    settle(trial);
    return TR_OK;
}

static enum tr_status convene(struct court *court, const struct an_series *series,
                              struct tr_err *err) {
    struct an_trial *trial = court->trial;
    TR_TRY(TR_NEW(&trial->unit, court->group->units, "units", err));
    TR_TRY(TR_NEW(&trial->checkpoint, series->checkpoints, "checkpoints", err));
    select_all(court, series);
    if (trial->checkpoints == 0)
        return TR_OK;
    trial->rows = court->rows->rows;
    trial->count = court->group->count < trial->units ? court->group->count : trial->units;
    trial->least = an_default_count(trial->units);
    trial->chance = (double)trial->count / (double)trial->units;
    TR_TRY(weigh(trial, series, err));
    TR_TRY(allocate(court, err));
    return hear(court, err);
}

enum tr_status an_trial_make(struct an_group_result *group, const struct an_cost_rows *rows,
                             const struct an_series *series, const struct an_settings *settings,
                             struct tr_err *err) {
    struct court court = {.group = group, .rows = rows, .settings = settings};
    TR_TRY(TR_NEW(&court.trial, 1, "a trial", err));
    enum tr_status status = convene(&court, series, err);
    if (status == TR_OK && court.trial->checkpoints > 0)
        group->trial = court.trial;
    else
        an_trial_free(court.trial);
    exhibit_free(&court.here);
    exhibit_free(&court.last);
    return status;
}

void an_trial_free(struct an_trial *trial) {
    if (!trial)
        return;
    for (int64_t i = 0; i < trial->verdicts; i++)
        free(trial->verdict[i].shift);
    free(trial->verdict);
    free(trial->forecast);
    free(trial->cost);
    free(trial->priced);
    free(trial->weight);
    free(trial->unit);
    free(trial->checkpoint);
    free(trial);
}
