// SPDX-License-Identifier: Apache-2.0
// How well the checkpoints agree on the order of the layers.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/result.h"
#include "base/alloc.h"
#include "build.h"
#include "statistics/concordance.h"
#include "statistics/order.h"
#include "statistics/overlap.h"

// jaccard[checkpoints]: of the k lowest layers at each checkpoint with those at the last.
// by_checkpoint[checkpoints, layers].
static enum tr_status jaccard_with_last(double *jaccard, const double *by_checkpoint,
                                        const struct nx_data *data, int64_t k, struct tr_err *err) {
    int64_t *last = NULL, *order = NULL, layers = data->layers;
    enum tr_status status;
    TR_GO(status, TR_NEW(&last, layers, "an order", err), out);
    TR_GO(status, TR_NEW(&order, layers, "an order", err), out);
    an_order(last, by_checkpoint + (data->checkpoints - 1) * layers, layers);
    for (int64_t c = 0; c < data->checkpoints && status == TR_OK; c++) {
        an_order(order, by_checkpoint + c * layers, layers);
        status = an_jaccard(&jaccard[c], order, last, layers, k, err);
    }
out:
    free(last);
    free(order);
    return status;
}

// w[checkpoints]: Kendall's W of the checkpoints from each on; NaN for the last, alone.
static enum tr_status concordance_from(double *w, const double *by_checkpoint,
                                       const struct nx_data *data, struct tr_err *err) {
    for (int64_t c = 0; c < data->checkpoints; c++) {
        struct an_concordance concordance = {.w = NAN};
        if (c + 1 < data->checkpoints)
            TR_TRY(an_concordance(&concordance, by_checkpoint + c * data->layers,
                                  data->checkpoints - c, data->layers, 1, 0, err));
        w[c] = concordance.w;
    }
    return TR_OK;
}

enum { JACCARD, CONCORDANCE, CHANCE, ROWS };

// A panel of a module, with the level of random orders filled in.
static enum tr_status begin(struct nx_panel **panel_p, struct nx_figure *figure,
                            const struct nx_data *data, int module, double chance,
                            struct tr_err *err) {
    struct nx_panel *panel;
    TR_TRY(nx_panel_begin(&panel, figure, nx_module_titles[module], ROWS, data->checkpoints, err));
    TR_TRY(TR_NEW(&panel->own_values, panel->rows * panel->columns, "agreement", err));
    for (int64_t i = 0; i < panel->rows * panel->columns; i++)
        panel->own_values[i] = i < CHANCE * panel->columns ? NAN : chance;
    panel->values = panel->own_values;
    panel->marks = data->checkpoints <= 48 ? NX_POINTS : NX_LINES;
    panel->height = 80;
    nx_checkpoint_places(panel, data);
    panel->y = (struct nx_axis){.scale = {NX_LINEAR, 0, 1}, .label = "Agreement"};
    snprintf(panel->quantity, sizeof panel->quantity, "agreement");
    panel->row[JACCARD] = nx_criterion_row(nx_ranked_of(data));
    panel->row[CONCORDANCE] = (struct nx_row){.paint = NX_INK, .named = true};
    panel->row[CHANCE] = (struct nx_row){.paint = NX_INK, .dashed = true, .named = true};
    static const char *const names[ROWS] = {"Jaccard", "Kendall\xe2\x80\x99s W", "chance"};
    for (int row = 0; row < ROWS; row++)
        snprintf(panel->row[row].name, NX_LABEL, "%s", names[row]);
    *panel_p = panel;
    return TR_OK;
}

// values[layers, checkpoints] to turned[checkpoints, layers].
static void turn(double *turned, const double *values, const struct nx_data *data) {
    for (int64_t i = 0; i < data->checkpoints * data->layers; i++)
        turned[i % data->checkpoints * data->layers + i / data->checkpoints] = values[i];
}

static enum tr_status fill(struct nx_panel *panel, const struct nx_data *data, int module,
                           int64_t k, struct tr_err *err) {
    double *turned, *own = panel->own_values;
    TR_TRY(TR_NEW(&turned, data->checkpoints * data->layers, "importance", err));
    turn(turned, nx_values(data, module), data);
    enum tr_status status = jaccard_with_last(own + JACCARD * panel->columns, turned, data, k, err);
    if (status == TR_OK)
        status = concordance_from(own + CONCORDANCE * panel->columns, turned, data, err);
    free(turned);
    return status;
}

// As many as the analysis chose, where not all of the layers are.
static int64_t lowest_count(const struct nx_data *data, int module) {
    int64_t count = nx_lowest_count(data, module);
    return count < data->layers ? count : an_default_count(data->layers);
}

enum tr_status nx_build_agreement(struct nx_figure *figure, const struct nx_data *data,
                                  struct tr_err *err) {
    int64_t k = 0;
    for (int module = 0; module < TR_MODULES; module++) {
        struct nx_panel *panel;
        if (!data->shown[module])
            continue;
        k = lowest_count(data, module);
        TR_TRY(begin(&panel, figure, data, module, an_jaccard_chance(data->layers, k), err));
        TR_TRY(fill(panel, data, module, k, err));
    }
    nx_label_last(figure);
    return tr_string_format(&figure->caption, err,
                            "Jaccard: the index of the %lld lowest layers at a checkpoint with "
                            "those at the last (1: the same layers), beside what chance gives. "
                            "Kendall\xe2\x80\x99s W: of all checkpoints from there on (1: always "
                            "the same order of all layers).",
                            (long long)k);
}
