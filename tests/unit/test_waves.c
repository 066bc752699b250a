// SPDX-License-Identifier: Apache-2.0
// A rank with little memory passes its sequences through the model in waves: the same row, bit for
// bit. And work that is left over is an error.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "demo_job.h"
#include "fake_device.h"
#include "folder.h"
#include "model/forward.h"
#include "run/coordinator.h"
#include "run/resume.h"
#include "run/worker.h"

static void work(const struct tr_job *job, struct tr_store *store, struct kn_backend *kn,
                 int64_t wave) {
    struct tr_coordinator *coordinator;
    struct dist *dist;
    bool computes;
    struct tr_run_outcome outcome;
    OK(dist_open(&dist, &err));
    OK(tr_coordinator_new(&coordinator, job, store, 1, "test", &err));
    struct dist_service service = tr_coordinator_service(coordinator);
    OK(dist_serve_begin(dist, &service, &computes, &err));
    struct tr_fit fit = {.wave = wave, .slabs = tr_slab_reader_least(kn)};
    OK(tr_worker_run(job, kn, dist, &fit, &err));
    dist_serve_end(dist);
    OK(tr_coordinator_finish(coordinator, &outcome, &err));
    assert_int_equal(outcome.failed, 0);
    assert_false(outcome.stopped);
    tr_coordinator_free(coordinator);
    dist_close(dist);
}

// The row of one checkpoint, traced so many sequences at a time.
static void trace(struct tr_row *row, struct tr_layout *layout, const char *out, int64_t wave) {
    struct tr_run_settings settings = demo_settings(1);
    struct demo_job demo;
    struct tr_store *store;
    struct tr_trace *published;
    char *warnings;
    settings.out = out;
    settings.per_token = settings.spans = true;
    demo_job_open(&demo, &settings, NULL);
    struct tr_job *job = &demo.job;
    OK(tr_job_describe(job, demo.kn, &err));
    OK(tr_store_open(&store, out, &job->info, false, &warnings, &err));
    OK(tr_job_resume(job, store, &demo.notes, &err));
    work(job, store, demo.kn, wave);
    tr_store_close(store);
    OK(tr_trace_open(&published, out, &err));
    OK(tr_trace_row(published, 0, row, &err));
    *layout = job->info.layout;
    tr_trace_close(published);
    free(warnings);
    demo_job_close(&demo);
}

static void assert_same(const struct tr_row *a, const struct tr_row *b,
                        const struct tr_layout *layout) {
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        const struct tr_variable *variable = &tr_variables[id];
        if (!a->data[id])
            assert_null(b->data[id]);
        else if (variable->type == TR_VALUE_STRING)
            assert_string_equal(tr_row_string(a, id), tr_row_string(b, id));
        else if (memcmp(a->data[id], b->data[id],
                        (size_t)tr_variable_elements(id, layout) * tr_value_size(variable->type)))
            fail_msg("%s differs", variable->name);
    }
}

// Waves of one and of two micro-batches; the last wave of the second is shorter.
static void waves_give_the_same_bits(void **state) {
    (void)state;
    struct tr_layout layout;
    struct tr_row whole, row;
    const int64_t micro = 2; // of 512 tokens
    assert_true(DEMO_SAMPLES > 2 * micro);
    trace(&whole, &layout, in_folder("whole.h5"), DEMO_SAMPLES);
    assert_int_equal(*tr_row_u8(&whole, TR_V_STATUS), TR_ROW_COMPLETE);
    for (int batches = 1; batches <= 2; batches++) {
        trace(&row, &layout, in_folder(batches == 1 ? "one.h5" : "two.h5"), batches * micro);
        assert_same(&whole, &row, &layout);
        tr_row_free(&row);
    }
    tr_row_free(&whole);
}

// The wave of a rank that has room for so many sequences and some bytes.
static int64_t wave_within(const struct tr_job *job, const struct kn_backend *kn, int64_t sequences,
                           double more) {
    struct tr_rank_bytes memory = {0};
    if (sequences)
        memory = bytes_of(job, kn, sequences, tr_slab_reader_least(kn));
    memory.host += more;
    return tr_fit_make(job, kn, memory).wave;
}

// A multiple of the micro-batch, never less than one, everything when there is room.
static void the_wave_follows_the_memory(void **state) {
    (void)state;
    struct tr_run_settings settings = demo_settings(1);
    struct demo_job demo;
    demo_job_open(&demo, &settings, NULL);
    const struct tr_job *job = &demo.job;
    int64_t micro = job->micro_batch;
    assert_int_equal(wave_within(job, demo.kn, 0, 0), micro);
    assert_int_equal(wave_within(job, demo.kn, 2 * micro, 1), 2 * micro);
    assert_int_equal(wave_within(job, demo.kn, 3 * micro, -1), 2 * micro);
    assert_int_equal(wave_within(job, demo.kn, DEMO_SAMPLES, 1), DEMO_SAMPLES);
    demo_job_close(&demo);
}

