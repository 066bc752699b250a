// SPDX-License-Identifier: Apache-2.0
#ifndef CRASH_BELOW_H
#define CRASH_BELOW_H

// Which calls on files a preloaded library interferes with: those below some folders. `folders` are
// absolute paths without links, with colons between; NULL: none.

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline bool is_below(const char *folders, const char *path) {
    size_t length;
    for (const char *folder = folders; folder && *folder; folder += length) {
        folder += *folder == ':';
        length = strcspn(folder, ":");
        if (!strncmp(path, folder, length) && (path[length] == '/' || !path[length]))
            return true;
    }
    return false;
}

static inline bool fd_is_below(const char *folders, int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return false;
    path[length] = 0;
    return is_below(folders, path);
}

// A path as openat() and its relatives take it.
static inline bool path_is_below(const char *folders, int folder, const char *name) {
    char path[PATH_MAX];
    if (*name == '/')
        return is_below(folders, name);
    if (folder != AT_FDCWD)
        return fd_is_below(folders, folder);
    return getcwd(path, sizeof path) && is_below(folders, path);
}

#endif
