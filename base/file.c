// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/strings.h"

enum tr_status tr_file_read_at(int fd, const char *path, uint64_t offset, void *bytes, size_t size,
                               struct tr_err *err) {
    char *to = bytes;
    size_t left = size;
    while (left) {
        ssize_t got = pread(fd, to, left, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tr_fail(err, TR_EIO, "reading %s failed at byte %llu: %s", path,
                           (unsigned long long)offset, strerror(errno));
        if (got == 0)
            return tr_fail(err, TR_EIO, "%s ends at byte %llu, %zu bytes early", path,
                           (unsigned long long)offset, left);
        to += got;
        offset += (uint64_t)got;
        left -= (size_t)got;
    }
    return TR_OK;
}

static enum tr_status not_regular(const char *path, struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT, "%s is not a regular file", path);
}

// Opening a FIFO would wait for its writer, opening some devices does something: looked at first,
// and again when it is open.
enum tr_status tr_file_open(const char *path, int *fd_p, struct stat *info_p, struct tr_err *err) {
    if (stat(path, info_p))
        return tr_fail(err, TR_EIO, "cannot open %s: %s", path, strerror(errno));
    if (!S_ISREG(info_p->st_mode))
        return not_regular(path, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return tr_fail(err, TR_EIO, "cannot open %s: %s", path, strerror(errno));
    enum tr_status status = TR_OK;
    if (fstat(fd, info_p))
        status = tr_fail(err, TR_EIO, "cannot examine %s: %s", path, strerror(errno));
    else if (!S_ISREG(info_p->st_mode))
        status = not_regular(path, err);
    if (status == TR_OK)
        *fd_p = fd;
    else
        close(fd);
    return status;
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool tr_file_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

enum tr_status tr_refuse_lfs_pointer(const char *path, const void *bytes, size_t size,
                                     struct tr_err *err) {
    static const char pointer[] = "version https://git-lfs.github.com/spec/";
    if (size < sizeof pointer - 1 || memcmp(bytes, pointer, sizeof pointer - 1))
        return TR_OK;
    return tr_fail(err, TR_EFORMAT,
                   "%s is a git-LFS pointer, not the file itself: run `git lfs pull` in its "
                   "repository",
                   path);
}

static enum tr_status load_open(int fd, const char *path, uint64_t size, uint64_t limit,
                                char **bytes_p, struct tr_err *err) {
    if (size > limit)
        return tr_fail(err, TR_EFORMAT, "%s has %llu bytes, more than the %llu accepted", path,
                       (unsigned long long)size, (unsigned long long)limit);
    char *bytes;
    TR_TRY(TR_NEW_UNSET(&bytes, size + 1, path, err));
    bytes[size] = '\0';
    enum tr_status status = tr_file_read_at(fd, path, 0, bytes, (size_t)size, err);
    if (status == TR_OK)
        status = tr_refuse_lfs_pointer(path, bytes, (size_t)size, err);
    if (status == TR_OK)
        *bytes_p = bytes;
    else
        free(bytes);
    return status;
}

enum tr_status tr_file_load_info(const char *path, uint64_t limit, char **bytes_p, size_t *size_p,
                                 struct stat *info_p, struct tr_err *err) {
    int fd = -1;
    TR_TRY(tr_file_open(path, &fd, info_p, err));
    enum tr_status status = load_open(fd, path, (uint64_t)info_p->st_size, limit, bytes_p, err);
    if (status == TR_OK)
        *size_p = (size_t)info_p->st_size;
    close(fd);
    return status;
}

enum tr_status tr_file_load(const char *path, uint64_t limit, char **bytes_p, size_t *size_p,
                            struct tr_err *err) {
    struct stat info;
    return tr_file_load_info(path, limit, bytes_p, size_p, &info, err);
}

static enum tr_status sync_folder_of(const char *path, struct tr_err *err) {
    const char *slash = strrchr(path, '/');
    struct tr_string folder = {0};
    enum tr_status status = slash == path ? tr_string_append(&folder, "/", 1, err)
                            : slash ? tr_string_append(&folder, path, (size_t)(slash - path), err)
                                    : tr_string_append(&folder, ".", 1, err);
    if (status != TR_OK)
        return status;
    int fd = open(folder.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // Some file systems cannot sync a folder (EINVAL): there the rename alone must do.
    if (fd < 0 || (fsync(fd) && errno != EINVAL))
        status =
            tr_fail(err, TR_EIO, "cannot sync the folder %s: %s", folder.data, strerror(errno));
    if (fd >= 0)
        close(fd);
    tr_string_free(&folder);
    return status;
}

// The mode before the bytes are on disk, so that it is there with them.
static enum tr_status sync_file(const char *path, const char *final_path, struct tr_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tr_fail(err, TR_EIO, "cannot open %s: %s", path, strerror(errno));
    enum tr_status status = tr_file_keep_mode(fd, final_path, err);
    if (status == TR_OK && fsync(fd))
        status = tr_fail(err, TR_EIO, "cannot sync %s: %s", path, strerror(errno));
    if (close(fd) && status == TR_OK)
        status = tr_fail(err, TR_EIO, "cannot close %s: %s", path, strerror(errno));
    return status;
}

enum tr_status tr_file_publish(const char *path, const char *final_path, struct tr_err *err) {
    TR_TRY(sync_file(path, final_path, err));
    if (rename(path, final_path))
        return tr_fail(err, TR_EIO, "cannot rename %s to %s: %s", path, final_path,
                       strerror(errno));
    return sync_folder_of(final_path, err);
}

// The file that is being written beside its path at the moment; tr_file_abandon removes it.
static char aside[PATH_MAX];
static volatile sig_atomic_t is_aside;

void tr_file_abandon(void) {
    if (is_aside)
        unlink(aside);
}

// An empty file of a name that nobody else has, which only we can read while it is to replace
// another one.
static enum tr_status make_aside(const char *path, struct tr_err *err) {
    unlink(aside); // left by a process of the same number
    mode_t mode = tr_file_exists(path) ? 0600 : 0666;
    int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno == EEXIST)
        return tr_fail(err, TR_EIO, "cannot create %s: %s", aside, strerror(errno));
    if (fd < 0)
        return TR_OK; // the writer fails alike, and knows what it writes
    close(fd);        // nothing was written
    return TR_OK;
}

static enum tr_status replace(const char *path,
                              enum tr_status (*write)(const void *user, const char *path,
                                                      struct tr_err *err),
                              const void *user, struct tr_err *err) {
    int size = snprintf(aside, sizeof aside, "%s.tmp%ld", path, (long)getpid());
    if (size >= (int)sizeof aside)
        return tr_fail(err, TR_EIO, "the name %s is too long", path);
    is_aside = 1;
    enum tr_status status = make_aside(path, err);
    if (status == TR_OK)
        status = write(user, aside, err);
    if (status == TR_OK)
        status = tr_file_publish(aside, path, err);
    if (status != TR_OK)
        unlink(aside);
    is_aside = 0;
    return status;
}

// Writes into a pipe, a terminal or another device. A pipe that nobody reads would be waited for.
static enum tr_status write_through(const char *path, mode_t mode,
                                    enum tr_status (*write)(const void *user, const char *path,
                                                            struct tr_err *err),
                                    const void *user, struct tr_err *err) {
    if (!S_ISFIFO(mode))
        return write(user, path, err);
    int held = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (held < 0)
        return tr_fail(err, TR_EIO, "cannot write %s: %s", path,
                       errno == ENXIO ? "it is a pipe that nobody reads" : strerror(errno));
    enum tr_status status = write(user, path, err);
    close(held); // nothing was written by it
    return status;
}

enum tr_status tr_file_replace_by(const char *path, bool seeks,
                                  enum tr_status (*write)(const void *user, const char *path,
                                                          struct tr_err *err),
                                  const void *user, struct tr_err *err) {
    struct stat there;
    bool exists = stat(path, &there) == 0;
    if (exists && S_ISDIR(there.st_mode))
        return tr_fail(err, TR_EUSAGE, "%s is a folder, not a file to write", path);
    if (exists && !S_ISREG(there.st_mode))
        return seeks ? tr_fail(err, TR_EUSAGE, "%s is no file, which this format needs", path)
                     : write_through(path, there.st_mode, write, user, err);
    char *target;
    TR_TRY(tr_file_target(&target, path, err));
    enum tr_status status = replace(target, write, user, err);
    free(target);
    return status;
}

struct content {
    const char *name; // for people
    const char *bytes;
    size_t size;
};

static enum tr_status write_content(const void *user, const char *path, struct tr_err *err) {
    const struct content *content = user;
    const char *bytes = content->bytes, *name = content->name;
    size_t size = content->size;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return tr_fail(err, TR_EIO, "cannot create %s: %s", name, strerror(errno));
    enum tr_status status = TR_OK;
    while (size && status == TR_OK) {
        ssize_t put = write(fd, bytes, size);
        if (put < 0 && errno != EINTR)
            status = tr_fail(err, TR_EIO, "cannot write %s: %s", name, strerror(errno));
        if (put > 0) {
            bytes += put;
            size -= (size_t)put;
        }
    }
    if (close(fd) && status == TR_OK)
        status = tr_fail(err, TR_EIO, "cannot write %s: %s", name, strerror(errno));
    return status;
}

enum tr_status tr_file_replace(const char *path, const void *bytes, size_t size,
                               struct tr_err *err) {
    struct content content = {path, bytes, size};
    return tr_file_replace_by(path, false, write_content, &content, err);
}

bool tr_file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

bool tr_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}
