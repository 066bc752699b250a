// SPDX-License-Identifier: Apache-2.0
// Files as inputs: only regular ones, no placeholders, and whether they are still the same. Files
// as outputs: where links lead, and whose they are.
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

static void assert_target(const char *path, const char *expected) {
    char *target;
    struct tr_err err = {.text = ""};
    assert_int_equal(tr_file_target(&target, path, &err), TR_OK);
    assert_string_equal(target, expected);
    free(target);
}

// Links are followed, also to what is not there; what is none stays as it is spelled.
static void writing_goes_where_links_lead(void **state) {
    (void)state;
    make_folder("deep");
    write_text(in_folder("deep/there"), "old");
    assert_int_equal(symlink("deep", in_folder("way")), 0);
    assert_int_equal(symlink("way/there", in_folder("to-there")), 0);
    assert_int_equal(symlink("../to-there", in_folder("deep/again")), 0);
    assert_int_equal(symlink("way/missing", in_folder("dangling")), 0);
    assert_int_equal(symlink("../dangling", in_folder("deep/dangling")), 0);
    assert_int_equal(symlink("circle", in_folder("circle")), 0);
    assert_target("no/such/folder", "no/such/folder");
    assert_target(in_folder("way/there"), in_folder("way/there"));
    assert_target(in_folder("to-there"), in_folder("deep/there"));
    assert_target(in_folder("deep/again"), in_folder("deep/there"));
    assert_target(in_folder("dangling"), in_folder("way/missing"));
    assert_target(in_folder("deep/dangling"), in_folder("deep/../way/missing"));
    char *target = NULL;
    struct tr_err err = {.text = ""};
    assert_int_equal(tr_file_target(&target, in_folder("circle"), &err), TR_EIO);
    assert_non_null(strstr(err.text, "circle: Too many levels of symbolic links"));
    assert_int_equal(tr_file_replace(in_folder("circle"), "", 0, &err), TR_EIO);
    assert_int_equal(tr_file_replace(in_folder("deep/again"), "1", 1, &err), TR_OK);
    assert_int_equal(tr_file_replace(in_folder("deep/dangling"), "22", 2, &err), TR_OK);
    assert_int_equal(look(in_folder("deep/there")).st_size, 1);
    assert_int_equal(look(in_folder("deep/missing")).st_size, 2);
    struct stat link;
    assert_int_equal(lstat(in_folder("deep/dangling"), &link), 0);
    assert_true(S_ISLNK(link.st_mode));
}

static enum tr_status write_private(const void *user, const char *path, struct tr_err *err) {
    (void)err;
    *(mode_t *)user = look(path).st_mode & 0777;
    write_text(path, "secret");
    return TR_OK;
}

// What replaces a file has its mode, and nobody else reads it before; a new file heeds the umask.
static void modes_are_kept(void **state) {
    (void)state;
    static const mode_t modes[] = {0600, 0640, 0444, 0660, 0755, 0604, 0200};
    char *path = in_folder("mode"), *part = in_folder("part");
    struct tr_err err;
    mode_t before = umask(027), meanwhile;
    assert_int_equal(tr_file_replace_by(path, true, write_private, &meanwhile, &err), TR_OK);
    assert_int_equal(look(path).st_mode & 07777, 0640);
    assert_int_equal(meanwhile, 0640);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(tr_file_replace_by(path, true, write_private, &meanwhile, &err), TR_OK);
        assert_int_equal(look(path).st_mode & 07777, modes[i]);
        assert_int_equal(meanwhile, 0600);
        write_text(part, "published");
        assert_int_equal(tr_file_publish(part, path, &err), TR_OK);
        assert_int_equal(look(path).st_mode & 07777, modes[i]);
    }
    umask(before);
}

// Root alone can give files away. A group that cannot be kept gets no more than everybody had.
static void owners_are_kept(void **state) {
    (void)state;
    if (geteuid())
        return;
    char *path = in_folder("owned"), *part = in_folder("part");
    struct tr_err err;
    write_text(path, "old");
    assert_int_equal(chown(path, 1234, 4321), 0);
    assert_int_equal(chmod(path, 0664), 0);
    assert_int_equal(tr_file_replace(path, "new", 3, &err), TR_OK);
    assert_int_equal(look(path).st_uid, 1234);
    assert_int_equal(look(path).st_gid, 4321);
    assert_int_equal(look(path).st_mode & 07777, 0664);
    write_text(part, "another's");
    assert_int_equal(chown(part, 99, 99), 0);
    int fd = open(part, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(seteuid(99), 0);
    enum tr_status status = tr_file_keep_mode(fd, path, &err);
    assert_int_equal(seteuid(0), 0);
    close(fd);
    assert_int_equal(status, TR_OK);
    assert_int_equal(look(part).st_uid, 99);
    assert_int_equal(look(part).st_gid, 99);
    assert_int_equal(look(part).st_mode & 07777, 0644);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_file_is_refused_at_once),
        cmocka_unit_test(placeholders_are_refused),
        cmocka_unit_test(every_change_shows),
        cmocka_unit_test(writing_goes_where_links_lead),
        cmocka_unit_test(modes_are_kept),
        cmocka_unit_test(owners_are_kept),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
