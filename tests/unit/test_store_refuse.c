// SPDX-License-Identifier: Apache-2.0
// What a store refuses, and the sentences it says then.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "store_fixture.h"

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
    OK(tr_run_info_sets(&info, &err));
    OK(tr_run_info_candidates(&info, &err));
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
    info.layout.cost_sequences = 4;
    FAILS(try_open(), TR_ECONFLICT,
          said("%s has cost_samples = 2, this run has 4; use another output file, or --fresh to "
               "start again",
               out));
    info.layout.cost_sequences = 2;
    OK(tr_run_info_sequence(&info, 2, "b.txt", "d9", &err));
    FAILS(try_open(), TR_ECONFLICT,
          said("%s was traced over other tokens: its sequence 2 is of \"caf\xc3\xa9.txt\" with "
               "digest d2, this run has \"b.txt\" with digest d9; use another output file, or "
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
    OK(tr_file_replace(out, "CDF\1\0\0\0\0", 8, &err));
    FAILS(tr_trace_open(&trace, out, &err), TR_EFORMAT,
          said("%s is not a trace: it is a netCDF-3 file; xarray writes a trace with "
               "format=\"NETCDF4\"",
               out));
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
    FAILS(try_open(), TR_EFORMAT,
          said("%s is not a trace: it is an empty file; remove that part to trace its checkpoint "
               "again, or start again with --fresh",
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

int main(void) {
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_identity_differs), STORE_TEST(test_layout_differs),
        STORE_TEST(test_part_differs),     STORE_TEST(test_recorded_differs),
        STORE_TEST(test_reserved_names),   STORE_TEST(test_lock),
        STORE_TEST(test_lock_of_the_dead), STORE_TEST(test_no_store),
        STORE_TEST(test_truncated),        STORE_TEST(test_damaged_part),
        STORE_TEST(test_foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
