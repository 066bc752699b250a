// SPDX-License-Identifier: Apache-2.0
// The chapter that compares with what chance and the untrained network would give.
#include <math.h>

#include "writer.h"

enum side { LESS, MORE, NEITHER, UNKNOWN, SIDES };

// Says on which side of 0 an estimate lies, by its interval.
static enum side side_of(const struct an_estimate *e) {
    if (isnan(e->value))
        return UNKNOWN;
    return e->high < 0.0 ? LESS : e->low > 0.0 ? MORE : NEITHER;
}

// One of a unit's estimates.
typedef const struct an_estimate *estimate_of(const struct an_unit *unit);

static const struct an_estimate *untrained_of(const struct an_unit *unit) {
    return &unit->untrained;
}

static const struct an_estimate *orthogonal_of(const struct an_unit *unit) {
    return &unit->orthogonal;
}

// Lists the units whose estimate is on that side of 0.
static int64_t list_side(struct an_writer *w, estimate_of *of, enum side side) {
    int64_t count = 0;
    for (int64_t u = 0; u < w->group->units; u++)
        if (side_of(of(&w->group->unit[u])) == side)
            w->list[count++] = u;
    return count;
}

// "Against ...: less: layers 0 and 1; more: layer 4; not told apart: layer 3."
static enum tr_status write_sides(struct an_writer *w, const char *what, estimate_of *of,
                                  const char *const words[SIDES], struct tr_err *err) {
    int64_t said = 0;
    TR_TRY(tr_string_format(w->text, err, "%s: ", what));
    for (int side = 0; side < SIDES; side++) {
        int64_t count = list_side(w, of, side);
        if (count == 0)
            continue;
        TR_TRY(tr_string_format(w->text, err, "%s%s ", said++ ? "; " : "", words[side]));
        TR_TRY(an_add_units(w, count, err));
    }
    TR_TRY(tr_string_append(w->text, ".", 1, err));
    return an_write_paragraph(w, err);
}

static enum tr_status write_untrained(struct an_writer *w, struct tr_err *err) {
    static const char *const words[] = {"less important over training than then:", "more:",
                                        "not told apart:", "without a value at step 0:"};
    if (w->result->series.untrained >= 0)
        return write_sides(w, "Against the untrained network (step 0)", untrained_of, words, err);
    TR_TRY(
        tr_string_format(w->text, err, "Against the untrained network: the series has no step 0."));
    return an_write_paragraph(w, err);
}

static enum tr_status write_permuted(struct an_writer *w, struct tr_err *err) {
    const struct an_stability *stability = &w->group->stability;
    int64_t count = 0;
    double worst = 0.0;
    if (isnan(stability->threshold)) {
        TR_TRY(tr_string_format(w->text, err,
                                "Against permuted layers: not testable, too few independent blocks "
                                "of checkpoints; a layer is among %lld of %lld at a checkpoint by "
                                "chance with probability %.2g.",
                                (long long)w->group->count, (long long)w->group->units,
                                (double)w->group->count / (double)w->group->units));
        return an_write_paragraph(w, err);
    }
    for (int64_t u = 0; u < w->group->units; u++)
        if (w->group->unit[u].share_p <= 1.0 - w->result->settings.level) {
            w->list[count++] = u;
            worst = fmax(worst, w->group->unit[u].share_p);
        }
    TR_TRY(tr_string_format(w->text, err,
                            "Against permuted layers, none of which is among the %s at "
                            "more than %.0f %% of checkpoints (%.3g %% of relabellings): ",
                            w->lowest, 100.0 * stability->threshold,
                            100.0 * w->result->settings.level));
    if (count == 0) {
        TR_TRY(tr_string_format(w->text, err, "no layer is there more often."));
    } else {
        TR_TRY(an_add_units(w, count, err));
        TR_TRY(tr_string_format(w->text, err, " %s, p at most %.2g for all at once.",
                                count == 1 ? "is" : "are", worst));
    }
    return an_write_paragraph(w, err);
}

enum tr_status an_write_chance(struct an_writer *w, struct tr_err *err) {
    static const char *const words[] = {
        "turning it less, for they write along it:",
        "turning it more, for they erase, or tokens are unlike:", "not told apart:",
        "unknown, for the lengths are not stored:"};
    const struct an_series *series = &w->result->series;
    bool known = w->result->method != AN_NO_INTERVAL;
    bool several = series->claimed > 1, ranked = !isnan(w->group->stability.concordance.w);
    if (!known && !several)
        return TR_OK;
    TR_TRY(an_write_heading(w, "Is it more than chance?", err));
    if (known && series->checkpoints > 1)
        TR_TRY(write_untrained(w, err));
    if (several && ranked)
        TR_TRY(write_permuted(w, err));
    if (!known || w->result->settings.by != AN_BY_IMPORTANCE)
        return TR_OK;
    return write_sides(w, "Against writing as much at right angles to the stream", orthogonal_of,
                       words, err);
}
