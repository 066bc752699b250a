// SPDX-License-Identifier: Apache-2.0
// Two runs side by side.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "writer.h"

static enum tr_status write_alignment(struct an_writer *w, struct tr_err *err) {
    const struct an_comparison *c = w->comparison;
    const struct an_series *first = &w->result->series;
    const struct an_series *second = &w->second->series;
    struct tr_string *text = w->text;
    TR_TRY(an_page_heading(&w->page, 1, "Two runs", err));
    TR_TRY(tr_string_format(text, err, "first: %s; second: %s.", first->path, c->path));
    TR_TRY(an_write_paragraph(w, err));
    TR_TRY(tr_string_format(text, err,
                            "%lld checkpoint%s aligned by %s, %s to %s of the first with %s to %s "
                            "of the second. ",
                            (long long)c->pairs, an_plural(c->pairs), an_axis_names[c->axis],
                            first->checkpoint[c->pair[0].first].label,
                            first->checkpoint[c->pair[c->pairs - 1].first].label,
                            second->checkpoint[c->pair[0].second].label,
                            second->checkpoint[c->pair[c->pairs - 1].second].label));
    if (first->layers == second->layers)
        TR_TRY(tr_string_format(text, err, "Both have %lld layers. ", (long long)c->layers));
    else
        TR_TRY(tr_string_format(text, err,
                                "Layers (%lld and %lld) are aligned by relative depth, in between "
                                "interpolated; they are named as those of the run with %lld. ",
                                (long long)first->layers, (long long)second->layers,
                                (long long)c->layers));
    TR_TRY(tr_string_format(text, err,
                            "Means are over the aligned checkpoints, each counting once. "));
    if (first->sampled < AN_INTERVAL_LEAST || second->sampled < AN_INTERVAL_LEAST) {
        TR_TRY(tr_string_format(text, err,
                                "A run holds fewer than %d samples of each mean, so that "
                                "differences and agreements have no intervals.",
                                AN_INTERVAL_LEAST));
        return an_write_paragraph(w, err);
    }
    TR_TRY(tr_string_format(text, err,
                            "The sequences are %s; [intervals] of means and differences are "
                            "skewness-corrected t, those of agreements percentiles of %lld "
                            "resamples.",
                            c->paired ? "the same, so that differences are paired"
                                      : "not the same, so that differences are not paired",
                            (long long)w->result->settings.resamples));
    return an_write_paragraph(w, err);
}

static enum tr_status add_range(struct an_writer *w, const char *what, const struct an_estimate *e,
                                struct tr_err *err) {
    TR_TRY(tr_string_format(w->text, err, "%s ", what));
    return an_add_estimate(w, e, err);
}

static enum tr_status write_agreement(struct an_writer *w, const struct an_compared_group *group,
                                      struct tr_err *err) {
    char jaccard[96];
    snprintf(jaccard, sizeof jaccard, "The sets of the %lld lowest agree by Jaccard",
             (long long)group->count);
    TR_TRY(add_range(w, group->count == 1 ? "The lowest agree by Jaccard" : jaccard,
                     &group->jaccard, err));
    TR_TRY(tr_string_format(w->text, err, " (%.2g by chance)", group->jaccard_chance));
    TR_TRY(add_range(w, "; the rankings by Spearman", &group->spearman, err));
    TR_TRY(add_range(w, ", by Kendall's tau-b", &group->tau, err));
    TR_TRY(tr_string_format(w->text, err, "."));
    return an_write_paragraph(w, err);
}

static enum tr_status write_unit(struct an_writer *w, const struct an_compared_unit *unit,
                                 bool joint, struct tr_err *err) {
    const double cells[] = {unit->first.value, unit->second.value, unit->difference.value,
                            unit->difference.low, unit->difference.high};
    bool clear = unit->difference.low > 0.0 || unit->difference.high < 0.0;
    TR_TRY(an_cell_layer(w, (int)unit->module, unit->layer, joint, err));
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        TR_TRY(an_cell_number(w, cells[i], err));
    return an_page_cell(&w->page, clear ? "*" : "", err);
}

static enum tr_status write_units(struct an_writer *w, const struct an_compared_group *group,
                                  struct tr_err *err) {
    static const struct an_column columns[] = {AN_COLUMN("layer", 7),   AN_COLUMN("first", 10),
                                               AN_COLUMN("second", 10), AN_COLUMN("difference", 12),
                                               AN_COLUMN("low", 10),    AN_COLUMN("high", 10),
                                               AN_WORDS("", 1)};
    TR_TRY(an_page_table(&w->page, columns, sizeof columns / sizeof *columns, err));
    for (int64_t u = 0; u < group->units; u++)
        TR_TRY(write_unit(w, &group->unit[u], group->group == AN_JOINT, err));
    TR_TRY(an_page_table_end(&w->page, err));
    TR_TRY(tr_string_format(w->text, err,
                            "difference: second less first, %s; *: the interval is clear of 0 "
                            "(each by itself).",
                            an_criterion_of(w)->unit));
    return an_end_legend(w, err);
}

enum tr_status an_write_runs(struct an_writer *w, struct tr_err *err) {
    TR_TRY(write_alignment(w, err));
    for (int64_t i = 0; i < w->comparison->groups; i++) {
        const struct an_compared_group *group = &w->comparison->group[i];
        TR_TRY(an_write_heading(w, an_group_titles[group->group], err));
        TR_TRY(write_agreement(w, group, err));
        TR_TRY(write_units(w, group, err));
    }
    return TR_OK;
}
