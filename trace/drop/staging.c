// SPDX-License-Identifier: Apache-2.0
#include "staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"

// ---- names -------------------------------------------------------------------------------------

static bool is_within(const char *path, const char *folder) {
    size_t size = strlen(folder);
    return !strncmp(path, folder, size) &&
           (!path[size] || path[size] == '/' || folder[size - 1] == '/');
}

// The folder that `target` lies in, as it really is, and its last part.
static enum tr_status split(const char *target, char parent[PATH_MAX], char **name_p,
                            struct tr_err *err) {
    char *copy;
    TR_TRY(tr_path_name(name_p, target, err));
    size_t size = strlen(target);
    while (size > 1 && target[size - 1] == '/')
        size--;
    while (size && target[size - 1] != '/')
        size--;
    copy = strndup(target, size);
    bool found = copy && realpath(size ? copy : ".", parent);
    free(copy);
    if (found)
        return TR_OK;
    free(*name_p);
    return tr_fail(err, TR_EUSAGE, "%s cannot be made: the folder that it is to be in is not there",
                   target);
}

static enum tr_status check_place(const char *target, const char *parent, const char *source,
                                  struct tr_err *err) {
    char real[PATH_MAX];
    struct stat info;
    if (!realpath(source, real))
        return tr_fail(err, TR_EIO, "cannot find %s: %s", source, strerror(errno));
    if (is_within(parent, real))
        return tr_fail(err, TR_ECONFLICT,
                       "%s would lie in %s, the checkpoint that is read: nothing is written there",
                       target, source);
    if (lstat(target, &info) == 0)
        return tr_fail(err, TR_ECONFLICT, "%s is there already: nothing is written over", target);
    return TR_OK;
}

static enum tr_status make(struct tr_staging *staging, const char *parent, const char *name,
                           struct tr_err *err) {
    struct tr_string folder = {0}, target = {0};
    const char *slash = strcmp(parent, "/") ? "/" : "";
    TR_TRY(tr_string_format(&target, err, "%s%s%s", parent, slash, name));
    staging->target = target.data;
    TR_TRY(tr_string_format(&folder, err, "%s%s.%s.partial-XXXXXX", parent, slash, name));
    if (!mkdtemp(folder.data)) {
        tr_string_free(&folder);
        return tr_fail(err, TR_EIO, "cannot make a folder in %s: %s", parent, strerror(errno));
    }
    staging->folder = folder.data;
    return TR_OK;
}

enum tr_status tr_staging_open(struct tr_staging *staging, const char *target, const char *source,
                               struct tr_err *err) {
    char parent[PATH_MAX], *name;
    *staging = (struct tr_staging){0};
    TR_TRY(split(target, parent, &name, err));
    enum tr_status status = check_place(target, parent, source, err);
    if (status == TR_OK)
        status = make(staging, parent, name, err);
    free(name);
    if (status != TR_OK)
        tr_staging_close(staging);
    return status;
}

// ---- the name ----------------------------------------------------------------------------------

// Some file systems cannot sync a folder (EINVAL): there the rename alone must do.
static enum tr_status sync_folder(const char *path, struct tr_err *err) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum tr_status status = TR_OK;
    if (fd < 0 || (fsync(fd) && errno != EINVAL))
        status = tr_fail(err, TR_EIO, "cannot sync the folder %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

// mkdtemp lets nobody else in; the folder gets the mode that mkdir would give it.
static enum tr_status open_up(const char *folder, struct tr_err *err) {
    mode_t mask = umask(0);
    umask(mask);
    if (chmod(folder, 0777 & ~mask))
        return tr_fail(err, TR_EIO, "cannot set the mode of %s: %s", folder, strerror(errno));
    return TR_OK;
}

// Where the file system cannot refuse to replace, what is there is looked for first.
static int rename_to_nothing(const char *from, const char *to) {
    struct stat info;
    int failed = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
    if (!failed || (errno != EINVAL && errno != ENOSYS))
        return failed;
    errno = EEXIST;
    return lstat(to, &info) == 0 ? -1 : rename(from, to);
}

enum tr_status tr_staging_publish(struct tr_staging *staging, struct tr_err *err) {
    TR_TRY(open_up(staging->folder, err));
    TR_TRY(sync_folder(staging->folder, err));
    if (rename_to_nothing(staging->folder, staging->target))
        return tr_fail(err, errno == EEXIST ? TR_ECONFLICT : TR_EIO, "cannot rename %s to %s: %s",
                       staging->folder, staging->target, strerror(errno));
    free(staging->folder);
    staging->folder = NULL;
    char *slash = strrchr(staging->target, '/');
    char *parent =
        strndup(staging->target, slash == staging->target ? 1 : (size_t)(slash - staging->target));
    if (!parent)
        return tr_fail(err, TR_ENOMEM, "out of memory for a path");
    enum tr_status status = sync_folder(parent, err);
    free(parent);
    return status;
}

// ---- giving up ---------------------------------------------------------------------------------

// It holds files alone. What cannot be removed stays under a name that says what it is.
static void remove_folder(const char *folder) {
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries)
        closedir(entries);
    rmdir(folder);
}

void tr_staging_close(struct tr_staging *staging) {
    if (staging->folder)
        remove_folder(staging->folder);
    free(staging->folder);
    free(staging->target);
    *staging = (struct tr_staging){0};
}
