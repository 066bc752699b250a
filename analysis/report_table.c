// SPDX-License-Identifier: Apache-2.0
// The layers of a group, least important first, and their heat map.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "writer.h"

enum { SPARKLINE_LEAST = 9, ROWS_MOST = 40 };

// Columns. Those that say nothing are left out: of one checkpoint its worst case and history, of
// one sample its intervals.
enum column { LAYER, MEAN, LOW, HIGH, WORST, BELOW, RANK, SHARE, TIME, COLUMNS };
static const struct an_column all_columns[COLUMNS] = {
    [LAYER] = AN_COLUMN("layer", 7),   [MEAN] = AN_COLUMN("mean", 10),
    [LOW] = AN_COLUMN("low", 10),      [HIGH] = AN_COLUMN("high", 10),
    [WORST] = AN_COLUMN("worst", 10),  [BELOW] = AN_COLUMN("below", 10),
    [RANK] = AN_COLUMN("rank", 6),     [SHARE] = AN_COLUMN("in N", 6),
    [TIME] = AN_DRAWN(SPARKLINE_LEAST)};
enum {
    ALL = (1 << COLUMNS) - 1,
    NUMBERS = (1 << RANK) - 1,
    OTHERS = ALL & (~NUMBERS | 1 << LAYER)
};

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
    int width = 0;
    for (int column = 0; column < COLUMNS; column++)
        width += columns & 1 << column ? all_columns[column].width : 0;
    return width + (columns & 1 << TIME ? 2 : 0);
}

static enum tr_status write_line(struct an_writer *w, int64_t u, int columns, struct tr_err *err) {
    int room = w->style.width - width_of(columns & ~(1 << TIME)) - 2;
    struct an_sparkline line = {.values = w->group->value + u,
                                .count = w->result->series.checkpoints,
                                .stride = w->group->units,
                                .logarithmic = an_criterion_of(w)->logarithmic,
                                .utf8 = w->style.utf8,
                                .width = room};
    return an_cell_line(w, &line, err);
}

static enum tr_status write_row(struct an_writer *w, int64_t u, int columns, struct tr_err *err) {
    const struct an_unit *unit = &w->group->unit[u];
    const double cells[COLUMNS] = {[MEAN] = unit->by[AN_MEAN].value,
                                   [LOW] = unit->by[AN_MEAN].low,
                                   [HIGH] = unit->by[AN_MEAN].high,
                                   [WORST] = unit->by[AN_WORST].value,
                                   [BELOW] = unit->by[AN_WORST].high};
    TR_TRY(an_cell_layer(w, (int)unit->module, unit->layer, w->group->group == AN_JOINT, err));
    for (int column = MEAN; column <= BELOW; column++)
        if (columns & 1 << column)
            TR_TRY(w->result->settings.by == AN_BY_COST_KL
                       ? an_cell_divergence(w, cells[column], err)
                       : an_cell_number(w, cells[column], err));
    if (columns & 1 << RANK)
        TR_TRY(an_cell(w, err, "%.1f", unit->mean_rank));
    if (columns & 1 << SHARE)
        TR_TRY(an_cell(w, err, "%.0f%%", 100.0 * unit->share));
    return columns & 1 << TIME ? write_line(w, u, columns, err) : TR_OK;
}

// How many rows of a table are shown: of a large one the N lowest and the next N.
static int64_t count_shown(const struct an_writer *w) {
    int64_t units = w->group->units, shown = 2 * w->group->count;
    return w->how->whole || units <= ROWS_MOST || shown > units ? units : shown;
}

static enum tr_status write_rows(struct an_writer *w, int columns, struct tr_err *err) {
    const int64_t *order = w->group->set[AN_MEAN].choice.order;
    struct an_column shown[COLUMNS];
    char share[24];
    int count = 0;
    snprintf(share, sizeof share, "in %lld", (long long)w->group->count);
    for (int column = 0; column < COLUMNS; column++)
        if (columns & 1 << column) {
            shown[count] = all_columns[column];
            shown[count++].name = column == SHARE ? share : all_columns[column].name;
        }
    TR_TRY(an_page_table(&w->page, shown, count, err));
    for (int64_t i = 0; i < count_shown(w); i++)
        TR_TRY(write_row(w, order[i], columns, err));
    return an_page_table_end(&w->page, err);
}

// What a table that is cut leaves out.
static enum tr_status write_rest(struct an_writer *w, struct tr_err *err) {
    int64_t shown = count_shown(w);
    if (shown == w->group->units)
        return TR_OK;
    int64_t next = w->group->set[AN_MEAN].choice.order[shown];
    w->page.below = w->page.format != AN_TEXT;
    TR_TRY(tr_string_format(w->text, err, "and %lld more, from %.3g up",
                            (long long)(w->group->units - shown),
                            w->group->unit[next].by[AN_MEAN].value));
    return an_write_paragraph(w, err);
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
        TR_TRY(
            tr_string_format(w->text, err,
                             "; in N: share of training among the N lowest (ties go to the lower "
                             "layer)"));
    if (columns & 1 << TIME)
        TR_TRY(tr_string_format(w->text, err,
                                "; over time: all checkpoints, each line on its own %sscale%s",
                                an_criterion_of(w)->logarithmic ? "log " : "",
                                has_gaps(w) ? ", x where there is no value" : ""));
    TR_TRY(tr_string_append(w->text, ".", 1, err));
    return an_end_legend(w, err);
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

enum tr_status an_write_map(struct an_writer *w, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    double *values = NULL;
    char **column = NULL;
    enum tr_status status;
    if (w->group->group == AN_JOINT || w->page.format == AN_LATEX)
        return TR_OK;
    TR_GO(status, TR_NEW(&values, series->checkpoints * series->layers, "the heat map", err), out);
    TR_GO(status, TR_NEW(&column, series->checkpoints, "the heat map", err), out);
    for (int64_t c = 0; c < series->checkpoints; c++) {
        column[c] = series->checkpoint[c].column;
        for (int64_t layer = 0; layer < series->layers; layer++)
            values[c * series->layers + layer] =
                series->value[an_series_cell(series, c, layer, (int)w->group->group)];
    }
    TR_GO(status, an_page_picture(&w->page, err), out);
    const struct an_criterion *by = an_criterion_of(w);
    const struct an_map map = {values,   series->checkpoints, series->layers, column,
                               by->axis, by->logarithmic};
    TR_GO(status, an_heatmap(w->out, &map, &w->style, err), out);
    status = an_page_picture_end(&w->page, err);
out:
    free(values);
    free(column);
    return status;
}

enum tr_status an_write_table(struct an_writer *w, struct tr_err *err) {
    int columns = columns_of(w);
    if (w->page.format != AN_TEXT || width_of(columns) <= w->style.width) {
        TR_TRY(write_rows(w, columns, err));
    } else {
        TR_TRY(write_rows(w, columns & NUMBERS, err));
        TR_TRY(write_rows(w, columns & OTHERS, err));
    }
    TR_TRY(write_rest(w, err));
    TR_TRY(write_legend(w, columns, err));
    return write_absent(w, err);
}
