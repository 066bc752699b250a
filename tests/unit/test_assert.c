// SPDX-License-Identifier: Apache-2.0
// Invariants: with TR_ASSERTS, which CMake defines for this file alone, a broken one ends the
// process and says where; without, nothing of it is evaluated. Where the rooms are built with
// TR_ASSERTS, too, their own invariants are broken in a process that must end of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "assert_off.h"
#include "backend_status.h"
#include "base/assert.h"
#include "model/slab_reader.h"
#include "mpi/work.h"

#ifndef TR_ASSERTS
#error "this file is to be compiled with TR_ASSERTS"
#endif

// Runs what must not return in a process of its own and keeps what it says on stderr.
static int status_of(void (*run)(void), char said[512]) {
    int ends[2];
    ssize_t size, all = 0;
    int status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        run();
        _exit(0);
    }
    close(ends[1]);
    while ((size = read(ends[0], said + all, (size_t)(511 - all))) > 0)
        all += size;
    said[all] = 0;
    close(ends[0]);
    assert_true(waitpid(child, &status, 0) == child);
    return status;
}

static void assert_aborts(void (*run)(void), const char *file, const char *condition) {
    char said[512];
    int status = status_of(run, said);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        fail_msg("%s did not end the process: status %d, \"%s\"", condition, status, said);
    if (!strstr(said, file) || !strstr(said, condition))
        fail_msg("\"%s\" names not %s and %s", said, file, condition);
}

enum { BROKEN_LINE = __LINE__ + 4 }; // where break_one breaks it

static void break_one(void) {
    int two = 2;
    TR_ASSERT(two + two == 5);
}

static void a_broken_invariant_ends_the_process(void **state) {
    (void)state;
    char place[64];
    snprintf(place, sizeof place, "test_assert.c:%d: ", BROKEN_LINE);
    assert_aborts(break_one, place, "two + two == 5\n");
}

static void hold_one(void) {
    int two = 2;
    TR_ASSERT(two + two == 4);
}

static void one_that_holds_says_nothing(void **state) {
    (void)state;
    char said[512];
    assert_int_equal(status_of(hold_one, said), 0);
    assert_string_equal(said, "");
}

static void without_asserts_nothing_is_evaluated(void **state) {
    (void)state;
    char said[512];
    assert_int_equal(status_of(assert_off_break, said), 0);
    assert_string_equal(said, "");
    assert_int_equal(assert_off_evaluations(), 0);
}

#ifdef ROOMS_ASSERT
static void begin_without_push(void) {
    struct tr_slab_reader *reader;
    struct tr_loaded loaded;
    struct tr_err err;
    if (tr_slab_reader_open(&reader, NULL, 0, 0, &err) == TR_OK)
        tr_slab_reader_begin(reader, &loaded, &err);
}

// Two slabs of a ring of two are held, and no third can ever come.
static void hold_the_whole_ring(void) {
    struct tr_slab_reader *reader;
    struct tr_loaded loaded;
    struct tr_err err;
    const struct tr_slab *slab;
    if (tr_slab_reader_open(&reader, NULL, 0, 2, &err) != TR_OK ||
        tr_slab_reader_push(reader, "tests/series/demo/step_512", &(struct tr_wanted){.head = true},
                            &err) != TR_OK ||
        tr_slab_reader_begin(reader, &loaded, &err) != TR_OK)
        return;
    for (int i = 0; i < 3; i++)
        tr_slab_reader_next(reader, &slab, &err);
}

static void release_what_is_not_held(void) {
    struct tr_slab_reader *reader;
    struct tr_err err;
    if (tr_slab_reader_open(&reader, NULL, 0, 0, &err) == TR_OK)
        tr_slab_reader_release(reader);
}

static void add_to_a_closed_list(void) {
    struct dist_work *work;
    struct tr_err err;
    if (dist_work_new(&work, 1, 1, &err) != TR_OK)
        return;
    dist_work_close(work);
    dist_work_add(work, &(struct dist_task){.node = -1}, &err);
}

// An op was called with operands that disagree.
static void call_an_op_wrongly(void) {
    struct tr_err err;
    tr_kernel_failed(NULL, KN_ESHAPE, "a product", &err);
}

static void the_rooms_check_theirs(void **state) {
    (void)state;
    assert_aborts(call_an_op_wrongly, "buffers.c:", "status != KN_ESHAPE");
    assert_aborts(begin_without_push, "slab_reader.c:", "job");
    assert_aborts(hold_the_whole_ring, "slab_reader.c:", "reader->entries");
    assert_aborts(release_what_is_not_held, "slab_reader.c:", "reader->taken");
    assert_aborts(add_to_a_closed_list, "work.c:", "!work->closed");
}
#else
static void the_rooms_check_theirs(void **state) {
    (void)state;
    skip();
}
#endif

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_invariant_ends_the_process),
        cmocka_unit_test(one_that_holds_says_nothing),
        cmocka_unit_test(without_asserts_nothing_is_evaluated),
        cmocka_unit_test(the_rooms_check_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
