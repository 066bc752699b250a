// SPDX-License-Identifier: Apache-2.0
#include "figures/figures.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static bool has_spans(const struct nx_data *data) {
    return data->spans != NULL;
}

static bool has_loss(const struct nx_data *data) {
    return data->nll != NULL;
}

static bool has_trial(const struct nx_data *data) {
    for (int module = 0; module < TR_MODULES; module++)
        if (data->trial[module].spearman)
            return true;
    return false;
}

static bool has_several_layers(const struct nx_data *data) {
    return data->layers > 1;
}

static bool has_prices(const struct nx_data *data) {
    return data->prices.share != NULL;
}

static bool has_search(const struct nx_data *data) {
    return data->search.searched > 0;
}

#define NEEDS_LAYERS "has one layer, and that is in no order"
#define NEEDS_SPANS "was traced without spans; trace-ckpts with --spans measures them"
#define NEEDS_LOSS "was traced with --no-nll; trace-ckpts without it measures the loss"
#define NEEDS_COSTS                                                                                \
    "has no costs of leaving layers out on 5 rows of text or more; the same trace-ckpts command "  \
    "with --cost attn,mlp adds them"

#define NEEDS_SIZES                                                                                \
    "does not say what sublayers take; the same trace-ckpts command of this version adds that"

#define NEEDS_SEARCH                                                                               \
    "has no greedy search; trace-drop search with the same checkpoints and text adds it"

const struct nx_figure_row nx_figures[] = {
    {"heat-map", "Importance of every layer over training", NULL, NULL, false, nx_build_heat_map},
    {"lines", "Importance over training, a line for each layer", NULL, NULL, false, nx_build_lines},
    {"ranks", "The least important layers over training", has_several_layers, NEEDS_LAYERS, true,
     nx_build_ranks},
    {"agreement", "How well the checkpoints agree", has_several_layers, NEEDS_LAYERS, true,
     nx_build_agreement},
    {"spans", "Similarity of the residual stream between layers", has_spans, NEEDS_SPANS, false,
     nx_build_spans},
    {"loss", "Loss on the calibration text", has_loss, NEEDS_LOSS, false, nx_build_loss},
    {"cost", "Importance against what leaving a layer out costs", has_trial, NEEDS_COSTS, true,
     nx_build_cost},
    {"cost-map", "Cost in loss of leaving each layer out over training", has_trial, NEEDS_COSTS,
     true, nx_build_cost_map},
    {"proxies", "How well proxies rank the layers as costs do", has_trial, NEEDS_COSTS, true,
     nx_build_proxies},
    {"told", "How early the cheapest at the end are told", has_trial, NEEDS_COSTS, true,
     nx_build_told},
    {"prices", "What a smaller model costs", has_prices, NEEDS_SIZES, true, nx_build_prices},
    {"search", "What a greedy search leaves out, round by round", has_search, NEEDS_SEARCH, true,
     nx_build_search},
    {"search-order", "When a greedy search leaves each layer out", has_search, NEEDS_SEARCH, true,
     nx_build_search_order},
};
_Static_assert(sizeof nx_figures / sizeof *nx_figures <= NX_FIGURES_MAX, "too many figures");
const int nx_figure_count = sizeof nx_figures / sizeof *nx_figures;

bool nx_figure_possible(const struct nx_figure_row *row, const struct nx_data *data) {
    return !row->possible || row->possible(data);
}

const struct nx_figure_row *nx_figure_find(const char *name) {
    for (int i = 0; i < nx_figure_count; i++)
        if (strcmp(nx_figures[i].name, name) == 0)
            return &nx_figures[i];
    return NULL;
}

enum tr_status nx_figure_build(struct nx_figure *figure, const struct nx_figure_row *row,
                               const struct nx_data *data, struct tr_err *err) {
    struct nx_figure new = {.name = row->name};
    snprintf(new.title, sizeof new.title, "%s", row->title);
    enum tr_status status = row->build(&new, data, err);
    if (status == TR_OK)
        *figure = new;
    else
        nx_figure_free(&new);
    return status;
}
