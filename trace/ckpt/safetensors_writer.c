// SPDX-License-Identifier: Apache-2.0
#include "ckpt/safetensors_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "safetensors.h"
#include "safetensors_file.h"

#define WHOLE "model.safetensors"
#define INDEX "model.safetensors.index.json"
enum { MAX_SHARDS = 99999 };

struct writing {
    const char *folder;
    struct tr_file_entry *entries; // [count]
    int64_t count;
    uint64_t bytes; // of all tensors
    int64_t shards;
    const struct tr_file_plan *files; // [shards], NULL: all are to be written
    char *buffer;
};

struct tr_tensor_source tr_tensor_source_of(struct tr_checkpoint *checkpoint,
                                            const struct tr_tensor *tensor) {
    struct tr_tensor_source source = {.name = tensor->name,
                                      .dtype_text = tensor->dtype_text,
                                      .dims = tensor->dims,
                                      .checkpoint = checkpoint,
                                      .tensor = tensor};
    memcpy(source.shape, tensor->shape, sizeof source.shape);
    return source;
}

// ---- what can be written -----------------------------------------------------------------------

static enum tr_status check_entry(const char *folder, struct tr_file_entry *entry,
                                  struct tr_err *err) {
    const struct tr_tensor_source *source = entry->source;
    char shape[TR_INDEX_MAX];
    if (!tr_utf8_valid(source->name, strlen(source->name)) || !strcmp(source->name, "__metadata__"))
        return tr_fail(err, TR_EUSAGE, "%s: no tensor can have the name %s", folder, source->name);
    entry->rank = tr_safetensors_rank(source->dtype_text);
    if (entry->rank < 0)
        return tr_fail(err, TR_EUSAGE, "%s: tensor %s has type %s, which safetensors does not have",
                       folder, source->name, source->dtype_text);
    if (!tr_safetensors_bytes(entry->rank, source->dims, source->shape, &entry->bytes))
        return tr_fail(err, TR_EUSAGE,
                       "%s: tensor %s of type %s and shape %s does not fill whole bytes", folder,
                       source->name, source->dtype_text,
                       tr_index_text(source->dims, source->shape, shape));
    if (!source->read && source->tensor->bytes != entry->bytes)
        return tr_fail(err, TR_EUSAGE,
                       "%s: tensor %s takes %" PRIu64 " bytes, its source has %" PRIu64, folder,
                       source->name, entry->bytes, source->tensor->bytes);
    return TR_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct tr_file_entry *)a)->source->name,
                  ((const struct tr_file_entry *)b)->source->name);
}

// In the order of the caller's list.
static int compare_places(const void *a_, const void *b_) {
    const struct tr_file_entry *a = a_, *b = b_;
    return (a->source > b->source) - (a->source < b->source);
}

static void sort(struct writing *w, int (*compare)(const void *, const void *)) {
    if (w->count)
        qsort(w->entries, (size_t)w->count, sizeof *w->entries, compare);
}

static enum tr_status refuse_duplicates(struct writing *w, struct tr_err *err) {
    sort(w, compare_names);
    for (int64_t i = 1; i < w->count; i++)
        if (!compare_names(&w->entries[i - 1], &w->entries[i]))
            return tr_fail(err, TR_EUSAGE, "%s: two tensors are called %s", w->folder,
                           w->entries[i].source->name);
    sort(w, compare_places);
    return TR_OK;
}

// Another checkpoint would be read instead of this one, or its index with this one's shards.
static enum tr_status refuse_another(const struct writing *w, struct tr_err *err) {
    static const char *const names[] = {WHOLE, INDEX};
    bool own = w->shards == 1 && w->files && w->files[0].there;
    for (int i = own; i < 2; i++) {
        char *path;
        TR_TRY(tr_path_join(&path, w->folder, names[i], err));
        bool exists = tr_file_exists(path);
        free(path);
        if (exists)
            return tr_fail(err, TR_ECONFLICT, "%s already holds a checkpoint (%s)", w->folder,
                           names[i]);
    }
    return TR_OK;
}

// ---- shards ------------------------------------------------------------------------------------

static enum tr_status count_bytes(struct writing *w, struct tr_err *err) {
    for (int64_t i = 0; i < w->count; i++)
        if (!tr_add(w->bytes, w->entries[i].bytes, &w->bytes))
            return tr_fail(err, TR_EUSAGE, "%s: tensor %s is one too many", w->folder,
                           w->entries[i].source->name);
    if (w->shards > MAX_SHARDS)
        return tr_fail(err, TR_EUSAGE, "%s would have %" PRId64 " shards, at most %d are written",
                       w->folder, w->shards, MAX_SHARDS);
    return TR_OK;
}

static void assign_by_size(struct writing *w, uint64_t shard_bytes) {
    uint64_t used = 0;
    w->shards = 1;
    for (int64_t i = 0; i < w->count; i++) {
        struct tr_file_entry *entry = &w->entries[i];
        if (used && (entry->bytes > shard_bytes || used > shard_bytes - entry->bytes)) {
            w->shards++;
            used = 0;
        }
        entry->shard = w->shards - 1;
        used += entry->bytes;
    }
}

static void assign_as_planned(struct writing *w) {
    int64_t at = 0;
    for (int64_t shard = 0; shard < w->shards; shard++)
        for (int64_t i = 0; i < w->files[shard].count; i++)
            w->entries[at++].shard = shard;
}

