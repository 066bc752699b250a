// SPDX-License-Identifier: Apache-2.0
#include "ckpt/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "folder_scan.h"
#include "reader.h"
#include "trainers/whole.h"

static const double rest = 3;          // seconds without a change, where nobody says "whole"
static const double pause_seconds = 1; // between looks at least,
static const double looks = 20;        // and so many times what a look takes
static const double patience = 60;     // for what is said to be whole and cannot be opened
static const double speaks_after = 10; // at rest, of what is not whole

// A folder or file of the run that may be, or become, a checkpoint.
struct candidate {
    char *name, *path;
    bool seen;              // by the present look
    uint64_t size, files;   // all that is in it, as it was at the last look,
    int64_t newest;         // with the newest time of modification or change, in nanoseconds
    double since;           // when that was first seen
    bool taken, given;      // it was whole; and given by tr_watch_next since
    struct stat info, last; // when it was taken: of itself and of the file that said so
    struct tr_whole whole;
    bool tried;   // opening it as it is now has failed
    bool foreign; // because it is a checkpoint that is not read
    bool told;    // and that was said
    char identity[TR_DIGEST_MAX];
    char why[TR_ERR_MAX]; // it is not whole
};

struct tr_watch {
    const char *folder;
    tr_watch_open_checkpoint *open;
    void *user;
    struct candidate *candidates; // [count], in natural order after a look
    int64_t count;
    uint64_t capacity;
    int notify; // of inotify; -1: none
    double looked, cost, changed;
};

enum tr_status tr_watch_new(struct tr_watch **watch_p, const char *folder,
                            tr_watch_open_checkpoint *open, void *user, struct tr_err *err) {
    struct tr_watch *watch;
    if (!tr_is_folder(folder))
        return tr_fail(err, TR_EUSAGE, "%s is no folder in which checkpoints could appear", folder);
    TR_TRY(TR_NEW(&watch, 1, "a watch", err));
    *watch = (struct tr_watch){.folder = folder, .open = open, .user = user, .changed = tr_now()};
    watch->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    *watch_p = watch;
    return TR_OK;
}

static void forget(struct candidate *candidate) {
    free(candidate->name);
    free(candidate->path);
}

void tr_watch_free(struct tr_watch *watch) {
    if (!watch)
        return;
    for (int64_t i = 0; i < watch->count; i++)
        forget(&watch->candidates[i]);
    free(watch->candidates);
    if (watch->notify >= 0)
        close(watch->notify);
    free(watch);
}

// ---- what is there -----------------------------------------------------------------------------

// A link to what is in the folder itself is another name of it.
static bool is_alias(const struct tr_watch *watch, const char *path) {
    struct stat info;
    char *target, *folder;
    bool alias = false;
    if (lstat(path, &info) || !S_ISLNK(info.st_mode))
        return false;
    target = realpath(path, NULL);
    folder = realpath(watch->folder, NULL);
    char *slash = target ? strrchr(target, '/') : NULL;
    if (slash && folder) {
        *slash = 0;
        alias = !strcmp(target, folder);
    }
    free(target);
    free(folder);
    return alias;
}

static struct candidate *find(struct tr_watch *watch, const char *name) {
    for (int64_t i = 0; i < watch->count; i++)
        if (!strcmp(watch->candidates[i].name, name))
            return &watch->candidates[i];
    return NULL;
}

static enum tr_status add(struct tr_watch *watch, const char *name, struct tr_err *err) {
    struct candidate added = {.seen = true};
    TR_TRY(tr_grow((void **)&watch->candidates, &watch->capacity, (uint64_t)watch->count + 1,
                   sizeof *watch->candidates, "the checkpoints of a run", err));
    TR_TRY(tr_strdup(&added.name, name, err));
    enum tr_status status = tr_path_join(&added.path, watch->folder, name, err);
    if (status != TR_OK) {
        free(added.name);
        return status;
    }
    watch->candidates[watch->count++] = added;
    if (watch->notify >= 0) // where it tells nothing, looks do
        inotify_add_watch(watch->notify, added.path,
                          IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR);
    return TR_OK;
}