// Fewer sequences than a micro-batch are one wave, also where even that is too much.
static void the_wave_ends_with_the_text(void **state) {
    (void)state;
    struct tr_run_settings settings = demo_settings(1);
    struct demo_job demo;
    settings.samples = 1;
    demo_job_open(&demo, &settings, NULL);
    assert_true(demo.job.micro_batch > 1);
    assert_int_equal(wave_within(&demo.job, demo.kn, 0, 0), 1);
    assert_int_equal(wave_within(&demo.job, demo.kn, 1, 1), 1);
    demo_job_close(&demo);
}

static void open_on_device(struct demo_job *demo) {
    struct tr_run_settings settings = demo_settings(1);
    struct kn_backend *kn = fake_device_open(FAKE_LATE_ALL);
    assert_non_null(kn);
    demo_job_open(demo, &settings, kn);
}

// On a device its memory limits the wave, however much the host has; the streams count there alone.
static void the_wave_follows_the_device(void **state) {
    (void)state;
    struct demo_job demo;
    open_on_device(&demo);
    const struct tr_job *job = &demo.job;
    int64_t micro = job->micro_batch;
    struct tr_rank_bytes one = bytes_of(job, demo.kn, micro, 3);
    struct tr_rank_bytes two = bytes_of(job, demo.kn, 2 * micro, 3);
    double streams = 2.0 * 64 * 4 * (double)(micro * DEMO_SEQ_LEN);
    assert_true(two.device - one.device > streams && two.host - one.host < streams);
    struct tr_rank_bytes memory = {.host = 1e12, .device = two.device};
    assert_int_equal(tr_fit_make(job, demo.kn, memory).wave, 2 * micro);
    memory.device -= 1;
    assert_int_equal(tr_fit_make(job, demo.kn, memory).wave, micro);
    demo_job_close(&demo);
}

// The ring of slabs is as long as the host has room for, and gives way to the wave.
static void the_slabs_follow_the_host(void **state) {
    (void)state;
    struct demo_job demo;
    open_on_device(&demo);
    const struct tr_job *job = &demo.job;
    for (int64_t slabs = 3; slabs <= 10; slabs++) {
        struct tr_rank_bytes memory = bytes_of(job, demo.kn, DEMO_SAMPLES, slabs);
        struct tr_fit fit = tr_fit_make(job, demo.kn, memory);
        assert_int_equal(fit.wave, DEMO_SAMPLES);
        assert_int_equal(fit.slabs, slabs);
        memory.host -= 1;
        fit = tr_fit_make(job, demo.kn, memory);
        assert_int_equal(fit.wave < DEMO_SAMPLES, slabs == 3);
        assert_true(slabs == 3 || fit.slabs == slabs - 1);
    }
    demo_job_close(&demo);
}

// The plan knows what spans take: twice the streams of their tokens at 11 boundaries, a block of
// their kernels, a row's sample of the stream.
static void the_plan_counts_spans(void **state) {
    (void)state;
    struct tr_run_settings settings = demo_settings(1);
    double bytes[2];
    for (int spans = 0; spans < 2; spans++) {
        struct demo_job demo;
        settings.spans = spans;
        demo_job_open(&demo, &settings, NULL);
        bytes[spans] = bytes_of(&demo.job, demo.kn, 2, 2).host;
        demo_job_close(&demo);
    }
    double streams = 11.0 * 1024 * 64 * 4, blocks = 11.0 * 512 * 512 * 4;
    assert_true(bytes[1] - bytes[0] > 2 * streams + blocks);
    assert_true(bytes[1] - bytes[0] < 1.2 * (2 * streams + blocks));
}

// Work that is left without a signal or a reason is never "all well".
static void left_over_work_is_an_error(void **state) {
    (void)state;
    int64_t todo[] = {0};
    struct tr_run_settings settings = demo_settings(0);
    settings.out = in_folder("left.h5");
    struct tr_series_entry entry = {.path = "step_1", .name = "step_1"};
    struct tr_job job = {.settings = &settings,
                         .series = {.entries = &entry, .count = 1},
                         .todo = todo,
                         .todo_count = 1,
                         .micro_batches = 1};
    struct tr_run_info info = {.layout = {.layers = 1, .sequences = 1, .seq_len = 1}};
    struct tr_coordinator *coordinator;
    struct tr_store *store;
    char *warnings;
    struct tr_run_outcome outcome;
    OK(tr_run_info_sequences(&info, &err));
    OK(tr_store_open(&store, settings.out, &info, false, &warnings, &err));
    OK(tr_coordinator_new(&coordinator, &job, store, 1, "test", &err));
    assert_int_equal(tr_coordinator_finish(coordinator, &outcome, &err), TR_ENVIRONMENT);
    assert_non_null(strstr(err.text, "gave up"));
    tr_coordinator_free(coordinator);
    tr_store_close(store);
    tr_run_info_free(&info);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(waves_give_the_same_bits),
        cmocka_unit_test(the_wave_follows_the_memory),
        cmocka_unit_test(the_wave_ends_with_the_text),
        cmocka_unit_test(the_wave_follows_the_device),
        cmocka_unit_test(the_slabs_follow_the_host),
        cmocka_unit_test(the_plan_counts_spans),
        cmocka_unit_test(left_over_work_is_an_error),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
