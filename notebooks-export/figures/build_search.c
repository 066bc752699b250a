// SPDX-License-Identifier: Apache-2.0
// Greedy searches: of which kind and where the pieces lie that went first, and how the order
// changes over training.
#include <math.h>
#include <stdio.h>

#include "build.h"

// A line for each searched checkpoint, of which the last one is in ink.
static enum tr_status add_lines(struct nx_figure *figure, const struct nx_data *data,
                                const char *title, const double *values, double high,
                                const char *label, struct tr_err *err) {
    const struct nx_search *search = &data->search;
    struct nx_panel *panel;
    TR_TRY(nx_panel_begin(&panel, figure, title, search->searched, search->rounds, err));
    panel->marks = search->rounds <= 48 ? NX_POINTS : NX_LINES;
    panel->values = values;
    panel->height = 80;
    for (int64_t row = 0; row < panel->rows; row++) {
        bool last = row + 1 == panel->rows;
        panel->row[row].paint = last ? NX_INK : NX_FAINT;
        snprintf(panel->row[row].name, NX_LABEL, "%s", data->label[search->place[row]]);
    }
    panel->at = search->at;
    panel->column_names = search->name;
    snprintf(panel->quantity, sizeof panel->quantity, "%s", label);
    panel->x =
        (struct nx_axis){.scale = {NX_LINEAR, 0, (double)search->rounds}, .label = "Left out"};
    panel->y = (struct nx_axis){.scale = {NX_LINEAR, 0, high}};
    snprintf(panel->y.label, sizeof panel->y.label, "%s", label);
    return TR_OK;
}

enum tr_status nx_build_search(struct nx_figure *figure, const struct nx_data *data,
                               struct tr_err *err) {
    const struct nx_search *search = &data->search;
    const double ends[] = {0, (double)data->layers};
    double most = nx_scale_round(nx_scale_of(NX_LINEAR, ends, 2)).high;
    TR_TRY(add_lines(figure, data, "Kind", search->attention, 100, "Share of attention (%)", err));
    TR_TRY(add_lines(figure, data, "Depth", search->depth, 1, "Mean depth (0 first, 1 last)", err));
    TR_TRY(
        add_lines(figure, data, "Longest run", search->longest, most, "Neighbouring layers", err));
    nx_label_last(figure);
    return tr_string_format(
        &figure->caption, err,
        "Of all that a greedy search by %s has left out so far: the share of attention, the mean "
        "depth, and the longest run of neighbouring layers that lack the same module; %s%s.",
        search->by, data->label[search->place[search->searched - 1]],
        search->searched > 1 ? ", and faint the checkpoints before it" : "");
}

enum tr_status nx_build_search_order(struct nx_figure *figure, const struct nx_data *data,
                                     struct tr_err *err) {
    const struct nx_search *search = &data->search;
    for (int module = 0; module < TR_MODULES; module++) {
        struct nx_panel *panel;
        if (!search->round[module])
            continue;
        TR_TRY(nx_panel_begin(&panel, figure, nx_module_titles[module], data->layers,
                              data->checkpoints, err));
        panel->marks = NX_CELLS;
        panel->values = search->round[module];
        panel->height = fmin(fmax(7.0 * (double)data->layers, 35), 120);
        for (int64_t row = 0; row < panel->rows; row++)
            snprintf(panel->row[row].name, NX_LABEL, "layer %s", data->layer[row]);
        snprintf(panel->quantity, sizeof panel->quantity, "round");
        nx_checkpoint_columns(panel, data);
        panel->y = (struct nx_axis){
            .scale = {NX_BANDS, 0, (double)data->layers}, .label = "Layer", .names = data->layer};
    }
    nx_label_last(figure);
    figure->has_bar = true;
    figure->bar = (struct nx_axis){.scale = {NX_LINEAR, 0, (double)search->rounds},
                                   .label = "Round in which it is left out"};
    return tr_string_format(&figure->caption, err,
                            "The round of a greedy search by %s in which each layer goes, dark "
                            "ones first, at every checkpoint. Grey: it stays, or the checkpoint "
                            "was not searched.",
                            search->by);
}
