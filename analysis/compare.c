// SPDX-License-Identifier: Apache-2.0
#include "analysis/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "align.h"
#include "base/alloc.h"
#include "computation.h"
#include "statistics/bootstrap.h"
#include "statistics/correlation.h"
#include "statistics/interval.h"
#include "statistics/order.h"
#include "statistics/overlap.h"
#include "statistics/quantile.h"

// One run on the common grid. A unit is layer * TR_MODULES + module of the grid.
struct side {
    const struct an_series *series;
    int64_t units, sequences;
    double *estimate; // [units] mean importance over the aligned checkpoints
    double *pseudo;   // [units, sequences]
    struct an_resamples resamples;
};

struct comparer {
    const struct an_settings *settings;
    struct an_comparison *comparison;
    struct side first, second;
};

// ---- onto the grid ---------------------------------------------------------------------------

// The aligned checkpoints of a run as a panel of their own; values freed by the caller.
static enum tr_status gather(struct an_panel *panel, double **values_p, const struct side *side,
                             const struct an_comparison *comparison, bool first,
                             struct tr_err *err) {
    const struct an_series *series = side->series;
    int64_t units = series->layers * TR_MODULES, row = units * series->sampled;
    TR_TRY(TR_NEW(values_p, comparison->pairs * row, "aligned values", err));
    for (int64_t i = 0; i < comparison->pairs; i++) {
        int64_t c = first ? comparison->pair[i].first : comparison->pair[i].second;
        memcpy(*values_p + i * row, series->by_sequence[AN_RANKED] + c * row,
               (size_t)row * sizeof **values_p);
        for (int64_t at = 0; at < row; at++)
            if (series->gappy[at / series->sampled])
                (*values_p)[i * row + at] = NAN;
    }
    *panel = (struct an_panel){comparison->pairs, units, series->sampled, *values_p, NULL};
    return TR_OK;
}

// grid[layer, module, width] of own[layer', module, width], between the middles of own layers.
static void interpolate(double *grid, int64_t layers, const double *own, int64_t own_layers,
                        int64_t width) {
    for (int64_t layer = 0; layer < layers; layer++) {
        double at = ((double)layer + 0.5) * (double)own_layers / (double)layers - 0.5;
        at = fmin(fmax(at, 0.0), (double)(own_layers - 1));
        int64_t below = (int64_t)at, above = below + 1 < own_layers ? below + 1 : below;
        double part = at - (double)below;
        for (int64_t i = 0; i < TR_MODULES * width; i++) {
            double low = own[below * TR_MODULES * width + i];
            double high = own[above * TR_MODULES * width + i];
            grid[layer * TR_MODULES * width + i] = part > 0.0 ? low + part * (high - low) : low;
        }
    }
}

static enum tr_status place(struct side *side, const struct an_panel *panel, int64_t layers,
                            struct tr_err *err) {
    double *means = NULL, *own = NULL;
    int64_t values = panel->units * panel->sequences;
    enum tr_status status;
    TR_GO(status, TR_NEW(&means, (panel->checkpoints + 1) * panel->units, "means", err), out);
    TR_GO(status, TR_NEW(&own, values, "pseudo-values", err), out);
    double *aggregate = means + panel->checkpoints * panel->units;
    an_checkpoint_means(means, panel);
    an_aggregate(aggregate, AN_MEAN, means, NULL, panel->checkpoints, panel->units);
    TR_GO(status, an_pseudo_values(own, panel, AN_MEAN, NULL, err), out);
    interpolate(side->estimate, layers, aggregate, side->series->layers, 1);
    interpolate(side->pseudo, layers, own, side->series->layers, panel->sequences);
out:
    free(means);
    free(own);
    return status;
}

