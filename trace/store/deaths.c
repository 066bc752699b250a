// SPDX-License-Identifier: Apache-2.0
#include "store/deaths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "store/parts.h"
#include "store/utf8.h"
#include "store_state.h"

enum { NOTES_MAX = 1 << 20 }; // bytes of a file of names that is believed

// Names as a store has them, each with a 0 behind it.
static enum tr_status add_name(struct tr_string *names, const char *name, struct tr_err *err) {
    char *stored;
    TR_TRY(tr_utf8_copy(&stored, name, err));
    enum tr_status status = tr_string_append(names, stored, strlen(stored) + 1, err);
    free(stored);
    return status;
}

static int64_t count_name(const struct tr_string *names, const char *name) {
    int64_t count = 0;
    for (size_t at = 0; at < names->size; at += strlen(names->data + at) + 1)
        count += !strcmp(names->data + at, name);
    return count;
}

// ---- a process's note --------------------------------------------------------------------------

static enum tr_status shard_path(char **path_p, const char *folder, const char *prefix,
                                 struct tr_shard shard, const char *rest, struct tr_err *err) {
    struct tr_string path = {0};
    TR_TRY(tr_string_format(&path, err, "%s/%s%lld-of-%lld%s", folder, prefix,
                            (long long)shard.index, (long long)shard.count, rest));
    *path_p = path.data;
    return TR_OK;
}

enum tr_status tr_death_note(char **path_p, const char *out_path, struct tr_shard shard,
                             struct tr_err *err) {
    char host[TR_HOST_MAX], rest[TR_HOST_MAX + 32];
    char *folder;
    tr_part_host(host);
    snprintf(rest, sizeof rest, "-%s-%d", host, (int)getpid());
    TR_TRY(tr_parts_path(&folder, out_path, err));
    enum tr_status status = shard_path(path_p, folder, TR_NOTE_PREFIX, shard, rest, err);
    free(folder);
    return status;
}

void tr_death_note_write(const char *path, const char *name, const char *next) {
    struct tr_string names = {0};
    bool ready =
        add_name(&names, name, NULL) == TR_OK && (!next || add_name(&names, next, NULL) == TR_OK);
    FILE *file = ready ? fopen(path, "we") : NULL;
    if (file) {
        bool written = fwrite(names.data, 1, names.size, file) == names.size;
        if (fclose(file) || !written)
            unlink(path);
    }
    tr_string_free(&names);
}

void tr_death_note_remove(const char *path) {
    unlink(path);
}

// ---- what is counted ---------------------------------------------------------------------------

// The names in a file; none where it cannot be read or is no list of names.
static void read_names(struct tr_string *names, const char *path) {
    char *bytes;
    size_t size;
    if (tr_file_load(path, NOTES_MAX, &bytes, &size, NULL) != TR_OK)
        return;
    if (size && !bytes[size - 1] && tr_string_append(names, bytes, size, NULL) != TR_OK)
        names->size = 0;
    free(bytes);
}

// A name counts once, however many ranks were at it when the job ended.
static enum tr_status count_note(struct tr_string *died, const struct tr_string *note,
                                 struct tr_err *err) {
    for (size_t at = 0; at < note->size; at += strlen(note->data + at) + 1)
        if (!count_name(died, note->data + at))
            TR_TRY(tr_string_append(died, note->data + at, strlen(note->data + at) + 1, err));
    return TR_OK;
}

// Collects the names that notes of processes that are no more hold, and removes these.
static enum tr_status take_notes(struct tr_string *died, const struct tr_store *store,
                                 struct tr_err *err) {
    struct tr_part_list notes;
    enum tr_status status = TR_OK;
    TR_TRY(tr_parts_list_notes(&notes, store->folder, store->lock.shard, err));
    for (int64_t i = 0; i < notes.count && status == TR_OK; i++) {
        struct tr_string note = {0};
        read_names(&note, notes.paths[i]);
        status = count_note(died, &note, err);
        unlink(notes.paths[i]);
        tr_string_free(&note);
    }
    tr_part_list_free(&notes);
    return status;
}

// Without a name the file goes, too.
static enum tr_status write_deaths(const struct tr_store *store, struct tr_err *err) {
    char *path;
    TR_TRY(shard_path(&path, store->folder, TR_DEATHS_PREFIX, store->lock.shard, "", err));
    enum tr_status status = TR_OK;
    if (store->deaths.size)
        status = tr_file_replace(path, store->deaths.data, store->deaths.size, err);
    else
        unlink(path);
    free(path);
    return status;
}

// Of a shard its own file. A job for the whole series goes on with those of all shards.
static enum tr_status read_deaths(struct tr_store *store, struct tr_err *err) {
    struct tr_part_list files;
    char *mine;
    TR_TRY(shard_path(&mine, store->folder, TR_DEATHS_PREFIX, store->lock.shard, "", err));
    enum tr_status status = tr_parts_list_deaths(&files, store->folder, err);
    for (int64_t i = 0; status == TR_OK && i < files.count; i++)
        if (!store->lock.shard.count || !strcmp(files.paths[i], mine)) {
            read_names(&store->deaths, files.paths[i]);
            unlink(files.paths[i]);
        }
    if (status == TR_OK)
        tr_part_list_free(&files);
    free(mine);
    return status;
}

enum tr_status tr_store_count_deaths(struct tr_store *store, struct tr_err *err) {
    struct tr_string died = {0};
    TR_TRY(read_deaths(store, err));
    enum tr_status status = take_notes(&died, store, err);
    if (status == TR_OK && died.size)
        status = tr_string_append(&store->deaths, died.data, died.size, err);
    if (status == TR_OK && store->deaths.size)
        status = write_deaths(store, err);
    tr_string_free(&died);
    return status;
}

// ---- what is asked and forgotten ---------------------------------------------------------------

int64_t tr_store_deaths(const struct tr_store *store, const char *name) {
    char *stored;
    if (!store->deaths.size || tr_utf8_copy(&stored, name, NULL) != TR_OK)
        return 0;
    int64_t count = count_name(&store->deaths, stored);
    free(stored);
    return count;
}

// Keeps the names that are not to be forgotten, in their places.
static void forget(struct tr_store *store,
                   bool (*is_over)(struct tr_store *store, const char *name, const char *user),
                   const char *user) {
    struct tr_string *names = &store->deaths;
    size_t kept = 0;
    for (size_t at = 0, size; at < names->size; at += size) {
        size = strlen(names->data + at) + 1;
        if (is_over(store, names->data + at, user))
            continue;
        memmove(names->data + kept, names->data + at, size);
        kept += size;
    }
    if (kept == names->size)
        return;
    names->size = kept;
    write_deaths(store, NULL); // at worst it is counted once more
}

static bool is_same(struct tr_store *store, const char *name, const char *user) {
    (void)store;
    return !strcmp(name, user);
}

void tr_store_forget_deaths(struct tr_store *store, const char *name) {
    char *stored;
    if (tr_utf8_copy(&stored, name, NULL) != TR_OK)
        return;
    forget(store, is_same, stored);
    free(stored);
}

static bool is_traced(struct tr_store *store, const char *name, const char *user) {
    (void)user;
    const struct tr_record *record = tr_records_find(&store->records, name);
    return record && record->status == TR_ROW_COMPLETE;
}

void tr_store_forget_traced(struct tr_store *store) {
    forget(store, is_traced, NULL);
}
