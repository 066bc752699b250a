// SPDX-License-Identifier: Apache-2.0
// Rows of checkpoints that were traced and of those that failed, committed, published and read
// back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "demo_job.h"
#include "folder.h"
#include "results.h"

enum { SEQUENCES = 3, SEQ_LEN = 16 };

struct published {
    struct demo_job demo;
    struct tr_store *store;
    struct tr_trace *trace;
};

static void open_store(struct published *p, const char *name) {
    struct tr_run_settings settings = demo_settings(3);
    char *warnings;
    settings.samples = SEQUENCES;
    settings.seq_len = SEQ_LEN;
    settings.out = in_folder(name);
    demo_job_open(&p->demo, &settings, NULL);
    OK(tr_job_describe(&p->demo.job, p->demo.kn, &err));
    OK(tr_store_open(&p->store, settings.out, &p->demo.job.info, false, &warnings, &err));
    assert_null(warnings);
}

static void publish(struct published *p) {
    OK(tr_store_publish(p->store, NULL, &err));
    OK(tr_trace_open(&p->trace, p->demo.settings.out, &err));
}

static void close_store(struct published *p) {
    tr_trace_close(p->trace);
    tr_store_close(p->store);
    demo_job_close(&p->demo);
}

static struct tr_message message_of(enum tr_status status, const char *text) {
    struct tr_message m = {.kind = TR_MSG_WHOLE, .status = status};
    strcpy(m.identity, "identity of it");
    strcpy(m.config_digest, "config of it");
    strcpy(m.weights_digest, "weights of it");
    strcpy(m.text, text);
    return m;
}

// Losses of position i of sequence s, whose mean over a row is s + 1.
static void measure_losses(struct tr_measured *measured, const struct tr_layout *layout) {
    double loss[SEQUENCES * SEQ_LEN];
    for (int i = 0; i < SEQUENCES * SEQ_LEN; i++)
        loss[i] = i % SEQ_LEN == SEQ_LEN - 1 ? (double)NAN : (double)(i / SEQ_LEN + 1);
    struct tr_loss_tap tap = {.sequences = SEQUENCES, .seq_len = SEQ_LEN, .loss = loss};
    OK(tr_measured_new(measured, layout, 0, layout->sequences, &err));
    tr_measured_loss(measured, &tap);
}

static void assert_string(const struct published *p, enum tr_variable_id id, const char *expected) {
    assert_string_equal(tr_trace_string(p->trace, id, 0), expected);
}

static void a_complete_row(void **state) {
    (void)state;
    struct published p;
    struct tr_measured measured;
    struct tr_row row;
    open_store(&p, "complete.h5");
    struct tr_job *job = &p.demo.job;
    struct tr_series_entry *entry = &job->series.entries[0];
    struct tr_message message = message_of(TR_OK, "");
    strcpy(entry->parsed.stage, "stage1");
    entry->parsed.tokens = 2.5e9;
    measure_losses(&measured, &job->info.layout);
    OK(tr_results_commit(&measured, job, entry, false, &message, "a backend", &err));
    tr_measured_free(&measured);
    publish(&p);
    assert_int_equal(tr_trace_rows(p.trace), 1);
    OK(tr_trace_row(p.trace, 0, &row, &err));
    assert_int_equal(*tr_row_u8(&row, TR_V_STATUS), TR_ROW_COMPLETE);
    assert_int_equal(*tr_row_i64(&row, TR_V_STEP), 512);
    assert_true(*tr_row_f64(&row, TR_V_TOKENS_SEEN) == 2.5e9);
    assert_string(&p, TR_V_NAME, "step_512");
    assert_string(&p, TR_V_STAGE, "stage1");
    assert_string(&p, TR_V_ERROR, "");
    assert_string(&p, TR_V_IDENTITY, "identity of it");
    assert_string(&p, TR_V_CONFIG_DIGEST, "config of it");
    assert_string(&p, TR_V_WEIGHTS_DIGEST, "weights of it");
    assert_string(&p, TR_V_BACKEND, "a backend");
    for (int s = 0; s < SEQUENCES; s++)
        assert_true(tr_row_f64(&row, TR_V_NLL)[s] == s + 1);
    assert_true(isnan(tr_row_f64(&row, TR_V_IMPORTANCE)[0])); // no token was measured
    tr_row_free(&row);
    close_store(&p);
}

// Its digest of weights would tell a later run that they were traced.
static void a_failed_row(void **state) {
    (void)state;
    struct published p;
    struct tr_measured measured;
    struct tr_row row;
    open_store(&p, "failed.h5");
    struct tr_job *job = &p.demo.job;
    struct tr_message message = message_of(TR_EFORMAT, "a tensor is cut short");
    measure_losses(&measured, &job->info.layout);
    OK(tr_results_commit(&measured, job, &job->series.entries[2], false, &message, "a backend",
                         &err));
    tr_measured_free(&measured);
    publish(&p);
    OK(tr_trace_row(p.trace, 0, &row, &err));
    assert_int_equal(*tr_row_u8(&row, TR_V_STATUS), TR_ROW_FAILED);
    assert_int_equal(*tr_row_i64(&row, TR_V_STEP), 2048);
    assert_true(isnan(*tr_row_f64(&row, TR_V_TOKENS_SEEN))); // never invented
    assert_string(&p, TR_V_NAME, "step_2048");
    assert_string(&p, TR_V_ERROR, "a tensor is cut short");
    assert_string(&p, TR_V_IDENTITY, "identity of it");
    assert_string(&p, TR_V_WEIGHTS_DIGEST, "");
    for (int s = 0; s < SEQUENCES; s++)
        assert_true(isnan(tr_row_f64(&row, TR_V_NLL)[s]));
    tr_row_free(&row);
    close_store(&p);
}

// One that could not be opened was never measured.
static void a_failure_needs_nothing_measured(void **state) {
    (void)state;
    struct published p;
    struct tr_measured nothing = {0};
    struct tr_committed row;
    open_store(&p, "nothing.h5");
    struct tr_message message = message_of(TR_EIO, "there is no config.json");
    OK(tr_results_commit(&nothing, &p.demo.job, &p.demo.job.series.entries[1], false, &message, "",
                         &err));
    publish(&p);
    assert_true(tr_store_find(p.store, "step_1024", &row));
    assert_int_equal(row.status, TR_ROW_FAILED);
    assert_string(&p, TR_V_ERROR, "there is no config.json");
    close_store(&p);
}

static void a_store_that_cannot_be_written_is_an_error(void **state) {
    (void)state;
    struct published p;
    struct tr_measured nothing = {0};
    open_store(&p, "gone.h5");
    struct tr_message message = message_of(TR_EIO, "never mind");
    p.demo.settings.out = in_folder("no/such/folder/out.h5");
    assert_true(tr_results_commit(&nothing, &p.demo.job, &p.demo.job.series.entries[1], false,
                                  &message, "", &err) != TR_OK);
    assert_non_null(strstr(err.text, "no/such/folder"));
    p.trace = NULL;
    close_store(&p);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complete_row),
        cmocka_unit_test(a_failed_row),
        cmocka_unit_test(a_failure_needs_nothing_measured),
        cmocka_unit_test(a_store_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
