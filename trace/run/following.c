// SPDX-License-Identifier: Apache-2.0
#include "run/following.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "ckpt/watch.h"
#include "run/progress.h"
#include "run/snapshot.h"

struct tr_follow {
    const struct tr_run_settings *settings;
    const struct tr_wanted *wanted;
    struct tr_watch *watch; // the thread's while it runs
    pthread_t thread;
    bool runs;
    atomic_bool stop;              // the thread
    pthread_mutex_t mutex;         // of what follows
    struct tr_series_entry *found; // [count], of which [taken, count) are not taken
    int64_t count, taken;
    uint64_t capacity;
    struct tr_string notes;
    double changed;
    struct tr_err err; // why the thread ended; code TR_OK: it did not
};

static enum tr_status open_checkpoint(void *user, const char *path, char identity[TR_DIGEST_MAX],
                                      struct tr_err *err) {
    const struct tr_follow *follow = user;
    struct tr_loaded loaded;
    TR_TRY(tr_loaded_examine(&loaded, path, follow->wanted, err));
    strcpy(identity, loaded.identity);
    return TR_OK;
}

enum tr_status tr_follow_new(struct tr_follow **follow_p, const struct tr_run_settings *settings,
                             const struct tr_wanted *wanted, struct tr_err *err) {
    struct tr_follow *follow;
    TR_TRY(TR_NEW(&follow, 1, "what is followed", err));
    follow->settings = settings;
    follow->wanted = wanted;
    pthread_mutex_init(&follow->mutex, NULL);
    enum tr_status status =
        tr_watch_new(&follow->watch, settings->paths[0], open_checkpoint, follow, err);
    if (status == TR_OK)
        *follow_p = follow;
    else
        tr_follow_free(follow);
    return status;
}

static void end_thread(struct tr_follow *follow) {
    atomic_store(&follow->stop, true);
    if (follow->runs)
        pthread_join(follow->thread, NULL);
    follow->runs = false;
}

void tr_follow_free(struct tr_follow *follow) {
    if (!follow)
        return;
    end_thread(follow);
    for (int64_t i = follow->taken; i < follow->count; i++) {
        free(follow->found[i].path);
        free(follow->found[i].name);
    }
    free(follow->found);
    tr_string_free(&follow->notes);
    tr_watch_free(follow->watch);
    pthread_mutex_destroy(&follow->mutex);
    free(follow);
}

// ---- the first checkpoints ---------------------------------------------------------------------

// What was found, as struct tr_series_entry has it.
struct place {
    char *path;
    char identity[TR_DIGEST_MAX];
};

struct paths {
    struct place *places; // [count]
    int64_t count;
    uint64_t capacity;
};

static void free_paths(struct paths *paths) {
    for (int64_t i = 0; i < paths->count; i++)
        free(paths->places[i].path);
    free(paths->places);
}

// Takes over the path.
static enum tr_status add_place(struct paths *paths, const struct place *place,
                                struct tr_err *err) {
    for (int64_t i = 0; i < paths->count; i++)
        if (!strcmp(paths->places[i].path, place->path)) {
            free(place->path); // a copy that was left, and is of what is there still
            return TR_OK;
        }
    enum tr_status status =
        tr_grow((void **)&paths->places, &paths->capacity, (uint64_t)paths->count + 1,
                sizeof *paths->places, "the checkpoints of a run", err);
    if (status == TR_OK)
        paths->places[paths->count++] = *place;
    else
        free(place->path);
    return status;
}

static enum tr_status add_copy(void *user, const char *path, struct tr_err *err) {
    struct place place = {0};
    TR_TRY(tr_strdup(&place.path, path, err));
    return add_place(user, &place, err);
}

// The next one that the watch has, where it stays until it is traced; without a path where there is
// none, or where it cannot be kept, which is noted.
static enum tr_status next_place(struct place *place, bool *found_p, struct tr_follow *follow,
                                 struct tr_err *err) {
    const char *identity, *path = tr_watch_next(follow->watch, &identity);
    struct tr_err why;
    *place = (struct place){0};
    *found_p = path != NULL;
    if (!path)
        return TR_OK;
    if (follow->settings->dry_run || !tr_is_overwritten(path)) {
        strcpy(place->identity, identity);
        return tr_strdup(&place->path, path, err);
    }
    if (tr_snapshot_take(&place->path, path, follow->settings, &why) == TR_OK)
        return TR_OK;
    return tr_string_format(&follow->notes, err, "left out: %s\n", why.text);
}

