// SPDX-License-Identifier: Apache-2.0
// What a smaller model costs: the cheapest set at each share of a resource.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "build.h"

static const char *const resource_titles[AN_RESOURCES] = {
    "Parameters", "Bytes of weights", "Cache of keys and values", "Operations of a token"};
// What sets are of, in the order in which lines are drawn: those of both kinds of sublayers lie
// below all others, and behind them.
static const struct {
    enum an_group group;
    const char *title;
    enum nx_paint paint;
    bool dashed;
} lines[] = {{AN_JOINT, "both", NX_FAINT, false},
             {AN_BLOCK, "blocks", NX_FAINT, true},
             {AN_MLP, "MLP", NX_INK, true},
             {AN_ATTN, "attention", NX_INK, false}};
enum { LINES = sizeof lines / sizeof *lines };

// The panel's values, and in a row behind them, which it owns as well, what is saved in percent.
static enum tr_status copy_values(struct nx_panel *panel, const struct nx_prices *prices,
                                  int resource, struct tr_err *err) {
    int64_t columns = NX_PRICE_STEPS, rows = 0;
    TR_TRY(TR_NEW(&panel->own_values, (panel->rows + 1) * columns, "prices", err));
    for (int i = 0; i < LINES; i++) {
        if (!prices->has[resource][lines[i].group])
            continue;
        memcpy(panel->own_values + rows * columns, prices->sum[resource] + lines[i].group * columns,
               (size_t)columns * sizeof *panel->own_values);
        panel->row[rows] = (struct nx_row){
            .paint = lines[i].paint, .dashed = lines[i].dashed, .named = true, .keyed = true};
        snprintf(panel->row[rows++].name, NX_LABEL, "%s", lines[i].title);
    }
    double *percent = panel->own_values + rows * columns;
    for (int64_t i = 0; i < columns; i++)
        percent[i] = 100 - 100 * prices->share[i];
    panel->values = panel->own_values;
    panel->at = percent;
    return TR_OK;
}

static enum tr_status add_panel(struct nx_figure *figure, const struct nx_data *data, int resource,
                                struct tr_err *err) {
    const struct nx_prices *prices = &data->prices;
    struct nx_panel *panel;
    int64_t rows = 0;
    for (int group = 0; group < AN_GROUPS; group++)
        rows += prices->has[resource][group];
    TR_TRY(nx_panel_begin(&panel, figure, resource_titles[resource], rows, NX_PRICE_STEPS, err));
    TR_TRY(copy_values(panel, prices, resource, err));
    panel->marks = NX_LINES;
    panel->height = 100;
    panel->column_names = prices->name;
    snprintf(panel->quantity, sizeof panel->quantity, "sum of %s", nx_ranked_by(data)->quantity);
    panel->x = (struct nx_axis){.scale = {NX_LINEAR, 0, ceil(panel->at[NX_PRICE_STEPS - 1])},
                                .label = "Saved of the whole model (%)"};
    panel->y = (struct nx_axis){
        .scale = nx_scale_round(nx_scale_of(NX_LINEAR, panel->values, rows * NX_PRICE_STEPS))};
    snprintf(panel->y.label, sizeof panel->y.label, "Sum of %s", nx_ranked_by(data)->quantity);
    return TR_OK;
}

enum tr_status nx_build_prices(struct nx_figure *figure, const struct nx_data *data,
                               struct tr_err *err) {
    for (int resource = 0; resource < AN_RESOURCES; resource++)
        if (data->prices.sum[resource])
            TR_TRY(add_panel(figure, data, resource, err));
    nx_label_last(figure);
    return tr_string_format(
        &figure->caption, err,
        "The least that a model costs that saves so much, if what single layers cost adds up: the "
        "sum of %s (%s) over the cheapest of all sets of attentions, of MLPs, of blocks, "
        "and of both kinds of sublayers; caches and operations for a text of %lld tokens. What a "
        "set costs together, trace-ckpts --drop-sets measures.",
        nx_ranked_by(data)->quantity, an_aggregate_names[data->prices.over],
        (long long)data->prices.context);
}
