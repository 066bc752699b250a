// SPDX-License-Identifier: Apache-2.0
#include "figures/data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/strings.h"

#define SIGMAS 1.96 // standard errors on either side of a mean: 95 % of a normal distribution

const char *const nx_module_titles[TR_MODULES] = {"Attention", "MLP", "Block"};

const char *nx_progress_label(enum an_axis by) {
    static const char *const labels[AN_AXES] = {"Tokens seen", "Training step", "Checkpoint"};
    return labels[by];
}

struct nx_scale nx_progress_scale(const struct nx_data *data) {
    if (data->by == AN_AXIS_INDEX)
        return nx_scale_of(NX_LINEAR, data->at, data->checkpoints);
    return nx_scale_of(data->at[0] == 0 ? NX_LOG_ZERO : NX_LOG, data->at, data->checkpoints);
}

// ---- the checkpoints -------------------------------------------------------------------------

// Tokens to three digits, steps and numbers exactly: "12.6M", "512", "143k".
static enum tr_status name_column(char **column_p, const struct nx_data *data, int64_t i,
                                  const struct an_checkpoint *checkpoint, struct tr_err *err) {
    char number[NX_NUMBER_MAX];
    if (data->by == AN_AXIS_STEP)
        return tr_strdup(column_p, checkpoint->column, err);
    if (data->by == AN_AXIS_TOKENS)
        nx_number_text(NX_COUNT, data->at[i], 3, number);
    else
        snprintf(number, sizeof number, "%.0f", data->at[i]);
    return tr_strdup(column_p, number, err);
}

// A checkpoint's full label: its short one, then the tokens.
static enum tr_status describe(char **label_p, const struct an_checkpoint *checkpoint,
                               struct tr_err *err) {
    struct tr_string label = {0};
    char number[NX_NUMBER_MAX];
    enum tr_status status = tr_string_format(&label, err, "%s", checkpoint->label);
    if (status == TR_OK && isfinite(checkpoint->tokens))
        status = tr_string_format(&label, err, ", %s tokens",
                                  nx_number_text(NX_COUNT, checkpoint->tokens, 3, number));
    if (status == TR_OK)
        *label_p = label.data;
    else
        tr_string_free(&label);
    return status;
}

static enum tr_status fill_checkpoints(struct nx_data *data, const struct an_checkpoint *checkpoint,
                                       struct tr_err *err) {
    for (int64_t i = 0; i < data->checkpoints; i++) {
        data->store_row[i] = checkpoint[i].row;
        data->at[i] = checkpoint[i].at + (data->by == AN_AXIS_INDEX); // people count from 1
        TR_TRY(name_column(&data->column[i], data, i, &checkpoint[i], err));
        TR_TRY(describe(&data->label[i], &checkpoint[i], err));
        if (!data->nll)
            continue;
        data->nll[i] = checkpoint[i].nll;
        data->nll_low[i] = checkpoint[i].nll - SIGMAS * checkpoint[i].nll_error;
        data->nll_high[i] = checkpoint[i].nll + SIGMAS * checkpoint[i].nll_error;
    }
    return TR_OK;
}

static enum tr_status load_checkpoints(struct nx_data *data, const struct tr_trace *trace,
                                       const struct tr_excerpt *excerpt, struct tr_err *err) {
    int64_t count = data->checkpoints;
    struct an_checkpoint *checkpoint;
    TR_TRY(TR_NEW(&data->at, count, "the axis", err));
    TR_TRY(TR_NEW(&data->store_row, count, "the axis", err));
    TR_TRY(TR_NEW(&data->column, count, "labels", err));
    TR_TRY(TR_NEW(&data->label, count, "labels", err));
    if (tr_trace_has(trace, TR_V_NLL)) {
        TR_TRY(TR_NEW(&data->nll, count, "losses", err));
        TR_TRY(TR_NEW(&data->nll_low, count, "losses", err));
        TR_TRY(TR_NEW(&data->nll_high, count, "losses", err));
    }
    TR_TRY(an_timeline_load(&checkpoint, &data->by, trace, excerpt->index[TR_DIM_CHECKPOINT], count,
                            err));
    enum tr_status status = fill_checkpoints(data, checkpoint, err);
    an_timeline_free(checkpoint, count);
    return status;
}

// ---- the values ------------------------------------------------------------------------------

static enum tr_status load_layers(struct nx_data *data, const struct tr_excerpt *excerpt,
                                  struct tr_err *err) {
    TR_TRY(TR_NEW(&data->layer, data->layers, "labels", err));
    TR_TRY(TR_NEW(&data->number, data->layers, "labels", err));
    for (int64_t i = 0; i < data->layers; i++) {
        char text[24];
        data->number[i] = excerpt->index[TR_DIM_LAYER][i];
        snprintf(text, sizeof text, "%lld", (long long)data->number[i]);
        TR_TRY(tr_strdup(&data->layer[i], text, err));
    }
    return TR_OK;
}

