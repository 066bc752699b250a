// SPDX-License-Identifier: Apache-2.0
#ifndef TEST_FOLDER_H
#define TEST_FOLDER_H

// A temporary folder for one test program, and files in it. Failures end the test. To be included
// after cmocka.h.

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_PATH = 512 };
static char test_folder[FOLDER_PATH];

static inline int folder_create(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(test_folder, sizeof test_folder, "%s/trace_test_XXXXXX", base ? base : P_tmpdir);
    return mkdtemp(test_folder) ? 0 : -1;
}

static inline int folder_remove_entry(const char *path, const struct stat *info, int type,
                                      struct FTW *at) {
    (void)info, (void)type, (void)at;
    return remove(path);
}

static inline int folder_remove(void **state) {
    (void)state;
    return nftw(test_folder, folder_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

// The path of `name` within the temporary folder, valid until eight further calls.
static inline char *in_folder(const char *name) {
    static char paths[8][2 * FOLDER_PATH];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", test_folder, name);
    return path;
}

// The path of `name` within a folder of in_folder(), valid until four further calls.
static inline char *path_in(const char *folder, const char *name) {
    static char paths[4][3 * FOLDER_PATH];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline char *make_folder(const char *name) {
    char *path = in_folder(name);
    assert_true(mkdir(path, 0777) == 0);
    return path;
}

static inline void write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *path, const char *text) {
    write_file(path, text, strlen(text));
}

#endif
