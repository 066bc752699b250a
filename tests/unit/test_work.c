// SPDX-License-Identifier: Apache-2.0
// How tasks are cut, and who holds which item: lists that are known at once and lists that grow,
// ranks that bring results in any order, twice, or never.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mpi/cut.h"
#include "mpi/work.h"

static struct dist_work *make(int64_t tasks, int64_t micro_batches, int workers) {
    struct dist_work *work;
    struct tr_err err;
    assert_int_equal(dist_work_new(&work, micro_batches, workers, &err), TR_OK);
    for (int64_t i = 0; i < tasks; i++) {
        struct dist_task task = {.bytes = 100, .flops = 1000, .node = (int)i % 3};
        assert_int_equal(dist_work_add(work, &task, &err), TR_OK);
    }
    return work;
}

static struct dist_item next(struct dist_work *work, int rank) {
    struct dist_item item;
    assert_int_equal(dist_work_next(work, rank, 0, &item), DIST_ITEM);
    return item;
}

static void assert_end(struct dist_work *work) {
    struct dist_item item;
    assert_int_equal(dist_work_next(work, 0, 0, &item), DIST_END);
}

// Hands everything out: every micro-batch exactly once, in order, pieces equal within one; the last
// piece of a task, and only that, completes it. Returns the pieces of the last task.
static int64_t run(int64_t tasks, int64_t micro_batches, int workers, int64_t whole) {
    struct dist_work *work = make(tasks, micro_batches, workers);
    int64_t items = 0, pieces = 0;
    dist_work_close(work);
    for (int64_t t = 0; t < tasks; t++) {
        int64_t at = 0, count = 0;
        while (at < micro_batches) {
            struct dist_item item = next(work, 0);
            assert_int_equal(item.task, t);
            assert_int_equal(item.begin, at);
            assert_int_equal(item.node, (int)t % 3);
            pieces = item.pieces;
            assert_true(pieces >= 1 && pieces <= workers && pieces <= micro_batches);
            assert_true(t >= whole || pieces == 1);
            int64_t length = item.end - item.begin;
            assert_true(length >= micro_batches / pieces && length <= micro_batches / pieces + 1);
            at = item.end;
            count++;
            assert_int_equal(dist_work_done(work, &item),
                             at == micro_batches ? DIST_TASK : DIST_PIECE);
        }
        assert_int_equal(at, micro_batches);
        assert_int_equal(count, pieces);
        items += count;
    }
    assert_end(work);
    assert_end(work);
    assert_int_equal(dist_cut_items(tasks, micro_batches, workers, 1), items);
    dist_work_free(work);
    return pieces;
}

static void eight_tasks(void **state) {
    (void)state;
    assert_int_equal(run(8, 16, 1, 8), 1);
    assert_int_equal(run(8, 16, 2, 8), 1);
    assert_int_equal(run(8, 16, 3, 6), 3); // two are left for three workers
    assert_int_equal(run(8, 16, 4, 8), 1);
    assert_int_equal(run(8, 16, 16, 0), 2); // one piece for everyone, not sixteen
}

static void few_micro_batches(void **state) {
    (void)state;
    assert_int_equal(run(1, 3, 16, 0), 3);
    assert_int_equal(run(1, 1, 16, 0), 1);
    assert_int_equal(run(5, 1, 3, 3), 1);
    assert_int_equal(run(1, 7, 4, 0), 4);
}

static void a_large_job(void **state) {
    (void)state;
    int64_t pieces = run(154, 256, 64, 128);
    // 26 of 64 in pieces: within a tenth of the time that perfect balance would take.
    int64_t rounds = (26 * pieces + 63) / 64;
    assert_true((double)rounds / (double)pieces < 1.1 * 26 / 64);
    assert_true(pieces <= 16);
}

static void all_small_shapes(void **state) {
    (void)state;
    for (int64_t tasks = 0; tasks < 12; tasks++)
        for (int64_t micro_batches = 1; micro_batches < 12; micro_batches++)
            for (int workers = 1; workers < 9; workers++)
                run(tasks, micro_batches, workers, tasks - tasks % workers);
}

static void nothing_to_do(void **state) {
    (void)state;
    struct dist_work *work = make(0, 4, 2);
    dist_work_close(work);
    assert_end(work);
    assert_int_equal(dist_cut_items(0, 4, 2, 1), 0);
    dist_work_free(work);
    dist_work_free(NULL);
}

// Pieces come back in any order.
static void done_in_any_order(void **state) {
    (void)state;
    struct dist_work *work = make(2, 8, 4);
    struct dist_item items[4];
    for (int i = 0; i < 4; i++)
        items[i] = next(work, i);
    assert_int_equal(items[3].task, 1);
    assert_int_equal(dist_work_done(work, &items[3]), DIST_PIECE);
    assert_int_equal(dist_work_done(work, &items[1]), DIST_PIECE);
    assert_int_equal(dist_work_done(work, &items[2]), DIST_TASK);
    assert_int_equal(dist_work_done(work, &items[0]), DIST_TASK);
    assert_int_equal(dist_work_done(work, &items[0]), DIST_LATE); // twice
    dist_work_free(work);
}

