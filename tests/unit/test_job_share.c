// SPDX-License-Identifier: Apache-2.0
// Rank 0's job as bytes: what is unpacked is what was packed, and every cut is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "demo_job.h"
#include "folder.h"
#include "run/resume.h"

// A small job with something in every part of it.
static void open_job(struct demo_job *demo) {
    struct tr_run_settings settings = demo_settings(3);
    settings.samples = 3;
    settings.seq_len = 16;
    settings.drop = "attn:2 mlp:3 block:7";
    settings.per_token = settings.spans = true;
    settings.config = DEMO_STEP "/config.json";
    settings.out = in_folder("none.h5");
    demo_job_open(demo, &settings, NULL);
    OK(tr_job_describe(&demo->job, demo->kn, &err));
    OK(tr_job_preview(&demo->job, &demo->notes, &err));
    demo->job.done_count = 5;
    assert_int_equal(demo->job.todo_count, 3);
}

static void assert_same_series(const struct tr_series *a, const struct tr_series *b) {
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++) {
        assert_string_equal(a->entries[i].path, b->entries[i].path);
        assert_string_equal(a->entries[i].name, b->entries[i].name);
        assert_memory_equal(&a->entries[i].parsed, &b->entries[i].parsed,
                            sizeof a->entries[i].parsed);
    }
}

static void assert_same_calibration(const struct tr_calibration *a,
                                    const struct tr_calibration *b) {
    assert_int_equal(a->sequences, b->sequences);
    assert_int_equal(a->seq_len, b->seq_len);
    assert_string_equal(a->label, b->label);
    assert_string_equal(a->ids_digest, b->ids_digest);
    assert_memory_equal(a->ids, b->ids, (size_t)(a->sequences * a->seq_len) * sizeof *a->ids);
}

static void assert_same_loaded(const struct tr_loaded *a, const struct tr_loaded *b) {
    assert_ptr_equal(a->config.family, b->config.family);
    assert_memory_equal(&a->config, &b->config, sizeof a->config);
    assert_string_equal(a->identity, b->identity);
    assert_string_equal(a->config_digest, b->config_digest);
    assert_int_equal(a->slabs, b->slabs);
    assert_int_equal(a->largest_slab, b->largest_slab);
    assert_memory_equal(a->converted, b->converted, sizeof a->converted);
    assert_int_equal(a->weights, b->weights);
    assert_true(a->bytes_read == b->bytes_read && a->bytes_stored == b->bytes_stored);
}

static void assert_same_drop(const struct tr_job *a, const struct tr_job *b) {
    struct tr_string left = {0}, right = {0};
    OK(tr_drop_set_text(&a->drop, &left, &err));
    OK(tr_drop_set_text(&b->drop, &right, &err));
    assert_string_equal(left.data ? left.data : "", right.data ? right.data : "");
    assert_int_equal(a->wanted.head, b->wanted.head);
    assert_ptr_equal(b->wanted.drop, &b->drop);
    tr_string_free(&left);
    tr_string_free(&right);
}

static void assert_same(const struct tr_job *a, const struct tr_job *b) {
    assert_same_series(&a->series, &b->series);
    assert_same_calibration(&a->calibration, &b->calibration);
    assert_null(tr_run_info_difference(&a->info, &b->info));
    assert_null(tr_run_info_difference(&b->info, &a->info));
    assert_same_loaded(&a->first, &b->first);
    assert_same_drop(a, b);
    assert_string_equal(a->shape, b->shape);
    assert_int_equal(a->device, b->device);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->micro_batch, b->micro_batch);
    assert_int_equal(a->micro_batches, b->micro_batches);
    assert_int_equal(a->done_count, b->done_count);
    assert_int_equal(a->todo_count, b->todo_count);
    assert_memory_equal(a->todo, b->todo, (size_t)a->todo_count * sizeof *a->todo);
}

static void a_job_is_unpacked_as_it_was_packed(void **state) {
    (void)state;
    struct demo_job demo;
    struct tr_job other;
    struct tr_string bytes = {0}, again = {0};
    open_job(&demo);
    const struct tr_drop_set *drop = demo.job.wanted.drop;
    char config[] = DEMO_STEP "/config.json"; // another rank has it at another place
    struct tr_run_settings theirs = demo.settings;
    theirs.config = config;
    OK(tr_job_pack(&demo.job, &bytes, &err));
    assert_ptr_equal(demo.job.wanted.drop, drop); // packing leaves the job as it is
    assert_non_null(demo.job.first.config.family);
    OK(tr_job_unpack(&other, &theirs, bytes.data, bytes.size, &err));
    assert_same(&demo.job, &other);
    assert_ptr_equal(other.settings, &theirs);
    assert_ptr_equal(other.wanted.config, config);
    OK(tr_job_pack(&other, &again, &err));
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    tr_job_free(&other);
    tr_string_free(&bytes);
    tr_string_free(&again);
    demo_job_close(&demo);
}

// A whole model, of which nothing is left to do.
static void empty_lists_are_lists(void **state) {
    (void)state;
    struct tr_run_settings settings = demo_settings(1);
    struct demo_job demo;
    struct tr_job other;
    struct tr_string bytes = {0};
    settings.samples = 1;
    settings.seq_len = 16;
    demo_job_open(&demo, &settings, NULL);
    OK(tr_job_pack(&demo.job, &bytes, &err));
    OK(tr_job_unpack(&other, &demo.settings, bytes.data, bytes.size, &err));
    assert_same(&demo.job, &other);
    assert_int_equal(other.todo_count, 0);
    assert_int_equal(other.drop.count, 0);
    tr_job_free(&other);
    tr_string_free(&bytes);
    demo_job_close(&demo);
}

static void assert_refused(const void *bytes, size_t size, const struct tr_run_settings *settings) {
    struct tr_job job;
    err = (struct tr_err){0};
    if (tr_job_unpack(&job, settings, bytes, size, &err) != TR_EFORMAT)
        fail_msg("%zu bytes were not refused: %s", size, err.text);
    assert_null(job.series.entries); // zeros: there is nothing to free
    assert_null(job.todo);
}

// At every length, in memory of just that length.
static void every_cut_is_refused(void **state) {
    (void)state;
    struct demo_job demo;
    struct tr_string bytes = {0};
    open_job(&demo);
    OK(tr_job_pack(&demo.job, &bytes, &err));
    for (size_t size = 0; size < bytes.size; size++) {
        char *cut = malloc(size ? size : 1);
        assert_non_null(cut);
        memcpy(cut, bytes.data, size);
        assert_refused(cut, size, &demo.settings);
        free(cut);
    }
    OK(tr_string_append(&bytes, "", 1, &err));
    assert_refused(bytes.data, bytes.size, &demo.settings); // and one that is too long
    tr_string_free(&bytes);
    demo_job_close(&demo);
}

// A count of -1, 2^62 or any other wrong size is refused before memory is taken for it.
static void wrong_counts_are_refused(void **state) {
    (void)state;
    static const int64_t wrong[] = {-1, INT64_MIN, INT64_MAX, INT64_C(1) << 62, 1 << 30};
    struct demo_job demo;
    struct tr_string bytes = {0};
    open_job(&demo);
    OK(tr_job_pack(&demo.job, &bytes, &err));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(bytes.data, &wrong[i], sizeof wrong[i]); // of the series, which stands first
        assert_refused(bytes.data, bytes.size, &demo.settings);
    }
    tr_string_free(&bytes);
    demo_job_close(&demo);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_unpacked_as_it_was_packed),
        cmocka_unit_test(empty_lists_are_lists),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(wrong_counts_are_refused),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
