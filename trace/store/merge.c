// SPDX-License-Identifier: Apache-2.0
#include "store/merge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "lock.h"
#include "merge_info.h"
#include "row_digest.h"
#include "store/parts.h"
#include "store_state.h"
#include "trace_reader.h"

struct merge {
    const struct tr_merging *merging;
    char *out, *folder; // where `out` leads, and its parts
    struct tr_lock lock;
    struct tr_merged_info about;
    struct tr_records records;
    struct tr_trace **open; // [open_count] files of several rows, which stay open until the end
    int64_t open_count;
    uint64_t open_capacity;
    struct tr_string *notes;
};

// ---- a checkpoint that several files have ------------------------------------------------------

static const char *path_of(const struct tr_record *record) {
    return record->part ? record->part : record->trace->path;
}

static bool same_number(double a, double b) {
    return a == b || (isnan(a) && isnan(b));
}

// What says the same of a checkpoint wherever it is traced, as long as it is the same.
static const char *difference(const struct tr_record *a, const struct tr_record *b) {
    static const enum tr_variable_id ids[] = {TR_V_STAGE, TR_V_CONFIG_DIGEST, TR_V_WEIGHTS_DIGEST};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (strcmp(a->strings[ids[i]], b->strings[ids[i]]))
            return tr_variables[ids[i]].name;
    if (a->step != b->step)
        return "step";
    return same_number(a->tokens, b->tokens) ? NULL : "tokens_seen";
}

// Refuses what cannot both be true of one checkpoint.
static enum tr_status agree(const struct tr_record *a, const struct tr_record *b,
                            struct tr_err *err) {
    const char *what = difference(a, b);
    if (!what && (!*a->digest || !*b->digest)) // of schema 1.0
        what = "form, without digests to compare by";
    size_t length = what ? strlen(what) : 0;
    if (!what)
        what = tr_row_digest_difference(a->digest, b->digest, &length);
    if (!what)
        return TR_OK;
    return tr_fail(err, TR_ECONFLICT,
                   "%.200s stands in %.300s and in %.300s with another %.*s; leave one of the "
                   "files out, or trace it again",
                   a->strings[TR_V_NAME], path_of(a), path_of(b), (int)length, what);
}

// Whether the later one is the better.
static bool is_better(const struct tr_record *later, const struct tr_record *before) {
    if (later->status != before->status)
        return later->status == TR_ROW_COMPLETE;
    return tr_row_digest_count(later->digest) > tr_row_digest_count(before->digest);
}

// Adds a row, or leaves the better one of two of the same checkpoint.
static enum tr_status add_row(struct merge *m, const struct tr_trace *trace, int64_t row,
                              const char *part, struct tr_err *err) {
    struct tr_records alone = {0};
    const struct tr_record *same =
        tr_records_find(&m->records, tr_trace_string(trace, TR_V_NAME, row));
    if (!same)
        return tr_records_add_row(&m->records, trace, row, part, err);
    enum tr_status status = tr_records_add_row(&alone, trace, row, part, err);
    if (status == TR_OK && alone.rows->status == same->status && same->status == TR_ROW_COMPLETE)
        status = agree(same, alone.rows, err);
    bool better = status == TR_OK && is_better(alone.rows, same);
    tr_records_free(&alone);
    return better ? tr_records_add_row(&m->records, trace, row, part, err) : status;
}

// ---- files -------------------------------------------------------------------------------------

// A part is opened again when it is copied, so that thousands of them are not open at a time.
static enum tr_status keep_open(struct merge *m, struct tr_trace *trace, struct tr_err *err) {
    enum tr_status status = tr_grow((void **)&m->open, &m->open_capacity,
                                    (uint64_t)m->open_count + 1, sizeof *m->open, "files", err);
    if (status == TR_OK)
        m->open[m->open_count++] = trace;
    else
        tr_trace_close(trace);
    return status;
}

static enum tr_status add_open(struct merge *m, const struct tr_trace *trace, const char *path,
                               const char *part, struct tr_err *err) {
    int64_t rows = tr_trace_rows(trace);
    TR_TRY(tr_trace_check_whole(trace, err));
    TR_TRY(tr_merged_info_add(&m->about, tr_trace_info(trace), rows, path, m->notes, err));
    for (int64_t row = 0; row < rows; row++)
        TR_TRY(add_row(m, trace, row, part, err));
    return TR_OK;
}

static enum tr_status add_file(struct merge *m, const char *path, struct tr_err *err) {
    struct tr_trace *trace;
    TR_TRY(tr_trace_open(&trace, path, err));
    bool single = tr_trace_rows(trace) == 1;
    if (!single)
        TR_TRY(keep_open(m, trace, err));
    enum tr_status status = add_open(m, trace, path, single ? path : NULL, err);
    if (single)
        tr_trace_close(trace);
    return status;
}

static enum tr_status add_parts(struct merge *m, const char *folder, struct tr_err *err) {
    struct tr_part_list parts;
    TR_TRY(tr_parts_list(&parts, folder, err));
    enum tr_status status = TR_OK;
    if (!parts.count)
        status = tr_fail(err, TR_EFORMAT, "%s is a folder without parts of a trace", folder);
    for (int64_t i = 0; i < parts.count && status == TR_OK; i++)
        status = add_file(m, parts.paths[i], err);
    tr_part_list_free(&parts);
    return status;
}

static bool is_same_file(const char *a, const char *b) {
    struct stat left, right;
    return !stat(a, &left) && !stat(b, &right) && left.st_dev == right.st_dev &&
           left.st_ino == right.st_ino;
}

