// SPDX-License-Identifier: Apache-2.0
#include "results.h"

enum tr_status tr_results_new(struct tr_results *results, const struct tr_layout *layout,
                              int64_t begin, int64_t end, struct tr_err *err) {
    struct tr_results made = {0};
    TR_TRY(tr_sums_new(&made.sums, layout, begin, end, err));
    enum tr_status status = tr_spans_new(&made.spans, layout, begin, end, err);
    if (status == TR_OK)
        *results = made;
    else
        tr_results_free(&made);
    return status;
}

void tr_results_free(struct tr_results *results) {
    tr_sums_free(results->sums);
    tr_spans_free(results->spans);
    *results = (struct tr_results){0};
}

// Of sums and of the stream kept: an item's, the row they become, and its compressed copy. Streams
// of span tokens: an item's, and on rank 0 those that its pieces are joined into.
double tr_results_bytes(const struct tr_layout *layout, int threads) {
    double sample = 0;
    if (layout->span_tokens)
        sample = (double)tr_variable_elements(TR_V_STREAM_SAMPLE, layout) * sizeof(float);
    return 3 * (double)tr_sums_size(layout, layout->sequences) + 2 * sample +
           2 * tr_spans_size(layout) + tr_spans_scratch(layout, threads);
}

enum tr_status tr_results_append(const struct tr_results *results, struct tr_string *bytes,
                                 struct tr_err *err) {
    const void *part;
    size_t size;
    tr_sums_bytes(results->sums, &part, &size);
    TR_TRY(tr_string_append(bytes, part, size, err));
    tr_spans_bytes(results->spans, &part, &size);
    return tr_string_append(bytes, part, size, err);
}

enum tr_status tr_results_join(struct tr_results *results, const struct tr_layout *layout,
                               int64_t begin, int64_t end, const void *bytes, size_t size,
                               struct tr_err *err) {
    size_t sums = tr_sums_size(layout, end - begin);
    sums = sums < size ? sums : size;
    TR_TRY(tr_sums_join(results->sums, begin, end, bytes, sums, err));
    return tr_spans_join(results->spans, begin, end, (const char *)bytes + sums, size - sums, err);
}

static enum tr_status describe(struct tr_row *row, const struct tr_job *job,
                               const struct tr_message *message, const char *backend,
                               struct tr_err *err) {
    const struct tr_series_entry *entry = &job->series.entries[job->todo[message->item.checkpoint]];
    *tr_row_i64(row, TR_V_STEP) = entry->parsed.step;
    *tr_row_f64(row, TR_V_TOKENS_SEEN) = entry->parsed.tokens;
    bool complete = message->status == TR_OK;
    *tr_row_u8(row, TR_V_STATUS) = complete ? TR_ROW_COMPLETE : TR_ROW_FAILED;
    TR_TRY(tr_row_set_string(row, TR_V_NAME, entry->name, err));
    TR_TRY(tr_row_set_string(row, TR_V_STAGE, entry->parsed.stage, err));
    TR_TRY(tr_row_set_string(row, TR_V_ERROR, message->text, err));
    TR_TRY(tr_row_set_string(row, TR_V_IDENTITY, message->identity, err));
    TR_TRY(tr_row_set_string(row, TR_V_CONFIG_DIGEST, message->config_digest, err));
    TR_TRY(
        tr_row_set_string(row, TR_V_WEIGHTS_DIGEST, complete ? message->weights_digest : "", err));
    return tr_row_set_string(row, TR_V_BACKEND, backend, err);
}

static enum tr_status finish(struct tr_results *results, const struct tr_job *job,
                             struct tr_row *row, struct tr_err *err) {
    tr_sums_finish(results->sums, row);
    return tr_spans_finish(results->spans, job->threads, row, err);
}

enum tr_status tr_results_commit(struct tr_results *results, const struct tr_job *job,
                                 const struct tr_message *message, const char *backend,
                                 struct tr_err *err) {
    struct tr_row row;
    TR_TRY(tr_row_new(&row, &job->info.layout, err));
    enum tr_status status = describe(&row, job, message, backend, err);
    if (status == TR_OK && message->status == TR_OK)
        status = finish(results, job, &row, err);
    if (status == TR_OK)
        status = tr_store_commit(job->settings->out, &job->info, &row, err);
    tr_row_free(&row);
    return status;
}