static enum tr_status side_make(struct side *side, const struct an_comparison *comparison,
                                const struct an_settings *settings, bool first,
                                struct tr_err *err) {
    struct an_panel panel;
    double *values = NULL;
    side->units = comparison->layers * TR_MODULES;
    side->sequences = side->series->sampled;
    TR_TRY(TR_NEW(&side->estimate, side->units, "means", err));
    TR_TRY(TR_NEW(&side->pseudo, side->units * side->sequences, "pseudo-values", err));
    enum tr_status status = gather(&panel, &values, side, comparison, first, err);
    if (status == TR_OK)
        status = place(side, &panel, comparison->layers, err);
    free(values);
    if (status != TR_OK)
        return status;
    // Two runs over the same tokens draw the same sequences.
    return an_resamples_draw(&side->resamples, settings->resamples, side->sequences,
                             settings->seed + (uint64_t)(!first && !comparison->paired), err);
}

static void side_free(struct side *side) {
    an_resamples_free(&side->resamples);
    free(side->estimate);
    free(side->pseudo);
}

// ---- one unit --------------------------------------------------------------------------------

static struct an_sample sample_of(const struct side *side, int64_t unit) {
    return (struct an_sample){.estimate = side->estimate[unit],
                              .sequences = side->sequences,
                              .pseudo = side->pseudo + unit * side->sequences};
}

static enum tr_status interval_of(struct an_estimate *estimate, const struct an_sample *sample,
                                  double level, struct tr_err *err) {
    struct an_interval interval;
    TR_TRY(an_interval(&interval, sample, level, err));
    *estimate = (struct an_estimate){sample->estimate, interval.low, interval.high};
    return TR_OK;
}

// Of b - a over independent sequences: pseudo-values over all N of both, a unit's n sequences
// scaled so that their variance is the sum of the two means' own:
//   b - a +- (x - mean) N / n sqrt(n (N - 1) / ((n - 1) N)).
// A few sequences do not tell their variance.
static enum tr_status unpaired(struct an_estimate *difference, const struct an_sample *a,
                               const struct an_sample *b, double level, struct tr_err *err) {
    const struct an_sample *const sides[] = {a, b};
    double *pseudo, all = (double)(a->sequences + b->sequences);
    struct an_sample sample = {.estimate = b->estimate - a->estimate,
                               .sequences = a->sequences + b->sequences};
    int64_t at = 0;
    *difference = (struct an_estimate){sample.estimate, NAN, NAN};
    if (a->sequences < AN_INTERVAL_LEAST || b->sequences < AN_INTERVAL_LEAST)
        return TR_OK;
    TR_TRY(TR_NEW(&pseudo, sample.sequences, "pseudo-values", err));
    for (int side = 0; side < 2; side++) {
        double n = (double)sides[side]->sequences;
        double scale = (side ? 1.0 : -1.0) * sqrt(all * (all - 1.0) / (n * (n - 1.0)));
        for (int64_t s = 0; s < sides[side]->sequences; s++)
            pseudo[at++] =
                sample.estimate + scale * (sides[side]->pseudo[s] - sides[side]->estimate);
    }
    sample.pseudo = pseudo;
    enum tr_status status = interval_of(difference, &sample, level, err);
    free(pseudo);
    return status;
}

static enum tr_status estimate_unit(struct an_compared_unit *unit, const struct comparer *c,
                                    struct tr_err *err) {
    int64_t index = unit->layer * TR_MODULES + unit->module;
    double level = c->settings->level;
    struct an_sample a = sample_of(&c->first, index), b = sample_of(&c->second, index);
    TR_TRY(interval_of(&unit->first, &a, level, err));
    TR_TRY(interval_of(&unit->second, &b, level, err));
    if (!c->comparison->paired)
        return unpaired(&unit->difference, &a, &b, level, err);
    struct an_interval interval;
    TR_TRY(an_difference(&interval, &b, &a, level, err));
    unit->difference = (struct an_estimate){b.estimate - a.estimate, interval.low, interval.high};
    return TR_OK;
}

