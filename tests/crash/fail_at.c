// SPDX-License-Identifier: Apache-2.0
// A library to preload: lets the n-th call on a file below some folders fail, once or from then on;
// or the n-th allocation of the program itself.
//   FAIL_BELOW  the folders, absolute paths without links, with colons between
//   FAIL_AT     n from 1 on; 0: none fails
//   FAIL_COUNT  how many fail from there on (1: once; 0: all)
//   FAIL_ERRNO  the number of the error; 0: a write says that it is done and is not
//   FAIL_WHAT   "files"; "writes": of those only write and pwrite; or "memory": allocations that
//               the program asks for, not libraries
//   FAIL_CALLS  a file (elsewhere) that gets a line with the number of calls at a normal exit
// Counted on files: open fopen opendir read pread write pwrite writev truncate fsync rename unlink
// mkdir rmdir close and their relatives.
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "below.h"

static struct {
    const char *below, *calls_file;
    long at, count;
    int error;
    enum { FILES, MEMORY, WRITES } what;
    bool ready, in_main;
    uintptr_t first, end; // the program's own code
} settings;
static atomic_long calls;

static long number_of(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

// The first object is the program.
static int find_code(struct dl_phdr_info *object, size_t size, void *user) {
    (void)size, (void)user;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
            continue;
        settings.first = object->dlpi_addr + part->p_vaddr;
        settings.end = settings.first + part->p_memsz;
    }
    return 1;
}

__attribute__((constructor)) static void start(void) {
    const char *what = getenv("FAIL_WHAT");
    settings.below = getenv("FAIL_BELOW");
    settings.calls_file = getenv("FAIL_CALLS");
    settings.at = number_of("FAIL_AT");
    settings.count = number_of("FAIL_COUNT");
    settings.error = (int)number_of("FAIL_ERRNO");
    settings.what = !what || !strcmp(what, "files") ? FILES
                    : strcmp(what, "memory")        ? WRITES
                                                    : MEMORY;
    dl_iterate_phdr(find_code, NULL);
    settings.ready = true;
}

__attribute__((destructor)) static void end(void) {
    settings.ready = false;
    // Launchers and their helpers are no part of it.
    FILE *file =
        settings.calls_file && atomic_load(&calls) ? fopen(settings.calls_file, "a") : NULL;
    if (!file)
        return;
    fprintf(file, "%ld\n", atomic_load(&calls));
    fclose(file);
}

static bool is_hit(void) {
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (!settings.at || number < settings.at ||
        (settings.count && number >= settings.at + settings.count))
        return false;
    errno = settings.error;
    return true;
}

static bool fails_fd(int fd) {
    return settings.ready && settings.what != MEMORY && fd_is_below(settings.below, fd) && is_hit();
}

static bool fails_path(int folder, const char *path) {
    return settings.ready && settings.what == FILES &&
           path_is_below(settings.below, folder, path) && is_hit();
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define ON_FD(type, name, parameters, arguments)                                                   \
    type name parameters {                                                                         \
        REAL(name);                                                                                \
        return fails_other(fd) ? -1 : real arguments;                                              \
    }
static bool fails_other(int fd) {
    return settings.what == FILES && fails_fd(fd);
}

ON_FD(ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size))
ON_FD(ssize_t, pread, (int fd, void *bytes, size_t size, off_t at), (fd, bytes, size, at))
ON_FD(ssize_t, pread64, (int fd, void *bytes, size_t size, off64_t at), (fd, bytes, size, at))

#define ON_WRITE(name, parameters, arguments)                                                      \
    ssize_t name parameters {                                                                      \
        REAL(name);                                                                                \
        if (!fails_fd(fd))                                                                         \
            return real arguments;                                                                 \
        return settings.error ? -1 : (ssize_t)size;                                                \
    }
ON_WRITE(write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
ON_WRITE(pwrite, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at))
ON_WRITE(pwrite64, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size, at))

ON_FD(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
ON_FD(int, ftruncate, (int fd, off_t size), (fd, size))
ON_FD(int, ftruncate64, (int fd, off64_t size), (fd, size))
ON_FD(int, fsync, (int fd), (fd))
ON_FD(int, fdatasync, (int fd), (fd))

// A close that fails has closed all the same.
int close(int fd) {
    REAL(close);
    bool fails = fails_other(fd);
    int error = errno, done = real(fd);
    if (!fails)
        return done;
    errno = error;
    return -1;
}

#define ON_PATH(type, failure, name, parameters, arguments)                                        \
    type name parameters {                                                                         \
        REAL(name);                                                                                \
        return fails_path(AT_FDCWD, path) ? failure : real arguments;                              \
    }
ON_PATH(int, -1, truncate, (const char *path, off_t size), (path, size))
ON_PATH(int, -1, truncate64, (const char *path, off64_t size), (path, size))
ON_PATH(int, -1, unlink, (const char *path), (path))
ON_PATH(int, -1, rmdir, (const char *path), (path))
ON_PATH(int, -1, mkdir, (const char *path, mode_t mode), (path, mode))
ON_PATH(int, -1, rename, (const char *path, const char *to), (path, to))
ON_PATH(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode))
ON_PATH(FILE *, NULL, fopen64, (const char *path, const char *mode), (path, mode))
ON_PATH(DIR *, NULL, opendir, (const char *path), (path))

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        REAL(name);                                                                                \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                    \
        va_end(rest);                                                                              \
        return fails_path(AT_FDCWD, path) ? -1 : real(path, flags, mode);                          \
    }
OPEN(open)
OPEN(open64)

int openat(int folder, const char *path, int flags, ...) {
    REAL(openat);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails_path(folder, path) ? -1 : real(folder, path, flags, mode);
}

// ---- memory ----------------------------------------------------------------------------------

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool fails_memory(const void *caller) {
    uintptr_t at = (uintptr_t)caller;
    if (!settings.ready || !settings.in_main || settings.what != MEMORY || at < settings.first ||
        at >= settings.end || !is_hit())
        return false;
    errno = ENOMEM;
    return true;
}

// What runs before main is not the program's: a CUDA runtime that is linked into it registers
// kernels there, and does not survive.
static int (*program_main)(int, char **, char **);

static int main_begins(int argc, char **argv, char **variables) {
    settings.in_main = true;
    return program_main(argc, argv, variables);
}

typedef int start_function(int (*)(int, char **, char **), int, char **, void (*)(void),
                           void (*)(void), void (*)(void), void *);
start_function __libc_start_main;

int __libc_start_main(int (*of)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*leave)(void), void *stack) {
    start_function *next = (start_function *)dlsym(RTLD_NEXT, "__libc_start_main");
    program_main = of;
    return next(main_begins, argc, argv, init, fini, leave, stack);
}

#define MEMORY_FAILS fails_memory(__builtin_return_address(0))

void *malloc(size_t size) {
    return MEMORY_FAILS ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return MEMORY_FAILS ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    return MEMORY_FAILS ? NULL : __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return MEMORY_FAILS ? NULL : __libc_memalign(alignment, size);
}

char *strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = MEMORY_FAILS ? NULL : __libc_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}
