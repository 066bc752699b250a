// SPDX-License-Identifier: Apache-2.0
// Where each unit's value jumped, and what a jump of importance is made of: the length of what is
// written, the length of the stream, and the angle between them. Intervals by the jackknife over
// sequences.
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "computation.h"
#include "statistics/change_points.h"

enum { SHORTEST = 2 }; // checkpoints of a level

enum part { TOTAL, DELTA, STREAM, DIRECTION, PARTS };

// The mean over a segment's checkpoints of each measure, by sequence.
struct segment {
    int64_t begin, end;      // checkpoints
    double norm;             // mean |x|, taken as known: stores hold it for all sequences together
    double *of[AN_MEASURES]; // [sequences]; NaN: a sequence without a value there
    double sum[AN_MEASURES]; // over the sequences with a value,
    int64_t count[AN_MEASURES]; // and how many they are
};

struct changer {
    const struct an_work *work;
    int64_t index; // the unit in a panel
    struct segment before, after;
    double *pseudo; // [PARTS, sequences]
    double *room;   // behind all of these
};

static void sum_up(struct segment *segment, int64_t sequences) {
    for (int m = 0; m < AN_MEASURES; m++) {
        segment->sum[m] = 0.0;
        segment->count[m] = 0;
        for (int64_t s = 0; s < sequences; s++)
            if (isfinite(segment->of[m][s])) {
                segment->sum[m] += segment->of[m][s];
                segment->count[m]++;
            }
    }
}

static void average(struct segment *segment, const struct changer *changer) {
    const struct an_panel *panel = &changer->work->panel;
    for (int m = 0; m < AN_MEASURES; m++)
        for (int64_t s = 0; s < panel->sequences; s++) {
            const double *value =
                changer->work->series->by_sequence[m] + changer->index * panel->sequences + s;
            double sum = 0.0;
            int64_t count = 0;
            for (int64_t c = segment->begin; c < segment->end; c++) {
                double v = value[c * panel->units * panel->sequences];
                sum += isfinite(v) ? v : 0.0;
                count += isfinite(v);
            }
            segment->of[m][s] = count > 0 ? sum / (double)count : NAN;
        }
    sum_up(segment, panel->sequences);
    segment->norm = 0.0;
    for (int64_t c = segment->begin; c < segment->end; c++)
        segment->norm += changer->work->series->stream_norm[c * panel->units + changer->index] /
                         (double)(segment->end - segment->begin);
}

// Returns the mean over the sequences, leaving out the one at `without` (-1: none).
static double mean(const struct segment *segment, enum an_measure m, int64_t without) {
    if (without < 0 || !isfinite(segment->of[m][without]))
        return segment->sum[m] / (double)segment->count[m];
    return (segment->sum[m] - segment->of[m][without]) / (double)(segment->count[m] - 1);
}

// What is written, from the means of r = |delta| / |x| and of c = cos(x, delta): closer to the mean
// over tokens of their importance than pooled sums, which a few tokens of huge norm rule.
static struct an_write write_of(const struct segment *segment, int64_t without) {
    return (struct an_write){.delta = segment->norm * mean(segment, AN_UPDATE_RATIO, without),
                             .x = segment->norm,
                             .c = mean(segment, AN_ALIGNMENT, without)};
}

static void split(double part[PARTS], const struct changer *changer, int64_t without) {
    struct an_write before = write_of(&changer->before, without);
    struct an_write after = write_of(&changer->after, without);
    struct an_split split = an_split_change(&before, &after);
    part[TOTAL] =
        mean(&changer->after, AN_RANKED, without) - mean(&changer->before, AN_RANKED, without);
    part[DELTA] = split.delta;
    part[STREAM] = split.stream;
    part[DIRECTION] = split.direction;
}

// Fills in the change from the mean of the segment before to that of the segment after.
static enum tr_status measure(struct an_change *change, struct changer *changer,
                              struct tr_err *err) {
    int64_t sequences = changer->work->panel.sequences;
    double all[PARTS], without[PARTS];
    struct an_estimate *to[PARTS] = {&change->total, &change->delta, &change->stream,
                                     &change->direction};
    change->at = changer->after.begin;
    average(&changer->before, changer);
    average(&changer->after, changer);
    split(all, changer, -1);
    for (int64_t s = 0; s < sequences; s++) {
        split(without, changer, s);
        for (int part = 0; part < PARTS; part++)
            changer->pseudo[part * sequences + s] =
                (double)sequences * all[part] - (double)(sequences - 1) * without[part];
    }
    for (int part = 0; part < PARTS; part++) {
        struct an_sample sample = {.estimate = all[part],
                                   .sequences = sequences,
                                   .pseudo = changer->pseudo + part * sequences};
        TR_TRY(an_estimate_sample(to[part], &sample,
                                  an_difference_range(changer->work->settings->by),
                                  changer->work->settings->level, err));
    }
    return TR_OK;
}

