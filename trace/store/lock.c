// SPDX-License-Identifier: Apache-2.0
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "mounts.h"
#include "store/parts.h"

const struct tr_lock tr_lock_none = {.all = -1, .mine = -1};

static const char lock_name[] = ".lock", publishing_name[] = ".publishing";
static const double entering = 10;        // seconds that a shard may take to look around
static const double publishing = 5 * 60;  // and to publish
static const double between_tries = 0.05; // seconds

// ---- one file ----------------------------------------------------------------------------------

// Who holds it, as its file says; "" when it says nothing.
static void read_holder(int fd, char holder[160]) {
    ssize_t size = pread(fd, holder, 159, 0);
    holder[size > 0 ? size : 0] = 0;
    holder[strcspn(holder, "\n")] = 0;
}

static enum tr_status write_holder(int fd, const char *path, struct tr_shard shard,
                                   struct tr_err *err) {
    char host[TR_HOST_MAX], text[160];
    tr_part_host(host);
    int size = snprintf(text, sizeof text, "process %d on %s", (int)getpid(), host);
    if (shard.count)
        size += snprintf(text + size, sizeof text - (size_t)size, ", shard %lld of %lld",
                         (long long)shard.index, (long long)shard.count);
    if (ftruncate(fd, 0) || dprintf(fd, "%s\n", text) < 0)
        return tr_fail(err, TR_EIO, "cannot write %s: %s", path, strerror(errno));
    return TR_OK;
}

// Whether the file we locked is still the one of that name: its holder may have removed it between
// our opening and locking it.
static bool still_there(int fd, const char *path) {
    struct stat ours, there;
    return !fstat(fd, &ours) && !stat(path, &there) && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

static enum tr_status open_lock(int *fd_p, const char *path, struct tr_err *err) {
    *fd_p = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    return *fd_p >= 0 ? TR_OK : tr_fail(err, TR_EIO, "cannot create %s: %s", path, strerror(errno));
}

enum outcome { HELD, BUSY, NO_LOCKS };

static enum outcome try_flock(int fd, int kind) {
    if (!flock(fd, kind | LOCK_NB))
        return HELD;
    return errno == EWOULDBLOCK ? BUSY : NO_LOCKS;
}

// ---- the series --------------------------------------------------------------------------------

static enum tr_status conflict(int fd, const char *out_path, struct tr_err *err) {
    char holder[160];
    read_holder(fd, holder);
    return tr_fail(err, TR_ECONFLICT, "another job is writing %s%s%s", out_path,
                   *holder ? ": " : "", holder);
}

// One try: *fd_p < 0 with TR_OK when it has to be made again. A file system that has no locks goes
// without, which a shard cannot.
static enum tr_status try_whole(struct tr_lock *lock, const char *path, const char *out_path,
                                struct tr_err *err) {
    int fd;
    TR_TRY(open_lock(&fd, path, err));
    enum tr_status status = try_flock(fd, LOCK_EX) == BUSY ? conflict(fd, out_path, err) : TR_OK;
    if (status == TR_OK && still_there(fd, path))
        lock->all = fd;
    else
        close(fd);
    return status;
}

static enum tr_status no_locks(const char *out_path, const char *why, struct tr_err *err) {
    return tr_fail(err, TR_EUNSUPPORTED,
                   "jobs cannot share %s, for its file system %s; give each shard a file of its "
                   "own, and join them with trace-merge",
                   out_path, why);
}

// The first shard there is alone for a moment; the others come in beside those that are there.
static enum tr_status try_shard(struct tr_lock *lock, const char *path, const char *out_path,
                                bool last, struct tr_err *err) {
    int fd;
    TR_TRY(open_lock(&fd, path, err));
    enum outcome outcome = try_flock(fd, LOCK_EX);
    lock->alone = outcome == HELD;
    if (outcome == BUSY)
        outcome = try_flock(fd, LOCK_SH);
    enum tr_status status = TR_OK;
    if (outcome == NO_LOCKS)
        status = no_locks(out_path, "has no locks", err);
    else if (outcome == BUSY && last)
        status = conflict(fd, out_path, err);
    if (status == TR_OK && outcome == HELD && still_there(fd, path))
        lock->all = fd;
    else
        close(fd);
    return status;
}

static enum tr_status lock_series(struct tr_lock *lock, const char *folder, const char *out_path,
                                  struct tr_err *err) {
    char *path;
    double end = tr_now() + entering;
    TR_TRY(tr_path_join(&path, folder, lock_name, err));
    enum tr_status status = TR_OK;
    while (status == TR_OK && lock->all < 0) {
        status = tr_parts_create(folder, out_path, err);
        if (status == TR_OK && !lock->shard.count)
            status = try_whole(lock, path, out_path, err);
        else if (status == TR_OK)
            status = try_shard(lock, path, out_path, tr_now() > end, err);
        if (status == TR_OK && lock->all < 0)
            tr_sleep(between_tries);
    }
    if (status == TR_OK)
        status = write_holder(lock->all, path, lock->shard, err);
    free(path);
    return status;
}

// ---- shards ------------------------------------------------------------------------------------

static enum tr_status lock_mine(struct tr_lock *lock, const char *folder, const char *out_path,
                                struct tr_err *err) {
    struct tr_string path = {0};
    char holder[160];
    TR_TRY(tr_string_format(&path, err, "%s/.shard-%lld-of-%lld", folder,
                            (long long)lock->shard.index, (long long)lock->shard.count));
    lock->mine_path = path.data;
    TR_TRY(open_lock(&lock->mine, path.data, err));
    if (try_flock(lock->mine, LOCK_EX) == HELD)
        return write_holder(lock->mine, path.data, lock->shard, err);
    read_holder(lock->mine, holder);
    return tr_fail(err, TR_ECONFLICT, "another job has this shard of %s: %s", out_path, holder);
}

// A shard's file. One that nobody holds is left of a job that is no more: of as many shards as here
// it says that this one is not over, of another number it goes.
static enum tr_status look_at(const struct tr_lock *lock, const char *path, const char *out_path,
                              struct tr_err *err) {
    char holder[160], of[32];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) // it has just ended
        return TR_OK;
    enum outcome outcome = try_flock(fd, LOCK_EX);
    read_holder(fd, holder);
    snprintf(of, sizeof of, "-of-%lld", (long long)lock->shard.count);
    size_t size = strlen(path), tail = strlen(of);
    bool alike = size > tail && !strcmp(path + size - tail, of);
    if (outcome == HELD && !alike)
        unlink(path);
    close(fd);
    if (outcome != BUSY || alike)
        return TR_OK;
    return tr_fail(err, TR_ECONFLICT, "another job has a shard of another number of them of %s: %s",
                   out_path, holder);
}

