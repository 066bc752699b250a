// SPDX-License-Identifier: Apache-2.0
#include "records.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/strings.h"
#include "base/training_order.h"

static void free_record(struct tr_record *record) {
    for (int id = 0; id < TR_VARIABLES; id++)
        free(record->strings[id]);
    free(record->digest);
    free(record->part);
}

void tr_records_free(struct tr_records *records) {
    for (int64_t i = 0; i < records->count; i++)
        free_record(&records->rows[i]);
    free(records->rows);
    free(records->places);
    *records = (struct tr_records){0};
}

// ---- by name ---------------------------------------------------------------------------------

// FNV-1a, which is what names of checkpoints need.
static uint64_t hash_of(const char *name) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash;
}

// The place of a row of that name, or the free one where it would be.
static int64_t *place_of(const struct tr_records *records, const char *name) {
    uint64_t at = hash_of(name) & (records->place_count - 1);
    while (records->places[at] &&
           strcmp(records->rows[records->places[at] - 1].strings[TR_V_NAME], name))
        at = (at + 1) & (records->place_count - 1);
    return &records->places[at];
}

static void forget_places(struct tr_records *records) {
    free(records->places);
    records->places = NULL;
    records->place_count = 0;
}

// Room for twice as many rows as there are, so that half of the places are free.
static bool make_places(struct tr_records *records) {
    uint64_t count = 64;
    while (count < 4 * (uint64_t)records->count)
        count *= 2;
    forget_places(records);
    if (TR_NEW(&records->places, count, "the rows of a store", NULL) != TR_OK)
        return false;
    records->place_count = count;
    for (int64_t i = 0; i < records->count; i++)
        *place_of(records, records->rows[i].strings[TR_V_NAME]) = i + 1;
    return true;
}

static bool has_places(struct tr_records *records) {
    return records->place_count >= 2 * (uint64_t)records->count + 2 || make_places(records);
}

// Where there is no memory for places, one by one.
struct tr_record *tr_records_find(struct tr_records *records, const char *name) {
    if (has_places(records)) {
        int64_t found = *place_of(records, name);
        return found ? &records->rows[found - 1] : NULL;
    }
    for (int64_t i = 0; i < records->count; i++)
        if (!strcmp(records->rows[i].strings[TR_V_NAME], name))
            return &records->rows[i];
    return NULL;
}

void tr_records_remove(struct tr_records *records, struct tr_record *record) {
    TR_ASSERT(record >= records->rows && record < records->rows + records->count);
    free_record(record);
    *record = records->rows[--records->count];
    forget_places(records);
}

// ---- rows ------------------------------------------------------------------------------------

static enum tr_status read_record(struct tr_record *record, const struct tr_trace *trace,
                                  int64_t row, const char *part, struct tr_err *err) {
    record->index = row;
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++)
        if (tr_variables[id].type == TR_VALUE_STRING)
            TR_TRY(tr_strdup(&record->strings[id], tr_trace_string(trace, id, row), err));
    TR_TRY(tr_strdup(&record->digest, tr_trace_digest(trace, row), err));
    uint8_t status;
    TR_TRY(tr_trace_read(trace, TR_V_STEP, row, 1, &record->step, err));
    TR_TRY(tr_trace_read(trace, TR_V_TOKENS_SEEN, row, 1, &record->tokens, err));
    TR_TRY(tr_trace_read(trace, TR_V_STATUS, row, 1, &status, err));
    TR_TRY(tr_trace_additions(trace, row, &record->additions, err));
    record->status = status == TR_ROW_COMPLETE ? TR_ROW_COMPLETE : TR_ROW_FAILED;
    struct stat about;
    if (!part) {
        record->trace = trace;
        return TR_OK;
    }
    record->inode = stat(part, &about) ? 0 : about.st_ino;
    return tr_strdup(&record->part, part, err);
}

enum tr_status tr_records_add_row(struct tr_records *records, const struct tr_trace *trace,
                                  int64_t row, const char *part, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&records->rows, &records->capacity, (uint64_t)records->count + 1,
                   sizeof *records->rows, "the rows of a store", err));
    struct tr_record record = {0};
    enum tr_status status = read_record(&record, trace, row, part, err);
    if (status != TR_OK) {
        free_record(&record);
        return status;
    }
    struct tr_record *same = tr_records_find(records, record.strings[TR_V_NAME]);
    if (same) {
        free_record(same);
        *same = record;
        return TR_OK;
    }
    records->rows[records->count++] = record;
    if (has_places(records))
        *place_of(records, record.strings[TR_V_NAME]) = records->count;
    return TR_OK;
}

enum tr_status tr_records_add(struct tr_records *records, const struct tr_trace *trace,
                              const char *part, struct tr_err *err) {
    for (int64_t row = 0; row < tr_trace_rows(trace); row++)
        TR_TRY(tr_records_add_row(records, trace, row, part, err));
    return TR_OK;
}

static enum tr_status sort_rows(struct tr_records *records, struct tr_moment *moments,
                                struct tr_record *sorted, const char *rule, struct tr_err *err) {
    for (int64_t i = 0; i < records->count; i++) {
        const struct tr_record *row = &records->rows[i];
        moments[i] = (struct tr_moment){row->strings[TR_V_NAME],
                                        row->strings[TR_V_STAGE],
                                        row->strings[TR_V_WEIGHTS_DIGEST],
                                        row->step,
                                        row->tokens,
                                        i};
    }
    TR_TRY(tr_moments_sort(moments, records->count, rule, err));
    for (int64_t i = 0; i < records->count; i++)
        sorted[i] = records->rows[moments[i].index];
    memcpy(records->rows, sorted, (size_t)records->count * sizeof *sorted);
    forget_places(records);
    return TR_OK;
}

enum tr_status tr_records_sort(struct tr_records *records, const char *rule, struct tr_err *err) {
    struct tr_moment *moments = NULL;
    struct tr_record *sorted = NULL;
    if (!records->count)
        return TR_OK;
    enum tr_status status = TR_NEW(&moments, records->count, "the order of rows", err);
    if (status == TR_OK)
        status = TR_NEW(&sorted, records->count, "the order of rows", err);
    if (status == TR_OK)
        status = sort_rows(records, moments, sorted, rule, err);
    free(sorted);
    free(moments);
    return status;
}
