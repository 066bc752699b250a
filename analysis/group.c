// SPDX-License-Identifier: Apache-2.0
// The units of one module, or of attention and MLP together: their aggregates, ranks, and the sets
// of the lowest.
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "computation.h"
#include "statistics/consistent.h"
#include "statistics/onset.h"
#include "statistics/order.h"
#include "trial.h"

const char *const an_group_names[AN_GROUPS] = {"attn", "mlp", "block", "joint"};
const char *const an_aggregate_names[AN_AGGREGATES] = {"mean", "worst", "last"};

static int64_t index_of(const struct an_unit *unit) {
    return unit->layer * TR_MODULES + unit->module;
}

bool an_group_holds(enum an_group group, int module) {
    return group == AN_JOINT ? module != TR_BLOCK : module == (int)group;
}

// ---- which units, and how large a set --------------------------------------------------------

static bool is_measured(const struct an_work *work, int64_t index) {
    return isfinite(work->means[index]);
}

static enum tr_status list_units(struct an_group_result *group, const struct an_work *work,
                                 struct tr_err *err) {
    int64_t layers = work->series->layers;
    TR_TRY(TR_NEW(&group->unit, 2 * layers, "the units of a module", err));
    for (int module = 0; module < TR_MODULES; module++)
        for (int64_t layer = 0; layer < layers && an_group_holds(group->group, module); layer++) {
            struct an_unit unit = {.layer = layer, .module = module};
            if (is_measured(work, index_of(&unit)))
                group->unit[group->units++] = unit;
            else if (work->series->gappy[index_of(&unit)])
                group->gappy++;
            else
                group->absent++;
        }
    return TR_OK;
}

int64_t an_default_count(int64_t units) {
    int64_t quarter = (units + 2) / 4;
    return quarter > 1 ? quarter : 1;
}

static enum tr_status gather_values(struct an_group_result *group, const struct an_work *work,
                                    struct tr_err *err) {
    int64_t units = group->units;
    TR_TRY(TR_NEW(&group->value, work->panel.checkpoints * units, "values", err));
    for (int64_t c = 0; c < work->panel.checkpoints; c++)
        for (int64_t u = 0; u < units; u++)
            group->value[c * units + u] =
                work->series->value[c * work->panel.units + index_of(&group->unit[u])];
    for (int64_t c = 0; c < work->panel.checkpoints; c++)
        if (an_is_whole(group, c))
            group->last = c;
    TR_TRY(TR_NEW(&group->claimed, work->claimed.checkpoints * units, "values", err));
    for (int64_t c = 0; c < work->claimed.checkpoints; c++)
        for (int64_t u = 0; u < units; u++)
            group->claimed[c * units + u] =
                work->means[c * work->panel.units + index_of(&group->unit[u])];
    return TR_OK;
}

// ---- one unit --------------------------------------------------------------------------------

static enum tr_status estimate_unit(struct an_unit *unit, const struct an_work *work,
                                    struct tr_err *err) {
    int64_t index = index_of(unit), units = work->claimed.units;
    double level = work->settings->level;
    struct an_sample mean = an_work_sample(work, AN_MEAN, index);
    struct an_sample last = an_work_sample(work, AN_LAST, index);
    struct an_range range = an_value_range(work->settings->by);
    TR_TRY(an_estimate_sample(&unit->by[AN_MEAN], &mean, range, level, err));
    TR_TRY(an_estimate_sample(&unit->by[AN_LAST], &last, range, level, err));
    unit->by[AN_WORST] =
        (struct an_estimate){work->estimate[AN_WORST][index], NAN, work->bound[index]};
    an_keep_within(&unit->by[AN_WORST], range);
    for (int64_t c = 0; c < work->claimed.checkpoints; c++)
        if (work->means[c * units + index] == work->estimate[AN_WORST][index])
            unit->worst_at = work->series->claim[c];
    unit->untrained = (struct an_estimate){NAN, NAN, NAN};
    if (!work->untrained)
        return TR_OK;
    struct an_sample before = {.estimate =
                                   work->series->value[work->series->untrained * units + index],
                               .sequences = work->claimed.sequences,
                               .pseudo = work->untrained + index * work->claimed.sequences};
    mean.draws = NULL;
    return an_estimate_difference(&unit->untrained, &mean, &before,
                                  an_difference_range(work->settings->by), level, err);
}

