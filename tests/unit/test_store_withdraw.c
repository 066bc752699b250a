// SPDX-License-Identifier: Apache-2.0
// What is taken back: one row, or with --fresh all of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "store_fixture.h"

static void test_withdraw(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1, 2, 3}, 3);
    struct tr_store *store = open_store();
    struct tr_committed committed;
    OK(sample_commit(out, &info, 4, 4, &err));
    tr_store_withdraw(store, "step2");
    tr_store_withdraw(store, "step3");
    tr_store_withdraw(store, "step4");
    tr_store_withdraw(store, "no such");
    assert_false(tr_store_find(store, "step2", &committed));
    assert_true(tr_store_find(store, "step1", &committed));
    OK(sample_commit(out, &info, 33, 3, &err));
    OK(tr_store_publish(store, NULL, &err));
    tr_store_close(store);
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    assert_int_equal(tr_trace_rows(trace), 2);
    assert_row(trace, 0, 1, 1);
    assert_row(trace, 1, 33, 3);
    tr_trace_close(trace);
}

static int64_t rows_of_out(void) {
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    int64_t rows = tr_trace_rows(trace);
    tr_trace_close(trace);
    return rows;
}

static void test_fresh(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1, 2}, 2);
    OK(sample_commit(out, &info, 3, 3, &err));
    struct tr_store *store;
    struct tr_committed committed;
    char *warnings;
    OK(tr_run_info_text(&info, TR_IDENTITY, "dtype", "bf16", &err));
    OK(tr_store_open(&store, out, &info, true, &warnings, &err));
    assert_false(tr_store_find(store, "step1", &committed));
    assert_false(tr_store_find(store, "step3", &committed));
    assert_true(tr_file_exists(out)); // until there is something to replace it
    OK(tr_store_publish(store, NULL, &err));
    assert_int_equal(rows_of_out(), 2);
    OK(sample_commit(out, &info, 4, 4, &err));
    OK(tr_store_publish(store, NULL, &err));
    assert_int_equal(rows_of_out(), 1);
    tr_store_close(store);
    assert_false(tr_file_exists(parts));
}

// A job that died after --fresh has not changed OUT; what it committed is gone on with, and
// replaces OUT.
static void test_fresh_dies(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1, 2}, 2);
    struct tr_store *store;
    struct tr_committed committed;
    char *warnings;
    OK(tr_store_open(&store, out, &info, true, &warnings, &err));
    tr_store_close(store);
    OK(tr_store_open(&store, out, &info, false, &warnings, &err));
    assert_true(tr_store_find(store, "step1", &committed)); // nothing came of it
    tr_store_close(store);
    OK(tr_store_open(&store, out, &info, true, &warnings, &err));
    OK(sample_commit(out, &info, 3, 3, &err));
    tr_store_close(store);
    assert_int_equal(rows_of_out(), 2);
    OK(tr_store_open(&store, out, &info, false, &warnings, &err));
    assert_false(tr_store_find(store, "step1", &committed));
    assert_true(tr_store_find(store, "step3", &committed));
    OK(tr_store_publish(store, NULL, &err));
    assert_int_equal(rows_of_out(), 1);
    tr_store_close(store);
    assert_false(tr_file_exists(parts));
}

static void test_fresh_spares_other_files(void **state) {
    (void)state;
    struct tr_store *store;
    char *warnings, expected[2 * FOLDER_PATH];
    FILE *file = fopen(out, "w");
    assert_non_null(file);
    assert_true(fputs("dear diary", file) >= 0);
    fclose(file);
    snprintf(expected, sizeof expected, "%s is no trace, and is not replaced", out);
    FAILS(tr_store_open(&store, out, &info, true, &warnings, &err), TR_ECONFLICT, expected);
    assert_true(tr_file_exists(out));
    assert_int_equal(truncate(out, 0), 0);
    OK(tr_store_open(&store, out, &info, true, &warnings, &err));
    tr_store_close(store);
    unlink(out);
    assert_int_equal(mkdir(out, 0777), 0);
    FAILS(tr_store_open(&store, out, &info, true, &warnings, &err), TR_ECONFLICT, expected);
    rmdir(out);
    assert_int_equal(mkfifo(out, 0666), 0);
    FAILS(tr_store_open(&store, out, &info, true, &warnings, &err), TR_ECONFLICT, expected);
    unlink(out);
    assert_int_equal(symlink("/dev/null", out), 0);
    FAILS(tr_store_open(&store, out, &info, true, &warnings, &err), TR_ECONFLICT, expected);
}

// A mark that cannot be removed must not outlive the parts it speaks of: OUT would be forgotten.
static void test_fresh_mark_stays(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1, 2}, 2);
    struct tr_store *store;
    struct tr_committed committed;
    char *warnings, mark[FOLDER_PATH + 32], expected[2 * FOLDER_PATH];
    snprintf(mark, sizeof mark, "%s/.fresh", parts);
    snprintf(expected, sizeof expected, "cannot remove %s: Is a directory", mark);
    OK(tr_store_open(&store, out, &info, true, &warnings, &err));
    OK(sample_commit(out, &info, 3, 3, &err));
    assert_int_equal(unlink(mark), 0);
    assert_int_equal(mkdir(mark, 0777), 0);
    FAILS(tr_store_publish(store, NULL, &err), TR_EIO, expected);
    tr_store_close(store);
    OK(tr_store_open(&store, out, &info, false, &warnings, &err));
    assert_true(tr_store_find(store, "step3", &committed));
    tr_store_close(store);
}

// Nothing that a job writes into the folder keeps it there.
static void test_mark_half_made(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1}, 1);
    char left_over[2 * FOLDER_PATH];
    snprintf(left_over, sizeof left_over, "%s/.fresh.tmp7", parts);
    assert_int_equal(mkdir(parts, 0777), 0);
    OK(tr_file_replace(left_over, "", 0, &err));
    assert_int_equal(try_open(), TR_OK);
    assert_false(tr_file_exists(parts));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_withdraw),         STORE_TEST(test_fresh),
        STORE_TEST(test_fresh_dies),       STORE_TEST(test_fresh_spares_other_files),
        STORE_TEST(test_fresh_mark_stays), STORE_TEST(test_mark_half_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
