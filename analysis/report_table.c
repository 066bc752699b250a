// SPDX-License-Identifier: Apache-2.0
// The layers of a group, least important first, and their heat map.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "sparkline.h"
#include "writer.h"

enum { SPARKLINE_LEAST = 9 };

// Columns beside the layer's name. Those that say nothing are left out: of one checkpoint its worst
// case and history, of one sample its intervals.
enum column { MEAN, LOW, HIGH, WORST, BELOW, RANK, SHARE, TIME, COLUMNS };
static const int widths[COLUMNS] = {10, 10, 10, 10, 10, 6, 6, 2 + SPARKLINE_LEAST};
enum { LABEL = 7, ALL = (1 << COLUMNS) - 1, NUMBERS = (1 << RANK) - 1, OTHERS = ALL & ~NUMBERS };

static bool is_one(const struct an_writer *w) {
    return w->result->series.claimed == 1;
}

static int columns_of(const struct an_writer *w) {
    int columns = ALL;
    if (is_one(w))
        columns &= ~(1 << WORST | 1 << SHARE);
    if (w->result->series.checkpoints == 1)
        columns &= ~(1 << TIME);
    if (w->result->method == AN_NO_INTERVAL)
        columns &= ~(1 << LOW | 1 << HIGH | 1 << BELOW);
    return columns;
}

static bool has_gaps(const struct an_writer *w) {
    for (int64_t c = 0; c < w->result->series.checkpoints; c++)
        for (int64_t u = 0; u < w->group->units; u++)
            if (!isfinite(w->group->value[c * w->group->units + u]))
                return true;
    return false;
}

static int width_of(int columns) {
    int width = LABEL;
    for (int column = 0; column < COLUMNS; column++)
        width += columns & 1 << column ? widths[column] : 0;
    return width;
}

static enum tr_status write_head(struct an_writer *w, int columns, struct tr_err *err) {
    char share[16];
    snprintf(share, sizeof share, "in %lld", (long long)w->group->count);
    const char *const names[COLUMNS] = {"mean", "low", "high", "worst", "below", "rank", share, ""};
    TR_TRY(tr_string_format(w->out, err, "\n%*s", LABEL, "layer"));
    for (int column = 0; column < TIME; column++)
        if (columns & 1 << column)
            TR_TRY(tr_string_format(w->out, err, "%*s", widths[column], names[column]));
    return tr_string_format(w->out, err, columns & 1 << TIME ? "  over time\n" : "\n");
}

static enum tr_status write_line(struct an_writer *w, int64_t u, int columns, struct tr_err *err) {
    int room = w->style.width - width_of(columns & ~(1 << TIME)) - 2;
    struct an_sparkline line = {.values = w->group->value + u,
                                .count = w->result->series.checkpoints,
                                .stride = w->group->units,
                                .logarithmic = an_criterion_of(w)->logarithmic,
                                .utf8 = w->style.utf8,
                                .width = room};
    TR_TRY(tr_string_append(w->out, "  ", 2, err));
    return an_sparkline(w->out, &line, err);
}

static enum tr_status write_row(struct an_writer *w, int64_t u, int columns, struct tr_err *err) {
    const struct an_unit *unit = &w->group->unit[u];
    const double cells[RANK] = {unit->by[AN_MEAN].value, unit->by[AN_MEAN].low,
                                unit->by[AN_MEAN].high, unit->by[AN_WORST].value,
                                unit->by[AN_WORST].high};
    char label[32];
    snprintf(label, sizeof label, "%s %lld",
             w->group->group == AN_JOINT ? tr_module_names[unit->module] : "",
             (long long)unit->layer);
    TR_TRY(tr_string_format(w->out, err, "%*s", LABEL, label));
    for (int column = 0; column < RANK; column++)
        if (columns & 1 << column)
            TR_TRY(an_write_cell(w, cells[column], err));
    if (columns & 1 << RANK)
        TR_TRY(tr_string_format(w->out, err, " %5.1f", unit->mean_rank));
    if (columns & 1 << SHARE)
        TR_TRY(tr_string_format(w->out, err, " %4.0f%%", 100.0 * unit->share));
    if (columns & 1 << TIME)
        TR_TRY(write_line(w, u, columns, err));
    return tr_string_append(w->out, "\n", 1, err);
}

static enum tr_status write_rows(struct an_writer *w, int columns, struct tr_err *err) {
    const int64_t *order = w->group->set[AN_MEAN].choice.order;
    TR_TRY(write_head(w, columns, err));
    for (int64_t i = 0; i < w->group->units; i++)
        TR_TRY(write_row(w, order[i], columns, err));
    return TR_OK;
}

