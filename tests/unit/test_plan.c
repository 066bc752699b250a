// SPDX-License-Identifier: Apache-2.0
// The job on paper: items, waves, bytes and operations of a series of three small checkpoints, and
// the words that people read.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "demo_job.h"
#include "run/plan.h"
#include "run/resume.h"

static const struct tr_rank_bytes plenty = {.host = 1e15};

static void assert_number(double got, double expected) {
    if (got != expected)
        fail_msg("%.17g, expected %.17g", got, expected);
}

static void open_job(struct demo_job *demo, int64_t checkpoints) {
    struct tr_run_settings settings = demo_settings(checkpoints);
    settings.out = "out.h5";
    demo_job_open(demo, &settings, NULL);
    OK(tr_job_preview(&demo->job, &demo->notes, &err));
    assert_int_equal(demo->job.micro_batch, 2); // of 512 tokens; 7 sequences are 4 micro-batches
    assert_int_equal(demo->job.micro_batches, 4);
}

static struct tr_plan plan_of(const struct demo_job *demo, int ranks, int64_t wave) {
    int64_t slabs = tr_slab_reader_least(demo->kn);
    struct tr_rank_bytes memory = plenty;
    if (wave)
        memory = bytes_of(&demo->job, demo->kn, wave, slabs);
    memory.host += 1;
    return tr_plan_make(&demo->job, demo->kn, ranks, 1, memory, 1e9);
}

// The weights as they are stored, and once more the embedding, which is the head, too.
enum { WEIGHTS = 2 * (768 * 64 + 10 * (128 * 64 + 64 * 64 + 3 * 64 * 160 + 2 * 64) + 64) };
static const double bytes_of_one = WEIGHTS + 2.0 * 768 * 64;

static void bytes_and_operations(void **state) {
    (void)state;
    struct demo_job demo;
    struct stat file;
    open_job(&demo, 3);
    struct tr_plan plan = plan_of(&demo, 1, 0);
    assert_int_equal(stat(DEMO_STEP "/model.safetensors", &file), 0);
    assert_int_equal(plan.ranks, 1);
    assert_number(plan.bytes_stored, 3 * (double)file.st_size);
    assert_number(plan.bytes_read, 3 * bytes_of_one);
    // Two a weight and token; scores and mixing of four heads of 16 over 256 keys.
    double layer = 2.0 * (128 * 64 + 64 * 64 + 3 * 64 * 160) + 2.0 * 4 * (16 + 16) * 256;
    double token = 10 * layer + 2.0 * 768 * 64;
    assert_number(plan.flops, 3 * 7 * 512 * token);
    assert_number(plan.product_rate, 1e9);
    demo_job_close(&demo);
}

// What ranks hold is what the worker takes for the wave, and the program itself.
static void memory_is_the_workers_and_the_programs(void **state) {
    (void)state;
    struct demo_job demo;
    open_job(&demo, 3);
    for (int64_t wave = 2; wave <= 6; wave += 2) {
        struct tr_plan plan = plan_of(&demo, 1, wave);
        double worker = bytes_of(&demo.job, demo.kn, wave, plan.fit.slabs).host;
        assert_int_equal(plan.fit.wave, wave);
        assert_true(plan.memory.host > worker + 1e6 && plan.memory.host < worker + 1e12);
        assert_number(plan.memory.device, 0);
    }
    demo_job_close(&demo);
}

static void assert_plan(int64_t checkpoints, int ranks, int64_t wave, int64_t items,
                        int64_t sequences, int64_t passes) {
    struct demo_job demo;
    open_job(&demo, checkpoints);
    struct tr_plan plan = plan_of(&demo, ranks, wave);
    assert_int_equal(plan.items, items);
    assert_int_equal(plan.sequences, sequences);
    if (wave)
        assert_int_equal(plan.fit.wave, wave < sequences ? wave : sequences);
    assert_number(plan.bytes_read, (double)passes * bytes_of_one);
    demo_job_close(&demo);
}

// Checkpoints stay whole in full rounds and are split in the last where that ends it sooner; each
// item is as many passes over the weights as it has waves.
static void items_and_waves(void **state) {
    (void)state;
    assert_plan(3, 1, 0, 3, 7, 3);
    assert_plan(3, 1, 2, 3, 7, 12); // 4 waves each
    assert_plan(3, 1, 4, 3, 7, 6);
    assert_plan(3, 2, 0, 4, 7, 4);  // two whole, one in halves
    assert_plan(3, 2, 2, 4, 7, 12); // 4 + 4 waves, and 2 + 2
    assert_plan(3, 3, 0, 3, 7, 3);
    assert_plan(1, 2, 0, 2, 4, 2);
    assert_plan(1, 2, 2, 2, 4, 4);
    assert_plan(1, 4, 0, 4, 2, 4);
    assert_plan(1, 8, 0, 4, 2, 4); // no more pieces than micro-batches
}

// Three checkpoints on four ranks are not split: two rounds of halves would take longer.
static void few_checkpoints_may_stay_whole(void **state) {
    (void)state;
    assert_plan(3, 4, 0, 3, 7, 3);
    assert_plan(3, 4, 4, 3, 7, 6);
}

static void nothing_to_do_is_nothing(void **state) {
    (void)state;
    struct demo_job demo;
    open_job(&demo, 2);
    demo.job.todo_count = 0;
    struct tr_plan plan = plan_of(&demo, 2, 0);
    assert_int_equal(plan.items, 0);
    assert_true(plan.bytes_read == 0 && plan.bytes_stored == 0 && plan.flops == 0);
    demo_job_close(&demo);
}

