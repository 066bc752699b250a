// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "runs_told.h"
#include "store/parts.h"
#include "store/utf8.h"
#include "store_state.h"

// ---- withdrawn rows --------------------------------------------------------------------------

bool tr_store_withdrew(const struct tr_store *store, const char *name) {
    for (int64_t i = 0; i < store->withdrawn_count; i++)
        if (!strcmp(store->withdrawn[i], name))
            return true;
    return false;
}

void tr_store_forget_withdrawn(struct tr_store *store) {
    while (store->withdrawn_count)
        free(store->withdrawn[--store->withdrawn_count]);
}

// A part's withdrawal takes effect at once; a row of OUT is left out when OUT is next written.
void tr_store_withdraw(struct tr_store *store, const char *name) {
    char *stored, *part;
    if (tr_utf8_copy(&stored, name, NULL) != TR_OK)
        return;
    struct tr_record *record = tr_records_find(&store->records, stored);
    if (record)
        tr_records_remove(&store->records, record);
    if (tr_part_path(&part, store->folder, stored, NULL) == TR_OK) {
        unlink(part);
        free(part);
    }
    if (record && tr_grow((void **)&store->withdrawn, &store->withdrawn_capacity,
                          (uint64_t)store->withdrawn_count + 1, sizeof *store->withdrawn,
                          "withdrawn rows", NULL) == TR_OK)
        store->withdrawn[store->withdrawn_count++] = stored;
    else
        free(stored);
}

// ---- what is there ---------------------------------------------------------------------------

// What this job does not say stays as it is there.
static enum tr_status adopt_unsaid(struct tr_store *store, const struct tr_run_info *there,
                                   struct tr_err *err) {
    static const char *const names[] = {"row_order", "seconds_per_checkpoint"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct tr_attribute *said = tr_run_info_find(there, names[i]);
        if (said && !said->is_number && !tr_run_info_find(&store->info, names[i]))
            TR_TRY(tr_run_info_text(&store->info, TR_VOLATILE, names[i], said->text, err));
    }
    return TR_OK;
}

// `created` stays what it was.
static enum tr_status adopt_moment(struct tr_store *store, const struct tr_run_info *there,
                                   struct tr_err *err) {
    const struct tr_attribute *created = tr_run_info_find(there, "created");
    if (created && !created->is_number)
        TR_TRY(tr_run_info_text(&store->info, TR_VOLATILE, "created", created->text, err));
    return adopt_unsaid(store, there, err);
}

// `history` has a line for each job that traced what is there, and goes on with this one.
enum tr_status tr_store_go_on(struct tr_store *store, struct tr_err *err) {
    if (store->old)
        TR_TRY(adopt_moment(store, tr_trace_info(store->old), err));
    TR_TRY(tr_history_add(&store->past, &store->info, err));
    return store->past.size
               ? tr_run_info_text(&store->info, TR_VOLATILE, "history", store->past.data, err)
               : TR_OK;
}

static enum tr_status scan_out(struct tr_store *store, struct tr_string *warnings,
                               struct tr_err *err) {
    if (store->superseded || !tr_file_exists(store->out_path))
        return TR_OK;
    TR_TRY(tr_trace_open(&store->old, store->out_path, err));
    TR_TRY(tr_store_compare(&tr_comparison_run, &store->info, tr_trace_info(store->old),
                            store->out_path, warnings, err));
    TR_TRY(tr_trace_check_whole(store->old, err));
    TR_TRY(tr_history_add(&store->past, tr_trace_info(store->old), err));
    TR_TRY(tr_records_add(&store->records, store->old, NULL, err));
    for (int64_t i = store->records.count; i-- > 0;)
        if (tr_store_withdrew(store, store->records.rows[i].strings[TR_V_NAME]))
            tr_records_remove(&store->records, &store->records.rows[i]);
    return TR_OK;
}

