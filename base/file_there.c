// SPDX-License-Identifier: Apache-2.0
// What stands under a name already, when something is about to be written there.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strings.h"

// Where the link `path` points to, a relative one from the link's own folder.
static enum tr_status follow(char **target_p, const char *path, struct tr_err *err) {
    char to[PATH_MAX];
    struct tr_string target = {0};
    const char *slash = strrchr(path, '/');
    ssize_t size = readlink(path, to, sizeof to);
    if (size < 0 || size == sizeof to)
        return tr_fail(err, TR_EIO, "cannot follow the link %s: %s", path,
                       strerror(size < 0 ? errno : ENAMETOOLONG));
    if (slash && to[0] != '/')
        TR_TRY(tr_string_append(&target, path, (size_t)(slash + 1 - path), err));
    enum tr_status status = tr_string_append(&target, to, (size_t)size, err);
    if (status == TR_OK)
        *target_p = target.data;
    else
        tr_string_free(&target);
    return status;
}

static bool is_link(const char *path) {
    struct stat there;
    return lstat(path, &there) == 0 && S_ISLNK(there.st_mode);
}

bool tr_file_has_place(const char *path) {
    struct stat there;
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash || lstat(path, &there) == 0)
        return true;
    size_t size = (size_t)(slash + 1 - path);
    if (size >= sizeof folder)
        return false;
    memcpy(folder, path, size);
    folder[size] = 0;
    return tr_is_folder(folder);
}

bool tr_file_holds_other(const char *path, char first) {
    struct stat there;
    char begin = 0;
    if (stat(path, &there) || !S_ISREG(there.st_mode) || there.st_size == 0)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool read_one = fd >= 0 && read(fd, &begin, 1) == 1;
    if (fd >= 0 && close(fd))
        read_one = false;
    return !read_one || begin != first;
}

// realpath() refuses circles of links, so that following one by one comes to an end.
enum tr_status tr_file_target(char **target_p, const char *path, struct tr_err *err) {
    char *target, *next;
    TR_TRY(tr_strdup(&target, path, err));
    while (is_link(target)) {
        enum tr_status status = TR_OK;
        next = realpath(target, NULL);
        if (!next && errno != ENOENT)
            status = tr_fail(err, TR_EIO, "cannot follow the link %s: %s", path, strerror(errno));
        else if (!next)
            status = follow(&next, target, err);
        free(target);
        TR_TRY(status);
        target = next;
    }
    *target_p = target;
    return TR_OK;
}

// Nobody reads or writes the new file who could not read or write the old one: where its group
// cannot be kept, another group gets what everybody had.
enum tr_status tr_file_keep_mode(int fd, const char *path, struct tr_err *err) {
    struct stat old, new;
    if (stat(path, &old) || !S_ISREG(old.st_mode))
        return TR_OK;
    if (fstat(fd, &new))
        return tr_fail(err, TR_EIO, "cannot examine what replaces %s: %s", path, strerror(errno));
    bool same_group = old.st_gid == new.st_gid || !fchown(fd, (uid_t)-1, old.st_gid);
    bool same_owner = old.st_uid == new.st_uid || !fchown(fd, old.st_uid, (gid_t)-1);
    mode_t mode = old.st_mode & 0777;
    if (!same_group)
        mode = (mode & 0707) | (mode & (mode & 07) << 3);
    if ((same_owner && mode == (new.st_mode & 07777)) || !fchmod(fd, mode))
        return TR_OK;
    return tr_fail(err, TR_EIO, "cannot give what replaces %s its mode %03o: %s", path,
                   (unsigned)mode, strerror(errno));
}

enum tr_status tr_make_folder(const char *path, struct tr_err *err) {
    if (!mkdir(path, 0777) || (errno == EEXIST && tr_is_folder(path)))
        return TR_OK;
    return tr_fail(err, TR_EIO, "cannot make the folder %s: %s", path, strerror(errno));
}
