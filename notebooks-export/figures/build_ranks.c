// SPDX-License-Identifier: Apache-2.0
// The order of the layers: a bump chart of the lowest ones.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/result.h"
#include "base/alloc.h"
#include "build.h"
#include "statistics/order.h"

enum { RANKS_MAX = 12, COLUMNS_MAX = 30 }; // ranks and about how many checkpoints are shown

// ranks[layers, checkpoints] from 1 for the lowest; ties go to the lower layer, absent ones to NaN.
static enum tr_status rank_layers(double *ranks, const double *values, int64_t layers,
                                  int64_t checkpoints, struct tr_err *err) {
    double *column = NULL;
    int64_t *order = NULL;
    enum tr_status status;
    TR_GO(status, TR_NEW(&column, layers, "ranks", err), out);
    TR_GO(status, TR_NEW(&order, layers, "ranks", err), out);
    for (int64_t c = 0; c < checkpoints; c++) {
        for (int64_t layer = 0; layer < layers; layer++)
            column[layer] = values[layer * checkpoints + c];
        int64_t finite = an_order(order, column, layers);
        for (int64_t i = 0; i < layers; i++)
            ranks[order[i] * checkpoints + c] = i < finite ? (double)(i + 1) : NAN;
    }
out:
    free(column);
    free(order);
    return status;
}

// A layer that is never among the ranks shown is not drawn.
static void leave_out(double *ranks, int64_t layers, int64_t checkpoints, int64_t shown) {
    for (int64_t layer = 0; layer < layers; layer++) {
        double best = INFINITY, *row = ranks + layer * checkpoints;
        for (int64_t c = 0; c < checkpoints; c++)
            best = fmin(best, row[c]);
        for (int64_t c = 0; c < checkpoints && best > (double)shown; c++)
            row[c] = NAN;
    }
}

// Layers that are near each other have colours that are, and often ranks: of the chosen ones every
// second is dashed.
static void dash_every_second(struct nx_panel *panel, const struct nx_data *data, int module) {
    for (int64_t i = 1; i < data->chosen_count[module]; i += 2)
        for (int64_t row = 0; row < panel->rows; row++)
            if (data->number[row] == data->chosen[module][i])
                panel->row[row].dashed = true;
}

// A name stands where the line ends within the ranks shown.
static void paint_rows(struct nx_panel *panel, const struct nx_data *data, int module,
                       int64_t shown) {
    for (int64_t row = 0; row < panel->rows; row++) {
        double last = panel->own_values[(row + 1) * panel->columns - 1];
        nx_paint_layer(&panel->row[row], data, module, row);
        panel->row[row].named = last <= (double)shown;
    }
    dash_every_second(panel, data, module);
}

// The highest rank shown: RANKS_MAX, or more where more layers were chosen.
static int64_t ranks_shown(const struct nx_data *data) {
    int64_t shown = RANKS_MAX;
    for (int module = 0; module < TR_MODULES; module++)
        if (data->chosen_count[module] > shown)
            shown = data->chosen_count[module];
    return shown < data->layers ? shown : data->layers;
}

// " Attention: 1, 0, 7. MLP: 3." of the layers of each module; " none." where there are none.
static enum tr_status list_layers(struct tr_string *caption, int64_t *const layers[TR_MODULES],
                                  const int64_t count[TR_MODULES], struct tr_err *err) {
    int64_t all = 0;
    for (int module = 0; module < TR_MODULES; module++)
        for (int64_t i = 0; i < count[module]; i++, all++) {
            if (i == 0)
                TR_TRY(tr_string_format(caption, err, " %s: ", nx_module_titles[module]));
            TR_TRY(tr_string_format(caption, err, "%lld%s", (long long)layers[module][i],
                                    i == count[module] - 1 ? "." : ", "));
        }
    return all ? TR_OK : tr_string_format(caption, err, " none.");
}

static enum tr_status list_sets(struct tr_string *caption, const struct nx_data *data,
                                struct tr_err *err) {
    if (!data->rule)
        return TR_OK;
    TR_TRY(nx_name_rule(caption, data, err));
    TR_TRY(list_layers(caption, data->chosen, data->chosen_count, err));
    if (isnan(data->tau))
        return TR_OK;
    TR_TRY(tr_string_format(caption, err, " Below %g at every checkpoint (%g %% confidence):",
                            data->tau, 100 * data->level));
    return list_layers(caption, data->below, data->below_count, err);
}

enum tr_status nx_build_ranks(struct nx_figure *figure, const struct nx_data *data,
                              struct tr_err *err) {
    int64_t shown = ranks_shown(data);
    int64_t stride = (data->checkpoints - 1) / COLUMNS_MAX + 1;
    for (int module = 0; module < TR_MODULES; module++) {
        struct nx_panel *panel;
        if (!data->shown[module])
            continue;
        TR_TRY(nx_panel_begin(&panel, figure, nx_module_titles[module], data->layers,
                              data->checkpoints, err));
        TR_TRY(TR_NEW(&panel->own_values, data->layers * data->checkpoints, "ranks", err));
        TR_TRY(rank_layers(panel->own_values, nx_values(data, module), data->layers,
                           data->checkpoints, err));
        leave_out(panel->own_values, data->layers, data->checkpoints, shown);
        panel->values = panel->own_values;
        panel->marks = NX_POINTS;
        panel->stride = stride;
        panel->height = fmax(9.0 * (double)shown, 60);
        paint_rows(panel, data, module, shown);
        snprintf(panel->quantity, sizeof panel->quantity, "rank");
        nx_checkpoint_columns(panel, data);
        panel->y = (struct nx_axis){.scale = {NX_LINEAR, (double)shown + 0.5, 0.5},
                                    .number = NX_RANK,
                                    .label = "Rank (1: lowest)"};
    }
    nx_label_last(figure);
    TR_TRY(tr_string_format(&figure->caption, err, "The %lld lowest ranks.", (long long)shown));
    TR_TRY(list_sets(&figure->caption, data, err));
    if (stride > 1)
        TR_TRY(tr_string_format(&figure->caption, err, " Drawn through every %lldth checkpoint.",
                                (long long)stride));
    return TR_OK;
}
