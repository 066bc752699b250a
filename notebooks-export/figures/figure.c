// SPDX-License-Identifier: Apache-2.0
#include "figures/figure.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

enum tr_status nx_panel_begin(struct nx_panel **panel_p, struct nx_figure *figure,
                              const char *title, int64_t rows, int64_t columns,
                              struct tr_err *err) {
    struct nx_panel *panel = &figure->panels[figure->count];
    TR_TRY(TR_NEW(&panel->row, rows, "rows of a figure", err));
    panel->rows = rows;
    panel->columns = columns;
    panel->stride = 1;
    snprintf(panel->title, sizeof panel->title, "%s", title);
    figure->count++;
    *panel_p = panel;
    return TR_OK;
}

void nx_figure_free(struct nx_figure *figure) {
    for (int i = 0; i < figure->count; i++) {
        free(figure->panels[i].row);
        free(figure->panels[i].own_values);
    }
    tr_string_free(&figure->caption);
    *figure = (struct nx_figure){0};
}
