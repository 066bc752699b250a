// SPDX-License-Identifier: Apache-2.0
#include "figures/data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"

const char *const nx_module_titles[TR_MODULES] = {"Attention", "MLP", "Block"};

const char *nx_progress_label(enum nx_progress by) {
    static const char *const labels[] = {"Tokens seen", "Training step", "Checkpoint"};
    return labels[by];
}

struct nx_scale nx_progress_scale(const struct nx_data *data) {
    if (data->by == NX_BY_ORDER)
        return nx_scale_of(NX_LINEAR, data->at, data->checkpoints);
    return nx_scale_of(data->at[0] == 0 ? NX_LOG_ZERO : NX_LOG, data->at, data->checkpoints);
}

// ---- the checkpoints -------------------------------------------------------------------------

// What the rows say of themselves.
struct rows {
    int64_t count;
    const int64_t *index; // [count] rows of the trace; borrowed
    int64_t *step;        // [count] -1: unknown
    double *tokens;       // [count] NaN: unknown
    bool stages;          // more than one
};

static enum tr_status rows_read(struct rows *rows, const struct tr_trace *trace,
                                struct tr_err *err) {
    TR_TRY(TR_NEW(&rows->step, rows->count, "steps", err));
    TR_TRY(TR_NEW(&rows->tokens, rows->count, "tokens seen", err));
    for (int64_t i = 0; i < rows->count; i++) {
        int64_t row = rows->index[i];
        TR_TRY(tr_trace_read(trace, TR_V_STEP, row, 1, &rows->step[i], err));
        TR_TRY(tr_trace_read(trace, TR_V_TOKENS_SEEN, row, 1, &rows->tokens[i], err));
        rows->stages |= strcmp(tr_trace_string(trace, TR_V_STAGE, row),
                               tr_trace_string(trace, TR_V_STAGE, rows->index[0])) != 0;
    }
    return TR_OK;
}

static void rows_free(struct rows *rows) {
    free(rows->step);
    free(rows->tokens);
}

// Fills `at` with tokens or steps; false when one is unknown or they do not grow.
static bool place_by(double *at, const struct rows *rows, enum nx_progress by) {
    for (int64_t i = 0; i < rows->count; i++) {
        at[i] = by == NX_BY_TOKENS ? rows->tokens[i] : (double)rows->step[i];
        if (!isfinite(at[i]) || at[i] < 0 || (i > 0 && at[i] <= at[i - 1]))
            return false;
    }
    return true;
}

static void place(struct nx_data *data, const struct rows *rows) {
    for (data->by = NX_BY_TOKENS; data->by < NX_BY_ORDER; data->by++)
        if (place_by(data->at, rows, data->by))
            return;
    for (int64_t i = 0; i < rows->count; i++)
        data->at[i] = (double)(i + 1);
}

// Tokens to three digits, steps exactly: "12.6M", "512", "143k".
static enum tr_status name_column(char **column_p, const struct nx_data *data, int64_t i,
                                  struct tr_err *err) {
    char number[NX_NUMBER_MAX];
    bool thousands = data->at[i] >= 10000 && fmod(data->at[i], 1000) == 0;
    if (data->by == NX_BY_TOKENS || thousands)
        nx_number_text(NX_COUNT, data->at[i], data->by == NX_BY_TOKENS ? 3 : 6, number);
    else
        snprintf(number, sizeof number, "%.0f", data->at[i]);
    return tr_strdup(column_p, number, err);
}

// Its step, else its name; then the tokens.
static enum tr_status describe(char **label_p, const struct tr_trace *trace,
                               const struct rows *rows, int64_t i, struct tr_err *err) {
    struct tr_string label = {0};
    int64_t row = rows->index[i];
    char number[NX_NUMBER_MAX];
    enum tr_status status = TR_OK;
    if (rows->stages)
        status = tr_string_format(&label, err, "%s ", tr_trace_string(trace, TR_V_STAGE, row));
    if (status == TR_OK && rows->step[i] >= 0)
        status = tr_string_format(&label, err, "step %lld", (long long)rows->step[i]);
    else if (status == TR_OK)
        status = tr_string_format(&label, err, "%s", tr_trace_string(trace, TR_V_NAME, row));
    if (status == TR_OK && isfinite(rows->tokens[i]))
        status = tr_string_format(&label, err, ", %s tokens",
                                  nx_number_text(NX_COUNT, rows->tokens[i], 3, number));
    if (status == TR_OK)
        *label_p = label.data;
    else
        tr_string_free(&label);
    return status;
}

static enum tr_status load_checkpoints(struct nx_data *data, const struct tr_trace *trace,
                                       const struct tr_excerpt *excerpt, struct tr_err *err) {
    struct rows rows = {.count = data->checkpoints, .index = excerpt->index[TR_DIM_CHECKPOINT]};
    enum tr_status status;
    TR_GO(status, TR_NEW(&data->at, rows.count, "the axis", err), out);
    TR_GO(status, TR_NEW(&data->column, rows.count, "labels", err), out);
    TR_GO(status, TR_NEW(&data->label, rows.count, "labels", err), out);
    TR_GO(status, rows_read(&rows, trace, err), out);
    place(data, &rows);
    for (int64_t i = 0; i < rows.count && status == TR_OK; i++) {
        TR_GO(status, name_column(&data->column[i], data, i, err), out);
        status = describe(&data->label[i], trace, &rows, i, err);
    }
out:
    rows_free(&rows);
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

// The mean of what is finite; NaN of nothing.
static double mean(const double *values, int64_t count) {
    double sum = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i])) {
            sum += values[i];
            finite++;
        }
    return finite ? sum / (double)finite : NAN;
}

static enum tr_status load_nll(struct nx_data *data, const struct tr_trace *trace,
                               const struct tr_excerpt *excerpt, struct tr_err *err) {
    double *row;
    int64_t sequences = tr_excerpt_elements(excerpt, TR_V_NLL);
    TR_TRY(TR_NEW(&data->nll, data->checkpoints, "losses", err));
    TR_TRY(TR_NEW(&row, sequences, "losses", err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < data->checkpoints && status == TR_OK; i++) {
        status = tr_excerpt_read(trace, excerpt, TR_V_NLL, excerpt->index[TR_DIM_CHECKPOINT][i],
                                 row, err);
        if (status == TR_OK)
            data->nll[i] = mean(row, sequences);
    }
    free(row);
    return status;
}

// The matrix of the last checkpoint.
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
                          .layers = excerpt->count[TR_DIM_LAYER]};
    for (int64_t m = 0; m < excerpt->count[TR_DIM_MODULE]; m++)
        new.shown[excerpt->index[TR_DIM_MODULE][m]] = true;
    enum tr_status status;
    TR_GO(status, load_checkpoints(&new, trace, excerpt, err), out);
    TR_GO(status, load_layers(&new, excerpt, err), out);
    TR_GO(status, load_importance(&new, trace, excerpt, err), out);
    if (tr_trace_has(trace, TR_V_NLL))
        TR_GO(status, load_nll(&new, trace, excerpt, err), out);
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
        free(data->cost[module]);
    }
    free(data->nll);
    free(data->spans);
    *data = (struct nx_data){0};
}
