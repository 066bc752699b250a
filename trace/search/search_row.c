// SPDX-License-Identifier: Apache-2.0
#include "search_row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t tr_search_row_dropped(const struct tr_search_row *row, int64_t round) {
    return tr_row_i64(&row->row, TR_V_SEARCH_DROP)[round];
}

// Rounds come one after the other, and each leaves out another candidate.
static enum tr_status count_rounds(struct tr_search_row *row, const struct tr_job *job,
                                   const char *name, struct tr_err *err) {
    const int64_t *dropped = tr_row_i64(&row->row, TR_V_SEARCH_DROP);
    int64_t rounds = 0, candidates = job->search.count;
    bool sound = true;
    while (rounds < job->search.rounds && dropped[rounds] >= 0)
        rounds++;
    for (int64_t i = 0; i < job->search.rounds; i++) {
        sound = sound && (i < rounds ? dropped[i] < candidates : dropped[i] == -1);
        for (int64_t j = 0; j < i && i < rounds; j++)
            sound = sound && dropped[j] != dropped[i];
    }
    row->rounds = rounds;
    return sound ? TR_OK
                 : tr_fail(err, TR_EFORMAT,
                           "the search of %s in %s is damaged: its rounds are not one candidate "
                           "after the other; --fresh starts again",
                           name, job->settings->out);
}

enum tr_status tr_search_row_read(struct tr_search_row *row, const struct tr_job *job,
                                  const struct tr_series_entry *entry, bool *found_p,
                                  struct tr_err *err) {
    struct tr_err missing;
    *row = (struct tr_search_row){0};
    *found_p = false;
    TR_TRY(tr_row_new(&row->row, &job->info.layout, err));
    enum tr_status status =
        tr_store_row(job->settings->out, entry->name, &job->info.layout, &row->row, &missing);
    if (status == TR_EFORMAT) // it failed to be traced before there was any row
        return TR_OK;
    if (status != TR_OK) {
        *err = missing;
        return status;
    }
    *found_p = *tr_row_u8(&row->row, TR_V_STATUS) == TR_ROW_COMPLETE;
    return *found_p ? count_rounds(row, job, entry->name, err) : TR_OK;
}

void tr_search_row_free(struct tr_search_row *row) {
    tr_row_free(&row->row);
    *row = (struct tr_search_row){0};
}

static double or_missing(double value) {
    return isfinite(value) ? value : (double)NAN;
}

static void put_values(const struct tr_search_row *row, const struct tr_job *job,
                       const double *values, const double *means) {
    int64_t candidates = job->search.count, sequences = job->calibration.sequences;
    int64_t all = candidates * sequences;
    double *mean = tr_row_f64(&row->row, TR_V_SEARCH_VALUE) + row->rounds * candidates;
    double *each = tr_row_f64(&row->row, TR_V_SEARCH_VALUE_SEQ) + row->rounds * all;
    for (int64_t i = 0; i < candidates; i++)
        mean[i] = or_missing(means[i]);
    for (int64_t i = 0; i < all; i++)
        each[i] = or_missing(values[TR_SEARCH_VALUE * all + i]);
}

static void put_chosen(const struct tr_search_row *row, const struct tr_job *job, int64_t dropped,
                       const double *values, enum tr_variable_id id, enum tr_search_value what) {
    int64_t candidates = job->search.count, sequences = job->calibration.sequences;
    double *to = tr_row_f64(&row->row, id) + row->rounds * sequences;
    for (int64_t s = 0; s < sequences; s++)
        to[s] = or_missing(values[(what * candidates + dropped) * sequences + s]);
}

enum tr_status tr_search_row_commit(struct tr_search_row *row, const struct tr_job *job,
                                    int64_t dropped, const double *values, const double *means,
                                    struct tr_err *err) {
    put_values(row, job, values, means);
    put_chosen(row, job, dropped, values, TR_V_SEARCH_NLL, TR_SEARCH_NLL);
    put_chosen(row, job, dropped, values, TR_V_SEARCH_KL, TR_SEARCH_KL);
    tr_row_i64(&row->row, TR_V_SEARCH_DROP)[row->rounds++] = dropped;
    return tr_store_commit(job->settings->out, &job->info, &row->row, err);
}
