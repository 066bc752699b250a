// SPDX-License-Identifier: Apache-2.0
// What leaving a layer out costs: over training, and against its importance.
#include <math.h>
#include <stdio.h>

#include "build.h"

// The first is cost in loss.
static const char *const cost_names[AN_COSTS] = {"loss", "KL"};
static const char *const cost_axes[AN_COSTS] = {"Cost in loss (nats)", "Cost in KL (nats)"};

// ---- over training ---------------------------------------------------------------------------

// From -most to most, so that 0 is in the middle.
static struct nx_scale signed_scale(const struct nx_data *data) {
    double most = 0;
    for (int module = 0; module < TR_MODULES; module++)
        for (int64_t i = 0; i < data->layers * data->checkpoints && data->trial[module].cost[0];
             i++)
            most = fmax(most, fabs(data->trial[module].cost[0][i]));
    most = most > 0 ? most : 1;
    return (struct nx_scale){NX_LINEAR, -most, most};
}

enum tr_status nx_build_cost_map(struct nx_figure *figure, const struct nx_data *data,
                                 struct tr_err *err) {
    for (int module = 0; module < TR_MODULES; module++) {
        struct nx_panel *panel;
        if (!data->trial[module].cost[0])
            continue;
        TR_TRY(nx_panel_begin(&panel, figure, nx_module_titles[module], data->layers,
                              data->checkpoints, err));
        panel->marks = NX_CELLS;
        panel->values = data->trial[module].cost[0];
        panel->height = fmin(fmax(7.0 * (double)data->layers, 35), 120);
        for (int64_t row = 0; row < panel->rows; row++)
            snprintf(panel->row[row].name, NX_LABEL, "layer %s", data->layer[row]);
        snprintf(panel->quantity, sizeof panel->quantity, "nats per token");
        nx_checkpoint_columns(panel, data);
        panel->y = (struct nx_axis){
            .scale = {NX_BANDS, 0, (double)data->layers}, .label = "Layer", .names = data->layer};
    }
    nx_label_last(figure);
    figure->has_bar = true;
    figure->bar = (struct nx_axis){
        .scale = signed_scale(data), .label = "Cost in loss (nats per token)", .diverging = true};
    return tr_string_format(&figure->caption, err,
                            "Loss with one sublayer left out less the loss of the whole model. "
                            "Light: leaving it out changes nothing; blue: the model is better "
                            "without it. Grey: not measured, or before the training looked at.");
}

// ---- against importance ----------------------------------------------------------------------

// Widens [low, high] to the finite ones of values[count].
static void widen(struct nx_scale *scale, const double *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        scale->low = fmin(scale->low, values[i]);
        scale->high = fmax(scale->high, values[i]);
    }
}

// Whether two fifths of the costs are within a twentieth of the scale, which would draw them in one
// line. The Python package asks the same.
static bool is_crowded(const struct nx_data *data, int cost, const struct nx_scale *scale) {
    double most = fmax(-scale->low, scale->high);
    int64_t near = 0, measured = 0;
    for (int module = 0; module < TR_MODULES; module++) {
        const double *costs = data->trial[module].cost[cost];
        for (int64_t i = 0; costs && i < data->layers * data->checkpoints; i++) {
            measured += isfinite(costs[i]);
            near += fabs(costs[i]) < most / 20;
        }
    }
    return 5 * near > 2 * measured;
}

// Of a cost, the same for all modules, with 0 and all intervals on it; logarithmic away from 0
// where costs span decades.
static struct nx_scale cost_scale(const struct nx_data *data, int cost) {
    struct nx_scale scale = {NX_LINEAR, 0, 0};
    for (int module = 0; module < TR_MODULES; module++) {
        const struct nx_trial *trial = &data->trial[module];
        int64_t count = trial->cost[cost] ? data->layers * data->checkpoints : 0;
        widen(&scale, trial->cost[cost], count);
        widen(&scale, trial->low[cost], count);
        widen(&scale, trial->high[cost], count);
    }
    bool crowded = is_crowded(data, cost, &scale);
    const double ends[] = {scale.low, scale.high};
    scale = nx_scale_of(NX_LINEAR, ends, 2);
    if (crowded)
        scale.kind = NX_SIGNED_LOG;
    return nx_scale_round(scale);
}

// The last checkpoint at which something costs anything.
static int64_t last_measured(const struct nx_data *data) {
    int64_t last = data->checkpoints - 1;
    for (; last > 0; last--)
        for (int module = 0; module < TR_MODULES; module++)
            for (int64_t row = 0; row < data->layers && data->trial[module].cost[0]; row++)
                if (isfinite(data->trial[module].cost[0][row * data->checkpoints + last]))
                    return last;
    return last;
}

static enum tr_status add_scatter(struct nx_figure *figure, const struct nx_data *data, int module,
                                  int cost, int64_t shown, struct tr_err *err) {
    const struct nx_trial *trial = &data->trial[module];
    struct nx_panel *panel;
    char title[NX_LABEL];
    snprintf(title, sizeof title, "%s, by %s", nx_module_titles[module], cost_names[cost]);
    TR_TRY(nx_panel_begin(&panel, figure, title, data->layers, data->checkpoints, err));
    panel->marks = NX_SCATTER;
    panel->values = trial->cost[cost];
    panel->low = trial->low[cost];
    panel->high = trial->high[cost];
    panel->across = data->importance[module];
    panel->shown = shown;
    panel->height = 100;
    panel->by_checkpoint = true;
    panel->column_names = data->label;
    for (int64_t row = 0; row < panel->rows; row++)
        nx_paint_layer(&panel->row[row], data, module, row);
    snprintf(panel->quantity, sizeof panel->quantity, "nats per token");
    snprintf(panel->across_quantity, sizeof panel->across_quantity, NX_IMPORTANCE);
    panel->x = nx_importance_axis(data);
    panel->y = (struct nx_axis){.scale = cost_scale(data, cost)};
    snprintf(panel->y.label, sizeof panel->y.label, "%s", cost_axes[cost]);
    return TR_OK;
}

enum tr_status nx_build_cost(struct nx_figure *figure, const struct nx_data *data,
                             struct tr_err *err) {
    int64_t shown = last_measured(data);
    for (int module = 0; module < TR_MODULES; module++)
        for (int cost = 0; cost < AN_COSTS && data->trial[module].cost[cost]; cost++)
            TR_TRY(add_scatter(figure, data, module, cost, shown, err));
    nx_label_last(figure);
    TR_TRY(tr_string_format(
        &figure->caption, err,
        "Each point is a layer at one checkpoint, with its number: what it "
        "does to the stream, and what leaving it out costs in nats per token, with its %g %% "
        "interval over rows of text. Below 0 the model is better without it.",
        100 * data->level));
    return nx_name_rule(&figure->caption, data, err);
}
