// SPDX-License-Identifier: Apache-2.0
#include "analysis/run_series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strings.h"
#include "statistics/panel.h"
#include "store/parts.h"

// What explains importance.
static const enum tr_variable_id measures[AN_MEASURES] = {
    [AN_UPDATE_RATIO] = TR_V_UPDATE_RATIO_SEQ,
    [AN_ALIGNMENT] = TR_V_ALIGNMENT_SEQ,
};

// The rows of a store: all of them, and which are complete.
struct rows {
    int64_t count, complete, failed;
    uint8_t *status;      // [count]
    int64_t *of_complete; // [complete] in order
};

// ---- the rows --------------------------------------------------------------------------------

static enum tr_status rows_read(struct rows *rows, const struct tr_trace *trace,
                                struct tr_err *err) {
    rows->count = tr_trace_rows(trace);
    TR_TRY(TR_NEW(&rows->status, rows->count, "row states", err));
    TR_TRY(TR_NEW(&rows->of_complete, rows->count, "rows", err));
    TR_TRY(tr_trace_read(trace, TR_V_STATUS, 0, rows->count, rows->status, err));
    for (int64_t row = 0; row < rows->count; row++) {
        if (rows->status[row] == TR_ROW_COMPLETE)
            rows->of_complete[rows->complete++] = row;
        rows->failed += rows->status[row] == TR_ROW_FAILED;
    }
    return TR_OK;
}

static void rows_free(struct rows *rows) {
    free(rows->status);
    free(rows->of_complete);
}

static enum tr_status describe_failure(char **failure_p, const struct tr_trace *trace, int64_t row,
                                       struct tr_err *err) {
    const char *reason = tr_trace_string(trace, TR_V_ERROR, row);
    struct tr_string text = {0};
    enum tr_status status =
        tr_string_format(&text, err, "%s: %s", tr_trace_string(trace, TR_V_NAME, row),
                         reason[0] ? reason : "no reason recorded");
    if (status == TR_OK)
        *failure_p = text.data;
    else
        tr_string_free(&text);
    return status;
}

// ---- the values ------------------------------------------------------------------------------

// Tokens that a cell's counts leave over; `begin`: of the row's cells.
static void find_angleless(struct an_series *series, int64_t begin) {
    int64_t all = series->sequences * series->seq_len;
    for (int64_t cell = begin; cell < begin + series->layers * TR_MODULES; cell++) {
        int64_t counted = 0;
        for (int64_t s = 0; s < series->sequences; s++)
            counted += series->tokens[cell * series->sequences + s];
        int64_t rest = all - counted - series->nonfinite[cell];
        series->angleless[cell] = counted > 0 && rest > 0 ? (uint32_t)rest : 0;
    }
}

// Reads what row `row` of the store is ranked by; `begin`: of its cells.
static enum tr_status read_ranked(struct an_series *series, const struct tr_trace *trace,
                                  int64_t begin, int64_t row, struct tr_err *err) {
    const struct an_criterion *by = &an_criteria[series->by];
    int64_t count = series->layers * TR_MODULES * series->sampled;
    double *values = series->by_sequence[AN_RANKED] + begin * series->sampled;
    TR_TRY(an_criterion_read(values, by, trace, row, err));
    TR_TRY(an_criterion_means(series->value + begin, values, by, trace, row, err));
    for (int m = AN_RANKED + 1; m < AN_MEASURES; m++) {
        double *explains = series->by_sequence[m] + begin * series->sampled;
        if (series->by == AN_BY_IMPORTANCE)
            TR_TRY(tr_trace_read(trace, measures[m], row, 1, explains, err));
        for (int64_t i = 0; i < count && series->by != AN_BY_IMPORTANCE; i++)
            explains[i] = NAN;
    }
    return TR_OK;
}

// Reads row `row` of the store into place `at` of the series.
static enum tr_status read_row(struct an_series *series, const struct tr_trace *trace, int64_t at,
                               int64_t row, struct tr_err *err) {
    int64_t begin = at * series->layers * TR_MODULES, values = begin * series->sequences;
    TR_TRY(tr_trace_read(trace, TR_V_IMPORTANCE, row, 1, series->importance + begin, err));
    TR_TRY(tr_trace_read(trace, TR_V_STREAM_NORM, row, 1, series->stream_norm + begin, err));
    TR_TRY(tr_trace_read(trace, TR_V_NONFINITE, row, 1, series->nonfinite + begin, err));
    TR_TRY(tr_trace_read(trace, TR_V_TOKEN_COUNT, row, 1, series->tokens + values, err));
    find_angleless(series, begin);
    return read_ranked(series, trace, begin, row, err);
}

static bool any_finite(const double *values, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            return true;
    return false;
}

static bool all_equal(const uint32_t *values, int64_t count) {
    for (int64_t i = 1; i < count; i++)
        if (values[i] != values[0])
            return false;
    return true;
}

