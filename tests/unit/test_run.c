// SPDX-License-Identifier: Apache-2.0
// Whole jobs in one process without MPI: a dry run touches nothing, a signal leaves work, a failed
// checkpoint is a row and counted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>

#include "demo_job.h"
#include "folder.h"
#include "run/run.h"

// A job over short rows, and what it says.
struct job_run {
    struct tr_run_settings settings;
    struct tr_run_outcome outcome;
    enum tr_status status;
    char messages[8192], results[8192];
};

static struct tr_run_settings short_settings(const char *out, int64_t checkpoints) {
    struct tr_run_settings settings = demo_settings(checkpoints);
    settings.samples = 2;
    settings.seq_len = 64;
    settings.out = in_folder(out);
    return settings;
}

static void keep(FILE *file, char text[8192]) {
    rewind(file);
    text[fread(text, 1, 8191, file)] = 0;
    fclose(file);
}

static void run(struct job_run *r) {
    struct dist *dist;
    r->settings.messages = tmpfile();
    r->settings.results = tmpfile();
    assert_true(r->settings.messages && r->settings.results);
    OK(dist_open(&dist, &err));
    r->status = tr_run(&r->settings, dist, &r->outcome, &err);
    dist_close(dist);
    keep(r->settings.messages, r->messages);
    keep(r->settings.results, r->results);
}

static void assert_says(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static int entries_of(const char *folder) {
    DIR *open = opendir(folder);
    int count = 0;
    assert_non_null(open);
    while (readdir(open))
        count++;
    closedir(open);
    return count - 2;
}

static int64_t rows_of(const char *out) {
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    int64_t rows = tr_trace_rows(trace);
    tr_trace_close(trace);
    return rows;
}

static void a_dry_run_writes_its_page_and_nothing_else(void **state) {
    (void)state;
    struct job_run r = {.settings = short_settings("dry.h5", 3)};
    int before = entries_of(test_folder);
    r.settings.dry_run = true;
    run(&r);
    assert_int_equal(r.status, TR_OK);
    assert_says(r.results, "tracing 3 of 3 checkpoints");
    assert_says(r.results, "\n  items          3 for 1 rank; the largest has 2 sequences");
    assert_says(r.results, "\n  to read        ");
    assert_says(r.results, "\n  time           ");
    assert_string_equal(r.messages, ""); // it is quiet
    assert_int_equal(entries_of(test_folder), before);
    assert_true(r.outcome.failed == 0 && !r.outcome.stopped);
}

static void a_job_traces_all_and_then_nothing(void **state) {
    (void)state;
    struct job_run r = {.settings = short_settings("all.h5", 3)};
    r.settings.quiet = false;
    run(&r);
    OK(r.status);
    assert_true(r.outcome.failed == 0 && !r.outcome.stopped);
    assert_says(r.messages, "tracing 3 of 3 checkpoints");
    assert_says(r.messages, "traced 3 checkpoints in ");
    assert_string_equal(r.results, "");
    assert_int_equal(rows_of(r.settings.out), 3);
    run(&r);
    OK(r.status);
    assert_says(r.messages, "tracing 0 of 3 checkpoints");
    assert_says(r.messages, "traced 0 checkpoints in ");
    assert_says(r.messages, ", 3 were already there");
    r.settings.dry_run = true;
    run(&r);
    OK(r.status);
    assert_says(r.results, "\n  items          0 for 1 rank");
}

// A signal that came before there was work leaves all of it; the same command does it later.
static void a_signal_before_work_leaves_it(void **state) {
    (void)state;
    static const volatile sig_atomic_t now = 1;
    struct job_run r = {.settings = short_settings("stopped.h5", 3)};
    const volatile sig_atomic_t *never = r.settings.stop;
    r.settings.stop = &now;
    run(&r);
    OK(r.status);
    assert_true(r.outcome.stopped);
    assert_int_equal(r.outcome.failed, 0);
    assert_says(r.messages, "stopping: finishing what is in flight\n");
    assert_int_equal(access(r.settings.out, F_OK), -1);
    r.settings.stop = never;
    run(&r);
    OK(r.status);
    assert_false(r.outcome.stopped);
    assert_int_equal(rows_of(r.settings.out), 3);
}

static void copy_file(const char *folder, const char *name, size_t most) {
    char from[256], to[2 * FOLDER_PATH], bytes[1 << 20];
    snprintf(from, sizeof from, DEMO_STEP "/%s", name);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    FILE *file = fopen(from, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes < most ? sizeof bytes : most, file);
    fclose(file);
    write_file(to, bytes, size);
}

// A checkpoint of the series whose weights end too early.
static char *make_broken(const char *name) {
    char *folder = make_folder(name);
    copy_file(folder, "config.json", SIZE_MAX);
    copy_file(folder, "tokenizer.json", SIZE_MAX);
    copy_file(folder, "model.safetensors", 500000);
    return folder;
}

static void a_failed_checkpoint_is_counted(void **state) {
    (void)state;
    struct job_run r = {.settings = short_settings("failed.h5", 3)};
    char *paths[] = {demo_paths[0], make_broken("step_700"), demo_paths[1]};
    r.settings.paths = paths;
    run(&r);
    OK(r.status);
    assert_int_equal(r.outcome.failed, 1);
    assert_false(r.outcome.stopped);
    assert_memory_equal(r.messages, "step_700 failed: ", 17); // though it is quiet
    assert_says(r.messages, "model.safetensors");
    struct tr_trace *trace;
    uint8_t status[3];
    OK(tr_trace_open(&trace, r.settings.out, &err));
    assert_int_equal(tr_trace_rows(trace), 3);
    OK(tr_trace_read(trace, TR_V_STATUS, 0, 3, status, &err));
    assert_int_equal(status[0], TR_ROW_COMPLETE);
    assert_int_equal(status[1], TR_ROW_FAILED);
    assert_int_equal(status[2], TR_ROW_COMPLETE);
    assert_string_equal(tr_trace_string(trace, TR_V_NAME, 1), "step_700");
    assert_says(tr_trace_string(trace, TR_V_ERROR, 1), "model.safetensors");
    tr_trace_close(trace);
}

static void what_cannot_begin_is_an_error(void **state) {
    (void)state;
    struct job_run r = {.settings = short_settings("none.h5", 1)};
    char *paths[] = {in_folder("nowhere")};
    int before = entries_of(test_folder);
    r.settings.paths = paths;
    run(&r);
    assert_int_equal(r.status, TR_EIO);
    assert_says(err.text, "nowhere");
    assert_true(r.outcome.failed == 0 && !r.outcome.stopped);
    assert_int_equal(entries_of(test_folder), before);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dry_run_writes_its_page_and_nothing_else),
        cmocka_unit_test(a_job_traces_all_and_then_nothing),
        cmocka_unit_test(a_signal_before_work_leaves_it),
        cmocka_unit_test(a_failed_checkpoint_is_counted),
        cmocka_unit_test(what_cannot_begin_is_an_error),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
