// SPDX-License-Identifier: Apache-2.0
// A checkpoint in several files, whose index says which tensor is where; the same for all formats.
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "index.h"
#include "reader.h"

enum { INDEX_LIMIT = 100000000 }; // bytes; a few MB for the largest models

static enum tr_status is_missing(const char *folder, const char *name, bool *missing_p,
                                 struct tr_err *err) {
    char *path;
    TR_TRY(tr_path_join(&path, folder, name, err));
    *missing_p = !tr_file_exists(path);
    free(path);
    return TR_OK;
}

// Says all at once which shards are missing: people fetch them in one go.
static enum tr_status refuse_missing(const char *folder, const struct tr_index *index,
                                     const char *path, struct tr_err *err) {
    enum { NAMED = 4 };
    struct tr_string names = {0};
    int64_t count = 0;
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < index->shard_count && status == TR_OK; i++) {
        bool missing = false;
        status = is_missing(folder, index->shards[i], &missing, err);
        count += missing;
        if (status == TR_OK && missing && count <= NAMED)
            status =
                tr_string_format(&names, err, "%s%.80s", count > 1 ? ", " : "", index->shards[i]);
    }
    if (status == TR_OK && count)
        status = tr_fail(err, TR_EFORMAT, "%s: %lld of %lld shards are missing: %s%s", path,
                         (long long)count, (long long)index->shard_count, names.data,
                         count > NAMED ? " ..." : "");
    tr_string_free(&names);
    return status;
}

static enum tr_status load_index(struct tr_checkpoint *checkpoint, const char *name,
                                 struct tr_err *err) {
    struct stat info;
    char *bytes;
    size_t size;
    TR_TRY(tr_path_join(&checkpoint->index_path, checkpoint->folder, name, err));
    TR_TRY(tr_checkpoint_load(checkpoint, name, INDEX_LIMIT, &bytes, &size, &info, err));
    enum tr_status status = tr_checkpoint_stamp(checkpoint, name, &info, bytes, size, err);
    if (status == TR_OK)
        status = tr_index_parse(&checkpoint->index, bytes, size, checkpoint->index_path, err);
    free(bytes);
    return status;
}

enum tr_status tr_read_shards(struct tr_checkpoint *checkpoint, const char *name,
                              tr_format_open *add, struct tr_err *err) {
    const struct tr_index *index = &checkpoint->index;
    TR_TRY(load_index(checkpoint, name, err));
    TR_TRY(refuse_missing(checkpoint->folder, index, checkpoint->index_path, err));
    for (int64_t i = 0; i < index->shard_count; i++)
        TR_TRY(add(checkpoint, index->shards[i], err));
    TR_TRY(tr_checkpoint_sort(checkpoint, err));
    tr_index_unwrap(&checkpoint->index);
    return TR_OK;
}
