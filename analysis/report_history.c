// SPDX-License-Identifier: Apache-2.0
// The chapter on when the set was decided, what changed and why.
#include <math.h>

#include "statistics/trend.h"
#include "writer.h"

// ---- onset and changes -----------------------------------------------------------------------

static enum tr_status write_onset(struct an_writer *w, struct tr_err *err) {
    const struct an_stability *stability = &w->group->stability;
    if (w->group->last == w->result->series.checkpoints - 1)
        TR_TRY(tr_string_format(w->text, err, "Of the last checkpoint's %s, ", w->lowest));
    else
        TR_TRY(tr_string_format(w->text, err, "Of the %s at %s, the last with all values, ",
                                w->lowest, an_label(w, w->group->last)));
    if (stability->onset_most != stability->onset_all)
        TR_TRY(tr_string_format(w->text, err, "%.0f %% are there and stay from %s on, and ",
                                100.0 * AN_MOST, an_label(w, stability->onset_most)));
    if (stability->onset_all == w->group->last && w->group->last > 0)
        TR_TRY(tr_string_format(w->text, err, "not all are there just before it."));
    else if (stability->onset_all == 0)
        TR_TRY(tr_string_format(w->text, err, "all are there at every checkpoint."));
    else
        TR_TRY(tr_string_format(w->text, err, "all are there and stay from %s on.",
                                an_label(w, stability->onset_all)));
    return an_write_paragraph(w, err);
}

// Columns; `from` is a checkpoint.
enum column { LAYER, FROM, CHANGE, LOW, HIGH, WRITTEN, STREAM, TURNED, COLUMNS };
static const struct an_column all_columns[COLUMNS] = {
    AN_COLUMN("layer", 7),   AN_COLUMN("from", 10),     AN_COLUMN("change", 10),
    AN_COLUMN("low", 10),    AN_COLUMN("high", 10),     AN_COLUMN("written", 10),
    AN_COLUMN("stream", 10), AN_COLUMN("direction", 10)};
enum { INTERVAL = 1 << LOW | 1 << HIGH, PARTS = 1 << WRITTEN | 1 << STREAM | 1 << TURNED };

// Returns the columns for which at least one layer has a value.
static int columns_of(const struct an_writer *w) {
    int columns = 1 << LAYER | 1 << FROM | 1 << CHANGE;
    for (int64_t u = 0; u < w->group->units; u++) {
        const struct an_change *whole = &w->group->unit[u].whole;
        columns |= isnan(whole->total.low) ? 0 : INTERVAL;
        columns |= isnan(whole->delta.value) ? 0 : PARTS;
    }
    return columns;
}

static int width_of(int columns) {
    int width = 0;
    for (int column = 0; column < COLUMNS; column++)
        width += columns & 1 << column ? all_columns[column].width : 0;
    return width;
}

static enum tr_status write_change_row(struct an_writer *w, int64_t u, int columns,
                                       struct tr_err *err) {
    const struct an_unit *unit = &w->group->unit[u];
    const struct an_change *whole = &unit->whole;
    const double cells[COLUMNS] = {
        [CHANGE] = whole->total.value,  [LOW] = whole->total.low,
        [HIGH] = whole->total.high,     [WRITTEN] = whole->delta.value,
        [STREAM] = whole->stream.value, [TURNED] = whole->direction.value};
    TR_TRY(an_cell_layer(w, (int)unit->module, unit->layer, w->group->group == AN_JOINT, err));
    if (columns & 1 << FROM)
        TR_TRY(an_page_cell(
            &w->page, unit->onset < 0 ? "-" : w->result->series.checkpoint[unit->onset].column,
            err));
    for (int column = CHANGE; column < COLUMNS; column++)
        if (columns & 1 << column)
            TR_TRY(an_cell_number(w, cells[column], err));
    return TR_OK;
}