static enum tr_status look_at_others(const struct tr_lock *lock, const char *folder,
                                     const char *out_path, struct tr_err *err) {
    struct tr_part_list files;
    enum tr_status status = TR_OK;
    TR_TRY(tr_parts_list_shards(&files, folder, err));
    for (int64_t i = 0; i < files.count && status == TR_OK; i++)
        if (!lock->mine_path || strcmp(files.paths[i], lock->mine_path))
            status = look_at(lock, files.paths[i], out_path, err);
    tr_part_list_free(&files);
    return status;
}

static void let_go(struct tr_lock *lock) {
    if (lock->mine >= 0)
        close(lock->mine);
    if (lock->all >= 0)
        close(lock->all);
    free(lock->mine_path);
    *lock = tr_lock_none;
}

static enum tr_status take(struct tr_lock *lock, const char *folder, const char *out_path,
                           struct tr_err *err) {
    if (lock->shard.count) {
        TR_TRY(tr_parts_create(folder, out_path, err));
        const char *why = tr_mount_keeps_locks("/proc/self/mounts", folder);
        if (why) {
            rmdir(folder); // where it was made now
            return no_locks(out_path, why, err);
        }
    }
    TR_TRY(lock_series(lock, folder, out_path, err));
    if (!lock->shard.count) {
        lock->alone = true;
        return TR_OK;
    }
    TR_TRY(lock_mine(lock, folder, out_path, err));
    enum tr_status status = look_at_others(lock, folder, out_path, err);
    if (status != TR_OK)
        unlink(lock->mine_path);
    return status;
}

enum tr_status tr_lock_take(struct tr_lock *lock, const char *folder, const char *out_path,
                            struct tr_shard shard, struct tr_err *err) {
    *lock = (struct tr_lock){.all = -1, .mine = -1, .shard = shard};
    enum tr_status status = take(lock, folder, out_path, err);
    if (status != TR_OK)
        let_go(lock);
    return status;
}

