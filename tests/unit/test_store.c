// SPDX-License-Identifier: Apache-2.0
// The store as a job uses it: commit, publish, withdraw, resume, refuse, and read back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tools/sample.h"
#include "base/file.h"
#include "folder.h"

static const struct tr_layout layout = {.layers = 3,
                                        .sequences = 4,
                                        .seq_len = 20,
                                        .nll = true,
                                        .per_token = true,
                                        .span_tokens = 16,
                                        .probes = 5,
                                        .channels = 6};
static char out[FOLDER_PATH + 8], parts[FOLDER_PATH + 16];
static struct tr_run_info info;
static struct tr_err err;

#define OK(call) assert_ok((call), __LINE__)
static void assert_ok(enum tr_status status, int line) {
    if (status != TR_OK)
        fail_msg("line %d: %s", line, err.text);
}

#define FAILS(call, status, sentence)                                                              \
    do {                                                                                           \
        assert_int_equal((call), (status));                                                        \
        assert_string_equal(err.text, (sentence));                                                 \
    } while (0)

static int setup(void **state) {
    (void)state;
    if (folder_create(NULL))
        return -1;
    snprintf(out, sizeof out, "%s/t.h5", test_folder);
    snprintf(parts, sizeof parts, "%s.parts", out);
    return sample_info(&info, &layout, &err) == TR_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    tr_run_info_free(&info);
    return folder_remove(NULL);
}

static struct tr_store *open_store(void) {
    struct tr_store *store;
    char *warnings;
    OK(tr_store_open(&store, out, &info, false, &warnings, &err));
    assert_null(warnings);
    return store;
}

static enum tr_status try_open(void) {
    struct tr_store *store = NULL;
    char *warnings = NULL;
    enum tr_status status = tr_store_open(&store, out, &info, false, &warnings, &err);
    if (status == TR_OK)
        tr_store_close(store);
    free(warnings);
    return status;
}

static void publish_steps(const int64_t *steps, int64_t count) {
    struct tr_store *store = open_store();
    for (int64_t i = 0; i < count; i++)
        OK(sample_commit(out, &info, steps[i], steps[i], &err));
    OK(tr_store_publish(store, NULL, &err));
    tr_store_close(store);
}

static int files_in(const char *path) {
    int count = 0;
    DIR *open_folder = opendir(path);
    if (!open_folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(open_folder));)
        count += entry->d_name[0] != '.' || strlen(entry->d_name) > 5; // ".lock" is not counted
    closedir(open_folder);
    return count;
}

static bool same_row(const struct tr_row *a, const struct tr_row *b) {
    for (int id = 0; id < TR_VARIABLES; id++) {
        size_t bytes =
            (size_t)tr_variable_elements(id, &layout) * tr_value_size(tr_variables[id].type);
        bool same = tr_variables[id].type == TR_VALUE_STRING
                        ? !strcmp(tr_row_string(a, id), tr_row_string(b, id))
                        : !memcmp(a->data[id], b->data[id], bytes);
        if (!same)
            return false;
    }
    return true;
}

// Row `index` of OUT is what was committed for (checkpoint, step).
static void assert_row(const struct tr_trace *trace, int64_t index, int64_t checkpoint,
                       int64_t step) {
    struct tr_row read, expected;
    OK(tr_trace_row(trace, index, &read, &err));
    OK(sample_row(&expected, checkpoint, step, &layout, &err));
    assert_true(same_row(&read, &expected));
    tr_row_free(&read);
    tr_row_free(&expected);
}

static void assert_steps(const int64_t *steps, int64_t count) {
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    assert_int_equal(tr_trace_rows(trace), count);
    for (int64_t i = 0; i < count; i++)
        assert_row(trace, i, steps[i], steps[i]);
    tr_trace_close(trace);
}

// ---- writing and reading back ----------------------------------------------------------------

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

// ---- publishing ------------------------------------------------------------------------------

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