// A store that holds means and no sequence's own values has one sample: the mean.
static void find_samples(struct an_series *series) {
    int64_t cells = series->checkpoints * series->layers * TR_MODULES;
    double *ranked = series->by_sequence[AN_RANKED];
    bool known = any_finite(ranked, cells * series->sampled) || !any_finite(series->value, cells);
    for (int64_t i = 0; i < cells && !known; i++) {
        ranked[i] = series->value[i];
        series->by_sequence[AN_UPDATE_RATIO][i] = series->by_sequence[AN_ALIGNMENT][i] = NAN;
    }
    if (!known)
        series->sampled = 1;
    if (!known || an_criteria[series->by].of_cost ||
        all_equal(series->tokens, cells * series->sequences)) {
        free(series->tokens);
        series->tokens = NULL;
    }
}

static enum tr_status check_ranked(const struct an_series *series, struct tr_err *err) {
    const struct an_criterion *by = &an_criteria[series->by];
    int64_t cells = series->checkpoints * series->layers * TR_MODULES;
    if (!by->of_cost || any_finite(series->value, cells))
        return TR_OK;
    return tr_fail(err, TR_EUSAGE,
                   "%s cannot be ranked by %s: it holds no costs of leaving sublayers out",
                   series->path, by->name);
}

static enum tr_status allocate(struct an_series *series, const struct rows *rows,
                               struct tr_err *err) {
    uint64_t cells, values;
    if (!tr_mul((uint64_t)rows->complete, (uint64_t)series->layers * TR_MODULES, &cells) ||
        !tr_mul(cells, (uint64_t)series->sequences, &values))
        return tr_fail(err, TR_ENOMEM, "out of memory for the importance of all layers");
    TR_TRY(TR_NEW(&series->failure, rows->failed, "failures", err));
    TR_TRY(TR_NEW(&series->value, cells, "what is ranked by", err));
    TR_TRY(TR_NEW(&series->importance, cells, "importance", err));
    TR_TRY(TR_NEW(&series->stream_norm, cells, "norms of the stream", err));
    TR_TRY(TR_NEW(&series->nonfinite, cells, "non-finite counts", err));
    TR_TRY(TR_NEW(&series->angleless, cells, "counts of tokens without an angle", err));
    TR_TRY(TR_NEW(&series->tokens, values, "token counts", err));
    for (int measure = 0; measure < AN_MEASURES; measure++)
        TR_TRY(TR_NEW(&series->by_sequence[measure], values, "values by sequence", err));
    return TR_OK;
}

static enum tr_status read_rows(struct an_series *series, const struct tr_trace *trace,
                                const struct rows *rows, struct tr_err *err) {
    for (int64_t row = 0; row < rows->count; row++)
        if (rows->status[row] == TR_ROW_FAILED)
            TR_TRY(describe_failure(&series->failure[series->failed++], trace, row, err));
    TR_TRY(an_timeline_load(&series->checkpoint, &series->axis, trace, rows->of_complete,
                            rows->complete, err));
    series->checkpoints = rows->complete;
    for (int64_t c = 0; c < series->checkpoints; c++)
        TR_TRY(read_row(series, trace, c, series->checkpoint[c].row, err));
    find_samples(series);
    return TR_OK;
}

// ---- time ------------------------------------------------------------------------------------

enum tr_status an_series_weigh(struct an_series *series, struct tr_err *err) {
    struct an_checkpoint *checkpoint = series->checkpoint;
    int64_t claimed = series->claimed;
    double *at, *weight;
    TR_TRY(TR_NEW(&at, 2 * claimed, "times", err));
    weight = at + claimed;
    for (int64_t c = 0; c < claimed; c++)
        at[c] = series->axis == AN_AXIS_INDEX ? NAN : checkpoint[series->claim[c]].at;
    an_time_weights(weight, at, claimed);
    for (int64_t c = 0; c < series->checkpoints; c++)
        checkpoint[c].weight = 0.0;
    for (int64_t c = 0; c < claimed; c++)
        checkpoint[series->claim[c]].weight = weight[c];
    free(at);
    return TR_OK;
}

// Claims rest on all checkpoints from the first on.
static enum tr_status claim_all(struct an_series *series, struct tr_err *err) {
    TR_TRY(TR_NEW(&series->claim, series->checkpoints, "checkpoints", err));
    TR_TRY(TR_NEW(&series->gappy, series->layers * TR_MODULES, "layers", err));
    for (int64_t c = series->first; c < series->checkpoints; c++)
        series->claim[series->claimed++] = c;
    return an_series_weigh(series, err);
}

// ---- loading ---------------------------------------------------------------------------------