static enum tr_status write_legend(struct an_writer *w, int columns, struct tr_err *err) {
    bool one = is_one(w);
    TR_TRY(tr_string_format(w->text, err, one ? "mean: over tokens" : "mean: over training"));
    if (columns & 1 << LOW)
        TR_TRY(tr_string_format(w->text, err, ", [low, high] its interval"));
    if (columns & 1 << WORST)
        TR_TRY(tr_string_format(w->text, err, "; worst: the highest at any checkpoint"));
    if (columns & 1 << BELOW)
        TR_TRY(tr_string_format(
            w->text, err, "; below: with %.3g %% confidence (one-sided) the %s is below this%s",
            100.0 * w->result->settings.level, an_criterion_of(w)->noun,
            one ? "" : " at every checkpoint"));
    TR_TRY(tr_string_format(w->text, err, "; rank: %s1 is the lowest", one ? "" : "mean, "));
    if (columns & 1 << SHARE)
        TR_TRY(tr_string_format(w->text, err,
                                "; in %lld: share of training among the %s (ties go to the lower "
                                "layer)",
                                (long long)w->group->count, w->lowest));
    if (columns & 1 << TIME)
        TR_TRY(tr_string_format(w->text, err,
                                "; over time: all checkpoints, each line on its own %sscale%s",
                                an_criterion_of(w)->logarithmic ? "log " : "",
                                has_gaps(w) ? ", x where there is no value" : ""));
    TR_TRY(tr_string_append(w->text, ".", 1, err));
    return an_page_paragraph(&w->page, 0, err);
}

// "layer 3 (at 2 of 4 checkpoints)" for those with gaps.
static enum tr_status write_gappy(struct an_writer *w, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    int64_t said = 0;
    TR_TRY(tr_string_format(w->text, err, "Left out, with a value at some checkpoints only: "));
    for (int module = 0; module < TR_MODULES; module++)
        for (int64_t layer = 0; layer < series->layers; layer++) {
            int64_t values = 0, of = series->checkpoints - series->first;
            if (!an_group_holds(w->group->group, module) ||
                !series->gappy[layer * TR_MODULES + module])
                continue;
            for (int64_t c = series->first; c < series->checkpoints; c++)
                values += isfinite(series->value[an_series_cell(series, c, layer, module)]);
            TR_TRY(tr_string_format(w->text, err, "%s%s %lld (%lld of %lld)", said++ ? ", " : "",
                                    w->group->group == AN_JOINT ? tr_module_names[module] : "layer",
                                    (long long)layer, (long long)values, (long long)of));
        }
    TR_TRY(tr_string_append(w->text, ".", 1, err));
    return an_write_paragraph(w, err);
}

static enum tr_status write_absent(struct an_writer *w, struct tr_err *err) {
    if (w->group->gappy > 0)
        TR_TRY(write_gappy(w, err));
    if (w->group->absent == 0)
        return TR_OK;
    TR_TRY(tr_string_format(w->text, err,
                            "Without a value at any checkpoint, left out: %lld of %lld.",
                            (long long)w->group->absent,
                            (long long)(w->group->absent + w->group->gappy + w->group->units)));
    return an_write_paragraph(w, err);
}

static enum tr_status write_map(struct an_writer *w, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    double *values = NULL;
    char **column = NULL;
    enum tr_status status;
    TR_GO(status, TR_NEW(&values, series->checkpoints * series->layers, "the heat map", err), out);
    TR_GO(status, TR_NEW(&column, series->checkpoints, "the heat map", err), out);
    for (int64_t c = 0; c < series->checkpoints; c++) {
        column[c] = series->checkpoint[c].column;
        for (int64_t layer = 0; layer < series->layers; layer++)
            values[c * series->layers + layer] =
                series->value[an_series_cell(series, c, layer, (int)w->group->group)];
    }
    TR_GO(status, tr_string_append(w->out, "\n", 1, err), out);
    const struct an_criterion *by = an_criterion_of(w);
    const struct an_map map = {values,   series->checkpoints, series->layers, column,
                               by->axis, by->logarithmic};
    status = an_heatmap(w->out, &map, &w->style, err);
out:
    free(values);
    free(column);
    return status;
}

enum tr_status an_write_table(struct an_writer *w, struct tr_err *err) {
    int columns = columns_of(w);
    if (width_of(columns) <= w->style.width) {
        TR_TRY(write_rows(w, columns, err));
    } else {
        TR_TRY(write_rows(w, columns & NUMBERS, err));
        TR_TRY(write_rows(w, columns & OTHERS, err));
    }
    TR_TRY(write_legend(w, columns, err));
    TR_TRY(write_absent(w, err));
    return w->group->group == AN_JOINT ? TR_OK : write_map(w, err);
}