// Fills in each unit's mean rank, and the share of training at which it is among the lowest.
static enum tr_status rank_units(struct an_group_result *group, const struct an_work *work,
                                 struct tr_err *err) {
    int64_t units = group->units, checkpoints = work->claimed.checkpoints;
    const double *values = group->claimed;
    double *ranks = NULL;
    bool *lowest = NULL;
    enum tr_status status;
    TR_GO(status, TR_NEW(&ranks, 2 * units, "ranks", err), out);
    TR_GO(status, TR_NEW(&lowest, checkpoints * units, "ranks", err), out);
    TR_GO(status, an_mark_lowest(lowest, values, checkpoints, units, group->count, err), out);
    double *weights = ranks + units;
    for (int64_t c = 0; c < checkpoints; c++) {
        TR_GO(status, an_midranks(ranks, values + c * units, units, err), out);
        for (int64_t u = 0; u < units; u++) {
            if (lowest[c * units + u])
                group->unit[u].share += work->weight[c];
            if (isfinite(ranks[u])) {
                group->unit[u].mean_rank += work->weight[c] * ranks[u];
                weights[u] += work->weight[c];
            }
        }
    }
    for (int64_t u = 0; u < units; u++)
        group->unit[u].mean_rank /= weights[u];
out:
    free(ranks);
    free(lowest);
    return status;
}

static enum tr_status test_below(struct an_group_result *group, const struct an_work *work,
                                 struct tr_err *err) {
    double *p;
    group->below = work->below_p ? 0 : -1;
    for (int64_t u = 0; u < group->units; u++)
        group->unit[u].below_p = group->unit[u].below_q = NAN;
    if (!work->below_p)
        return TR_OK;
    TR_TRY(TR_NEW(&p, 2 * group->units, "p-values", err));
    for (int64_t u = 0; u < group->units; u++)
        p[u] = work->below_p[index_of(&group->unit[u])];
    enum tr_status status = an_benjamini_hochberg(p + group->units, p, group->units, err);
    for (int64_t u = 0; u < group->units && status == TR_OK; u++) {
        struct an_unit *unit = &group->unit[u];
        unit->below_p = p[u];
        unit->below_q = p[group->units + u];
        unit->below = unit->below_q <= 1.0 - work->settings->level;
        group->below += unit->below;
    }
    free(p);
    return status;
}

// ---- a set -----------------------------------------------------------------------------------

// Whether two units are so far apart that no resampling is needed to see it.
static enum tr_status are_far_apart(bool *far_p, const struct an_sample *a,
                                    const struct an_sample *b, struct tr_err *err) {
    const double almost_sure = 1.0 - 1e-6;
    struct an_sample x = *a, y = *b;
    struct an_interval interval;
    x.draws = y.draws = NULL;
    TR_TRY(an_difference(&interval, &x, &y, almost_sure, err));
    *far_p = interval.low > 0.0 || interval.high < 0.0;
    return TR_OK;
}

static enum tr_status add_tie(struct an_set *set, const struct an_sample *sample, int64_t inside,
                              int64_t outside, const struct an_settings *settings,
                              struct tr_err *err) {
    struct an_tie tie = {.inside = inside, .outside = outside};
    bool far;
    TR_TRY(are_far_apart(&far, &sample[outside], &sample[inside], err));
    if (far)
        return TR_OK;
    TR_TRY(an_estimate_difference(&tie.difference, &sample[outside], &sample[inside],
                                  an_difference_range(settings->by), settings->level, err));
    if (tie.difference.low <= 0.0 && tie.difference.high >= 0.0)
        set->tie[set->ties++] = tie;
    return TR_OK;
}

// Compares the first unit outside with every member, and the last member with all outside.
static enum tr_status find_ties(struct an_set *set, const struct an_sample *sample, int64_t count,
                                const struct an_settings *settings, struct tr_err *err) {
    const int64_t *order = set->choice.order;
    int64_t present = set->choice.present;
    TR_TRY(TR_NEW(&set->tie, present, "ties", err));
    for (int64_t i = 0; i < count && count < present; i++)
        TR_TRY(add_tie(set, sample, order[i], order[count], settings, err));
    for (int64_t i = count + 1; i < present; i++)
        TR_TRY(add_tie(set, sample, order[count - 1], order[i], settings, err));
    return TR_OK;
}

