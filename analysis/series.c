// SPDX-License-Identifier: Apache-2.0
#include "series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

// The columns of a store that say what a row is.
struct rows {
    int64_t count;
    uint8_t *status; // [count]
    int64_t *step;   // [count]
    bool stages;     // the rows are of more than one stage
};

static enum tr_status format(char **text_p, struct tr_err *err, const char *stage,
                             const char *separator, const char *text) {
    struct tr_string string = {0};
    enum tr_status status = tr_string_format(&string, err, "%s%s%s", stage, separator, text);
    if (status != TR_OK) {
        tr_string_free(&string);
        return status;
    }
    *text_p = string.data;
    return TR_OK;
}

static enum tr_status rows_read(struct rows *rows, const struct tr_trace *trace,
                                struct tr_err *err) {
    rows->count = tr_trace_rows(trace);
    TR_TRY(TR_NEW(&rows->status, rows->count, "row states", err));
    TR_TRY(TR_NEW(&rows->step, rows->count, "steps", err));
    TR_TRY(tr_trace_read(trace, TR_V_STATUS, 0, rows->count, rows->status, err));
    TR_TRY(tr_trace_read(trace, TR_V_STEP, 0, rows->count, rows->step, err));
    for (int64_t row = 1; row < rows->count; row++)
        rows->stages |= strcmp(tr_trace_string(trace, TR_V_STAGE, row),
                               tr_trace_string(trace, TR_V_STAGE, 0)) != 0;
    return TR_OK;
}

static void rows_free(struct rows *rows) {
    free(rows->status);
    free(rows->step);
}

static enum tr_status label_row(char **label_p, char **column_p, const struct tr_trace *trace,
                                const struct rows *rows, int64_t row, struct tr_err *err) {
    int64_t step = rows->step[row];
    const char *name = tr_trace_string(trace, TR_V_NAME, row);
    const char *stage = rows->stages ? tr_trace_string(trace, TR_V_STAGE, row) : "";
    char number[32] = "?", text[48];
    if (step >= 10000 && step % 1000 == 0)
        snprintf(number, sizeof number, "%lldk", (long long)(step / 1000));
    else if (step >= 0)
        snprintf(number, sizeof number, "%lld", (long long)step);
    snprintf(text, sizeof text, "step %lld", (long long)step);
    TR_TRY(format(label_p, err, stage, stage[0] ? " " : "", step >= 0 ? text : name));
    return tr_strdup(column_p, number, err);
}

static enum tr_status describe_failure(char **failure_p, const struct tr_trace *trace, int64_t row,
                                       struct tr_err *err) {
    const char *reason = tr_trace_string(trace, TR_V_ERROR, row);
    return format(failure_p, err, tr_trace_string(trace, TR_V_NAME, row), ": ",
                  reason[0] ? reason : "no reason recorded");
}

// Allocates for the rows that are wanted and complete, and for the failed ones.
static enum tr_status allocate(struct an_series *series, const struct rows *rows, int64_t from,
                               struct tr_err *err) {
    int64_t complete = 0, failed = 0;
    for (int64_t row = 0; row < rows->count; row++) {
        complete += rows->status[row] == TR_ROW_COMPLETE && rows->step[row] >= from;
        failed += rows->status[row] == TR_ROW_FAILED;
    }
    uint64_t values;
    if (!tr_mul((uint64_t)complete, (uint64_t)series->layers, &values))
        return tr_fail(err, TR_ENOMEM, "out of memory for the importance of all layers");
    TR_TRY(TR_NEW(&series->label, complete, "labels", err));
    TR_TRY(TR_NEW(&series->column, complete, "labels", err));
    TR_TRY(TR_NEW(&series->failure, failed, "failures", err));
    for (int module = 0; module < TR_MODULES; module++) {
        TR_TRY(TR_NEW(&series->importance[module], values, "importance", err));
        TR_TRY(TR_NEW(&series->nonfinite[module], values, "non-finite counts", err));
    }
    return TR_OK;
}

