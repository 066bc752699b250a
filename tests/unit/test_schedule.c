// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mpi/schedule.h"

static struct dist_schedule *make(int64_t checkpoints, int64_t micro_batches, int workers) {
    struct dist_schedule *schedule;
    struct tr_err err;
    assert_int_equal(dist_schedule_new(&schedule, checkpoints, micro_batches, workers, &err),
                     TR_OK);
    return schedule;
}

// Hands everything out: every micro-batch exactly once, in order, pieces equal within one; the last
// piece of a checkpoint, and only that, completes it. Returns the pieces of the last checkpoint.
static int64_t run(int64_t checkpoints, int64_t micro_batches, int workers, int64_t whole) {
    struct dist_schedule *schedule = make(checkpoints, micro_batches, workers);
    int64_t items = 0, pieces = 0;
    for (int64_t c = 0; c < checkpoints; c++) {
        int64_t at = 0, count = 0;
        while (at < micro_batches) {
            struct dist_item item = dist_schedule_next(schedule);
            assert_int_equal(item.checkpoint, c);
            assert_int_equal(item.begin, at);
            pieces = item.pieces;
            assert_true(pieces >= 1 && pieces <= workers && pieces <= micro_batches);
            assert_true(c >= whole || pieces == 1);
            int64_t length = item.end - item.begin;
            assert_true(length >= micro_batches / pieces && length <= micro_batches / pieces + 1);
            at = item.end;
            count++;
            assert_int_equal(dist_schedule_done(schedule, &item), at == micro_batches);
        }
        assert_int_equal(at, micro_batches);
        assert_int_equal(count, pieces);
        items += count;
    }
    assert_int_equal(dist_schedule_next(schedule).checkpoint, -1);
    assert_int_equal(dist_schedule_next(schedule).checkpoint, -1);
    assert_int_equal(dist_schedule_items(checkpoints, micro_batches, workers), items);
    dist_schedule_free(schedule);
    return pieces;
}

static void test_eight_checkpoints(void **state) {
    (void)state;
    assert_int_equal(run(8, 16, 1, 8), 1);
    assert_int_equal(run(8, 16, 2, 8), 1);
    assert_int_equal(run(8, 16, 3, 6), 3); // two are left for three workers
    assert_int_equal(run(8, 16, 4, 8), 1);
    assert_int_equal(run(8, 16, 16, 0), 2); // one piece for everyone, not sixteen
}

static void test_few_micro_batches(void **state) {
    (void)state;
    assert_int_equal(run(1, 3, 16, 0), 3);
    assert_int_equal(run(1, 1, 16, 0), 1);
    assert_int_equal(run(5, 1, 3, 3), 1);
    assert_int_equal(run(1, 7, 4, 0), 4);
}

static void test_large_job(void **state) {
    (void)state;
    int64_t pieces = run(154, 256, 64, 128);
    // 26 of 64 in pieces: within a tenth of the time that perfect balance would take.
    int64_t rounds = (26 * pieces + 63) / 64;
    assert_true((double)rounds / (double)pieces < 1.1 * 26 / 64);
    assert_true(pieces <= 16);
}

static void test_all_small_shapes(void **state) {
    (void)state;
    for (int64_t checkpoints = 0; checkpoints < 12; checkpoints++)
        for (int64_t micro_batches = 1; micro_batches < 12; micro_batches++)
            for (int workers = 1; workers < 9; workers++)
                run(checkpoints, micro_batches, workers, checkpoints - checkpoints % workers);
}

static void test_nothing_to_do(void **state) {
    (void)state;
    struct dist_schedule *schedule = make(0, 4, 2);
    assert_int_equal(dist_schedule_next(schedule).checkpoint, -1);
    assert_int_equal(dist_schedule_items(0, 4, 2), 0);
    dist_schedule_free(schedule);
    dist_schedule_free(NULL);
}

// Pieces come back in any order.
static void test_done_in_any_order(void **state) {
    (void)state;
    struct dist_schedule *schedule = make(2, 8, 4);
    struct dist_item items[4];
    for (int i = 0; i < 4; i++)
        items[i] = dist_schedule_next(schedule);
    assert_int_equal(items[3].checkpoint, 1);
    assert_false(dist_schedule_done(schedule, &items[3]));
    assert_false(dist_schedule_done(schedule, &items[1]));
    assert_true(dist_schedule_done(schedule, &items[2]));
    assert_true(dist_schedule_done(schedule, &items[0]));
    dist_schedule_free(schedule);
}

static void test_stop(void **state) {
    (void)state;
    struct dist_schedule *schedule = make(8, 4, 2);
    struct dist_item item = dist_schedule_next(schedule);
    dist_schedule_stop(schedule);
    assert_int_equal(dist_schedule_next(schedule).checkpoint, -1);
    assert_true(dist_schedule_done(schedule, &item)); // what is under way still counts
    dist_schedule_free(schedule);
}

static void test_refused(void **state) {
    (void)state;
    struct dist_schedule *schedule = NULL;
    struct tr_err err;
    assert_int_equal(dist_schedule_new(&schedule, 3, 0, 2, &err), TR_EUSAGE);
    assert_string_equal(err.text, "cannot schedule 3 checkpoints of 0 micro-batches for 2 workers");
    assert_int_equal(dist_schedule_new(&schedule, 3, 4, 0, &err), TR_EUSAGE);
    assert_int_equal(dist_schedule_new(&schedule, -1, 4, 1, &err), TR_EUSAGE);
    assert_null(schedule);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eight_checkpoints),
        cmocka_unit_test(test_few_micro_batches),
        cmocka_unit_test(test_large_job),
        cmocka_unit_test(test_all_small_shapes),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_done_in_any_order),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
