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

static enum tr_status begin(struct nx_panel **panel_p, struct nx_figure *figure,
                            const struct nx_data *data, const char *title, const char *quantity,
                            struct tr_err *err) {
    struct nx_panel *panel;
    TR_TRY(nx_panel_begin(&panel, figure, title, TR_MODULES + 1, data->checkpoints, err));
    TR_TRY(TR_NEW(&panel->own_values, panel->rows * panel->columns, "agreement", err));
    for (int64_t i = 0; i < panel->rows * panel->columns; i++)
        panel->own_values[i] = NAN;
    panel->values = panel->own_values;
    panel->marks = data->checkpoints <= 48 ? NX_POINTS : NX_LINES;
    panel->height = 80;
    nx_checkpoint_places(panel, data);
    panel->y = (struct nx_axis){.scale = {NX_LINEAR, 0, 1}};
    snprintf(panel->y.label, sizeof panel->y.label, "%s", quantity);
    snprintf(panel->quantity, sizeof panel->quantity, "%s", quantity);
    for (int module = 0; module < TR_MODULES; module++) {
        panel->row[module] = (struct nx_row){
            .paint = NX_DISTINCT_COLOUR, .colour = module, .named = data->shown[module]};
        snprintf(panel->row[module].name, NX_LABEL, "%s", nx_module_titles[module]);
    }
    *panel_p = panel;
    return TR_OK;
}

// The last row shows what random orders would give.
static void show_chance(struct nx_panel *panel, double chance) {
    panel->row[TR_MODULES] =
        (struct nx_row){.name = "chance", .paint = NX_INK, .dashed = true, .named = true};
    for (int64_t c = 0; c < panel->columns; c++)
        panel->own_values[TR_MODULES * panel->columns + c] = chance;
}

static enum tr_status fill(struct nx_panel *jaccard, struct nx_panel *w, const struct nx_data *data,
                           int64_t k, struct tr_err *err) {
    int64_t checkpoints = data->checkpoints;
    double *turned;
    TR_TRY(TR_NEW(&turned, checkpoints * data->layers, "importance", err));
    enum tr_status status = TR_OK;
    for (int module = 0; module < TR_MODULES && status == TR_OK; module++) {
        if (!data->shown[module])
            continue;
        for (int64_t i = 0; i < checkpoints * data->layers; i++)
            turned[i % checkpoints * data->layers + i / checkpoints] = data->importance[module][i];
        status =
            jaccard_with_last(jaccard->own_values + module * checkpoints, turned, data, k, err);
        if (status == TR_OK)
            status = concordance_from(w->own_values + module * checkpoints, turned, data, err);
    }
    free(turned);
    return status;
}

// As many as the analysis chose of the first module shown, where not all of the layers are.
static int64_t lowest_count(const struct nx_data *data) {
    int module = 0;
    while (module < TR_MODULES - 1 && !data->shown[module])
        module++;
    int64_t count = nx_lowest_count(data, module);
    return count < data->layers ? count : an_default_count(data->layers);
}

enum tr_status nx_build_agreement(struct nx_figure *figure, const struct nx_data *data,
                                  struct tr_err *err) {
    struct nx_panel *jaccard, *w;
    int64_t k = lowest_count(data);
    char title[NX_LABEL];
    snprintf(title, sizeof title, "Lowest %lld against the last checkpoint", (long long)k);
    TR_TRY(begin(&jaccard, figure, data, title, "Jaccard index", err));
    TR_TRY(begin(&w, figure, data, "All layers, from each checkpoint on", "Kendall\xe2\x80\x99s W",
                 err));
    TR_TRY(fill(jaccard, w, data, k, err));
    show_chance(jaccard, an_jaccard_chance(data->layers, k));
    w->rows = TR_MODULES;
    nx_label_last(figure);
    return tr_string_format(&figure->caption, err,
                            "Above: share of common layers among the %lld lowest there and at the "
                            "last checkpoint (1: the same layers). Below: Kendall\xe2\x80\x99s W "
                            "of all checkpoints from there on (1: always the same order).",
                            (long long)k);
}