// Appends one complete row; `importance` and `nonfinite` [layers, TR_MODULES] are room for it.
static enum tr_status append_row(struct an_series *series, const struct tr_trace *trace,
                                 const struct rows *rows, int64_t row, double *importance,
                                 uint32_t *nonfinite, struct tr_err *err) {
    int64_t at = series->checkpoints++;
    TR_TRY(label_row(&series->label[at], &series->column[at], trace, rows, row, err));
    TR_TRY(tr_trace_read(trace, TR_V_IMPORTANCE, row, 1, importance, err));
    TR_TRY(tr_trace_read(trace, TR_V_NONFINITE, row, 1, nonfinite, err));
    for (int64_t layer = 0; layer < series->layers; layer++)
        for (int module = 0; module < TR_MODULES; module++) {
            int64_t to = at * series->layers + layer, of = layer * TR_MODULES + module;
            series->importance[module][to] = importance[of];
            series->nonfinite[module][to] = nonfinite[of];
        }
    return TR_OK;
}

static enum tr_status read_rows(struct an_series *series, const struct tr_trace *trace,
                                const struct rows *rows, int64_t from, struct tr_err *err) {
    double *importance = NULL;
    uint32_t *nonfinite = NULL;
    enum tr_status status;
    TR_GO(status, TR_NEW(&importance, series->layers * TR_MODULES, "a row", err), out);
    TR_GO(status, TR_NEW(&nonfinite, series->layers * TR_MODULES, "a row", err), out);
    for (int64_t row = 0; row < rows->count && status == TR_OK; row++) {
        if (rows->status[row] == TR_ROW_FAILED)
            status = describe_failure(&series->failure[series->failed++], trace, row, err);
        else if (rows->status[row] != TR_ROW_COMPLETE)
            continue;
        else if (rows->step[row] < from)
            series->earlier++;
        else
            status = append_row(series, trace, rows, row, importance, nonfinite, err);
    }
out:
    free(importance);
    free(nonfinite);
    return status;
}

// Why no checkpoint is left.
static enum tr_status refuse(const struct an_series *series, const char *path, int64_t from,
                             struct tr_err *err) {
    if (series->earlier > 0)
        return tr_fail(err, TR_EUSAGE,
                       "%s has no complete checkpoint from step %lld on, but %lld before", path,
                       (long long)from, (long long)series->earlier);
    if (series->failed > 0)
        return tr_fail(err, TR_EFORMAT,
                       "%s has no complete checkpoint; the first of %lld failed, %s", path,
                       (long long)series->failed, series->failure[0]);
    return tr_fail(err, TR_EFORMAT, "%s has no complete checkpoint", path);
}

enum tr_status an_series_load(struct an_series *series, const struct tr_trace *trace,
                              const char *path, int64_t from, struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    struct an_series new = {
        .layers = layout->layers, .sequences = layout->sequences, .seq_len = layout->seq_len};
    struct rows rows = {0};
    enum tr_status status;
    TR_GO(status, rows_read(&rows, trace, err), out);
    TR_GO(status, allocate(&new, &rows, from, err), out);
    TR_GO(status, read_rows(&new, trace, &rows, from, err), out);
    if (new.checkpoints > 0)
        *series = new;
    else
        status = refuse(&new, path, from, err);
out:
    if (status != TR_OK)
        an_series_free(&new);
    rows_free(&rows);
    return status;
}

void an_series_free(struct an_series *series) {
    for (int64_t i = 0; i < series->checkpoints; i++) {
        free(series->label[i]);
        free(series->column[i]);
    }
    for (int64_t i = 0; i < series->failed; i++)
        free(series->failure[i]);
    for (int module = 0; module < TR_MODULES; module++) {
        free(series->importance[module]);
        free(series->nonfinite[module]);
    }
    free(series->label);
    free(series->column);
    free(series->failure);
}