// A lock is not changed in one step, so that another job may come between; if that is one for the
// whole series, it has won.
enum tr_status tr_lock_share(struct tr_lock *lock, const char *out_path, struct tr_err *err) {
    if (!lock->shard.count || !lock->alone)
        return TR_OK;
    double end = tr_now() + entering;
    lock->alone = false;
    while (try_flock(lock->all, LOCK_SH) != HELD) {
        if (tr_now() > end)
            return conflict(lock->all, out_path, err);
        tr_sleep(between_tries);
    }
    return TR_OK;
}

enum tr_status tr_lock_look(struct tr_shards_seen *seen, const char *folder, int64_t count,
                            struct tr_err *err) {
    struct tr_part_list files;
    *seen = (struct tr_shards_seen){0};
    TR_TRY(tr_parts_list_shards(&files, folder, err));
    for (int64_t i = 0; i < files.count; i++) {
        long long index, of;
        const char *name = strrchr(files.paths[i], '/') + 1;
        int fd = open(files.paths[i], O_RDWR | O_CLOEXEC);
        if (fd < 0) // it has just ended
            continue;
        bool ours = sscanf(name, ".shard-%lld-of-%lld", &index, &of) == 2 && of == count;
        if (ours && try_flock(fd, LOCK_SH) == BUSY)
            seen->held++;
        else if (ours && !seen->left)
            seen->left = index;
        close(fd);
    }
    tr_part_list_free(&files);
    return TR_OK;
}

// ---- the end -----------------------------------------------------------------------------------

static void remove_file(const char *folder, const char *name) {
    char *path;
    if (tr_path_join(&path, folder, name, NULL) != TR_OK)
        return;
    unlink(path);
    free(path);
}

// Whether there is something to be kept: parts, deaths over what is not traced yet, and shards that
// are not over.
static bool holds_something(const struct tr_lock *lock, const char *folder) {
    struct tr_part_list parts = {0}, deaths = {0}, shards = {0};
    bool known = tr_parts_list(&parts, folder, NULL) == TR_OK &&
                 tr_parts_list_deaths(&deaths, folder, NULL) == TR_OK &&
                 look_at_others(lock, folder, "", NULL) == TR_OK &&
                 tr_parts_list_shards(&shards, folder, NULL) == TR_OK;
    bool empty = known && !parts.count && !deaths.count && !shards.count;
    tr_part_list_free(&parts);
    tr_part_list_free(&deaths);
    tr_part_list_free(&shards);
    return !empty;
}

static void remove_empty(const struct tr_lock *lock, const char *folder) {
    if (holds_something(lock, folder))
        return;
    tr_parts_unsupersede(folder, NULL);
    tr_parts_clean(folder, false, NULL);
    remove_file(folder, publishing_name);
    remove_file(folder, lock_name);
    rmdir(folder);
}

void tr_lock_release(struct tr_lock *lock, const char *folder) {
    if (lock->all < 0)
        return;
    if (lock->mine_path)
        unlink(lock->mine_path);
    if (!lock->shard.count || try_flock(lock->all, LOCK_EX) == HELD)
        remove_empty(lock, folder);
    let_go(lock);
}

// ---- publishing --------------------------------------------------------------------------------

enum tr_status tr_lock_publishing(int *fd_p, const struct tr_lock *lock, const char *folder,
                                  const char *out_path, struct tr_err *err) {
    char *path, holder[160] = "";
    int fd;
    *fd_p = -1;
    if (!lock->shard.count)
        return TR_OK;
    TR_TRY(tr_path_join(&path, folder, publishing_name, err));
    enum tr_status status = open_lock(&fd, path, err);
    double end = tr_now() + publishing;
    while (status == TR_OK && try_flock(fd, LOCK_EX) != HELD) {
        read_holder(fd, holder);
        if (tr_now() > end)
            status = tr_fail(err, TR_EIO,
                             "another job has been publishing %s for too long: %s; what this one "
                             "has traced is kept in %s",
                             out_path, holder, folder);
        tr_sleep(between_tries);
    }
    if (status == TR_OK)
        status = write_holder(fd, path, lock->shard, err);
    free(path);
    if (status == TR_OK)
        *fd_p = fd;
    else if (fd >= 0)
        close(fd);
    return status;
}

void tr_lock_published(int fd) {
    if (fd >= 0)
        close(fd);
}

bool tr_lock_is_publishing(const struct tr_lock *lock, const char *folder) {
    char *path;
    if (!lock->shard.count || tr_path_join(&path, folder, publishing_name, NULL) != TR_OK)
        return false;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    free(path);
    bool busy = fd >= 0 && try_flock(fd, LOCK_SH) == BUSY;
    if (fd >= 0)
        close(fd);
    return busy;
}