// ---- memory ------------------------------------------------------------------------------------

static void a_rank_has_its_share(void **state) {
    (void)state;
    struct kn_backend host = {.unified = true}, device = {.memory_free = 100000000000};
    double one = tr_plan_memory(&host, 0, 1, 0).host, four = tr_plan_memory(&host, 0, 4, 0).host;
    assert_true(one > 0 && four > 0.2 * one && four < 0.3 * one);
    assert_number(tr_plan_memory(&host, 1e9, 1, 0).device, 0);
    double reserve = tr_plan_device_reserve;
    assert_number(tr_plan_memory(&device, 0, 1, 1).device, 90e9 - reserve);
    assert_number(tr_plan_memory(&device, 0, 8, 3).device, 30e9 - reserve);
    assert_number(tr_plan_memory(&device, 20e9, 2, 2).device, 10e9 - reserve);
    assert_number(tr_plan_memory(&device, 95e9, 1, 1).device, 90e9 - reserve);
}

// ---- words -------------------------------------------------------------------------------------

static const struct tr_plan plan = {.ranks = 2,
                                    .items = 4,
                                    .sequences = 7,
                                    .fit = {.wave = 4, .slabs = 2},
                                    .memory = {.host = 1.5e9},
                                    .bytes_read = 6e6,
                                    .bytes_stored = 4e6,
                                    .flops = 36e12,
                                    .product_rate = 1e9};

#define PARAGRAPH(RANKS)                                                                           \
    "tracing 3 of 3 checkpoints (llama layers=10 hidden=64 heads=4/2 head_dim=16 ffn=160 "         \
    "vocabulary=768; 479 k parameters) over 7 x 512 tokens on " RANKS                              \
    ", at most 1.50 GB each, into out.h5\n"

static void assert_text(const struct tr_plan *of, const struct demo_job *demo, bool whole,
                        const char *expected) {
    struct tr_string text = {0};
    OK(tr_plan_text(of, &demo->job, demo->kn, whole, &text, &err));
    assert_string_equal(text.data, expected);
    tr_string_free(&text);
}

static void the_paragraph(void **state) {
    (void)state;
    struct demo_job demo;
    struct tr_plan one = plan;
    one.ranks = 1;
    open_job(&demo, 3);
    assert_text(&plan, &demo, false, PARAGRAPH("2 ranks"));
    assert_text(&one, &demo, false, PARAGRAPH("1 rank"));
    demo_job_close(&demo);
}

static void the_page(void **state) {
    (void)state;
    struct demo_job demo;
    struct tr_plan unknown = plan;
    unknown.product_rate = 0;
    open_job(&demo, 3);
    char *description = demo.kn->description, expected[2048];
    static const char page[] =
        PARAGRAPH("2 ranks") "  items          4 for 2 ranks; the largest has 7 sequences, 4 at a "
                             "time\n"
                             "  to read        6.00 MB, 1.50 times what is stored (4.00 MB)\n"
                             "  peak memory    1.50 GB a rank: two slabs of 98.3 kB, streams, "
                             "scratch, results, the program\n"
                             "  to compute     36.0 TFLOP with f32 operands: %s\n%s";
    demo.job.first.largest_slab = 98304;
    snprintf(expected, sizeof expected, page, description,
             "  time           10 h 00 min at this machine's sgemm rate (1 GFLOP/s), if the disk "
             "keeps up\n");
    assert_text(&plan, &demo, true, expected);
    snprintf(expected, sizeof expected, page, description, "");
    assert_text(&unknown, &demo, true, expected);
    demo_job_close(&demo);
}

static void the_page_of_a_device(void **state) {
    (void)state;
    struct demo_job demo;
    struct tr_plan shared = plan;
    struct tr_string text = {0};
    open_job(&demo, 3);
    shared.memory.device = 12e9;
    shared.node_ranks = 8;
    shared.device = (struct tr_device){.sharers = 2, .text = "A device (UUID 00010203...)"};
    OK(tr_plan_text(&shared, &demo.job, demo.kn, true, &text, &err));
    assert_non_null(strstr(
        text.data, "  device         A device (UUID 00010203...), shared by 2 of this node's 8 "
                   "ranks\n"
                   "  device memory  12.0 GB a rank: two slabs, streams, scratch, and 1.10 GB "
                   "for the context and libraries\n"));
    assert_non_null(strstr(text.data, ", results, the program\n"));
    assert_null(strstr(text.data, "streams, scratch, results"));
    tr_string_free(&text);
    shared.device.sharers = 1;
    OK(tr_plan_text(&shared, &demo.job, demo.kn, true, &text, &err));
    assert_non_null(strstr(text.data, "  device         A device (UUID 00010203...)\n"));
    tr_string_free(&text);
    demo_job_close(&demo);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_operations),
        cmocka_unit_test(memory_is_the_workers_and_the_programs),
        cmocka_unit_test(items_and_waves),
        cmocka_unit_test(few_checkpoints_may_stay_whole),
        cmocka_unit_test(nothing_to_do_is_nothing),
        cmocka_unit_test(a_rank_has_its_share),
        cmocka_unit_test(the_paragraph),
        cmocka_unit_test(the_page),
        cmocka_unit_test(the_page_of_a_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
