// SPDX-License-Identifier: Apache-2.0
// Whether locks reach from host to host, as a table of mounts says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "folder.h"
#include "mounts.h"

// What is said of the test's folder when it lies below mounts of these types and options.
static const char *said(const char *above, const char *at) {
    char path[FOLDER_PATH + 16];
    snprintf(path, sizeof path, "%s/mounts", test_folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "host:/ / %s 0 0\nhost:/a %s %s 0 0\nx /elsewhere lustre localflock 0 0\n", above,
            test_folder, at);
    fprintf(file, "y %sx nfs nolock 0 0\n", test_folder);
    assert_int_equal(fclose(file), 0);
    return tr_mount_keeps_locks(path, test_folder);
}

static void test_local(void **state) {
    (void)state;
    assert_string_equal(said("ext4 rw", "lustre rw,localflock,lazystatfs"),
                        "is mounted with localflock: locks hold on one node alone");
    assert_string_equal(said("ext4 rw", "nfs rw,vers=3,nolock,addr=1.2.3.4"),
                        "is mounted with nolock: locks hold on one host alone");
    assert_string_equal(said("ext4 rw", "nfs4 rw,local_lock=all"),
                        "is mounted with local_lock=all: locks hold on one host alone");
    assert_string_equal(said("ext4 rw", "nfs rw,local_lock=flock"),
                        "is mounted with local_lock=flock: locks hold on one host alone");
}

static void test_shared(void **state) {
    (void)state;
    assert_null(said("ext4 rw", "lustre rw,flock"));
    assert_null(said("ext4 rw", "nfs4 rw,vers=4.2,local_lock=none"));
    assert_null(said("ext4 rw", "nfs rw,local_lock=posix")); // flock(2) still goes to the server
    assert_null(said("ext4 rw", "xfs rw,nolock"));
}

// The mount that is deepest down counts, not one above it; without a table nothing is known.
static void test_deepest(void **state) {
    (void)state;
    assert_null(said("nfs nolock", "ext4 rw"));
    assert_null(tr_mount_keeps_locks("/nowhere/mounts", test_folder));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_local), cmocka_unit_test(test_shared),
                                       cmocka_unit_test(test_deepest)};
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