static enum tr_status meet(struct tr_watch *watch, const char *name, struct tr_err *err) {
    struct candidate *known = find(watch, name);
    char *path;
    if (known) {
        known->seen = true;
        return TR_OK;
    }
    TR_TRY(tr_path_join(&path, watch->folder, name, err));
    bool passing = tr_is_passing(name, tr_is_folder(path)) || is_alias(watch, path);
    free(path);
    return passing ? TR_OK : add(watch, name, err);
}

static void drop_unseen(struct tr_watch *watch) {
    int64_t kept = 0;
    for (int64_t i = 0; i < watch->count; i++)
        if (watch->candidates[i].seen)
            watch->candidates[kept++] = watch->candidates[i];
        else
            forget(&watch->candidates[i]);
    watch->count = kept;
}

static int by_name(const void *a, const void *b) {
    return tr_natural_compare(((const struct candidate *)a)->name,
                              ((const struct candidate *)b)->name);
}

static enum tr_status list(struct tr_watch *watch, struct tr_err *err) {
    struct tr_names names;
    if (tr_names_list(&names, watch->folder, "*", NULL) != TR_OK)
        return TR_OK;
    for (int64_t i = 0; i < watch->count; i++)
        watch->candidates[i].seen = false;
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < names.count && status == TR_OK; i++)
        status = meet(watch, names.names[i], err);
    tr_names_free(&names);
    TR_TRY(status);
    drop_unseen(watch);
    if (watch->count)
        qsort(watch->candidates, (size_t)watch->count, sizeof *watch->candidates, by_name);
    return TR_OK;
}

// ---- whether it changes ------------------------------------------------------------------------

static void count_file(struct candidate *seen, const struct stat *info) {
    const struct timespec *times[] = {&info->st_mtim, &info->st_ctim};
    seen->files++;
    seen->size += (uint64_t)info->st_size;
    for (int i = 0; i < 2; i++) {
        int64_t time = (int64_t)times[i]->tv_sec * 1000000000 + times[i]->tv_nsec;
        seen->newest = time > seen->newest ? time : seen->newest;
    }
}

// Down to `depth` folders: what is no checkpoint may be large.
static void walk(const char *path, int depth, struct candidate *seen) {
    char *const paths[] = {(char *)path, NULL};
    FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    if (!tree)
        return;
    for (FTSENT *entry; (entry = fts_read(tree));) {
        if (entry->fts_info == FTS_F || entry->fts_info == FTS_D)
            count_file(seen, entry->fts_statp);
        if (entry->fts_info == FTS_D && entry->fts_level >= depth)
            fts_set(tree, entry, FTS_SKIP);
    }
    fts_close(tree);
}

static void measure(struct tr_watch *watch, struct candidate *c) {
    enum { DEPTH = 16, DEPTH_UNKNOWN = 1 };
    struct candidate now = {0};
    bool is_file = !tr_is_folder(c->path);
    walk(c->path, c->whole.known ? DEPTH : DEPTH_UNKNOWN, &now);
    if (c->since > 0 && now.size == c->size && now.files == c->files && now.newest == c->newest)
        return;
    c->size = now.size;
    c->files = now.files;
    c->newest = now.newest;
    c->since = tr_now();
    c->tried = c->told = false;
    if (c->whole.known || is_file)
        watch->changed = c->since;
}

// ---- whether it is whole -----------------------------------------------------------------------

// Whether one that was taken looks as it did then.
static enum tr_status is_as_taken(bool *same_p, const struct candidate *c, struct tr_err *err) {
    struct stat info;
    char *last;
    *same_p = !stat(c->path, &info) && tr_file_same(&info, &c->info);
    if (!*same_p || !c->whole.last)
        return TR_OK;
    TR_TRY(tr_path_join(&last, c->path, c->whole.last, err));
    *same_p = !stat(last, &info) && tr_file_same(&info, &c->last);
    free(last);
    return TR_OK;
}

static void take(struct tr_watch *watch, struct candidate *c, const char *identity,
                 const struct stat *info) {
    bool same = c->taken && !strcmp(c->identity, identity);
    c->info = *info;
    c->last = c->whole.info;
    c->given = same && c->given;
    c->taken = true;
    snprintf(c->identity, sizeof c->identity, "%s", identity);
    if (!same)
        watch->changed = tr_now();
}