static enum tr_status compare_unit(struct an_compared_unit *unit, const struct comparer *c,
                                   struct tr_err *err) {
    struct an_range range = an_value_range(c->settings->by);
    TR_TRY(estimate_unit(unit, c, err));
    an_keep_within(&unit->first, range);
    an_keep_within(&unit->second, range);
    an_keep_within(&unit->difference, an_difference_range(c->settings->by));
    return TR_OK;
}

// ---- agreement of a group --------------------------------------------------------------------

enum agreement { JACCARD, SPEARMAN, TAU, AGREEMENTS };

// Holds the values of one resample of a group.
struct room {
    double *x, *y;  // [units]
    int64_t *order; // [2, units]
    double *drawn;  // [AGREEMENTS, resamples]
};

static enum tr_status agree(double agreement[AGREEMENTS], const struct an_compared_group *group,
                            const struct room *room, struct tr_err *err) {
    int64_t units = group->units;
    an_order(room->order, room->x, units);
    an_order(room->order + units, room->y, units);
    TR_TRY(an_jaccard(&agreement[JACCARD], room->order, room->order + units, units, group->count,
                      err));
    TR_TRY(an_spearman(&agreement[SPEARMAN], room->x, room->y, units, err));
    return an_kendall_tau_b(&agreement[TAU], room->x, room->y, units, err);
}

// The mean of a unit's pseudo-values in one resample.
static double draw(const struct side *side, int64_t unit, int64_t resample) {
    const double *weight = side->resamples.weights + resample * side->sequences;
    const double *pseudo = side->pseudo + unit * side->sequences;
    double sum = 0.0, count = 0.0;
    for (int64_t s = 0; s < side->sequences; s++)
        if (isfinite(pseudo[s])) {
            sum += weight[s] * pseudo[s];
            count += weight[s];
        }
    return sum / count;
}

static enum tr_status resample(struct an_compared_group *group, const struct comparer *c,
                               const struct room *room, struct tr_err *err) {
    struct an_estimate *to[AGREEMENTS] = {&group->jaccard, &group->spearman, &group->tau};
    int64_t count = c->settings->resamples;
    double agreement[AGREEMENTS], tail = 0.5 * (1.0 - c->settings->level);
    for (int64_t i = 0; i < count; i++) {
        for (int64_t u = 0; u < group->units; u++) {
            int64_t index = group->unit[u].layer * TR_MODULES + group->unit[u].module;
            room->x[u] = draw(&c->first, index, i);
            room->y[u] = draw(&c->second, index, i);
        }
        TR_TRY(agree(agreement, group, room, err));
        for (int which = 0; which < AGREEMENTS; which++)
            room->drawn[which * count + i] = agreement[which];
    }
    for (int which = 0; which < AGREEMENTS; which++) {
        double *drawn = room->drawn + which * count;
        int64_t kept = an_keep_finite(drawn, count);
        an_sort(drawn, kept);
        to[which]->low = an_sorted_quantile(drawn, kept, tail);
        to[which]->high = an_sorted_quantile(drawn, kept, 1.0 - tail);
    }
    return TR_OK;
}

static enum tr_status find_agreement(struct an_compared_group *group, const struct comparer *c,
                                     const struct room *room, struct tr_err *err) {
    double agreement[AGREEMENTS];
    for (int64_t u = 0; u < group->units; u++) {
        room->x[u] = group->unit[u].first.value;
        room->y[u] = group->unit[u].second.value;
    }
    TR_TRY(agree(agreement, group, room, err));
    group->jaccard = (struct an_estimate){agreement[JACCARD], NAN, NAN};
    group->spearman = (struct an_estimate){agreement[SPEARMAN], NAN, NAN};
    group->tau = (struct an_estimate){agreement[TAU], NAN, NAN};
    group->jaccard_chance = an_jaccard_chance(group->units, group->count);
    if (c->first.sequences < AN_INTERVAL_LEAST || c->second.sequences < AN_INTERVAL_LEAST)
        return TR_OK;
    return resample(group, c, room, err);
}