static void test_nothing_new(void **state) {
    (void)state;
    struct stat before, after;
    publish_steps((const int64_t[]){1}, 1);
    assert_int_equal(stat(out, &before), 0);
    publish_steps(NULL, 0);
    assert_int_equal(stat(out, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
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

// ---- refusals --------------------------------------------------------------------------------

static const char *said(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *said(const char *format, ...) {
    static char text[TR_ERR_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text;
}

static void test_identity_differs(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1}, 1);
    OK(tr_run_info_text(&info, TR_IDENTITY, "dtype", "bf16", &err));
    FAILS(try_open(), TR_ECONFLICT,
          said("%s has dtype = \"f32\", this run has \"bf16\"; use another output file, or --fresh "
               "to start again",
               out));
    OK(tr_run_info_text(&info, TR_IDENTITY, "dtype", "f32", &err));
    OK(tr_run_info_number(&info, TR_IDENTITY, "tile", 8, &err));
    FAILS(
        try_open(), TR_ECONFLICT,
        said("%s has tile = nothing, this run has 8; use another output file, or --fresh to start "
             "again",
             out));
    tr_run_info_free(&info);
    info.layout = layout;
    OK(tr_run_info_sequences(&info, &err));
    FAILS(
        try_open(), TR_ECONFLICT,
        said("%s has dtype = \"f32\", this run has nothing; use another output file, or --fresh to "
             "start again",
             out));
}

static void test_layout_differs(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1}, 1);
    info.layout.seq_len = 21;
    FAILS(try_open(), TR_ECONFLICT,
          said("%s has seq_len = 20, this run has 21; use another output file, or --fresh to start "
               "again",
               out));
    info.layout.seq_len = 20;
    info.layout.nll = false;
    FAILS(
        try_open(), TR_ECONFLICT,
        said("%s was traced with nll, this run is without it; use another output file, or --fresh "
             "to start again",
             out));
    info.layout.nll = true;
    info.layout.span_tokens = 8;
    FAILS(try_open(), TR_ECONFLICT,
          said("%s has span_tokens = 16, this run has 8; use another output file, or --fresh to "
               "start again",
               out));
    info.layout.span_tokens = 0;
    FAILS(try_open(), TR_ECONFLICT,
          said("%s was traced with span_similarity, this run is without it; use another output "
               "file, or --fresh to start again",
               out));
    info.layout.span_tokens = 16;
    info.layout.probes = 4;
    FAILS(try_open(), TR_ECONFLICT,
          said("%s has drift_tokens = 5, this run has 4; use another output file, or --fresh to "
               "start again",
               out));
    info.layout.probes = 5;
    OK(tr_run_info_sequence(&info, 2, "b.txt", "d9", &err));
    FAILS(try_open(), TR_ECONFLICT,
          said("%s was traced over other tokens: its sequence 2 is of \"caf\xc3\xa9.txt\" with "
               "digest d2, here it is of \"b.txt\" with digest d9; use another output file, or "
               "--fresh to start again",
               out));
}

static void test_part_differs(void **state) {
    (void)state;
    OK(sample_commit(out, &info, 1, 1, &err));
    OK(tr_run_info_text(&info, TR_IDENTITY, "dtype", "bf16", &err));
    assert_int_equal(try_open(), TR_ECONFLICT);
    assert_non_null(
        strstr(err.text, ".h5 has dtype = \"f32\", this run has \"bf16\"; use another"));
}

static void test_recorded_differs(void **state) {
    (void)state;
    publish_steps((const int64_t[]){1}, 1);
    OK(sample_commit(out, &info, 2, 2, &err));
    OK(tr_run_info_text(&info, TR_RECORDED, "program", "sample 2.0", &err));
    struct tr_store *store;
    char *warnings;
    OK(tr_store_open(&store, out, &info, false, &warnings, &err));
    assert_string_equal(warnings, "program was \"sample 1.0 \xc3\xa9\" in rows traced before, this "
                                  "run has \"sample 2.0\"\n");
    free(warnings);
    OK(tr_store_publish(store, NULL, &err));
    tr_store_close(store);
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    assert_string_equal(tr_run_info_find(tr_trace_info(trace), "program")->text, "sample 2.0");
    tr_trace_close(trace);
}

static void test_reserved_names(void **state) {
    (void)state;
    FAILS(tr_run_info_text(&info, TR_RECORDED, "schema", "x", &err), TR_EUSAGE,
          "\"schema\" cannot be the name of an attribute of a run");
    assert_int_equal(tr_run_info_number(&info, TR_IDENTITY, "a b", 1, &err), TR_EUSAGE);
}

static void test_lock(void **state) {
    (void)state;
    char host[65] = "";
    gethostname(host, sizeof host - 1);
    struct tr_store *store = open_store();
    FAILS(try_open(), TR_ECONFLICT,
          said("another job is writing %s: process %d on %s", out, (int)getpid(), host));
    tr_store_close(store);
    OK(try_open());
}

// A job that dies takes its lock with it.
static void test_lock_of_the_dead(void **state) {
    (void)state;
    pid_t child = fork();
    if (!child) {
        struct tr_store *store;
        char *warnings;
        if (tr_store_open(&store, out, &info, false, &warnings, &err) == TR_OK)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    assert_true(tr_file_exists(parts));
    OK(try_open());
    assert_false(tr_file_exists(parts));
}

static void test_no_store(void **state) {
    (void)state;
    struct tr_trace *trace = NULL;
    FAILS(tr_trace_open(&trace, out, &err), TR_EIO,
          said("cannot open %s: No such file or directory", out));
    FAILS(tr_trace_open(&trace, test_folder, &err), TR_EFORMAT,
          said("%s is not a regular file", test_folder));
    OK(tr_file_replace(out, "not HDF5", 8, &err));
    FAILS(tr_trace_open(&trace, out, &err), TR_EFORMAT,
          said("cannot open %s as an HDF5 file: file signature not found", out));
    assert_int_equal(try_open(), TR_EFORMAT);
    assert_null(trace);
}

static void test_truncated(void **state) {
    (void)state;
    struct stat about;
    struct tr_trace *trace;
    publish_steps((const int64_t[]){1, 2}, 2);
    assert_int_equal(stat(out, &about), 0);
    assert_int_equal(truncate(out, about.st_size / 2), 0);
    assert_int_equal(tr_trace_open(&trace, out, &err), TR_EFORMAT);
    assert_non_null(strstr(err.text, "truncated file"));
}

static void test_damaged_part(void **state) {
    (void)state;
    char path[2 * FOLDER_PATH];
    OK(sample_commit(out, &info, 1, 1, &err));
    snprintf(path, sizeof path, "%s/step9-x.h5", parts);
    OK(tr_file_replace(path, "", 0, &err));
    FAILS(
        try_open(), TR_EFORMAT,
        said("cannot open %s as an HDF5 file: file signature not found; remove that part to trace "
             "its checkpoint again, or start again with --fresh",
             path));
}

// The value of an attribute as bytes in the file: the only 8-byte match is patched.
static void patch(const char *path, const void *old, const void *new, size_t size) {
    char *bytes;
    size_t length;
    OK(tr_file_load(path, 1 << 24, &bytes, &length, &err));
    char *at = memmem(bytes, length, old, size);
    assert_non_null(at);
    memcpy(at, new, size);
    OK(tr_file_replace(path, bytes, length, &err));
    free(bytes);
}

static void test_foreign(void **state) {
    (void)state;
    struct tr_trace *trace;
    publish_steps((const int64_t[]){1}, 1);
    assert_int_equal(sample_unseal(out), 0);
    patch(out, "trace-ckpts", "other-ckpts", 11);
    FAILS(tr_trace_open(&trace, out, &err), TR_EFORMAT,
          said("%s is an HDF5 file, but not a trace: its attribute schema is not \"trace-ckpts\"",
               out));
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
                  strstr(err.text, "files can be neither read nor written any more");
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

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_round_trip),       STORE_TEST(test_without_options),
        STORE_TEST(test_failed_row),       STORE_TEST(test_hostile_names),
        STORE_TEST(test_merge_sorts),      STORE_TEST(test_order),
        STORE_TEST(test_replaces_row),     STORE_TEST(test_withdraw),
        STORE_TEST(test_nothing_new),      STORE_TEST(test_resume),
        STORE_TEST(test_history),          STORE_TEST(test_fresh),
        STORE_TEST(test_fresh_dies),       STORE_TEST(test_fresh_spares_other_files),
        STORE_TEST(test_fresh_mark_stays), STORE_TEST(test_mark_half_made),
        STORE_TEST(test_identity_differs), STORE_TEST(test_layout_differs),
        STORE_TEST(test_part_differs),     STORE_TEST(test_recorded_differs),
        STORE_TEST(test_reserved_names),   STORE_TEST(test_lock),
        STORE_TEST(test_lock_of_the_dead), STORE_TEST(test_no_store),
        STORE_TEST(test_truncated),        STORE_TEST(test_damaged_part),
        STORE_TEST(test_foreign),          STORE_TEST(test_full_disk),
        STORE_TEST(test_read_only_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
