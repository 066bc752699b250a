// SPDX-License-Identifier: Apache-2.0
// The layers of a group, least important first, and their heat map.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "alloc.h"
#include "sparkline.h"
#include "writer.h"

enum { SPARKLINE_AT = 71, SPARKLINE_LEAST = 9 };

static enum tr_status write_row(struct an_writer *w, int64_t u, struct tr_err *err) {
    const struct an_unit *unit = &w->group->unit[u];
    const double cells[] = {unit->by[AN_MEAN].value, unit->by[AN_MEAN].low, unit->by[AN_MEAN].high,
                            unit->by[AN_WORST].value, unit->by[AN_WORST].high};
    int room = w->style.width - SPARKLINE_AT;
    struct an_sparkline line = {.values = w->group->importance + u,
                                .count = w->result->series.checkpoints,
                                .stride = w->group->units,
                                .logarithmic = true,
                                .utf8 = w->style.utf8,
                                .width = room > SPARKLINE_LEAST ? room : SPARKLINE_LEAST};
    char label[32];
    snprintf(label, sizeof label, "%s %lld",
             w->group->group == AN_JOINT ? tr_module_names[unit->module] : "",
             (long long)unit->layer);
    TR_TRY(tr_string_format(w->out, err, "%7s", label));
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        TR_TRY(an_write_cell(w, cells[i], err));
    TR_TRY(tr_string_format(w->out, err, " %5.1f %4.0f%%  ", unit->mean_rank, 100.0 * unit->share));
    TR_TRY(an_sparkline(w->out, &line, err));
    return tr_string_append(w->out, "\n", 1, err);
}

static enum tr_status write_legend(struct an_writer *w, struct tr_err *err) {
    TR_TRY(tr_string_format(
        w->text, err,
        "mean: over training, [low, high] its interval; worst: the highest at any checkpoint; "
        "below: with %.3g %% confidence (one-sided) the importance is below this at every "
        "checkpoint; rank: mean, 1 is the lowest; in %lld: share of training among the %s "
        "(ties go to the lower layer); over time: all checkpoints, each line on its own log scale.",
        100.0 * w->result->settings.level, (long long)w->group->count, w->lowest));
    return an_page_paragraph(&w->page, 0, err);
}

// The layers that have no value at all (`partly`: at some of the checkpoints that claims rest on).
static enum tr_status write_absent(struct an_writer *w, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    int64_t partly = 0;
    for (int64_t u = 0; u < w->group->units; u++)
        if (w->group->unit[u].measured < series->checkpoints - series->first)
            w->list[partly++] = u;
    if (partly > 0) {
        TR_TRY(tr_string_format(w->text, err,
                                "Without a value at some checkpoints, judged by the "
                                "others: "));
        TR_TRY(an_add_units(w, partly, err));
        TR_TRY(tr_string_append(w->text, ".", 1, err));
        TR_TRY(an_write_paragraph(w, err));
    }
    if (w->group->absent == 0)
        return TR_OK;
    TR_TRY(tr_string_format(
        w->text, err, "Without a value at any checkpoint, left out: %lld of %lld.",
        (long long)w->group->absent, (long long)(w->group->absent + w->group->units)));
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
                series->importance[an_series_cell(series, c, layer, (int)w->group->group)];
    }
    TR_GO(status, tr_string_append(w->out, "\n", 1, err), out);
    status =
        an_heatmap(w->out, values, series->checkpoints, series->layers, column, &w->style, err);
out:
    free(values);
    free(column);
    return status;
}

enum tr_status an_write_table(struct an_writer *w, struct tr_err *err) {
    const int64_t *order = w->group->set[AN_MEAN].choice.order;
    char share[16];
    snprintf(share, sizeof share, "in %lld", (long long)w->group->count);
    TR_TRY(tr_string_format(w->out, err,
                            "\n  layer      mean       low      high     worst     below"
                            "  rank %5s  over time\n",
                            share));
    for (int64_t i = 0; i < w->group->units; i++)
        TR_TRY(write_row(w, order[i], err));
    TR_TRY(write_legend(w, err));
    TR_TRY(write_absent(w, err));
    return w->group->group == AN_JOINT ? TR_OK : write_map(w, err);
}