static enum tr_status choose(struct an_group_result *group, const struct an_work *work,
                             enum an_aggregate which, int64_t *index, struct an_sample *sample,
                             struct tr_err *err) {
    struct an_set *set = &group->set[which];
    double level = work->settings->level;
    for (int64_t u = 0; u < group->units; u++) {
        index[u] = index_of(&group->unit[u]);
        sample[u] = an_work_sample(work, which, index[u]);
    }
    TR_TRY(an_choose(&set->choice, work->estimate[which], work->draws.of[which], work->draws.count,
                     work->draws.units, index, group->units, err));
    int64_t present = set->choice.present;
    TR_TRY(TR_NEW(&set->cut, present, "cuts", err));
    if (present < 2)
        return TR_OK;
    TR_TRY(an_choice_cuts(set->cut, &set->choice, sample, level, err));
    int64_t count = group->count < present ? group->count : present;
    an_clean_neighbours(&set->clean_below, &set->clean_above, set->cut, present, count);
    for (int64_t i = 0; i < present - 1; i++) {
        struct an_estimate margin = {0.0, set->cut[i].interval.low, set->cut[i].interval.high};
        an_keep_within(&margin, an_difference_range(work->settings->by));
        set->cut[i].interval.low = margin.low;
        set->cut[i].interval.high = margin.high;
    }
    return find_ties(set, sample, count, work->settings, err);
}

static enum tr_status choose_sets(struct an_group_result *group, const struct an_work *work,
                                  struct tr_err *err) {
    int64_t *index = NULL;
    struct an_sample *sample = NULL;
    enum tr_status status;
    TR_GO(status, TR_NEW(&index, group->units, "units", err), out);
    TR_GO(status, TR_NEW(&sample, group->units, "samples", err), out);
    for (int which = 0; which < AN_AGGREGATES && status == TR_OK; which++)
        status = choose(group, work, which, index, sample, err);
out:
    free(index);
    free(sample);
    return status;
}

// ---- all -------------------------------------------------------------------------------------

static enum tr_status fill(struct an_group_result *group, const struct an_work *work,
                           struct tr_err *err) {
    int64_t wanted = work->settings->count;
    group->count = wanted > 0 ? wanted : an_default_count(group->units);
    if (group->count > group->units)
        group->count = group->units;
    TR_TRY(gather_values(group, work, err));
    for (int64_t u = 0; u < group->units; u++)
        TR_TRY(estimate_unit(&group->unit[u], work, err));
    TR_TRY(rank_units(group, work, err));
    TR_TRY(test_below(group, work, err));
    TR_TRY(choose_sets(group, work, err));
    TR_TRY(an_texts_make(group, work, err));
    TR_TRY(an_stability_make(group, work, err));
    TR_TRY(an_history_make(group, work, err));
    return an_changes_make(group, work, err);
}

enum tr_status an_group_make(struct an_group_result **group_p, const struct an_work *work,
                             enum an_group group, struct tr_err *err) {
    struct an_group_result *new;
    TR_TRY(TR_NEW(&new, 1, "a module's result", err));
    new->group = group;
    enum tr_status status = list_units(new, work, err);
    if (status == TR_OK && new->units > 0)
        status = fill(new, work, err);
    if (status == TR_OK && new->units > 0)
        *group_p = new;
    else
        an_group_free(new);
    return status;
}

void an_group_free(struct an_group_result *group) {
    if (!group)
        return;
    for (int which = 0; which < AN_AGGREGATES; which++) {
        an_choice_free(&group->set[which].choice);
        free(group->set[which].cut);
        free(group->set[which].tie);
    }
    for (int64_t u = 0; u < group->units; u++)
        free(group->unit[u].change);
    free(group->unit);
    free(group->value);
    free(group->claimed);
    free(group->stability.last);
    free(group->stability.previous);
    free(group->stability.overlap);
    for (int64_t i = 0; i < group->texts; i++)
        free(group->text[i].mean);
    free(group->text);
    an_trial_free(group->trial);
    free(group);
}
