// SPDX-License-Identifier: Apache-2.0
// What is published: which rows, in which order, and what a later run finds there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "base/file.h"
#include "store_fixture.h"

static void test_merge_sorts(void **state) {
    (void)state;
    publish_steps((const int64_t[]){512, 64, 4096}, 3);
    publish_steps((const int64_t[]){1024, 0, 32, 70000, 8}, 5);
    assert_steps((const int64_t[]){0, 8, 32, 64, 512, 1024, 4096, 70000}, 8);
}

static void commit_named(const char *stage, int64_t step, double tokens, const char *name) {
    struct tr_row row;
    OK(sample_row(&row, 0, step, &layout, &err));
    *tr_row_f64(&row, TR_V_TOKENS_SEEN) = tokens;
    OK(tr_row_set_string(&row, TR_V_STAGE, stage, &err));
    OK(tr_row_set_string(&row, TR_V_NAME, name, &err));
    OK(tr_store_commit(out, &info, &row, &err));
    tr_row_free(&row);
}

static void test_order(void **state) {
    (void)state;
    static const char *const expected[] = {"z", "e", "f", "step2", "step10", "c", "b", "a"};
    struct tr_store *store = open_store();
    commit_named("stage10", 1, 5, "a");
    commit_named("stage2", -1, NAN, "step10");
    commit_named("stage2", -1, NAN, "step2");
    commit_named("stage2", -1, 7, "f");
    commit_named("stage2", 3, 5, "e");
    commit_named("stage10", 1, 4, "b");
    commit_named("stage10", 0, NAN, "c");
    commit_named("", 9, 5, "z");
    OK(tr_store_publish(store, NULL, &err));
    tr_store_close(store);
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    assert_int_equal(tr_trace_rows(trace), 8);
    for (int i = 0; i < 8; i++)
        assert_string_equal(tr_trace_string(trace, TR_V_NAME, i), expected[i]);
    tr_trace_close(trace);
}

static double first_value(enum tr_variable_id id, int64_t row) {
    struct tr_trace *trace;
    struct tr_row read;
    OK(tr_trace_open(&trace, out, &err));
    OK(tr_trace_row(trace, row, &read, &err));
    double value = *tr_row_f64(&read, id);
    tr_row_free(&read);
    tr_trace_close(trace);
    return value;
}

// Rows that were traced without costs stay, and what they lack is missing.
static void test_costs_are_added(void **state) {
    (void)state;
    struct tr_layout plain = layout;
    plain.cost_sequences = plain.cost_batch = plain.drop_sets = 0;
    plain.rounds = plain.candidates = 0;
    plain.set_distances = false;
    info.layout = plain;
    publish_steps((const int64_t[]){1, 2}, 2);
    info.layout = layout;
    OK(tr_run_info_text(&info, TR_ADDED, "cost", "attn", &err));
    publish_steps((const int64_t[]){2}, 1);
    assert_true(isnan(first_value(TR_V_DROP_KL, 0)));
    assert_true(first_value(TR_V_DROP_KL, 1) == sample_value(2, TR_V_DROP_KL, 0));
    assert_true(first_value(TR_V_IMPORTANCE, 0) == sample_value(1, TR_V_IMPORTANCE, 0));
    publish_steps((const int64_t[]){3}, 1); // copies a row whose costs were never written
    assert_true(isnan(first_value(TR_V_DROP_KL, 0)));
    assert_true(first_value(TR_V_DROP_KL, 1) == sample_value(2, TR_V_DROP_KL, 0));
    OK(tr_run_info_text(&info, TR_ADDED, "cost", "mlp", &err));
    assert_int_equal(try_open(), TR_ECONFLICT);
    assert_non_null(strstr(err.text, " has cost = \"attn\", this run has \"mlp\"; use another"));
}

static void test_replaces_row(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1, 2, 3}, 3);
    struct tr_store *store = open_store();
    OK(sample_commit(out, &info, 77, 2, &err));
    OK(tr_store_publish(store, NULL, &err));
    tr_store_close(store);
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    assert_int_equal(tr_trace_rows(trace), 3);
    assert_row(trace, 0, 1, 1);
    assert_row(trace, 1, 77, 2);
    assert_row(trace, 2, 3, 3);
    tr_trace_close(trace);
}

static void test_nothing_new(void **state) {
    (void)state;
    struct stat before, after;
    publish_steps((const int64_t[]){1}, 1);
    assert_int_equal(stat(out, &before), 0);
    publish_steps(NULL, 0);
    assert_int_equal(stat(out, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

// A file of a version that did not say what sublayers take is written anew by a run that finds
// nothing to do, once.
static void test_sizes_are_added(void **state) {
    (void)state;
    struct stat first, second;
    struct tr_trace *trace;
    publish_steps((const int64_t[]){1, 2}, 2);
    OK(tr_run_info_text(&info, TR_GAINED, "sizes", "{}", &err));
    publish_steps(NULL, 0);
    assert_int_equal(stat(out, &first), 0);
    assert_steps((const int64_t[]){1, 2}, 2);
    OK(tr_trace_open(&trace, out, &err));
    assert_string_equal(tr_run_info_find(tr_trace_info(trace), "sizes")->text, "{}");
    tr_trace_close(trace);
    publish_steps(NULL, 0);
    assert_int_equal(stat(out, &second), 0);
    assert_int_equal(first.st_ino, second.st_ino);
}

static void test_resume(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1, 2}, 2);
    OK(sample_commit(out, &info, 3, 3, &err)); // and then the job dies
    char left_over[2 * FOLDER_PATH];
    snprintf(left_over, sizeof left_over, "%s/.node9-1-0.h5", parts);
    OK(tr_file_replace(left_over, "half", 4, &err));
    struct tr_store *store = open_store();
    struct tr_committed committed;
    assert_false(tr_file_exists(left_over));
    assert_true(tr_store_find(store, "step1", &committed));
    assert_true(tr_store_find(store, "step3", &committed));
    assert_string_equal(committed.identity, "model.safetensors 12 \xe2\x82\xac");
    assert_string_equal(committed.config_digest, "config");
    assert_string_equal(committed.weights_digest, "weights");
    assert_string_equal(committed.backend, "cpu");
    assert_int_equal(committed.status, TR_ROW_COMPLETE);
    assert_false(tr_store_find(store, "step4", &committed));
    OK(tr_store_publish(store, NULL, &err));
    tr_store_close(store);
    assert_steps((const int64_t[]){1, 2, 3}, 3);
}

static void test_history(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1}, 1);
    OK(tr_run_info_text(&info, TR_VOLATILE, "created", "2027-01-01T00:00:00Z", &err));
    OK(tr_run_info_text(&info, TR_VOLATILE, "history", "second run", &err));
    publish_steps((const int64_t[]){2}, 1);
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    const struct tr_run_info *read = tr_trace_info(trace);
    assert_string_equal(tr_run_info_find(read, "created")->text, "2026-01-31T12:00:00Z");
    assert_string_equal(tr_run_info_find(read, "history")->text, "first run\nsecond run");
    tr_trace_close(trace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_merge_sorts),     STORE_TEST(test_order),
        STORE_TEST(test_costs_are_added), STORE_TEST(test_replaces_row),
        STORE_TEST(test_nothing_new),     STORE_TEST(test_sizes_are_added),
        STORE_TEST(test_resume),          STORE_TEST(test_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
