// SPDX-License-Identifier: Apache-2.0
#include "results.h"

#include <string.h>

static enum tr_status describe(struct tr_row *row, const struct tr_series_entry *entry,
                               const struct tr_message *message, const char *backend,
                               struct tr_err *err) {
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

// The row that is there, of the same weights.
static enum tr_status take_row(struct tr_row *row, const struct tr_job *job,
                               const struct tr_series_entry *entry,
                               const struct tr_message *message, struct tr_err *err) {
    TR_TRY(tr_store_row(job->settings->out, entry->name, &job->info.layout, row, err));
    if (strcmp(tr_row_string(row, TR_V_WEIGHTS_DIGEST), message->weights_digest))
        return tr_fail(err, TR_EIO,
                       "%s has other weights than its row in %s: digests %s and %s; with --verify "
                       "it is traced again",
                       entry->name, job->settings->out, message->weights_digest,
                       tr_row_string(row, TR_V_WEIGHTS_DIGEST));
    return TR_OK;
}

enum tr_status tr_results_commit(struct tr_measured *measured, const struct tr_job *job,
                                 const struct tr_series_entry *entry, bool traced,
                                 const struct tr_message *message, const char *backend,
                                 struct tr_err *err) {
    struct tr_row row;
    if (traced && message->status != TR_OK)
        return TR_OK; // the row that is there stays
    if (message->vanished)
        return TR_OK;
    TR_TRY(tr_row_new(&row, &job->info.layout, err));
    enum tr_status status = TR_OK;
    if (traced)
        status = take_row(&row, job, entry, message, err);
    else
        status = describe(&row, entry, message, backend, err);
    if (status == TR_OK && message->status == TR_OK)
        status = tr_measured_finish(measured, job->threads, &row, err);
    if (status == TR_OK)
        status = tr_store_commit(job->settings->out, &job->info, &row, err);
    tr_row_free(&row);
    return status;
}