// One that has vanished meanwhile is none.
static void drop_vanished(struct paths *paths) {
    int64_t kept = 0;
    for (int64_t i = 0; i < paths->count; i++)
        if (tr_file_exists(paths->places[i].path))
            paths->places[kept++] = paths->places[i];
        else
            free(paths->places[i].path);
    paths->count = kept;
}

static enum tr_status gather(struct tr_follow *follow, struct paths *paths, struct tr_err *err) {
    struct place place;
    TR_TRY(tr_snapshot_left(follow->settings, add_copy, paths, err));
    TR_TRY(tr_watch_look(follow->watch, err));
    for (bool found = true; found;) {
        TR_TRY(next_place(&place, &found, follow, err));
        if (place.path)
            TR_TRY(add_place(paths, &place, err));
    }
    drop_vanished(paths);
    return TR_OK;
}

// Whether the run is to stop; a signal may say so.
static bool run_is_stopped(const void *user) {
    const struct tr_run_settings *settings = user;
    return settings->stop && *settings->stop;
}

// Whether waiting for the first checkpoint is over without one.
static enum tr_status check_patience(const struct tr_follow *follow, double begin,
                                     struct tr_err *err) {
    enum { DRY = 5 }; // seconds; rest is seen by then
    const struct tr_run_settings *o = follow->settings;
    double now = tr_now(), changed = tr_watch_changed(follow->watch);
    if (run_is_stopped(o))
        return tr_fail(err, TR_ENVIRONMENT, "stopped before a checkpoint in %s was whole",
                       o->paths[0]);
    if (o->until_idle && now - changed >= (double)o->until_idle)
        return tr_fail(err, TR_ENVIRONMENT, "no checkpoint in %s was whole within %lld s",
                       o->paths[0], (long long)o->until_idle);
    if (o->dry_run && now - begin >= DRY)
        return tr_fail(err, TR_ENVIRONMENT, "no checkpoint in %s is whole yet", o->paths[0]);
    return TR_OK;
}

static enum tr_status say_waiting(struct tr_follow *follow, bool first, struct tr_err *err) {
    const struct tr_run_settings *o = follow->settings;
    struct tr_string notes = {0};
    enum tr_status status = TR_OK;
    if (first)
        status =
            tr_string_format(&notes, err, "waiting for a whole checkpoint in %s\n", o->paths[0]);
    if (status == TR_OK)
        status = tr_watch_say(follow->watch, false, &notes, err);
    if (status == TR_OK && notes.data && !o->quiet)
        tr_say(o->messages, notes.data);
    tr_string_free(&notes);
    return status;
}

static enum tr_status wait_for_paths(struct tr_follow *follow, struct paths *paths,
                                     struct tr_err *err) {
    double begin = tr_now();
    TR_TRY(gather(follow, paths, err));
    for (bool first = true; !paths->count; first = false) {
        TR_TRY(say_waiting(follow, first, err));
        TR_TRY(check_patience(follow, begin, err));
        tr_watch_wait(follow->watch, run_is_stopped, follow->settings);
        TR_TRY(gather(follow, paths, err));
    }
    return TR_OK;
}

enum tr_status tr_follow_first(struct tr_follow *follow, struct tr_series *series,
                               struct tr_err *err) {
    const struct tr_series_options options = tr_settings_series(follow->settings);
    struct paths paths = {0};
    char **list = NULL;
    enum tr_status status = wait_for_paths(follow, &paths, err);
    if (status == TR_OK)
        status = TR_NEW(&list, paths.count, "the checkpoints of a run", err);
    for (int64_t i = 0; i < paths.count && status == TR_OK; i++)
        list[i] = paths.places[i].path;
    if (status == TR_OK)
        status = tr_series_from_paths(series, list, paths.count, &options, err);
    for (int64_t i = 0; i < series->count && status == TR_OK; i++) {
        struct tr_series_entry *entry = &series->entries[i];
        strcpy(entry->identity, paths.places[entry->row].identity);
    }
    free(list);
    free_paths(&paths);
    return status;
}

