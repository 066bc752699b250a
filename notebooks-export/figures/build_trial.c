// SPDX-License-Identifier: Apache-2.0
// Proxies against costs over training: how well they rank, and how early the cheapest are told.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "build.h"

static const char *const cost_names[AN_COSTS] = {"loss", "KL"};
static const char *const told_names[AN_TRIED] = {"importance", "update ratio", "alignment", "loss",
                                                 "KL"};

// A panel of a module and a cost with `rows` lines of values[rows, checkpoints], and `lines`
// further ones below them.
static enum tr_status begin(struct nx_panel **panel_p, struct nx_figure *figure,
                            const struct nx_data *data, int module, int cost, int64_t rows,
                            int64_t lines, const double *values, struct tr_err *err) {
    struct nx_panel *panel;
    char title[NX_LABEL];
    snprintf(title, sizeof title, "%s, by %s", nx_module_titles[module], cost_names[cost]);
    TR_TRY(nx_panel_begin(&panel, figure, title, rows + lines, data->checkpoints, err));
    TR_TRY(TR_NEW(&panel->own_values, panel->rows * panel->columns, "proxies", err));
    memcpy(panel->own_values, values, (size_t)(rows * panel->columns) * sizeof *values);
    panel->values = panel->own_values;
    panel->marks = data->checkpoints <= 48 ? NX_POINTS : NX_LINES;
    panel->height = 80;
    nx_checkpoint_places(panel, data);
    for (int64_t row = 0; row < rows; row++) {
        panel->row[row] = nx_criterion_row((enum an_by)row);
        snprintf(panel->row[row].name, NX_LABEL, "%s", told_names[row]);
    }
    *panel_p = panel;
    return TR_OK;
}

// A dashed line at one value.
static void draw_line(struct nx_panel *panel, int64_t row, const char *name, double value) {
    panel->row[row] = (struct nx_row){.paint = NX_INK, .dashed = true, .named = true};
    snprintf(panel->row[row].name, NX_LABEL, "%s", name);
    for (int64_t c = 0; c < panel->columns; c++)
        panel->own_values[row * panel->columns + c] = value;
}

static void label(struct nx_panel *panel, double low, const char *quantity) {
    panel->y = (struct nx_axis){.scale = {NX_LINEAR, low, 1}};
    snprintf(panel->y.label, sizeof panel->y.label, "%s", quantity);
    snprintf(panel->quantity, sizeof panel->quantity, "%s", quantity);
}

enum tr_status nx_build_proxies(struct nx_figure *figure, const struct nx_data *data,
                                struct tr_err *err) {
    for (int module = 0; module < TR_MODULES; module++)
        for (int cost = 0; cost < AN_COSTS && data->trial[module].spearman; cost++) {
            const struct nx_trial *trial = &data->trial[module];
            int64_t first = cost * AN_PROXIES * data->checkpoints;
            struct nx_panel *panel;
            TR_TRY(begin(&panel, figure, data, module, cost, AN_PROXIES, 0, trial->spearman + first,
                         err));
            panel->low = trial->spearman_low + first;
            panel->high = trial->spearman_high + first;
            label(panel, -1, "Rank correlation");
        }
    nx_label_last(figure);
    return tr_string_format(&figure->caption, err,
                            "Spearman\xe2\x80\x99s correlation of proxies with what leaving a "
                            "layer out costs, by loss and by Kullback-Leibler divergence (1: the "
                            "same order), and where it surely is without the noise of the rows of "
                            "text.");
}

enum tr_status nx_build_told(struct nx_figure *figure, const struct nx_data *data,
                             struct tr_err *err) {
    for (int module = 0; module < TR_MODULES; module++)
        for (int cost = 0; cost < AN_COSTS && data->trial[module].told; cost++) {
            const struct nx_trial *trial = &data->trial[module];
            const double *values = trial->told + cost * AN_TRIED * data->checkpoints;
            struct nx_panel *panel;
            TR_TRY(begin(&panel, figure, data, module, cost, AN_TRIED, 2, values, err));
            label(panel, 0, "Share told");
            draw_line(panel, AN_TRIED, "themselves", trial->itself[cost]);
            draw_line(panel, AN_TRIED + 1, "chance", trial->chance);
        }
    nx_label_last(figure);
    return tr_string_format(&figure->caption, err,
                            "Share of the cheapest layers at the end that the lowest at each "
                            "checkpoint are, on other rows of text; beside what the cheapest tell "
                            "of themselves and what chance would give. This is one run of "
                            "training.");
}
