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

#define TO_X "(x, \xce\xb4)"

static const struct nx_ranked ranked[AN_CRITERIA] = {
    [AN_BY_IMPORTANCE] = {"Importance", "Importance " NX_IMPORTANCE " (no unit)", NX_IMPORTANCE},
    [AN_BY_UPDATE_RATIO] = {"Update ratio", "Update ratio |\xce\xb4| / |x| (no unit)",
                            "|\xce\xb4| / |x|"},
    [AN_BY_ALIGNMENT] = {"Misalignment", "Misalignment " NX_IMPORTANCE TO_X " (no unit)",
                         NX_IMPORTANCE TO_X},
    [AN_BY_COST_NLL] = {"Cost in loss", "Cost in loss (nats per token)", "nats per token"},
    [AN_BY_COST_KL] = {"Cost in KL", "Cost in KL (nats per token)", "nats per token"},
    [AN_BY_COST_AGREE] = {"Cost in agreement", "Share of tokens that change (no unit)", "share"},
};

enum an_by nx_ranked_of(const struct nx_data *data) {
    return data->criterion ? (enum an_by)(data->criterion - an_criteria) : AN_BY_IMPORTANCE;
}

const struct nx_ranked *nx_ranked_by(const struct nx_data *data) {
    return &ranked[nx_ranked_of(data)];
}

// The scale of values[layers, checkpoints] of all shown modules.
static struct nx_scale common_scale(const struct nx_data *data, enum nx_scale_kind kind,
                                    const double *(*values)(const struct nx_data *, int)) {
    struct nx_scale common = {kind, INFINITY, -INFINITY};
    for (int module = 0; module < TR_MODULES; module++) {
        if (!data->shown[module])
            continue;
        struct nx_scale one =
            nx_scale_of(kind, values(data, module), data->layers * data->checkpoints);
        common.low = fmin(common.low, one.low);
        common.high = fmax(common.high, one.high);
    }
    return common;
}

static const double *importance_of(const struct nx_data *data, int module) {
    return data->importance[module];
}

static struct nx_axis axis_of(enum an_by by, struct nx_scale scale) {
    struct nx_axis axis = {.scale = scale,
                           .number = scale.kind == NX_LOG ? NX_POWER : NX_PLAIN,
                           .diverging = an_criteria[by].is_signed};
    if (axis.diverging) {
        double most = fmax(fabs(scale.low), fabs(scale.high));
        axis.scale = (struct nx_scale){NX_LINEAR, -most, most};
    }
    snprintf(axis.label, sizeof axis.label, "%s", ranked[by].axis);
    return axis;
}

struct nx_axis nx_ranked_axis(const struct nx_data *data) {
    enum an_by by = nx_ranked_of(data);
    return axis_of(by,
                   common_scale(data, an_criteria[by].logarithmic ? NX_LOG : NX_LINEAR, nx_values));
}

struct nx_axis nx_importance_axis(const struct nx_data *data) {
    return axis_of(AN_BY_IMPORTANCE, common_scale(data, NX_LOG, importance_of));
}

struct nx_row nx_criterion_row(enum an_by by) {
    return (struct nx_row){.paint = NX_DISTINCT_COLOUR, .colour = by, .named = true};
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