static enum tr_status write_change_rows(struct an_writer *w, int columns, struct tr_err *err) {
    const int64_t *order = w->group->set[AN_MEAN].choice.order;
    struct an_column shown[COLUMNS];
    int count = 0;
    for (int column = 0; column < COLUMNS; column++)
        if (columns & 1 << column)
            shown[count++] = all_columns[column];
    TR_TRY(an_page_table(&w->page, shown, count, err));
    for (int64_t i = 0; i < w->group->units; i++)
        TR_TRY(write_change_row(w, order[i], columns, err));
    return an_page_table_end(&w->page, err);
}

static enum tr_status write_changes(struct an_writer *w, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    int columns = columns_of(w);
    if (w->page.format != AN_TEXT || width_of(columns) <= w->style.width) {
        TR_TRY(write_change_rows(w, columns, err));
    } else {
        TR_TRY(write_change_rows(w, columns & ~PARTS, err));
        TR_TRY(write_change_rows(w, columns & (PARTS | 1 << LAYER), err));
    }
    TR_TRY(
        tr_string_format(w->text, err,
                         "from: the step from which on the layer stays among the N lowest (-: it "
                         "is not at the end); change: of %s from %s to %s%s",
                         an_criterion_of(w)->noun, an_label(w, series->claim[0]),
                         an_label(w, series->claim[series->claimed - 1]),
                         columns & INTERVAL ? ", [low, high] its interval" : ""));
    if (columns & PARTS)
        TR_TRY(tr_string_format(
            w->text, err,
            "; of it because what is written grew or shrank (written), because the stream did "
            "(stream), because the angle between them turned (direction): Shapley parts, and what "
            "they miss comes from tokens not being alike"));
    TR_TRY(tr_string_append(w->text, ".", 1, err));
    return an_end_legend(w, err);
}

static const struct an_change *largest_jump(const struct an_unit *unit) {
    const struct an_change *largest = unit->change;
    for (int64_t k = 1; k < unit->changes; k++)
        if (fabs(unit->change[k].total.value) > fabs(largest->total.value))
            largest = &unit->change[k];
    return largest;
}

static enum tr_status write_jump(struct an_writer *w, int64_t u, struct tr_err *err) {
    const struct an_unit *unit = &w->group->unit[u];
    const struct an_change *jump = largest_jump(unit);
    TR_TRY(an_cell_layer(w, (int)unit->module, unit->layer, w->group->group == AN_JOINT, err));
    TR_TRY(an_cell(w, err, "%lld", (long long)unit->changes));
    TR_TRY(an_page_cell(&w->page, w->result->series.checkpoint[jump->at].column, err));
    TR_TRY(an_cell_number(w, jump->total.value, err));
    if (w->result->method == AN_NO_INTERVAL)
        return TR_OK;
    TR_TRY(an_cell_number(w, jump->total.low, err));
    return an_cell_number(w, jump->total.high, err);
}

static enum tr_status explain_jumps(struct an_writer *w, struct tr_err *err) {
    const char *noun = an_criterion_of(w)->noun;
    TR_TRY(
        tr_string_format(w->text, err,
                         "jumps: of the N lowest, by PELT on %s%s over all checkpoints, for "
                         "which drifting counts as jumping, too; at: the step of the largest; "
                         "change: of mean %s there%s.",
                         an_criterion_of(w)->logarithmic ? "log " : "", noun, noun,
                         w->result->method == AN_NO_INTERVAL ? "" : ", [low, high] its interval"));
    return an_end_legend(w, err);
}

static enum tr_status write_jumps(struct an_writer *w, struct tr_err *err) {
    static const struct an_column columns[] = {AN_COLUMN("layer", 7), AN_COLUMN("jumps", 7),
                                               AN_COLUMN("at", 10),   AN_COLUMN("change", 10),
                                               AN_COLUMN("low", 10),  AN_COLUMN("high", 10)};
    const int64_t *order = w->group->set[AN_MEAN].choice.order;
    int shown = w->result->method == AN_NO_INTERVAL ? 4 : 6;
    int64_t jumping = 0;
    for (int64_t i = 0; i < w->group->count; i++)
        jumping += w->group->unit[order[i]].changes > 0;
    if (jumping == 0) {
        TR_TRY(tr_string_format(w->text, err, "No jumps of the %s (PELT on %s%s).", w->lowest,
                                an_criterion_of(w)->logarithmic ? "log " : "",
                                an_criterion_of(w)->noun));
        return an_write_paragraph(w, err);
    }
    TR_TRY(an_page_table(&w->page, columns, shown, err));
    for (int64_t i = 0; i < w->group->count; i++)
        if (w->group->unit[order[i]].changes > 0)
            TR_TRY(write_jump(w, order[i], err));
    TR_TRY(an_page_table_end(&w->page, err));
    return explain_jumps(w, err);
}

