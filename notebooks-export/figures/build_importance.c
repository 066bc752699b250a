// SPDX-License-Identifier: Apache-2.0
// Importance itself, or what else is ranked by: as a heat map and as lines.
#include <math.h>
#include <stdio.h>

#include "build.h"

// A panel of a module: a row for each layer, a column for each checkpoint.
static enum tr_status begin_panel(struct nx_panel **panel_p, struct nx_figure *figure,
                                  const struct nx_data *data, int module, struct tr_err *err) {
    struct nx_panel *panel;
    TR_TRY(nx_panel_begin(&panel, figure, nx_module_titles[module], data->layers, data->checkpoints,
                          err));
    panel->values = nx_values(data, module);
    for (int64_t row = 0; row < panel->rows; row++)
        snprintf(panel->row[row].name, sizeof panel->row[row].name, "layer %s", data->layer[row]);
    snprintf(panel->quantity, sizeof panel->quantity, "%s", nx_ranked_by(data)->quantity);
    *panel_p = panel;
    return TR_OK;
}

enum tr_status nx_build_heat_map(struct nx_figure *figure, const struct nx_data *data,
                                 struct tr_err *err) {
    double height = fmin(fmax(7.0 * (double)data->layers, 35), 120);
    for (int module = 0; module < TR_MODULES; module++) {
        struct nx_panel *panel;
        if (!data->shown[module])
            continue;
        TR_TRY(begin_panel(&panel, figure, data, module, err));
        panel->marks = NX_CELLS;
        panel->height = height;
        nx_checkpoint_columns(panel, data);
        panel->y = (struct nx_axis){
            .scale = {NX_BANDS, 0, (double)data->layers}, .label = "Layer", .names = data->layer};
    }
    nx_label_last(figure);
    figure->has_bar = true;
    figure->bar = nx_ranked_axis(data);
    snprintf(figure->title, sizeof figure->title, "%s of every layer over training",
             nx_ranked_by(data)->noun);
    if (data->criterion)
        return tr_string_format(&figure->caption, err, "%s Grey: not measured.",
                                data->criterion->meaning);
    return tr_string_format(&figure->caption, err,
                            "Mean over tokens of " NX_IMPORTANCE
                            "(x, x + \xce\xb4) for what each layer adds to the residual stream: "
                            "dark layers hardly turn it. Grey: not measured.");
}

enum tr_status nx_build_lines(struct nx_figure *figure, const struct nx_data *data,
                              struct tr_err *err) {
    double depth = (double)data->number[data->layers - 1];
    struct nx_axis axis = nx_ranked_axis(data);
    for (int module = 0; module < TR_MODULES; module++) {
        struct nx_panel *panel;
        if (!data->shown[module])
            continue;
        TR_TRY(begin_panel(&panel, figure, data, module, err));
        panel->marks = NX_LINES;
        panel->height = 90;
        for (int64_t row = 0; row < panel->rows; row++)
            nx_paint_depth(&panel->row[row], data, row);
        nx_checkpoint_places(panel, data);
        panel->y = axis;
        snprintf(panel->y.label, sizeof panel->y.label, "%s", panel->quantity);
    }
    nx_label_last(figure);
    figure->has_bar = depth > 0;
    figure->bar_is_depth = true;
    figure->bar = (struct nx_axis){.scale = {NX_LINEAR, 0, depth}, .label = "Layer"};
    snprintf(figure->title, sizeof figure->title, "%s over training, a line for each layer",
             nx_ranked_by(data)->noun);
    return tr_string_format(&figure->caption, err,
                            "The same values on a%s axis, from the first layer (dark) to the last "
                            "(light).",
                            axis.scale.kind == NX_LOG ? " logarithmic" : "n");
}