static enum tr_status scan_part(struct tr_store *store, const char *path,
                                struct tr_string *warnings, struct tr_err *err) {
    struct tr_trace *part;
    struct tr_err cause = {0};
    enum tr_status status = tr_trace_open(&part, path, &cause);
    if (status == TR_EIO) // not the part's fault
        return tr_fail(err, status, "%s", cause.text);
    if (status != TR_OK)
        return tr_fail(err, status,
                       "%s; remove that part to trace its checkpoint again, or start again with "
                       "--fresh",
                       cause.text);
    status = tr_store_compare(&tr_comparison_run, &store->info, tr_trace_info(part), path, warnings,
                              err);
    if (status == TR_OK)
        status = tr_history_add(&store->past, tr_trace_info(part), err);
    if (status == TR_OK)
        status = tr_records_add(&store->records, part, path, err);
    if (status == TR_OK)
        store->new_rows += tr_trace_rows(part);
    tr_trace_close(part);
    return status;
}

enum tr_status tr_store_scan(struct tr_store *store, struct tr_string *warnings,
                             struct tr_err *err) {
    tr_records_free(&store->records);
    tr_trace_close(store->old);
    store->old = NULL;
    store->new_rows = 0;
    tr_string_free(&store->past);
    if (store->lock.shard.count) // another job may have replaced OUT since
        TR_TRY(tr_parts_superseded(store->folder, &store->superseded, err));
    TR_TRY(scan_out(store, warnings, err));
    struct tr_part_list parts;
    TR_TRY(tr_parts_list(&parts, store->folder, err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < parts.count && status == TR_OK; i++)
        status = scan_part(store, parts.paths[i], warnings, err);
    tr_part_list_free(&parts);
    return status;
}

// ---- opening and closing ---------------------------------------------------------------------

// Whether there is a store, whole, cut short or empty.
static bool is_store(const char *path) {
    static const char signature[] = "\211HDF\r\n\032\n";
    char found[sizeof signature - 1];
    struct stat about;
    FILE *file = !stat(path, &about) && S_ISREG(about.st_mode) ? fopen(path, "rb") : NULL;
    if (!file)
        return false;
    size_t size = fread(found, 1, sizeof found, file);
    bool same = !ferror(file) && memcmp(found, signature, size) == 0;
    fclose(file);
    return same;
}

enum tr_status tr_store_replaceable(const char *path, struct tr_err *err) {
    if (!tr_file_exists(path) || is_store(path))
        return TR_OK;
    return tr_fail(err, TR_ECONFLICT, "%s is no trace, and is not replaced", path);
}

// With `fresh` the parts go now; OUT stays until a publication replaces it.
static enum tr_status forget(struct tr_store *store, struct tr_err *err) {
    TR_TRY(tr_parts_clean(store->folder, true, err));
    TR_TRY(tr_parts_forget_deaths(store->folder, err));
    TR_TRY(tr_parts_supersede(store->folder, err));
    store->superseded = true;
    return TR_OK;
}

// Goes on with what is there: OUT and its parts, or the parts alone when OUT is marked as
// superseded.
static enum tr_status resume(struct tr_store *store, struct tr_err *err) {
    TR_TRY(tr_parts_superseded(store->folder, &store->superseded, err));
    if (!store->superseded)
        TR_TRY(tr_parts_unsupersede(store->folder, err));
    return tr_parts_clean(store->folder, false, err);
}

// What other jobs publish meanwhile would be missed.
static enum tr_status look_around(struct tr_store *store, struct tr_string *warnings,
                                  struct tr_err *err) {
    int publishing;
    TR_TRY(tr_lock_publishing(&publishing, &store->lock, store->folder, store->out_path, err));
    enum tr_status status = tr_store_scan(store, warnings, err);
    tr_lock_published(publishing);
    return status;
}

static enum tr_status open_store(struct tr_store *store, const char *out_path,
                                 const struct tr_run_info *info, bool fresh, struct tr_shard shard,
                                 struct tr_string *warnings, struct tr_err *err) {
    TR_TRY(tr_file_target(&store->out_path, out_path, err));
    if (fresh)
        TR_TRY(tr_store_replaceable(out_path, err));
    TR_TRY(tr_parts_path(&store->folder, out_path, err));
    TR_TRY(tr_run_info_copy(&store->info, info, err));
    TR_TRY(tr_lock_take(&store->lock, store->folder, out_path, shard, err));
    if (store->lock.alone)
        TR_TRY(fresh ? forget(store, err) : resume(store, err));
    TR_TRY(tr_store_count_deaths(store, err));
    TR_TRY(tr_lock_share(&store->lock, out_path, err));
    TR_TRY(look_around(store, warnings, err));
    tr_store_forget_traced(store);
    TR_TRY(tr_store_go_on(store, err));
    tr_trace_close(store->old);
    store->old = NULL;
    return TR_OK;
}

static enum tr_status open_new(struct tr_store **store_p, const char *out_path,
                               const struct tr_run_info *info, bool fresh, struct tr_shard shard,
                               char **warnings_p, struct tr_err *err) {
    struct tr_store *store;
    struct tr_string warnings = {0};
    TR_TRY(TR_NEW(&store, 1, "a store", err));
    store->lock = tr_lock_none;
    enum tr_status status = open_store(store, out_path, info, fresh, shard, &warnings, err);
    if (status != TR_OK) {
        tr_store_close(store);
        tr_string_free(&warnings);
        return status;
    }
    *store_p = store;
    *warnings_p = warnings.data;
    return TR_OK;
}

enum tr_status tr_store_open(struct tr_store **store_p, const char *out_path,
                             const struct tr_run_info *info, bool fresh, char **warnings_p,
                             struct tr_err *err) {
    return open_new(store_p, out_path, info, fresh, (struct tr_shard){0}, warnings_p, err);
}

enum tr_status tr_store_open_shard(struct tr_store **store_p, const char *out_path,
                                   const struct tr_run_info *info, struct tr_shard shard,
                                   char **warnings_p, struct tr_err *err) {
    return open_new(store_p, out_path, info, false, shard, warnings_p, err);
}

enum tr_status tr_store_look_at_shards(struct tr_shards_seen *seen, const char *out_path,
                                       int64_t count, struct tr_err *err) {
    char *folder;
    TR_TRY(tr_parts_path(&folder, out_path, err));
    enum tr_status status = tr_lock_look(seen, folder, count, err);
    free(folder);
    return status;
}

bool tr_store_is_busy(const struct tr_store *store) {
    return tr_lock_is_publishing(&store->lock, store->folder);
}

bool tr_store_find(struct tr_store *store, const char *name, struct tr_committed *out) {
    char *stored;
    if (tr_utf8_copy(&stored, name, NULL) != TR_OK)
        return false;
    const struct tr_record *record = tr_records_find(&store->records, stored);
    free(stored);
    if (!record)
        return false;
    *out = (struct tr_committed){.name = record->strings[TR_V_NAME],
                                 .identity = record->strings[TR_V_IDENTITY],
                                 .config_digest = record->strings[TR_V_CONFIG_DIGEST],
                                 .weights_digest = record->strings[TR_V_WEIGHTS_DIGEST],
                                 .backend = record->strings[TR_V_BACKEND],
                                 .status = record->status,
                                 .additions = record->additions};
    return true;
}

void tr_store_close(struct tr_store *store) {
    if (!store)
        return;
    tr_trace_close(store->old);
    tr_store_forget_traced(store);
    if (store->folder)
        tr_lock_release(&store->lock, store->folder);
    tr_records_free(&store->records);
    tr_store_forget_withdrawn(store);
    free(store->withdrawn);
    tr_run_info_free(&store->info);
    tr_string_free(&store->past);
    tr_string_free(&store->deaths);
    free(store->folder);
    free(store->out_path);
    free(store);
}

enum tr_status tr_store_tell(struct tr_store *store, const char *name, const char *text,
                             struct tr_err *err) {
    return tr_run_info_text(&store->info, TR_VOLATILE, name, text, err);
}
