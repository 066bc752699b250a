// SPDX-License-Identifier: Apache-2.0
#include "build.h"

#include <math.h>
#include <stdio.h>

void nx_checkpoint_columns(struct nx_panel *panel, const struct nx_data *data) {
    panel->by_checkpoint = true;
    panel->column_names = data->label;
    panel->x.scale = (struct nx_scale){NX_BANDS, 0, (double)data->checkpoints};
    panel->x.names = data->column;
    snprintf(panel->x.label, sizeof panel->x.label, "%s%s", nx_progress_label(data->by),
             data->by == AN_AXIS_INDEX ? "" : ", a column for each checkpoint");
}

void nx_checkpoint_places(struct nx_panel *panel, const struct nx_data *data) {
    panel->by_checkpoint = true;
    panel->column_names = data->label;
    panel->at = data->at;
    panel->x.scale = nx_progress_scale(data);
    panel->x.number = NX_COUNT;
    snprintf(panel->x.label, sizeof panel->x.label, "%s", nx_progress_label(data->by));
}

void nx_label_last(struct nx_figure *figure) {
    for (int i = 0; i + 1 < figure->count; i++)
        figure->panels[i].x.label[0] = 0;
}

struct nx_scale nx_importance_scale(const struct nx_data *data) {
    struct nx_scale common = {NX_LOG, INFINITY, 0};
    for (int module = 0; module < TR_MODULES; module++) {
        if (!data->shown[module])
            continue;
        struct nx_scale one =
            nx_scale_of(NX_LOG, data->importance[module], data->layers * data->checkpoints);
        common.low = fmin(common.low, one.low);
        common.high = fmax(common.high, one.high);
    }
    return common;
}

static bool is_chosen(const struct nx_data *data, int module, int64_t layer) {
    for (int64_t place = 0; place < data->chosen_count[module]; place++)
        if (data->chosen[module][place] == layer)
            return true;
    return false;
}

void nx_paint_depth(struct nx_row *style, const struct nx_data *data, int64_t row) {
    double depth = (double)data->number[data->layers - 1];
    style->paint = NX_BY_DEPTH;
    style->shade = depth > 0 ? (double)data->number[row] / depth : 0;
}

void nx_paint_layer(struct nx_row *style, const struct nx_data *data, int module, int64_t row) {
    snprintf(style->name, sizeof style->name, "layer %s", data->layer[row]);
    style->paint = NX_FAINT;
    if (is_chosen(data, module, data->number[row]))
        nx_paint_depth(style, data, row);
}

enum tr_status nx_name_rule(struct tr_string *caption, const struct nx_data *data,
                            struct tr_err *err) {
    if (!data->rule)
        return TR_OK;
    return tr_string_format(caption, err, " Coloured: the least important layers %s.", data->rule);
}