static enum tr_status find_first(struct an_series *series, int64_t from, struct tr_err *err) {
    int64_t complete = series->checkpoints;
    if (complete == 0 && series->failed > 0)
        return tr_fail(err, TR_EFORMAT,
                       "%s has no complete checkpoint; the first of %lld failed, %s", series->path,
                       (long long)series->failed, series->failure[0]);
    if (complete == 0)
        return tr_fail(err, TR_EFORMAT, "%s has no complete checkpoint", series->path);
    while (series->first < complete && series->checkpoint[series->first].step < from)
        series->first++;
    if (series->first == complete)
        return tr_fail(err, TR_EUSAGE,
                       "%s has no complete checkpoint from step %lld on, but %lld before",
                       series->path, (long long)from, (long long)complete);
    return TR_OK;
}

static enum tr_status copy_attribute(char **copy_p, const struct tr_trace *trace, const char *name,
                                     struct tr_err *err) {
    const struct tr_attribute *found = tr_run_info_find(tr_trace_info(trace), name);
    return tr_strdup(copy_p, found && !found->is_number ? found->text : "", err);
}

static enum tr_status find_parts(struct an_series *series, struct tr_err *err) {
    char *parts;
    TR_TRY(tr_parts_path(&parts, series->path, err));
    series->unfinished = tr_file_exists(parts);
    free(parts);
    return TR_OK;
}

// The number of the text of a row, by its name.
static enum tr_status find_text(struct an_series *series, int64_t row, const char *name,
                                struct tr_err *err) {
    int64_t text = 0;
    while (text < series->texts && strcmp(series->text[text], name) != 0)
        text++;
    series->text_of[row] = text;
    if (text < series->texts)
        return TR_OK;
    TR_TRY(tr_strdup(&series->text[text], name, err));
    series->texts++;
    return TR_OK;
}

// Which text each row is of, where they are of several. Costs are of some rows of the calibration.
static enum tr_status find_texts(struct an_series *series, const struct tr_trace *trace,
                                 struct tr_err *err) {
    const struct tr_run_info *info = tr_trace_info(trace);
    const struct an_criterion *by = &an_criteria[series->by];
    if (series->sampled != an_criterion_rows(by, &info->layout) || series->sampled < 2)
        return TR_OK;
    TR_TRY(TR_NEW(&series->text, series->sampled, "the names of texts", err));
    TR_TRY(TR_NEW(&series->text_of, series->sampled, "the names of texts", err));
    for (int64_t s = 0; s < series->sampled; s++)
        TR_TRY(find_text(series, s,
                         info->text[by->of_cost ? tr_cost_sequence(&info->layout, s) : s], err));
    if (series->texts > 1)
        return TR_OK;
    free(series->text_of);
    series->text_of = NULL;
    return TR_OK;
}

static enum tr_status load(struct an_series *series, struct rows *rows,
                           const struct tr_trace *trace, const char *path, int64_t from,
                           struct tr_err *err) {
    TR_TRY(tr_strdup(&series->path, path, err));
    TR_TRY(copy_attribute(&series->model, trace, "model", err));
    TR_TRY(copy_attribute(&series->scans, trace, "scans", err));
    TR_TRY(copy_attribute(&series->tokens_digest, trace, "tokens_digest", err));
    TR_TRY(copy_attribute(&series->dtype, trace, "dtype", err));
    TR_TRY(rows_read(rows, trace, err));
    TR_TRY(allocate(series, rows, err));
    TR_TRY(read_rows(series, trace, rows, err));
    TR_TRY(find_texts(series, trace, err));
    TR_TRY(find_first(series, from, err));
    TR_TRY(check_ranked(series, err));
    TR_TRY(claim_all(series, err));
    TR_TRY(find_parts(series, err));
    series->untrained = series->checkpoint[0].step == 0 ? 0 : -1;
    return TR_OK;
}

enum tr_status an_series_load(struct an_series *series, const struct tr_trace *trace,
                              const char *path, enum an_by by, int64_t from, struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    struct an_series new = {.layers = layout->layers,
                            .sequences = layout->sequences,
                            .seq_len = layout->seq_len,
                            .by = by,
                            .sampled = an_criterion_rows(&an_criteria[by], layout),
                            .cost_batch = an_criteria[by].of_cost ? layout->cost_batch : 0};
    struct rows rows = {0};
    enum tr_status status = load(&new, &rows, trace, path, from, err);
    if (status == TR_OK)
        *series = new;
    else
        an_series_free(&new);
    rows_free(&rows);
    return status;
}

void an_series_free(struct an_series *series) {
    an_timeline_free(series->checkpoint, series->checkpoints);
    for (int64_t i = 0; i < series->failed; i++)
        free(series->failure[i]);
    for (int measure = 0; measure < AN_MEASURES; measure++)
        free(series->by_sequence[measure]);
    for (int64_t i = 0; i < series->texts; i++)
        free(series->text[i]);
    free(series->text);
    free(series->text_of);
    free(series->tokens);
    free(series->value);
    free(series->importance);
    free(series->stream_norm);
    free(series->nonfinite);
    free(series->angleless);
    free(series->failure);
    free(series->claim);
    free(series->gappy);
    free(series->tokens_digest);
    free(series->dtype);
    free(series->model);
    free(series->scans);
    free(series->path);
}
