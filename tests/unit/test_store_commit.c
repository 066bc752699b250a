// SPDX-License-Identifier: Apache-2.0
// What a job commits is read back as it was, or the sentence says why it could not be.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "store_fixture.h"

static void test_round_trip(void **state) {
    (void)state;
    static const int64_t steps[] = {5};
    publish_steps(steps, 1);
    assert_steps(steps, 1);
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    const struct tr_run_info *read = tr_trace_info(trace);
    assert_int_equal(read->layout.layers, 3);
    assert_int_equal(read->layout.sequences, 4);
    assert_int_equal(read->layout.seq_len, 20);
    assert_true(read->layout.nll && read->layout.per_token);
    assert_int_equal(read->layout.span_tokens, 16);
    assert_int_equal(read->layout.probes, 5);
    assert_int_equal(read->layout.channels, 6);
    assert_int_equal(read->layout.cost_sequences, 2);
    assert_int_equal(read->layout.cost_batch, 1);
    assert_int_equal(read->count, info.count);
    for (int64_t i = 0; i < info.count; i++) {
        const struct tr_attribute *a = &info.attributes[i], *b = tr_run_info_find(read, a->name);
        assert_non_null(b);
        assert_int_equal(a->role, b->role);
        assert_int_equal(a->is_number, b->is_number);
        assert_true(a->is_number ? a->number == b->number : !strcmp(a->text, b->text));
    }
    assert_string_equal(read->text[0], "");
    assert_string_equal(read->text[3], "caf\xc3\xa9.txt");
    assert_string_equal(read->ids_digest[3], "d3");
    uint64_t values, disk, expected = 0;
    for (int id = 0; id < TR_VARIABLES; id++)
        if (tr_variable_rank(id) > 1)
            expected +=
                (uint64_t)tr_variable_elements(id, &layout) * tr_value_size(tr_variables[id].type);
    tr_trace_sizes(trace, &values, &disk);
    assert_int_equal(values, expected);
    assert_true(disk > 0);
    tr_trace_close(trace);
    assert_false(tr_file_exists(parts));
}

static void test_without_options(void **state) {
    (void)state;
    struct tr_layout plain = {.layers = 1, .sequences = 1, .seq_len = 1};
    tr_run_info_free(&info);
    OK(sample_info(&info, &plain, &err));
    publish_steps((const int64_t[]){1}, 1);
    struct tr_trace *trace;
    struct tr_row row;
    OK(tr_trace_open(&trace, out, &err));
    assert_false(tr_trace_has(trace, TR_V_NLL));
    assert_false(tr_trace_has(trace, TR_V_IMPORTANCE_TOKEN));
    assert_false(tr_trace_has(trace, TR_V_SPAN_SIMILARITY));
    assert_int_equal(tr_trace_info(trace)->layout.span_tokens, 0);
    assert_false(tr_trace_info(trace)->layout.nll);
    OK(tr_trace_row(trace, 0, &row, &err));
    assert_null(row.data[TR_V_NLL]);
    tr_row_free(&row);
    double nll = 0;
    OK(tr_trace_read(trace, TR_V_NLL, 0, 1, &nll, &err));
    assert_true(isnan(nll));
    tr_trace_close(trace);
}

static void test_failed_row(void **state) {
    (void)state;
    struct tr_row row;
    OK(tr_row_new(&row, &layout, &err));
    *tr_row_u8(&row, TR_V_STATUS) = TR_ROW_FAILED;
    OK(tr_row_set_string(&row, TR_V_NAME,
                         "../a/..\x01 \xff"
                         "b",
                         &err));
    OK(tr_row_set_string(&row, TR_V_ERROR, "a shard is truncated", &err));
    struct tr_store *store = open_store();
    OK(tr_store_commit(out, &info, &row, &err));
    OK(tr_store_publish(store, NULL, &err));
    struct tr_committed committed;
    assert_true(tr_store_find(store,
                              "../a/..\x01 \xff"
                              "b",
                              &committed));
    assert_int_equal(committed.status, TR_ROW_FAILED);
    assert_string_equal(committed.name, "../a/..\x01 %FFb");
    assert_false(tr_store_find(store,
                               "../a/..\x01 \xfe"
                               "b",
                               &committed));
    tr_store_close(store);
    struct tr_trace *trace;
    struct tr_row read;
    OK(tr_trace_open(&trace, out, &err));
    OK(tr_trace_row(trace, 0, &read, &err));
    assert_true(same_row(&row, &read));
    assert_string_equal(tr_trace_string(trace, TR_V_ERROR, 0), "a shard is truncated");
    assert_true(isnan(tr_row_f64(&read, TR_V_IMPORTANCE)[0]));
    assert_int_equal(*tr_row_i64(&read, TR_V_STEP), -1);
    tr_row_free(&read);
    tr_row_free(&row);
    tr_trace_close(trace);
}

// Long names, and names that differ only where the file's name cannot.
static void test_hostile_names(void **state) {
    (void)state;
    static char long_a[700], long_b[700];
    memset(long_a, 'x', sizeof long_a - 1);
    memset(long_b, 'x', sizeof long_b - 1);
    long_b[690] = 'y';
    const char *names[] = {long_a, long_b, "a/b", "a_b", ".", "..", "\xe6\xad\xa5 1", ".lock"};
    struct tr_store *store = open_store();
    for (int i = 0; i < 8; i++) {
        struct tr_row row;
        OK(sample_row(&row, i, i, &layout, &err));
        OK(tr_row_set_string(&row, TR_V_NAME, names[i], &err));
        OK(tr_store_commit(out, &info, &row, &err));
        tr_row_free(&row);
    }
    assert_int_equal(files_in(parts), 8);
    OK(tr_store_publish(store, NULL, &err));
    struct tr_committed committed;
    for (int i = 0; i < 8; i++)
        assert_true(tr_store_find(store, names[i], &committed));
    tr_store_close(store);
    assert_false(tr_file_exists(parts));
}

// For LeakSanitizer: HDF5 leaks what it could not flush.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

static void test_full_disk(void **state) {
    (void)state;
    pid_t child = fork();
    if (!child) {
        struct rlimit limit = {50000, 50000};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        bool ok = sample_commit(out, &info, 1, 1, &err) == TR_EIO &&
                  strstr(err.text, " failed: File too large") && files_in(parts) == 0 &&
                  sample_commit(out, &info, 2, 2, &err) == TR_EIO &&
                  strstr(err.text, "files can be neither read nor written any more: one could not "
                                   "be closed, for it could not be written: File too large");
        exit(ok ? 0 : 1); // through the exit handlers
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static void test_read_only_folder(void **state) {
    (void)state;
    snprintf(out, sizeof out, "/proc/t.h5");
    FAILS(try_open(), TR_EIO,
          "cannot create the folder /proc/t.h5.parts: No such file or directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_round_trip), STORE_TEST(test_without_options),
        STORE_TEST(test_failed_row), STORE_TEST(test_hostile_names),
        STORE_TEST(test_full_disk),  STORE_TEST(test_read_only_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