static enum tr_status measure_jumps(struct an_unit *unit, struct changer *changer,
                                    const struct an_change_points *points, struct tr_err *err) {
    TR_TRY(TR_NEW(&unit->change, points->count, "change points", err));
    for (int64_t i = 0; i < points->count; i++) {
        changer->before.begin = i > 0 ? points->at[i - 1] : 0;
        changer->before.end = changer->after.begin = points->at[i];
        changer->after.end =
            i + 1 < points->count ? points->at[i + 1] : changer->work->panel.checkpoints;
        TR_TRY(measure(&unit->change[i], changer, err));
        unit->changes++;
    }
    return TR_OK;
}

// Finds jumps, of the logarithm where values span orders of magnitude. `y` is room for it.
static enum tr_status find_jumps(struct an_unit *unit, const struct an_group_result *group,
                                 int64_t u, struct changer *changer, double *y,
                                 struct tr_err *err) {
    int64_t checkpoints = changer->work->panel.checkpoints;
    bool logarithmic = an_criteria[changer->work->series->by].logarithmic;
    struct an_change_points points = {0};
    for (int64_t c = 0; c < checkpoints; c++) {
        double value = group->value[c * group->units + u];
        y[c] = !logarithmic ? value : value > 0.0 ? log(value) : NAN;
    }
    TR_TRY(an_change_points(&points, y, checkpoints, -1.0, SHORTEST, err));
    enum tr_status status = measure_jumps(unit, changer, &points, err);
    an_change_points_free(&points);
    return status;
}

// Computes, by sequence, the mean importance less what the same lengths would give at right angles.
static enum tr_status find_orthogonal(struct an_unit *unit, struct changer *changer,
                                      struct tr_err *err) {
    const struct an_work *work = changer->work;
    int64_t sequences = work->panel.sequences;
    double *excess = changer->pseudo, all = 0.0;
    int64_t counted = 0;
    for (int64_t s = 0; s < sequences; s++) {
        double sum = 0.0, weight = 0.0;
        for (int64_t c = 0; c < work->claimed.checkpoints; c++) {
            int64_t cell = work->series->claim[c] * work->panel.units + changer->index;
            double *const *by_sequence = work->series->by_sequence;
            int64_t at = cell * sequences + s;
            double value = by_sequence[AN_RANKED][at] -
                           an_orthogonal_importance(by_sequence[AN_UPDATE_RATIO][at]);
            sum += isfinite(value) ? work->weight[c] * value : 0.0;
            weight += isfinite(value) ? work->weight[c] : 0.0;
        }
        excess[s] = weight > 0.0 ? sum / weight : NAN;
        all += weight > 0.0 ? excess[s] : 0.0;
        counted += weight > 0.0;
    }
    struct an_sample sample = {
        .estimate = all / (double)counted, .sequences = sequences, .pseudo = excess};
    // At right angles it is 0 to 1.
    const struct an_range range = {-1.0, an_value_range(work->settings->by).high};
    return an_estimate_sample(&unit->orthogonal, &sample, range, work->settings->level, err);
}

static enum tr_status change_unit(struct an_unit *unit, const struct an_group_result *group,
                                  int64_t u, struct changer *changer, double *y,
                                  struct tr_err *err) {
    const struct an_series *series = changer->work->series;
    int64_t first = series->claim[0], last = series->claim[series->claimed - 1];
    changer->index = unit->layer * TR_MODULES + unit->module;
    TR_TRY(find_jumps(unit, group, u, changer, y, err));
    TR_TRY(find_orthogonal(unit, changer, err));
    const struct an_estimate unknown = {NAN, NAN, NAN};
    unit->whole = (struct an_change){-1, unknown, unknown, unknown, unknown};
    if (first == last)
        return TR_OK;
    changer->before.begin = first;
    changer->before.end = first + 1;
    changer->after.begin = last;
    changer->after.end = last + 1;
    return measure(&unit->whole, changer, err);
}

enum tr_status an_changes_make(struct an_group_result *group, const struct an_work *work,
                               struct tr_err *err) {
    int64_t sequences = work->panel.sequences;
    struct changer changer = {.work = work};
    TR_TRY(TR_NEW(&changer.room, (2 * AN_MEASURES + PARTS) * sequences + work->panel.checkpoints,
                  "changes", err));
    for (int m = 0; m < AN_MEASURES; m++) {
        changer.before.of[m] = changer.room + m * sequences;
        changer.after.of[m] = changer.room + (AN_MEASURES + m) * sequences;
    }
    changer.pseudo = changer.room + 2 * AN_MEASURES * sequences;
    double *y = changer.pseudo + PARTS * sequences;
    enum tr_status status = TR_OK;
    for (int64_t u = 0; u < group->units && status == TR_OK; u++)
        status = change_unit(&group->unit[u], group, u, &changer, y, err);
    free(changer.room);
    return status;
}
