// SPDX-License-Identifier: Apache-2.0
// Files as inputs: only regular ones, no placeholders, and whether they are still the same.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/file.h"
#include "folder.h"

static void make_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_true(strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static void assert_no_file(const char *path) {
    char expected[2 * FOLDER_PATH + 32], *bytes = NULL;
    size_t size;
    struct stat info;
    int fd = -1;
    struct tr_err err = {.text = ""};
    snprintf(expected, sizeof expected, "%s is not a regular file", path);
    assert_int_equal(tr_file_load(path, 100, &bytes, &size, &err), TR_EFORMAT);
    assert_string_equal(err.text, expected);
    assert_null(bytes);
    assert_int_equal(tr_file_open(path, &fd, &info, &err), TR_EFORMAT);
    assert_string_equal(err.text, expected);
    assert_int_equal(fd, -1);
}

// None of them is waited for or read.
static void what_is_no_file_is_refused_at_once(void **state) {
    (void)state;
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    make_socket(in_folder("socket"));
    assert_int_equal(symlink("fifo", in_folder("link")), 0);
    assert_no_file(in_folder("fifo"));
    assert_no_file(in_folder("link"));
    assert_no_file(in_folder("socket"));
    assert_no_file(test_folder);
    assert_no_file("/dev/null");
    assert_no_file("/dev/zero");
    struct tr_err err;
    char *bytes;
    size_t size;
    assert_int_equal(tr_file_load(in_folder("nothing"), 9, &bytes, &size, &err), TR_EIO);
    assert_non_null(strstr(err.text, "nothing: No such file or directory"));
}

static void placeholders_are_refused(void **state) {
    (void)state;
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    char *path = in_folder("small"), *bytes, expected[2 * FOLDER_PATH + 128];
    size_t size;
    struct tr_err err = {.text = ""};
    write_text(path, pointer);
    snprintf(expected, sizeof expected,
             "%s is a git-LFS pointer, not the file itself: run `git lfs pull` in its repository",
             path);
    assert_int_equal(tr_file_load(path, 100, &bytes, &size, &err), TR_EFORMAT);
    assert_string_equal(err.text, expected);
    for (size_t length = 0; length < 40; length++) { // no beginning of one is one
        write_file(path, pointer, length);
        assert_int_equal(tr_file_load(path, 100, &bytes, &size, &err), TR_OK);
        assert_int_equal(size, length);
        assert_int_equal(bytes[size], 0);
        free(bytes);
    }
    assert_int_equal(tr_file_load(path, 38, &bytes, &size, &err), TR_EFORMAT);
}

static struct stat look(const char *path) {
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info;
}

static void every_change_shows(void **state) {
    (void)state;
    char *path = in_folder("watched");
    write_text(path, "before");
    struct stat before = look(path), after = look(path);
    assert_true(tr_file_same(&before, &after));
    const struct timespec times[2] = {before.st_atim, {before.st_mtim.tv_sec, 1}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    after = look(path);
    assert_false(tr_file_same(&before, &after));
    struct stat other = after; // each by itself
    other.st_ctim.tv_nsec ^= 1;
    assert_false(tr_file_same(&after, &other));
    other = after;
    other.st_mtim.tv_sec++;
    assert_false(tr_file_same(&after, &other));
    other = after;
    other.st_size++;
    assert_false(tr_file_same(&after, &other));
    other = after;
    other.st_ino++;
    assert_false(tr_file_same(&after, &other));
    other = after;
    other.st_atim.tv_sec++; // reading is no change
    assert_true(tr_file_same(&after, &other));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_file_is_refused_at_once),
        cmocka_unit_test(placeholders_are_refused),
        cmocka_unit_test(every_change_shows),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
