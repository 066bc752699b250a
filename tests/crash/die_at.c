// SPDX-License-Identifier: Apache-2.0
// A library to preload: dies by SIGKILL at the n-th call that changes a file below a folder.
//   DIE_BELOW  the folder, an absolute path without links
//   DIE_AT     n from 1 on; every second death of a write comes when half of it is written
//   DIE_COUNT  a file (elsewhere) into which the number of calls is written at a normal exit
// Counted: write pwrite writev rename truncate fsync unlink mkdir rmdir and their relatives, and
// open with O_CREAT or O_TRUNC.
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "below.h"

static struct {
    const char *below, *count_file;
    long at;
} settings;
static atomic_long calls;

__attribute__((constructor)) static void start(void) {
    const char *at = getenv("DIE_AT");
    settings.below = getenv("DIE_BELOW");
    settings.at = at ? atol(at) : 0;
    settings.count_file = getenv("DIE_COUNT");
    unsetenv("LD_PRELOAD"); // what the process starts is not the one to die
}

__attribute__((destructor)) static void end(void) {
    FILE *file = settings.count_file ? fopen(settings.count_file, "w") : NULL;
    if (!file)
        return;
    fprintf(file, "%ld\n", atomic_load(&calls));
    fclose(file);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

// The number of this call, and whether it is the last one.
static bool is_last(bool counted, long *number) {
    *number = counted ? atomic_fetch_add(&calls, 1) + 1 : 0;
    return counted && *number == settings.at;
}

static void step(bool counted) {
    long number;
    if (is_last(counted, &number))
        die();
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(write);
    long number;
    if (is_last(fd_is_below(settings.below, fd), &number)) {
        if (number % 2)
            real(fd, bytes, size / 2);
        die();
    }
    return real(fd, bytes, size);
}

#define PWRITE(name, offset_type)                                                                  \
    ssize_t name(int fd, const void *bytes, size_t size, offset_type offset) {                     \
        REAL(name);                                                                                \
        long number;                                                                               \
        if (is_last(fd_is_below(settings.below, fd), &number)) {                                   \
            if (number % 2)                                                                        \
                real(fd, bytes, size / 2, offset);                                                 \
            die();                                                                                 \
        }                                                                                          \
        return real(fd, bytes, size, offset);                                                      \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    step(fd_is_below(settings.below, fd));
    return real(fd, parts, count);
}

#define ON_FD(name, parameters, arguments)                                                         \
    int name parameters {                                                                          \
        REAL(name);                                                                                \
        step(fd_is_below(settings.below, fd));                                                     \
        return real arguments;                                                                     \
    }
ON_FD(ftruncate, (int fd, off_t size), (fd, size))
ON_FD(ftruncate64, (int fd, off64_t size), (fd, size))
ON_FD(fsync, (int fd), (fd))
ON_FD(fdatasync, (int fd), (fd))

#define ON_PATH(name, parameters, arguments)                                                       \
    int name parameters {                                                                          \
        REAL(name);                                                                                \
        step(path_is_below(settings.below, AT_FDCWD, path));                                       \
        return real arguments;                                                                     \
    }
ON_PATH(truncate, (const char *path, off_t size), (path, size))
ON_PATH(truncate64, (const char *path, off64_t size), (path, size))
ON_PATH(unlink, (const char *path), (path))
ON_PATH(rmdir, (const char *path), (path))
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode))
ON_PATH(rename, (const char *path, const char *to), (path, to))

int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    step(path_is_below(settings.below, folder, path));
    return real(folder, path, flags);
}

int renameat(int folder, const char *path, int to_folder, const char *to) {
    REAL(renameat);
    step(path_is_below(settings.below, to_folder, to));
    return real(folder, path, to_folder, to);
}

int renameat2(int folder, const char *path, int to_folder, const char *to, unsigned flags) {
    REAL(renameat2);
    step(path_is_below(settings.below, to_folder, to));
    return real(folder, path, to_folder, to, flags);
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        REAL(name);                                                                                \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                    \
        va_end(rest);                                                                              \
        step(flags &(O_CREAT | O_TRUNC) && path_is_below(settings.below, AT_FDCWD, path));         \
        return real(path, flags, mode);                                                            \
    }
OPEN(open)
OPEN(open64)