// What cannot be opened though it is said to be whole is given at last: its row says why.
static void try_to_take(struct tr_watch *watch, struct candidate *c, double rested) {
    char identity[TR_DIGEST_MAX] = "";
    struct tr_err err = {0};
    struct stat info;
    if (stat(c->path, &info))
        return; // it vanished
    if (!c->tried) {
        if (watch->open(watch->user, c->path, identity, &err) == TR_OK) {
            take(watch, c, identity, &info);
            return;
        }
        snprintf(c->why, sizeof c->why, "%s", err.text);
        c->foreign = err.code == TR_EUNSUPPORTED;
        c->tried = true;
    }
    if (c->whole.said && rested >= patience)
        take(watch, c, "", &info);
}

static enum tr_status look_at(struct tr_watch *watch, struct candidate *c, struct tr_err *err) {
    bool same = false;
    if (c->taken)
        TR_TRY(is_as_taken(&same, c, err));
    if (same)
        return TR_OK;
    TR_TRY(tr_whole_look(&c->whole, watch->folder, c->name, err));
    measure(watch, c);
    double rested = tr_now() - c->since;
    bool waits = *c->whole.waits_for && !(c->whole.patience > 0 && rested >= c->whole.patience);
    if (waits)
        snprintf(c->why, sizeof c->why, "it waits for %s", c->whole.waits_for);
    else if (c->whole.said || rested >= rest)
        try_to_take(watch, c, rested);
    else
        snprintf(c->why, sizeof c->why, "it changed a moment ago");
    return TR_OK;
}

enum tr_status tr_watch_look(struct tr_watch *watch, struct tr_err *err) {
    double begin = tr_now();
    if (watch->notify >= 0)
        inotify_add_watch(watch->notify, watch->folder,
                          IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR);
    enum tr_status status = list(watch, err);
    for (int64_t i = 0; i < watch->count && status == TR_OK; i++)
        status = look_at(watch, &watch->candidates[i], err);
    watch->looked = tr_now();
    watch->cost = watch->looked - begin;
    return status;
}

// ---- between looks -----------------------------------------------------------------------------

// Whether something was told within `seconds`; what was told is forgotten.
static bool is_told(const struct tr_watch *watch, double seconds) {
    char events[4096];
    struct pollfd wait = {.fd = watch->notify, .events = POLLIN};
    bool told = poll(&wait, watch->notify >= 0, (int)(seconds * 1000)) > 0;
    while (told && read(watch->notify, events, sizeof events) > 0)
        ;
    return told;
}

void tr_watch_wait(struct tr_watch *watch, bool (*stopped)(const void *user), const void *user) {
    static const double slice = 0.2;
    double longest = looks * watch->cost > pause_seconds ? looks * watch->cost : pause_seconds;
    double end = watch->looked + longest;
    while (tr_now() < end && !stopped(user)) {
        double left = end - tr_now();
        if (is_told(watch, left < slice ? left : slice))
            end = watch->looked + looks * watch->cost; // at once, but not without end
    }
}

const char *tr_watch_next(struct tr_watch *watch, const char **identity_p) {
    for (int64_t i = 0; i < watch->count; i++)
        if (watch->candidates[i].taken && !watch->candidates[i].given) {
            watch->candidates[i].given = true;
            *identity_p = watch->candidates[i].identity;
            return watch->candidates[i].path;
        }
    return NULL;
}

double tr_watch_changed(const struct tr_watch *watch) {
    return watch->changed;
}

// A run's folder has others, with logs and code.
static enum tr_status may_be_one(bool *is_one_p, const struct candidate *c, struct tr_err *err) {
    *is_one_p = c->whole.known || c->foreign || !tr_is_folder(c->path);
    return *is_one_p ? TR_OK : tr_folder_has_weights(c->path, is_one_p, err);
}

enum tr_status tr_watch_say(struct tr_watch *watch, bool all, struct tr_string *notes,
                            struct tr_err *err) {
    for (int64_t i = 0; i < watch->count; i++) {
        struct candidate *c = &watch->candidates[i];
        bool rests = tr_now() - c->since >= speaks_after, is_one;
        TR_TRY(may_be_one(&is_one, c, err));
        if (c->taken || c->told || !is_one || !(all || rests))
            continue;
        c->told = true;
        TR_TRY(tr_string_format(notes, err, "%s is not %s: %s\n", c->name,
                                c->foreign ? "traced" : "whole yet", c->why));
    }
    return TR_OK;
}
