// SPDX-License-Identifier: Apache-2.0
// Work by place: which tasks the ranks of a node get pieces of, and how a list of work goes on a
// machine that is not there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "mpi/cut.h"
#include "mpi/work_forecast.h"

static struct tr_err err;

static struct dist_forecast forecast(int64_t count, int64_t units, struct dist_machine machine,
                                     double bytes, double flops) {
    struct dist_forecast f;
    struct dist_task *tasks = calloc((size_t)count, sizeof *tasks);
    assert_non_null(tasks);
    for (int64_t i = 0; i < count; i++)
        tasks[i] = (struct dist_task){.bytes = bytes, .flops = flops, .node = -1};
    assert_int_equal(dist_forecast(&f, tasks, count, units, &machine, &err), TR_OK);
    free(tasks);
    return f;
}

// 154 checkpoints of 12B in bf16 over 256 rows of 2048 tokens, two rows a micro-batch, on 64 GPUs
// in 8 nodes: the rates of one H200 (docs/cluster.md) and of a file system that gives a node 12
// GB/s.
static void test_large_series(void **state) {
    (void)state;
    struct dist_machine machine = {.ranks = 64, .nodes = 8, .flops = 660e12, .read = 12e9};
    struct dist_forecast f = forecast(154, 128, machine, 24e9, 2 * 12e9 * 256 * 2048);
    print_message("%lld items, %.1f s, idle %.4f, %.3g bytes, %.3f of what a node needs\n",
                  (long long)f.items, f.seconds, f.idle, f.bytes, f.rereads);
    assert_true(f.idle < 0.05);
    assert_true(f.rereads < 1.1);
    assert_true(f.bytes < 1.1 * 154 * 24e9);
}

// By hand: what is left over is shared within nodes, and each node reads its own.
static void test_nodes_share_their_own(void **state) {
    (void)state;
    struct dist_machine machine = {.ranks = 8, .nodes = 2, .flops = 1, .read = INFINITY};
    struct dist_forecast f = forecast(10, 16, machine, 100, 16);
    assert_int_equal(f.items, 8 + 2 * 4); // eight whole ones; two by node, in a piece for each rank
    assert_true(fabs(f.seconds - (16 + 4)) < 1e-9);
    assert_true(fabs(f.idle) < 1e-9 && fabs(f.bytes - 1000) < 1e-9);
    assert_true(fabs(f.rereads - 1) < 1e-9);
}

static void test_all_share_the_last(void **state) {
    (void)state;
    struct dist_machine machine = {.ranks = 8, .nodes = 2, .flops = 1, .read = INFINITY};
    struct dist_forecast f = forecast(1, 16, machine, 100, 16);
    assert_int_equal(f.items, 8);
    assert_true(fabs(f.seconds - 2) < 1e-9);
    assert_true(fabs(f.bytes - 200) < 1e-9); // once on each node
}

// Weights that come late are waited for; two tasks at a time share what a node reads.
static void test_reading_takes_time(void **state) {
    (void)state;
    struct dist_machine machine = {.ranks = 2, .nodes = 1, .flops = 1, .read = 10};
    struct dist_forecast f = forecast(2, 4, machine, 100, 4);
    assert_true(fabs(f.seconds - 20) < 1e-9);
    assert_true(fabs(f.idle - (1 - 2 * 4 / (20.0 * 2))) < 1e-9);
}

// Every micro-batch once, in whatever order ranks of several nodes ask.
static void test_every_unit_once(void **state) {
    (void)state;
    for (int64_t count = 0; count < 15; count++)
        for (int nodes = 1; nodes < 5; nodes++)
            for (int ranks = nodes; ranks < 3 * nodes + 2; ranks++) {
                struct dist_machine machine = {ranks, nodes, 1, 50};
                int64_t items = dist_cut_items(count, 7, ranks, nodes);
                struct dist_forecast f = forecast(count, 7, machine, 10, 7);
                assert_int_equal(f.items, items);
                double work =
                    7.0 * (double)count / ranks; // of a rank, were all of them always at it
                assert_true(f.seconds >= work - 1e-9);
                if (count)
                    assert_true(fabs(f.idle - (1 - work / f.seconds)) < 1e-9);
            }
}

static void test_impossible(void **state) {
    (void)state;
    struct dist_forecast f;
    struct dist_machine machine = {.ranks = 2, .nodes = 3, .flops = 1, .read = 1};
    assert_int_equal(dist_forecast(&f, NULL, 0, 1, &machine, &err), TR_EUSAGE);
    assert_string_equal(err.text, "2 ranks cannot be on 3 nodes");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_series),       cmocka_unit_test(test_nodes_share_their_own),
        cmocka_unit_test(test_all_share_the_last), cmocka_unit_test(test_reading_takes_time),
        cmocka_unit_test(test_every_unit_once),    cmocka_unit_test(test_impossible)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