// ---- the thread --------------------------------------------------------------------------------

// With the lock: makes an entry of the place and keeps it. One that vanished meanwhile is none.
static enum tr_status keep(struct tr_follow *follow, const struct place *place,
                           struct tr_err *err) {
    const struct tr_series_options options = tr_settings_series(follow->settings);
    struct tr_series series = {0};
    struct tr_err why;
    char *paths[] = {place->path};
    TR_TRY(tr_grow((void **)&follow->found, &follow->capacity, (uint64_t)follow->count + 1,
                   sizeof *follow->found, "the checkpoints of a run", err));
    if (tr_series_from_paths(&series, paths, 1, &options, &why) != TR_OK)
        return tr_string_format(&follow->notes, err, "left out: %s\n", why.text);
    enum tr_status status = TR_OK;
    if (series.notes.data)
        status = tr_string_append(&follow->notes, series.notes.data, series.notes.size, err);
    strcpy(series.entries[0].identity, place->identity);
    follow->found[follow->count++] = series.entries[0];
    series.count = 0; // its strings have a new owner
    tr_series_free(&series);
    return status;
}

static enum tr_status keep_found(struct tr_follow *follow, struct tr_err *err) {
    struct place place;
    enum tr_status status = TR_OK;
    pthread_mutex_lock(&follow->mutex);
    for (bool found = true; found && status == TR_OK;) {
        status = next_place(&place, &found, follow, err);
        if (status == TR_OK && place.path)
            status = keep(follow, &place, err);
        free(place.path);
    }
    if (status == TR_OK)
        status = tr_watch_say(follow->watch, false, &follow->notes, err);
    follow->changed = tr_watch_changed(follow->watch);
    pthread_mutex_unlock(&follow->mutex);
    return status;
}

static bool is_stopped(const void *user) {
    const struct tr_follow *follow = user;
    return atomic_load(&follow->stop);
}

static void *watch(void *user) {
    struct tr_follow *follow = user;
    struct tr_err err = {0};
    while (!is_stopped(follow) && err.code == TR_OK) {
        tr_watch_wait(follow->watch, is_stopped, follow);
        if (is_stopped(follow))
            break;
        err.code = tr_watch_look(follow->watch, &err);
        if (err.code == TR_OK)
            err.code = keep_found(follow, &err);
    }
    pthread_mutex_lock(&follow->mutex);
    follow->err = err;
    pthread_mutex_unlock(&follow->mutex);
    return NULL;
}

enum tr_status tr_follow_start(struct tr_follow *follow, struct tr_err *err) {
    follow->changed = tr_watch_changed(follow->watch);
    if (pthread_create(&follow->thread, NULL, watch, follow))
        return tr_fail(err, TR_ENVIRONMENT, "cannot start a thread that watches %s",
                       follow->settings->paths[0]);
    follow->runs = true;
    return TR_OK;
}

static enum tr_status take_notes(struct tr_follow *follow, struct tr_string *notes,
                                 struct tr_err *err) {
    if (!follow->notes.size)
        return TR_OK;
    enum tr_status status = tr_string_append(notes, follow->notes.data, follow->notes.size, err);
    tr_string_free(&follow->notes);
    return status;
}

enum tr_status tr_follow_take(struct tr_follow *follow, struct tr_series_entry *entry,
                              bool *found_p, struct tr_string *notes, struct tr_err *err) {
    pthread_mutex_lock(&follow->mutex);
    *found_p = follow->taken < follow->count;
    if (*found_p)
        *entry = follow->found[follow->taken++];
    enum tr_status status = take_notes(follow, notes, err);
    if (status == TR_OK && follow->err.code != TR_OK) {
        *err = follow->err;
        status = err->code;
    }
    pthread_mutex_unlock(&follow->mutex);
    return status;
}

double tr_follow_changed(struct tr_follow *follow) {
    pthread_mutex_lock(&follow->mutex);
    double changed = follow->changed;
    pthread_mutex_unlock(&follow->mutex);
    return changed;
}

enum tr_status tr_follow_end(struct tr_follow *follow, struct tr_string *notes,
                             struct tr_err *err) {
    end_thread(follow);
    TR_TRY(take_notes(follow, notes, err));
    return tr_watch_say(follow->watch, true, notes, err);
}
