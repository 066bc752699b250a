// SPDX-License-Identifier: Apache-2.0
#include "run/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strings.h"
#include "ckpt/series.h"

static const char unfinished[] = "copying-";

static const char *leaf(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool tr_is_overwritten(const char *path) {
    struct stat info;
    return !strpbrk(leaf(path), "0123456789") && !stat(path, &info) && S_ISREG(info.st_mode);
}

static enum tr_status folder_of(char **folder_p, const struct tr_run_settings *settings,
                                struct tr_err *err) {
    struct tr_string folder = {0};
    TR_TRY(tr_string_format(&folder, err, "%s.copies", settings->out));
    *folder_p = folder.data;
    return TR_OK;
}

// The file as it is at one moment, with its times, which are a part of its identity.
static enum tr_status copy(const char *from, const char *to, struct tr_err *err) {
    struct stat before, after;
    if (unlink(to) && errno != ENOENT)
        return tr_fail(err, TR_EIO, "cannot remove %s: %s", to, strerror(errno));
    if (stat(from, &before))
        return tr_fail(err, TR_EIO, "cannot find %s: %s", from, strerror(errno));
    TR_TRY(tr_file_copy(from, to, NULL, err));
    if (stat(from, &after) || !tr_file_same(&before, &after))
        return tr_fail(err, TR_EIO, "%s was written anew while it was copied", from);
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    if (utimensat(AT_FDCWD, to, times, 0))
        return tr_fail(err, TR_EIO, "cannot set the times of %s: %s", to, strerror(errno));
    return TR_OK;
}

// "ckpt@2000.pt" of ckpt.pt; where the file does not tell its step, the time of its writing.
static enum tr_status name_copy(char **path_p, const char *folder, const char *name,
                                const char *copied, struct tr_err *err) {
    const struct tr_series_options options = {0};
    struct tr_series series;
    struct tr_string path = {0};
    struct stat info;
    char *paths[] = {(char *)copied};
    TR_TRY(tr_series_from_paths(&series, paths, 1, &options, err));
    int64_t step = series.entries[0].parsed.step;
    tr_series_free(&series);
    if (stat(copied, &info))
        return tr_fail(err, TR_EIO, "cannot find %s: %s", copied, strerror(errno));
    const char *dot = strrchr(name, '.');
    int stem = (int)(dot ? dot - name : (long)strlen(name));
    TR_TRY(tr_string_format(&path, err, "%s/%.*s@%s%lld%s", folder, stem, name, step < 0 ? "t" : "",
                            step < 0 ? (long long)info.st_mtim.tv_sec : (long long)step,
                            dot ? dot : ""));
    *path_p = path.data;
    return TR_OK;
}

static enum tr_status take_into(char **copy_p, const char *folder, const char *path,
                                struct tr_err *err) {
    struct tr_string aside = {0};
    char *named = NULL;
    if (mkdir(folder, 0777) && errno != EEXIST)
        return tr_fail(err, TR_EIO, "cannot make the folder %s: %s", folder, strerror(errno));
    TR_TRY(tr_string_format(&aside, err, "%s/%s%s", folder, unfinished, leaf(path)));
    enum tr_status status = copy(path, aside.data, err);
    if (status == TR_OK)
        status = name_copy(&named, folder, leaf(path), aside.data, err);
    if (status == TR_OK && rename(aside.data, named))
        status = tr_fail(err, TR_EIO, "cannot rename %s: %s", aside.data, strerror(errno));
    if (status != TR_OK) {
        unlink(aside.data); // nothing to say if it is not there
        free(named);
    } else {
        *copy_p = named;
    }
    tr_string_free(&aside);
    return status;
}

enum tr_status tr_snapshot_take(char **copy_p, const char *path,
                                const struct tr_run_settings *settings, struct tr_err *err) {
    char *folder;
    TR_TRY(folder_of(&folder, settings, err));
    enum tr_status status = take_into(copy_p, folder, path, err);
    free(folder);
    return status;
}

static enum tr_status give(const char *folder, const char *name,
                           enum tr_status (*add)(void *user, const char *path, struct tr_err *err),
                           void *user, struct tr_err *err) {
    char *path;
    if (*name == '.')
        return TR_OK;
    TR_TRY(tr_path_join(&path, folder, name, err));
    enum tr_status status = TR_OK;
    if (!strncmp(name, unfinished, sizeof unfinished - 1))
        unlink(path); // what cannot be removed now is replaced later
    else
        status = add(user, path, err);
    free(path);
    return status;
}

enum tr_status tr_snapshot_left(const struct tr_run_settings *settings,
                                enum tr_status (*add)(void *user, const char *path,
                                                      struct tr_err *err),
                                void *user, struct tr_err *err) {
    char *folder;
    TR_TRY(folder_of(&folder, settings, err));
    DIR *entries = opendir(folder);
    enum tr_status status = TR_OK;
    for (struct dirent *entry; entries && status == TR_OK && (entry = readdir(entries));)
        status = give(folder, entry->d_name, add, user, err);
    if (entries)
        closedir(entries);
    free(folder);
    return status;
}

void tr_snapshot_release(const char *path, const struct tr_run_settings *settings) {
    char *folder;
    if (folder_of(&folder, settings, NULL) != TR_OK)
        return;
    size_t size = strlen(folder);
    if (!strncmp(path, folder, size) && path[size] == '/') {
        unlink(path);
        rmdir(folder); // unless there are others
    }
    free(folder);
}
