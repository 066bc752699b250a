// SPDX-License-Identifier: Apache-2.0
// Two runs side by side.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/report.h"
#include "base/alloc.h"
#include "page.h"
#include "writer.h"

struct view {
    struct an_writer w; // of the first run
    const struct an_comparison *comparison;
    const struct an_series *second;
};

static enum tr_status write_alignment(struct view *v, struct tr_err *err) {
    const struct an_comparison *c = v->comparison;
    const struct an_series *first = &v->w.result->series;
    struct tr_string *text = v->w.text;
    TR_TRY(tr_string_format(v->w.out, err, "\n== Two runs ==\n\n"));
    TR_TRY(tr_string_format(text, err, "first: %s; second: %s.", first->path, c->path));
    TR_TRY(an_write_paragraph(&v->w, err));
    TR_TRY(tr_string_format(text, err,
                            "%lld checkpoint%s aligned by %s, %s to %s of the first with %s to %s "
                            "of the second. ",
                            (long long)c->pairs, an_plural(c->pairs), an_axis_names[c->axis],
                            first->checkpoint[c->pair[0].first].label,
                            first->checkpoint[c->pair[c->pairs - 1].first].label,
                            v->second->checkpoint[c->pair[0].second].label,
                            v->second->checkpoint[c->pair[c->pairs - 1].second].label));
    if (first->layers == v->second->layers)
        TR_TRY(tr_string_format(text, err, "Both have %lld layers. ", (long long)c->layers));
    else
        TR_TRY(tr_string_format(text, err,
                                "Layers (%lld and %lld) are aligned by relative depth, in between "
                                "interpolated; they are named as those of the run with %lld. ",
                                (long long)first->layers, (long long)v->second->layers,
                                (long long)c->layers));
    TR_TRY(tr_string_format(text, err,
                            "Means are over the aligned checkpoints, each counting once. "));
    if (first->sampled < 2 || v->second->sampled < 2) {
        TR_TRY(tr_string_format(text, err,
                                "A run holds one sample of each mean, so that differences and "
                                "agreements have no intervals."));
        return an_write_paragraph(&v->w, err);
    }
    TR_TRY(tr_string_format(text, err,
                            "The sequences are %s; [intervals] of means and differences are "
                            "skewness-corrected t, those of agreements percentiles of %lld "
                            "resamples.",
                            c->paired ? "the same, so that differences are paired"
                                      : "not the same, so that differences are not paired",
                            (long long)v->w.result->settings.resamples));
    return an_write_paragraph(&v->w, err);
}

static enum tr_status add_range(struct view *v, const char *what, const struct an_estimate *e,
                                struct tr_err *err) {
    TR_TRY(tr_string_format(v->w.text, err, "%s ", what));
    return an_add_estimate(&v->w, e, err);
}

static enum tr_status write_agreement(struct view *v, const struct an_compared_group *group,
                                      struct tr_err *err) {
    char jaccard[96];
    snprintf(jaccard, sizeof jaccard, "The sets of the %lld lowest agree by Jaccard",
             (long long)group->count);
    TR_TRY(add_range(v, group->count == 1 ? "The lowest agree by Jaccard" : jaccard,
                     &group->jaccard, err));
    TR_TRY(tr_string_format(v->w.text, err, " (%.2g by chance)", group->jaccard_chance));
    TR_TRY(add_range(v, "; the rankings by Spearman", &group->spearman, err));
    TR_TRY(add_range(v, ", by Kendall's tau-b", &group->tau, err));
    TR_TRY(tr_string_format(v->w.text, err, "."));
    return an_write_paragraph(&v->w, err);
}

static enum tr_status write_units(struct view *v, const struct an_compared_group *group,
                                  struct tr_err *err) {
    TR_TRY(tr_string_format(v->w.out, err,
                            "\n  layer     first    second  difference     low      high\n"));
    for (int64_t u = 0; u < group->units; u++) {
        const struct an_compared_unit *unit = &group->unit[u];
        const double cells[] = {unit->first.value, unit->second.value, unit->difference.value,
                                unit->difference.low, unit->difference.high};
        bool clear = unit->difference.low > 0.0 || unit->difference.high < 0.0;
        char label[32];
        snprintf(label, sizeof label, "%s %lld",
                 group->group == AN_JOINT ? tr_module_names[unit->module] : "",
                 (long long)unit->layer);
        TR_TRY(tr_string_format(v->w.out, err, "%7s", label));
        for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
            TR_TRY(an_write_cell(&v->w, cells[i], err));
        TR_TRY(tr_string_format(v->w.out, err, "%s\n", clear ? "  *" : ""));
    }
    TR_TRY(tr_string_format(v->w.text, err,
                            "difference: second less first, %s; *: the interval is clear of 0 "
                            "(each by itself).",
                            an_criterion_of(&v->w)->unit));
    return an_page_paragraph(&v->w.page, 0, err);
}

enum tr_status an_report_compare(const struct an_comparison *comparison,
                                 const struct an_result *first, const struct an_result *second,
                                 const struct an_style *style, struct tr_string *out,
                                 struct tr_err *err) {
    static const char *const titles[AN_GROUPS] = {"Attention", "MLP", "Blocks",
                                                  "Attention and MLP ranked together"};
    struct view v = {.w = {.result = first,
                           .style = *style,
                           .page = {.out = out, .width = style->width},
                           .out = out},
                     .comparison = comparison,
                     .second = &second->series};
    v.w.text = &v.w.page.text;
    enum tr_status status = write_alignment(&v, err);
    for (int64_t i = 0; i < comparison->groups && status == TR_OK; i++) {
        const struct an_compared_group *group = &comparison->group[i];
        status = an_write_heading(&v.w, titles[group->group], err);
        if (status == TR_OK)
            status = write_agreement(&v, group, err);
        if (status == TR_OK)
            status = write_units(&v, group, err);
    }
    an_page_free(&v.w.page);
    return status;
}