static void a_stopped_list_counts_what_is_under_way(void **state) {
    (void)state;
    struct dist_work *work = make(8, 4, 2);
    struct dist_item item = next(work, 0);
    dist_work_stop(work);
    assert_end(work);
    assert_int_equal(dist_work_done(work, &item), DIST_TASK);
    dist_work_free(work);
}

static void the_holder_is_known(void **state) {
    (void)state;
    struct dist_work *work = make(4, 4, 2);
    struct dist_item item, held;
    double since;
    assert_false(dist_work_holds(work, 1, &held, &since));
    assert_int_equal(dist_work_next(work, 1, 12.5, &item), DIST_ITEM);
    assert_int_equal(dist_work_next(work, 1, 20, &held), DIST_ITEM);
    assert_true(dist_work_holds(work, 1, &held, &since));
    assert_int_equal(held.ticket, item.ticket);
    assert_true(since == 12.5);
    assert_false(dist_work_holds(work, 0, &held, &since));
    dist_work_done(work, &item);
    assert_true(dist_work_holds(work, 1, &held, &since) && since == 20);
    dist_work_free(work);
}

// What a lost rank held goes out again before anything new; its own late result counts no more.
static void lost_items_are_handed_out_again(void **state) {
    (void)state;
    struct dist_work *work = make(4, 4, 2);
    struct dist_item lost = next(work, 1), kept = next(work, 0);
    assert_int_equal(dist_work_lost(work, 1), 1);
    assert_int_equal(dist_work_lost(work, 1), 0);
    assert_int_equal(dist_work_losses(work, lost.task), 1);
    assert_int_equal(dist_work_losses(work, kept.task), 0);
    struct dist_item again = next(work, 0);
    assert_int_equal(again.task, lost.task);
    assert_true(again.ticket != lost.ticket);
    assert_int_equal(dist_work_done(work, &lost), DIST_LATE);
    assert_int_equal(dist_work_done(work, &again), DIST_TASK);
    assert_int_equal(dist_work_done(work, &kept), DIST_TASK);
    assert_int_equal(next(work, 0).task, 2);
    dist_work_free(work);
}

// Until the list is closed a rank without work waits; what is added later is cut by what is left.
static void the_list_may_grow(void **state) {
    (void)state;
    struct dist_work *work = make(0, 8, 2);
    struct dist_task task = {.node = -1};
    struct dist_item item;
    struct tr_err err;
    assert_int_equal(dist_work_next(work, 0, 0, &item), DIST_WAIT);
    assert_int_equal(dist_work_add(work, &task, &err), TR_OK);
    item = next(work, 0); // alone in the list: in two pieces
    assert_int_equal(item.pieces, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(dist_work_add(work, &task, &err), TR_OK);
    item = next(work, 1); // the task that was begun stays as it was cut
    assert_int_equal(item.task, 0);
    assert_int_equal(item.pieces, 2);
    for (int i = 1; i < 3; i++) {
        item = next(work, 0);
        assert_int_equal(item.task, i);
        assert_int_equal(item.pieces, 1);
    }
    assert_int_equal(dist_work_next(work, 0, 0, &item), DIST_WAIT);
    dist_work_close(work);
    assert_end(work);
    dist_work_free(work);
}

static void the_cost_of_items_adds_up(void **state) {
    (void)state;
    struct dist_work *work = make(1, 8, 4);
    double flops = 0;
    for (int i = 0; i < 4; i++) {
        struct dist_item item = next(work, i);
        flops += item.flops;
        assert_true(item.bytes == 100); // every piece reads all weights
    }
    assert_true(flops == 1000);
    dist_work_free(work);
}

static void senseless_numbers_are_refused(void **state) {
    (void)state;
    struct dist_work *work = NULL;
    struct tr_err err;
    assert_int_equal(dist_work_new(&work, 0, 2, &err), TR_EUSAGE);
    assert_string_equal(err.text, "cannot share tasks of 0 units among 2 workers");
    assert_int_equal(dist_work_new(&work, 4, 0, &err), TR_EUSAGE);
    assert_null(work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_tasks),
        cmocka_unit_test(few_micro_batches),
        cmocka_unit_test(a_large_job),
        cmocka_unit_test(all_small_shapes),
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(done_in_any_order),
        cmocka_unit_test(a_stopped_list_counts_what_is_under_way),
        cmocka_unit_test(the_holder_is_known),
        cmocka_unit_test(lost_items_are_handed_out_again),
        cmocka_unit_test(the_list_may_grow),
        cmocka_unit_test(the_cost_of_items_adds_up),
        cmocka_unit_test(senseless_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
