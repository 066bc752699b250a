// SPDX-License-Identifier: Apache-2.0
// Which sublayers are left out, on which micro-batches, and that any cut of the units into items
// and passes covers every pair of candidate and micro-batch once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "demo_job.h"
#include "run/cost_plan.h"
#include "run/fit.h"

static struct demo_job demo;

static void open_job(const char *cost, int64_t cost_samples) {
    struct tr_run_settings settings = demo_settings(1);
    settings.cost = cost;
    settings.cost_samples = cost_samples;
    demo_job_open(&demo, &settings, NULL);
}

static void words_name_modules(void **state) {
    (void)state;
    bool wanted[TR_MODULES];
    OK(tr_cost_modules("mlp,attn", wanted, &err));
    assert_true(wanted[TR_ATTN] && wanted[TR_MLP] && !wanted[TR_BLOCK]);
    static const char *const wrong[] = {"", "attn,", "mlps", "attn mlp", ",attn"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(tr_cost_modules(wrong[i], wanted, &err), TR_EUSAGE);
    assert_string_equal(err.text, "--cost takes attn, mlp and block with commas between, not \"\"");
}

// Each sublayer once, first and last layers in turn.
static void candidates_are_every_sublayer(void **state) {
    (void)state;
    open_job("attn,mlp,block", 0);
    const struct tr_cost_plan *plan = &demo.job.cost;
    static const int layers[] = {0, 9, 1, 8, 2, 7, 3, 6, 4, 5};
    assert_int_equal(plan->count, 30);
    for (int64_t i = 0; i < plan->count; i++) {
        const struct tr_cost_candidate *c = &plan->candidates[i];
        assert_int_equal(c->layer, layers[i / 3]);
        assert_int_equal(c->module, i % 3);
        assert_true(tr_drop_set_has(&c->drop, c->module, c->layer));
        assert_int_equal(c->drop.count, 1);
    }
    demo_job_close(&demo);
}

// 7 rows in micro-batches of 2: as many whole ones as the samples need, and the rows' own tokens.
static void rows_are_whole_micro_batches(void **state) {
    (void)state;
    static const int64_t expected[][3] = {{1, 1, 2}, {2, 1, 2}, {3, 2, 4}, {7, 4, 7}, {0, 4, 7}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        open_job("attn", expected[i][0]);
        const struct tr_layout *layout = &demo.job.info.layout;
        assert_int_equal(demo.job.cost.batches, expected[i][1]);
        assert_int_equal(layout->cost_sequences, expected[i][2]);
        for (int64_t s = 0; s < layout->cost_sequences; s++)
            assert_memory_equal(demo.job.cost_ids + s * DEMO_SEQ_LEN,
                                demo.job.calibration.ids +
                                    tr_cost_sequence(layout, s) * DEMO_SEQ_LEN,
                                DEMO_SEQ_LEN * sizeof(int32_t));
        demo_job_close(&demo);
    }
}

static void blocks_cover_every_unit(void **state) {
    (void)state;
    struct tr_cost_plan plan = {.count = 5, .batches = 4};
    for (int64_t begin = 0; begin <= 20; begin++)
        for (int64_t end = begin; end <= 20; end++) {
            struct tr_cost_block blocks[TR_COST_BLOCKS];
            int seen[20] = {0};
            int count = tr_cost_blocks(&plan, begin, end, blocks);
            assert_true(count <= TR_COST_BLOCKS);
            for (int i = 0; i < count; i++)
                for (int64_t b = blocks[i].first_batch; b < blocks[i].last_batch; b++)
                    for (int64_t c = blocks[i].first_candidate; c < blocks[i].last_candidate; c++)
                        seen[b * 5 + c]++;
            for (int64_t unit = 0; unit < 20; unit++)
                assert_int_equal(seen[unit], unit >= begin && unit < end);
        }
}

// Two candidates of a model of ten layers whose attention costs a part and whose MLP the rest.
static void leaving_out_all_takes_half(void **state) {
    (void)state;
    open_job("attn,mlp", 0);
    const struct tr_job *job = &demo.job;
    struct tr_cost_flops flops = tr_cost_plan_flops(&job->cost, &job->first.config, 0,
                                                    job->cost.count, 1, 512, &job->wanted);
    assert_true(flops.blocks_done / flops.blocks_whole < 0.55);
    assert_true(flops.done / flops.whole > flops.blocks_done / flops.blocks_whole);
    double all = tr_config_flops(&job->first.config, 1, 512, &job->wanted);
    assert_true(flops.whole > 19.99 * all && flops.whole < 20.01 * all);
    demo_job_close(&demo);
}

// Within half of the memory all candidates, or as many as fit; at least one whatever there is.
static void candidates_follow_the_memory(void **state) {
    (void)state;
    open_job("attn,mlp", 0);
    const struct tr_job *job = &demo.job;
    struct tr_fit least = tr_fit_least(job), all = least;
    least.slabs = all.slabs = tr_slab_reader_least(demo.kn);
    all.cost_candidates = job->cost.count;
    struct tr_rank_bytes none = {0}, plenty = {.host = 1e12};
    assert_int_equal(tr_fit_make(job, demo.kn, none).cost_candidates, 1);
    assert_int_equal(tr_fit_make(job, demo.kn, none).cost_batches, 1);
    assert_int_equal(tr_fit_make(job, demo.kn, plenty).cost_candidates, job->cost.count);
    assert_int_equal(tr_fit_make(job, demo.kn, plenty).cost_batches, job->cost.batches);
    struct tr_rank_bytes memory = tr_fit_bytes(job, demo.kn, &all);
    struct tr_fit fit = tr_fit_make(job, demo.kn, memory);
    assert_true(tr_fit_bytes(job, demo.kn, &fit).host <= memory.host);
    assert_true(fit.cost_candidates > 1);
    demo_job_close(&demo);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_name_modules),
        cmocka_unit_test(candidates_are_every_sublayer),
        cmocka_unit_test(rows_are_whole_micro_batches),
        cmocka_unit_test(blocks_cover_every_unit),
        cmocka_unit_test(leaving_out_all_takes_half),
        cmocka_unit_test(candidates_follow_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