enum direction { RISING, FALLING, UNSHOWN, UNTESTED, DIRECTIONS };

static enum direction direction_of(const struct an_unit *unit, double alpha) {
    if (isnan(unit->trend_p))
        return UNTESTED;
    if (unit->trend_p > alpha)
        return UNSHOWN;
    return unit->trend_z > 0.0 ? RISING : FALLING;
}

// The checkpoints that claims rest on and that have a place on the trends' axis, a logarithm.
static int64_t count_placed(const struct an_series *series) {
    int64_t placed = 0;
    for (int64_t c = 0; c < series->claimed; c++)
        placed += series->axis == AN_AXIS_INDEX || series->checkpoint[series->claim[c]].at > 0.0;
    return placed;
}

static enum tr_status write_trends(struct an_writer *w, struct tr_err *err) {
    static const char *const words[DIRECTIONS] = {
        "rising: ", "falling: ", "not shown: ", "not testable, for they remember too long: "};
    static const char *const per[AN_AXES] = {"e-fold of tokens", "e-fold of steps", "checkpoint"};
    const struct an_series *series = &w->result->series;
    double alpha = 1.0 - w->result->settings.level;
    int64_t said = 0, placed = count_placed(series);
    if (placed < AN_TREND_LEAST) {
        TR_TRY(tr_string_format(w->text, err,
                                "No trend is tested: that takes %d checkpoints%s, and claims rest "
                                "on %lld.",
                                AN_TREND_LEAST, placed < series->claimed ? " after step 0" : "",
                                (long long)placed));
        return an_write_paragraph(w, err);
    }
    TR_TRY(tr_string_format(w->text, err,
                            "Trends (Mann-Kendall, corrected for autocorrelation, each at %.3g %%; "
                            "Theil-Sen slope per %s, its interval over checkpoints): ",
                            100.0 * alpha, per[series->axis]));
    for (int direction = 0; direction < DIRECTIONS; direction++) {
        int64_t count = 0, steepest = -1;
        for (int64_t u = 0; u < w->group->units; u++)
            if (direction_of(&w->group->unit[u], alpha) == (enum direction)direction) {
                w->list[count++] = u;
                if (steepest < 0 || fabs(w->group->unit[u].slope.value) >
                                        fabs(w->group->unit[steepest].slope.value))
                    steepest = u;
            }
        if (count == 0)
            continue;
        TR_TRY(tr_string_format(w->text, err, "%s%s", said++ ? "; " : "", words[direction]));
        TR_TRY(an_add_units(w, count, err));
        if (direction >= UNSHOWN)
            continue;
        TR_TRY(tr_string_format(w->text, err, ", steepest "));
        TR_TRY(an_add_unit(w, steepest, err));
        TR_TRY(tr_string_append(w->text, " ", 1, err));
        TR_TRY(an_add_estimate(w, &w->group->unit[steepest].slope, err));
    }
    TR_TRY(tr_string_append(w->text, ".", 1, err));
    return an_write_paragraph(w, err);
}

enum tr_status an_write_history(struct an_writer *w, struct tr_err *err) {
    if (w->result->series.checkpoints < 2)
        return TR_OK;
    TR_TRY(an_write_heading(w, "When was it decided, and why?", err));
    TR_TRY(write_onset(w, err));
    if (w->result->series.claimed > 1)
        TR_TRY(write_changes(w, err));
    TR_TRY(write_jumps(w, err));
    return write_trends(w, err);
}
