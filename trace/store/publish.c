// SPDX-License-Identifier: Apache-2.0
// Committing a part and publishing OUT. Both write a whole file under a temporary name and rename
// it when what was written was read back and compared; parts are removed only when the OUT that
// holds them is on disk.
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "hdf5_util.h"
#include "row_digest.h"
#include "store/parts.h"
#include "store_state.h"
#include "trace_writer.h"
#include "written.h"

// A written temporary file becomes `final` when it holds what it should, or is removed.
static enum tr_status publish_file(const char *temporary, const char *final,
                                   const struct tr_run_info *info, const char *const *digests,
                                   int64_t count, struct tr_err *err) {
    enum tr_status status = tr_written_check(temporary, info, digests, count, err);
    if (status == TR_OK)
        status = tr_file_publish(temporary, final, err);
    if (status != TR_OK)
        unlink(temporary);
    return status;
}

// ---- one checkpoint --------------------------------------------------------------------------

static enum tr_status write_part(const char *path, const struct tr_run_info *info,
                                 const struct tr_row *row, struct tr_err *err) {
    struct tr_writer writer;
    TR_TRY(tr_writer_open(&writer, path, info, 1, err));
    enum tr_status status = tr_writer_row(&writer, 0, row, err);
    if (status == TR_OK)
        return tr_writer_close(&writer, err);
    tr_writer_discard(&writer);
    return status;
}

enum tr_status tr_store_commit(const char *out_path, const struct tr_run_info *info,
                               const struct tr_row *row, struct tr_err *err) {
    char *folder = NULL, *temporary = NULL, *final = NULL, *digest = NULL;
    enum tr_status status;
    TR_GO(status, tr_row_digest(&digest, row, &info->layout, err), out);
    TR_GO(status, tr_parts_path(&folder, out_path, err), out);
    TR_GO(status, tr_parts_create(folder, out_path, err), out);
    TR_GO(status, tr_part_temporary(&temporary, folder, err), out);
    TR_GO(status, tr_part_path(&final, folder, tr_row_string(row, TR_V_NAME), err), out);
    tr_hdf5_enter();
    status = write_part(temporary, info, row, err);
    tr_hdf5_leave();
    if (status == TR_OK)
        status = publish_file(temporary, final, info, &(const char *){digest}, 1, err);
out:
    free(digest);
    free(final);
    free(temporary);
    free(folder);
    return status;
}

// ---- the whole file --------------------------------------------------------------------------

static enum tr_status copy_record(struct tr_writer *writer, int64_t index,
                                  const struct tr_record *record, struct tr_err *err) {
    if (!record->part)
        return tr_writer_copy(writer, index, record->trace, record->index, err);
    struct tr_trace *part;
    TR_TRY(tr_trace_open(&part, record->part, err));
    enum tr_status status = tr_writer_copy(writer, index, part, record->index, err);
    tr_trace_close(part);
    return status;
}

static enum tr_status write_out(const struct tr_records *records, const struct tr_run_info *info,
                                const char *path, struct tr_err *err) {
    struct tr_writer writer;
    TR_TRY(tr_writer_open(&writer, path, info, records->count, err));
    for (int64_t i = 0; i < records->count; i++) {
        enum tr_status status = copy_record(&writer, i, &records->rows[i], err);
        if (status != TR_OK) {
            tr_writer_discard(&writer);
            return status;
        }
    }
    return tr_writer_close(&writer, err);
}

static enum tr_status publish_out(const struct tr_records *records, const struct tr_run_info *info,
                                  const char *temporary, const char *out_path, struct tr_err *err) {
    const char **digests = NULL;
    enum tr_status status = TR_NEW(&digests, records->count, "the rows of a store", err);
    for (int64_t i = 0; i < records->count && status == TR_OK; i++)
        digests[i] = records->rows[i].digest;
    if (status != TR_OK)
        unlink(temporary);
    else
        status = publish_file(temporary, out_path, info, digests, records->count, err);
    free(digests);
    return status;
}

enum tr_status tr_records_publish(const struct tr_records *records, const struct tr_run_info *info,
                                  const char *temporary, const char *out_path, struct tr_err *err) {
    tr_hdf5_enter();
    enum tr_status status = write_out(records, info, temporary, err);
    tr_hdf5_leave();
    return status == TR_OK ? publish_out(records, info, temporary, out_path, err) : status;
}

// One that was committed again meanwhile stays.
void tr_records_remove_parts(const struct tr_records *records) {
    for (int64_t i = 0; i < records->count; i++) {
        const struct tr_record *record = &records->rows[i];
        struct stat about;
        if (record->part && !stat(record->part, &about) && about.st_ino == record->inode)
            unlink(record->part);
    }
}

static enum tr_status publish(struct tr_store *store, struct tr_err *err) {
    struct tr_string warnings = {0};
    enum tr_status status = tr_store_scan(store, &warnings, err);
    tr_string_free(&warnings);
    TR_TRY(status);
    TR_TRY(tr_store_go_on(store, err));
    bool withdraws = store->old && store->withdrawn_count;
    bool gains = store->old && tr_run_info_gains(&store->info, tr_trace_info(store->old));
    if (!store->new_rows && !withdraws && !gains)
        return TR_OK;
    const struct tr_attribute *rule = tr_run_info_find(&store->info, "row_order");
    TR_TRY(tr_records_sort(&store->records, rule && !rule->is_number ? rule->text : NULL, err));
    char *temporary;
    TR_TRY(tr_part_temporary(&temporary, store->folder, err));
    status = tr_records_publish(&store->records, &store->info, temporary, store->out_path, err);
    free(temporary);
    // A mark that stayed without the parts it speaks of would make a later job forget OUT.
    if (status == TR_OK)
        status = tr_parts_unsupersede(store->folder, err);
    if (status == TR_OK) {
        store->superseded = false;
        tr_records_remove_parts(&store->records);
        tr_store_forget_withdrawn(store);
    }
    return status;
}

enum tr_status tr_store_publish(struct tr_store *store, double *seconds_p, struct tr_err *err) {
    int publishing;
    TR_TRY(tr_lock_publishing(&publishing, &store->lock, store->folder, store->out_path, err));
    double start = tr_now();
    enum tr_status status = publish(store, err);
    tr_lock_published(publishing);
    tr_trace_close(store->old);
    store->old = NULL;
    if (status == TR_OK && seconds_p)
        *seconds_p = tr_now() - start;
    return status;
}
