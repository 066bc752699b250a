// SPDX-License-Identifier: Apache-2.0
#include "run/resume.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/parts.h"

// Reads all weights of a checkpoint without computing, for their digest.
static enum tr_status digest_weights(const char *folder, const struct tr_wanted *wanted,
                                     char digest[TR_DIGEST_MAX], struct tr_err *err) {
    struct tr_slab_reader *reader;
    struct tr_loaded loaded;
    TR_TRY(tr_slab_reader_open(&reader, NULL, 0, 0, err));
    enum tr_status status = tr_slab_reader_push(reader, folder, wanted, err);
    if (status == TR_OK)
        status = tr_slab_reader_begin(reader, &loaded, err);
    if (status == TR_OK) {
        const struct tr_slab *slab;
        while ((status = tr_slab_reader_next(reader, &slab, err)) == TR_OK && slab)
            tr_slab_reader_release(reader);
        tr_slab_reader_end(reader, digest);
    }
    tr_slab_reader_close(reader);
    return status;
}

// Whether the committed row still speaks of the checkpoint on disk; appends a note where it does
// not.
static enum tr_status still_valid(const struct tr_job *job, const struct tr_series_entry *entry,
                                  const struct tr_committed *row, bool *valid_p,
                                  struct tr_string *notes, struct tr_err *err) {
    struct tr_loaded loaded;
    struct tr_err reason;
    const struct tr_wanted *wanted = &job->wanted;
    char digest[TR_DIGEST_MAX];
    *valid_p = false;
    if (row->status != TR_ROW_COMPLETE)
        return TR_OK;
    if (tr_loaded_examine(&loaded, entry->path, wanted, &reason) != TR_OK) {
        // A file system that fails for a moment must not cost a good row.
        *valid_p = true;
        return tr_string_format(notes, err, "%s cannot be read now, its row is kept: %s\n",
                                entry->name, reason.text);
    }
    if (strcmp(loaded.identity, row->identity) || strcmp(loaded.config_digest, row->config_digest))
        return tr_string_format(notes, err,
                                "%s changed on disk since it was traced and is traced again\n",
                                entry->name);
    if (job->settings->verify) {
        if (digest_weights(entry->path, wanted, digest, &reason) != TR_OK) {
            *valid_p = true;
            return tr_string_format(notes, err, "%s cannot be verified, its row is kept: %s\n",
                                    entry->name, reason.text);
        }
        if (strcmp(digest, row->weights_digest))
            return tr_string_format(notes, err,
                                    "%s: weights digest %s, the store has %s; it is traced again\n",
                                    entry->name, digest, row->weights_digest);
    }
    *valid_p = true;
    return TR_OK;
}

static bool has_all(const struct tr_job *job, const struct tr_additions *additions) {
    return (additions->costs || !job->settings->cost) && (additions->sets || !job->sets.count) &&
           (additions->distances || !job->wanted.comparisons);
}

static enum tr_left left_of(const struct tr_job *job, bool valid,
                            const struct tr_additions *additions) {
    return !valid ? TR_LEFT_ALL : has_all(job, additions) ? TR_LEFT_NOTHING : TR_LEFT_COSTS;
}

static void sort_out(struct tr_job *job, int64_t index, enum tr_left left) {
    if (left == TR_LEFT_NOTHING) {
        job->done_count++;
        return;
    }
    job->traced[job->todo_count] = left == TR_LEFT_COSTS;
    job->todo[job->todo_count++] = index;
}

// Whether another job has it: shards take the series in turn, so that each has checkpoints of all
// of training, and as many as the others but for one. All cost the same, for they are one model's.
static bool is_others(const struct tr_job *job, int64_t index) {
    const struct tr_run_settings *o = job->settings;
    return o->shards && index % o->shards != o->shard - 1;
}

static enum tr_status note_shard(const struct tr_job *job, struct tr_string *notes,
                                 struct tr_err *err) {
    const struct tr_run_settings *o = job->settings;
    if (!o->shards)
        return TR_OK;
    return tr_string_format(notes, err, "shard %lld of %lld: %lld of the %lld checkpoints\n",
                            (long long)o->shard, (long long)o->shards,
                            (long long)(job->todo_count + job->done_count),
                            (long long)job->series.count);
}