static bool is_input(const struct merge *m, const char *path) {
    for (int64_t i = 0; i < m->merging->count; i++)
        if (is_same_file(m->merging->inputs[i], path))
            return true;
    return false;
}

// How many parts wait beside a store that is an input without them.
static enum tr_status count_waiting(const struct merge *m, const char *folder, int64_t *count_p,
                                    struct tr_err *err) {
    struct tr_part_list parts;
    *count_p = 0;
    if (!tr_is_folder(folder) || is_input(m, folder))
        return TR_OK;
    TR_TRY(tr_parts_list(&parts, folder, err));
    *count_p = parts.count;
    tr_part_list_free(&parts);
    return TR_OK;
}

static enum tr_status note_waiting(struct merge *m, const char *path, struct tr_err *err) {
    char *folder;
    int64_t count;
    TR_TRY(tr_parts_path(&folder, path, err));
    enum tr_status status = count_waiting(m, folder, &count, err);
    if (status == TR_OK && count)
        status = tr_string_format(m->notes, err,
                                  "%s holds %lld checkpoint%s that %s lacks; name it, too, to have "
                                  "them\n",
                                  folder, (long long)count, count == 1 ? "" : "s", path);
    free(folder);
    return status;
}

static enum tr_status add_inputs(struct merge *m, struct tr_err *err) {
    for (int64_t i = 0; i < m->merging->count; i++) {
        const char *path = m->merging->inputs[i];
        if (tr_is_folder(path)) {
            TR_TRY(add_parts(m, path, err));
            continue;
        }
        TR_TRY(add_file(m, path, err));
        TR_TRY(note_waiting(m, path, err));
    }
    return TR_OK;
}

// ---- the whole file ----------------------------------------------------------------------------

// Nothing that is there is lost: neither a store nor parts that are waiting for one.
static enum tr_status check_out(const struct merge *m, struct tr_err *err) {
    int64_t count;
    if (tr_file_exists(m->out) && !is_input(m, m->out)) {
        if (!m->merging->force)
            return tr_fail(err, TR_ECONFLICT,
                           "%s is there already; name it among the files, too, or replace it with "
                           "--force",
                           m->out);
        TR_TRY(tr_store_replaceable(m->out, err));
    }
    TR_TRY(count_waiting(m, m->folder, &count, err));
    if (count)
        return tr_fail(err, TR_ECONFLICT,
                       "%s holds %lld checkpoint%s of a job that is not over; name it among the "
                       "files, too",
                       m->folder, (long long)count, count == 1 ? "" : "s");
    return TR_OK;
}

static enum tr_status sort_rows(struct merge *m, struct tr_err *err) {
    const struct tr_attribute *rule = tr_run_info_find(&m->about.info, "row_order");
    if (m->about.orders_differ)
        TR_TRY(tr_string_format(m->notes, err,
                                "the files order their rows by different rules (row_order); that "
                                "of the first that has one holds\n"));
    return tr_records_sort(&m->records, rule && !rule->is_number ? rule->text : NULL, err);
}

static enum tr_status end_info(struct merge *m, struct tr_err *err) {
    const struct tr_record *first = m->records.rows;
    struct tr_trace *part = NULL;
    if (first->part)
        TR_TRY(tr_trace_open(&part, first->part, err));
    enum tr_status status = tr_merged_info_end(&m->about, tr_trace_info(part ? part : first->trace),
                                               m->records.count, err);
    tr_trace_close(part);
    return status;
}

// Parts of `out` itself are in it then. Nobody else is at them: the lock is held.
static enum tr_status remove_own_parts(struct merge *m, struct tr_err *err) {
    if (!is_input(m, m->folder))
        return TR_OK;
    TR_TRY(tr_parts_unsupersede(m->folder, err));
    return tr_parts_clean(m->folder, true, err);
}

static enum tr_status write_out(struct merge *m, struct tr_err *err) {
    char *temporary;
    TR_TRY(tr_part_temporary(&temporary, m->folder, err));
    enum tr_status status = tr_records_publish(&m->records, &m->about.info, temporary, m->out, err);
    free(temporary);
    return status;
}

static enum tr_status merge(struct merge *m, struct tr_err *err) {
    TR_TRY(tr_file_target(&m->out, m->merging->out, err));
    TR_TRY(tr_parts_path(&m->folder, m->out, err));
    TR_TRY(tr_lock_take(&m->lock, m->folder, m->out, (struct tr_shard){0}, err));
    TR_TRY(check_out(m, err));
    TR_TRY(add_inputs(m, err));
    if (!m->records.count)
        return tr_fail(err, TR_EFORMAT, "none of the files has a checkpoint");
    TR_TRY(sort_rows(m, err));
    TR_TRY(end_info(m, err));
    TR_TRY(write_out(m, err));
    return remove_own_parts(m, err);
}

enum tr_status tr_store_merge(const struct tr_merging *merging, int64_t *rows_p,
                              struct tr_string *notes, struct tr_err *err) {
    struct merge m = {.merging = merging, .lock = tr_lock_none, .notes = notes};
    enum tr_status status = merge(&m, err);
    if (status == TR_OK)
        *rows_p = m.records.count;
    tr_lock_release(&m.lock, m.folder);
    for (int64_t i = 0; i < m.open_count; i++)
        tr_trace_close(m.open[i]);
    free(m.open);
    tr_records_free(&m.records);
    tr_merged_info_free(&m.about);
    free(m.folder);
    free(m.out);
    return status;
}