static enum tr_status load_importance(struct nx_data *data, const struct tr_trace *trace,
                                      const struct tr_excerpt *excerpt, struct tr_err *err) {
    int64_t modules = excerpt->count[TR_DIM_MODULE];
    double *row;
    for (int64_t m = 0; m < modules; m++)
        TR_TRY(TR_NEW(&data->importance[excerpt->index[TR_DIM_MODULE][m]],
                      data->layers * data->checkpoints, "importance", err));
    TR_TRY(TR_NEW(&row, tr_excerpt_elements(excerpt, TR_V_IMPORTANCE), "importance", err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < data->checkpoints && status == TR_OK; i++) {
        status = tr_excerpt_read(trace, excerpt, TR_V_IMPORTANCE,
                                 excerpt->index[TR_DIM_CHECKPOINT][i], row, err);
        for (int64_t at = 0; at < data->layers * modules && status == TR_OK; at++)
            data->importance[excerpt->index[TR_DIM_MODULE][at % modules]]
                            [at / modules * data->checkpoints + i] = row[at];
    }
    free(row);
    return status;
}

// Loads the matrix of the last checkpoint that is shown.
static enum tr_status load_spans(struct nx_data *data, const struct tr_trace *trace, int64_t row,
                                 struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    int64_t count = tr_variable_elements(TR_V_SPAN_SIMILARITY, layout);
    float *values;
    data->boundaries = tr_dim_size(TR_DIM_BOUNDARY, layout);
    data->spans_label = data->label[data->checkpoints - 1];
    TR_TRY(TR_NEW(&data->spans, count, "span similarity", err));
    TR_TRY(TR_NEW(&values, count, "span similarity", err));
    enum tr_status status = tr_trace_read(trace, TR_V_SPAN_SIMILARITY, row, 1, values, err);
    for (int64_t i = 0; i < count && status == TR_OK; i++)
        data->spans[i] = (double)values[i];
    free(values);
    return status;
}

enum tr_status nx_data_load(struct nx_data *data, const struct tr_trace *trace,
                            const struct tr_excerpt *excerpt, struct tr_err *err) {
    struct nx_data new = {.checkpoints = excerpt->count[TR_DIM_CHECKPOINT],
                          .layers = excerpt->count[TR_DIM_LAYER],
                          .tau = NAN};
    for (int64_t m = 0; m < excerpt->count[TR_DIM_MODULE]; m++)
        new.shown[excerpt->index[TR_DIM_MODULE][m]] = true;
    enum tr_status status;
    TR_GO(status, load_checkpoints(&new, trace, excerpt, err), out);
    TR_GO(status, load_layers(&new, excerpt, err), out);
    TR_GO(status, load_importance(&new, trace, excerpt, err), out);
    if (tr_trace_has(trace, TR_V_SPAN_SIMILARITY))
        status =
            load_spans(&new, trace, excerpt->index[TR_DIM_CHECKPOINT][new.checkpoints - 1], err);
out:
    if (status == TR_OK)
        *data = new;
    else
        nx_data_free(&new);
    return status;
}

const double *nx_values(const struct nx_data *data, int module) {
    return data->criterion ? data->ranked[module] : data->importance[module];
}

int64_t nx_lowest_count(const struct nx_data *data, int module) {
    return data->chosen[module] ? data->chosen_count[module] : an_default_count(data->layers);
}

static void free_texts(char **texts, int64_t count) {
    for (int64_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
}

void nx_data_free(struct nx_data *data) {
    free(data->at);
    free_texts(data->column, data->checkpoints);
    free_texts(data->label, data->checkpoints);
    free_texts(data->layer, data->layers);
    free(data->number);
    for (int module = 0; module < TR_MODULES; module++) {
        free(data->importance[module]);
        free(data->chosen[module]);
        free(data->below[module]);
        free(data->ranked[module]);
        free(data->trial[module].spearman);
        free(data->trial[module].spearman_low);
        free(data->trial[module].spearman_high);
        free(data->trial[module].told);
        for (int cost = 0; cost < AN_COSTS; cost++) {
            free(data->trial[module].cost[cost]);
            free(data->trial[module].low[cost]);
            free(data->trial[module].high[cost]);
        }
    }
    free(data->prices.share);
    free_texts(data->prices.name, NX_PRICE_STEPS);
    for (int resource = 0; resource < AN_RESOURCES; resource++)
        free(data->prices.sum[resource]);
    free(data->search.place);
    free(data->search.at);
    free_texts(data->search.name, data->search.rounds);
    free(data->search.attention);
    free(data->search.depth);
    free(data->search.longest);
    for (int module = 0; module < TR_MODULES; module++)
        free(data->search.round[module]);
    free(data->search.by);
    free(data->store_row);
    free(data->nll);
    free(data->nll_low);
    free(data->nll_high);
    free(data->spans);
    free(data->rule);
    *data = (struct nx_data){0};
}