static enum tr_status new_list(struct tr_job *job, struct tr_err *err) {
    TR_TRY(TR_NEW(&job->todo, job->series.count, "the list of checkpoints", err));
    return TR_NEW(&job->traced, job->series.count, "the list of checkpoints", err);
}

enum tr_status tr_job_left(enum tr_left *left_p, const struct tr_job *job, struct tr_store *store,
                           const struct tr_series_entry *entry, struct tr_string *notes,
                           struct tr_err *err) {
    struct tr_committed row = {0};
    bool valid = false, known = tr_store_find(store, entry->name, &row);
    if (known)
        TR_TRY(still_valid(job, entry, &row, &valid, notes, err));
    *left_p = left_of(job, valid, &row.additions);
    if (known && !valid)
        tr_store_withdraw(store, entry->name);
    return TR_OK;
}

enum tr_status tr_job_resume(struct tr_job *job, struct tr_store *store, struct tr_string *notes,
                             struct tr_err *err) {
    TR_TRY(new_list(job, err));
    for (int64_t i = 0; i < job->series.count; i++) {
        enum tr_left left;
        if (is_others(job, i))
            continue;
        TR_TRY(tr_job_left(&left, job, store, &job->series.entries[i], notes, err));
        sort_out(job, i, left);
    }
    return note_shard(job, notes, err);
}

// The row of that name in a published store.
static bool find_row(const struct tr_trace *trace, const char *name, struct tr_committed *row_p) {
    for (int64_t i = 0; trace && i < tr_trace_rows(trace); i++) {
        if (strcmp(tr_trace_string(trace, TR_V_NAME, i), name))
            continue;
        uint8_t status = TR_ROW_FAILED;
        struct tr_additions additions;
        if (tr_trace_read(trace, TR_V_STATUS, i, 1, &status, NULL) != TR_OK ||
            tr_trace_additions(trace, i, &additions, NULL) != TR_OK)
            return false;
        *row_p =
            (struct tr_committed){.name = name,
                                  .identity = tr_trace_string(trace, TR_V_IDENTITY, i),
                                  .config_digest = tr_trace_string(trace, TR_V_CONFIG_DIGEST, i),
                                  .weights_digest = tr_trace_string(trace, TR_V_WEIGHTS_DIGEST, i),
                                  .status = status,
                                  .additions = additions};
        return true;
    }
    return false;
}

// Opens the store whose rows count. It is NULL where there is none, and where a job with --fresh
// has newer parts that are to replace it.
static enum tr_status open_published(struct tr_trace **trace_p,
                                     const struct tr_run_settings *settings, struct tr_err *err) {
    char *folder;
    bool superseded = settings->fresh;
    *trace_p = NULL;
    TR_TRY(tr_parts_path(&folder, settings->out, err));
    enum tr_status status = superseded ? TR_OK : tr_parts_superseded(folder, &superseded, err);
    free(folder);
    TR_TRY(status);
    if (superseded || !tr_file_exists(settings->out))
        return TR_OK;
    return tr_trace_open(trace_p, settings->out, err);
}

enum tr_status tr_job_preview(struct tr_job *job, struct tr_string *notes, struct tr_err *err) {
    struct tr_trace *trace;
    TR_TRY(new_list(job, err));
    TR_TRY(open_published(&trace, job->settings, err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < job->series.count && status == TR_OK; i++) {
        const struct tr_series_entry *entry = &job->series.entries[i];
        struct tr_committed row = {0};
        bool valid = false;
        if (is_others(job, i))
            continue;
        if (find_row(trace, entry->name, &row))
            status = still_valid(job, entry, &row, &valid, notes, err);
        sort_out(job, i, left_of(job, valid, &row.additions));
    }
    tr_trace_close(trace);
    return status == TR_OK ? note_shard(job, notes, err) : status;
}