void tr_safetensors_name(int64_t file, int64_t file_count, char out[TR_SHARD_NAME_MAX]) {
    if (file_count == 1)
        strcpy(out, WHOLE);
    else
        snprintf(out, TR_SHARD_NAME_MAX, "model-%05d-of-%05d.safetensors", (int)file + 1,
                 (int)file_count);
}

static bool is_there(const struct writing *w, int64_t shard) {
    return w->files && w->files[shard].there;
}

static enum tr_status shard_path(const struct writing *w, int64_t shard, char **path_p,
                                 struct tr_err *err) {
    char name[TR_SHARD_NAME_MAX];
    tr_safetensors_name(shard, w->shards, name);
    return tr_path_join(path_p, w->folder, name, err);
}

// The entries of a shard follow one another, from *first_p on; moves it behind them.
static enum tr_status write_shard(const struct writing *w, int64_t shard, int64_t *first_p,
                                  struct tr_err *err) {
    int64_t first = *first_p, end = first;
    char *path;
    while (end < w->count && w->entries[end].shard == shard)
        end++;
    *first_p = end;
    if (is_there(w, shard))
        return TR_OK;
    TR_TRY(shard_path(w, shard, &path, err));
    enum tr_status status =
        tr_safetensors_write_file(path, w->entries + first, end - first, w->buffer, err);
    free(path);
    return status;
}

// Shards without their index are of no use.
static void remove_shards(const struct writing *w, int64_t count) {
    for (int64_t shard = 0; shard < count; shard++) {
        char *path;
        if (is_there(w, shard) || shard_path(w, shard, &path, NULL) != TR_OK)
            continue;
        unlink(path);
        free(path);
    }
}

static enum tr_status append_index(struct writing *w, struct tr_string *text, struct tr_err *err) {
    sort(w, compare_names);
    TR_TRY(tr_string_format(text, err,
                            "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64
                            "\n  },\n  \"weight_map\": {",
                            w->bytes));
    for (int64_t i = 0; i < w->count; i++) {
        char name[TR_SHARD_NAME_MAX];
        tr_safetensors_name(w->entries[i].shard, w->shards, name);
        TR_TRY(tr_string_format(text, err, i ? ",\n    " : "\n    "));
        TR_TRY(tr_append_json_string(text, w->entries[i].source->name, err));
        TR_TRY(tr_string_format(text, err, ": \"%s\"", name));
    }
    return tr_string_format(text, err, "\n  }\n}\n");
}

static enum tr_status write_index(struct writing *w, struct tr_err *err) {
    struct tr_string text = {0};
    char *path;
    TR_TRY(tr_path_join(&path, w->folder, INDEX, err));
    enum tr_status status = append_index(w, &text, err);
    if (status == TR_OK)
        status = tr_file_replace(path, text.data, text.size, err);
    tr_string_free(&text);
    free(path);
    return status;
}

static enum tr_status write_files(struct writing *w, struct tr_err *err) {
    enum tr_status status = TR_OK;
    int64_t first = 0, written = 0;
    while (written < w->shards && status == TR_OK) {
        status = write_shard(w, written, &first, err);
        written += status == TR_OK;
    }
    if (status == TR_OK && w->shards > 1)
        status = write_index(w, err);
    if (status != TR_OK)
        remove_shards(w, written);
    return status;
}

static enum tr_status write_all(struct writing *w, const struct tr_tensor_source *tensors,
                                uint64_t shard_bytes, struct tr_err *err) {
    for (int64_t i = 0; i < w->count; i++) {
        w->entries[i].source = &tensors[i];
        TR_TRY(check_entry(w->folder, &w->entries[i], err));
    }
    if (w->files)
        assign_as_planned(w);
    else
        assign_by_size(w, shard_bytes);
    TR_TRY(count_bytes(w, err));
    TR_TRY(refuse_duplicates(w, err));
    TR_TRY(refuse_another(w, err));
    return write_files(w, err);
}

static enum tr_status write_checkpoint(struct writing *w, const struct tr_tensor_source *tensors,
                                       uint64_t shard_bytes, struct tr_err *err) {
    enum tr_status status;
    TR_TRY(TR_NEW(&w->entries, w->count, "the list of tensors", err));
    TR_GO(status, TR_NEW(&w->buffer, TR_WRITE_BUFFER, "a piece of a tensor", err), out);
    status = write_all(w, tensors, shard_bytes, err);
out:
    free(w->buffer);
    free(w->entries);
    return status;
}

enum tr_status tr_safetensors_write(const char *folder, const struct tr_tensor_source *tensors,
                                    int64_t count, uint64_t shard_bytes, struct tr_err *err) {
    struct writing w = {.folder = folder, .count = count};
    return write_checkpoint(&w, tensors, shard_bytes, err);
}

enum tr_status tr_safetensors_write_files(const char *folder,
                                          const struct tr_tensor_source *tensors,
                                          const struct tr_file_plan *files, int64_t file_count,
                                          struct tr_err *err) {
    struct writing w = {.folder = folder, .files = files, .shards = file_count};
    for (int64_t i = 0; i < file_count; i++)
        w.count += files[i].count;
    return write_checkpoint(&w, tensors, 0, err);
}