static enum tr_status compare_rankings(struct an_compared_group *group, const struct comparer *c,
                                       struct tr_err *err) {
    struct room room = {0};
    enum tr_status status;
    TR_GO(status, TR_NEW(&room.x, 2 * group->units, "rankings", err), out);
    TR_GO(status, TR_NEW(&room.order, 2 * group->units, "rankings", err), out);
    TR_GO(status, TR_NEW(&room.drawn, AGREEMENTS * c->settings->resamples, "resamples", err), out);
    room.y = room.x + group->units;
    status = find_agreement(group, c, &room, err);
out:
    free(room.x);
    free(room.order);
    free(room.drawn);
    return status;
}

// ---- groups ----------------------------------------------------------------------------------

static bool both_have(const struct comparer *c, int64_t index) {
    return isfinite(c->first.estimate[index]) && isfinite(c->second.estimate[index]);
}

static enum tr_status compare_group(const struct comparer *c, enum an_group which,
                                    struct tr_err *err) {
    struct an_comparison *comparison = c->comparison;
    struct an_compared_group *group = &comparison->group[comparison->groups];
    int64_t wanted = c->settings->count;
    *group = (struct an_compared_group){.group = which};
    TR_TRY(TR_NEW(&group->unit, 2 * comparison->layers, "compared layers", err));
    comparison->groups++;
    for (int module = 0; module < TR_MODULES; module++)
        for (int64_t layer = 0; layer < comparison->layers; layer++)
            if (an_group_holds(which, module) && both_have(c, layer * TR_MODULES + module))
                group->unit[group->units++] =
                    (struct an_compared_unit){.layer = layer, .module = module};
    if (group->units == 0) {
        comparison->groups--;
        free(group->unit);
        return TR_OK;
    }
    group->count = wanted > 0 ? wanted : an_default_count(group->units);
    if (group->count > group->units)
        group->count = group->units;
    for (int64_t u = 0; u < group->units; u++)
        TR_TRY(compare_unit(&group->unit[u], c, err));
    return compare_rankings(group, c, err);
}

static enum tr_status compare_all(struct comparer *c, struct tr_err *err) {
    struct an_comparison *comparison = c->comparison;
    const struct an_series *first = c->first.series, *second = c->second.series;
    TR_TRY(an_align(comparison, first, second, err));
    comparison->layers = first->layers < second->layers ? first->layers : second->layers;
    comparison->paired = first->sampled == second->sampled && first->sampled > 1 &&
                         first->cost_batch == second->cost_batch && first->tokens_digest[0] &&
                         strcmp(first->tokens_digest, second->tokens_digest) == 0;
    TR_TRY(TR_NEW(&comparison->group, AN_GROUPS, "compared modules", err));
    TR_TRY(side_make(&c->first, comparison, c->settings, true, err));
    TR_TRY(side_make(&c->second, comparison, c->settings, false, err));
    for (int group = 0; group < AN_GROUPS; group++)
        if (c->settings->wanted[group])
            TR_TRY(compare_group(c, group, err));
    return TR_OK;
}

enum tr_status an_compare(struct an_comparison *comparison, const struct an_result *first,
                          const struct an_result *second, struct tr_err *err) {
    struct an_comparison new = {0};
    struct comparer c = {.settings = &first->settings,
                         .comparison = &new,
                         .first.series = &first->series,
                         .second.series = &second->series};
    TR_TRY(tr_strdup(&new.path, second->series.path, err));
    enum tr_status status = compare_all(&c, err);
    side_free(&c.first);
    side_free(&c.second);
    if (status == TR_OK)
        *comparison = new;
    else
        an_comparison_free(&new);
    return status;
}

void an_comparison_free(struct an_comparison *comparison) {
    for (int64_t i = 0; i < comparison->groups; i++)
        free(comparison->group[i].unit);
    free(comparison->group);
    free(comparison->pair);
    free(comparison->path);
}
