// SPDX-License-Identifier: Apache-2.0
#include "build.h"

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
