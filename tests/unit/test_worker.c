// SPDX-License-Identifier: Apache-2.0
// A rank over a service of ours instead of rank 0's: one that has nothing to do yet waits, and goes
// on when the list grows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/clock.h"
#include "demo_job.h"
#include "folder.h"
#include "run/assignment.h"
#include "run/worker.h"

enum { WAITS = 2, TASKS = 2 };

// A list that is empty at first and grows: a task after each WAITS answers to wait, none behind the
// last.
struct growing {
    const struct tr_job *job;
    struct dist_work *work;
    int64_t added, waits, done;
};

static void grow(struct growing *g) {
    if (g->added == TASKS)
        dist_work_close(g->work);
    else
        OK(dist_work_add(g->work, &(struct dist_task){.node = -1}, &err));
    g->added += g->added < TASKS;
    g->waits = 0;
}

static enum tr_status answer_next(struct growing *g, void **answer_p, size_t *size_p) {
    struct dist_item item;
    struct tr_string bytes = {0};
    if (g->waits == WAITS)
        grow(g);
    enum dist_next next = dist_work_next(g->work, 0, tr_now(), &item);
    g->waits += next == DIST_WAIT;
    OK(tr_assignment_write(&bytes, next, &item,
                           next == DIST_ITEM ? &g->job->series.entries[item.task] : NULL, false,
                           false, &err));
    *answer_p = bytes.data;
    *size_p = bytes.size;
    return TR_OK;
}

static enum tr_status answer(void *user, int from, const void *request, size_t size,
                             void **answer_p, size_t *size_p, struct tr_err *reason) {
    struct growing *g = user;
    struct tr_message message;
    (void)reason;
    assert_int_equal(from, 0);
    assert_int_equal(size, sizeof message);
    memcpy(&message, request, sizeof message);
    if (message.kind == TR_MSG_NEXT)
        return answer_next(g, answer_p, size_p);
    if (message.kind == TR_MSG_PROGRESS)
        return TR_OK;
    assert_int_equal(message.kind, TR_MSG_WHOLE);
    assert_int_equal(message.status, TR_OK);
    assert_int_equal(message.item.task, g->done++);
    assert_true(*message.weights_digest != 0);
    dist_work_done(g->work, &message.item);
    return TR_OK;
}

static void tick(void *user) {
    (void)user;
}

static void a_rank_waits_until_the_list_grows(void **state) {
    (void)state;
    struct tr_run_settings settings = demo_settings(TASKS);
    struct demo_job demo;
    struct dist *dist;
    struct growing growing;
    bool computes;
    settings.out = in_folder("growing.h5");
    settings.samples = 1;
    settings.seq_len = 16;
    demo_job_open(&demo, &settings, NULL);
    OK(tr_job_describe(&demo.job, demo.kn, &err));
    struct tr_store *store;
    char *warnings;
    OK(tr_store_open(&store, settings.out, &demo.job.info, false, &warnings, &err));
    growing = (struct growing){.job = &demo.job};
    OK(dist_work_new(&growing.work, demo.job.micro_batches, 1, &err));
    OK(dist_open(&dist, &err));
    struct dist_service service = {.user = &growing, .answer = answer, .tick = tick};
    OK(dist_serve_begin(dist, &service, &computes, &err));
    struct tr_fit fit = tr_fit_make(&demo.job, demo.kn, (struct tr_rank_bytes){.host = 1e12});
    OK(tr_worker_run(&demo.job, demo.kn, dist, &fit, &err));
    dist_serve_end(dist);
    assert_int_equal(growing.done, TASKS);
    assert_int_equal(growing.added, TASKS);
    OK(tr_store_publish(store, NULL, &err));
    for (int i = 0; i < TASKS; i++) {
        struct tr_committed row;
        assert_true(tr_store_find(store, demo.job.series.entries[i].name, &row));
        assert_int_equal(row.status, TR_ROW_COMPLETE);
    }
    tr_store_close(store);
    dist_work_free(growing.work);
    dist_close(dist);
    demo_job_close(&demo);
}

// What cannot be an answer ends the rank, which says so.
static enum tr_status answer_nonsense(void *user, int from, const void *request, size_t size,
                                      void **answer_p, size_t *size_p, struct tr_err *reason) {
    struct tr_message message;
    (void)from, (void)size, (void)reason;
    memcpy(&message, request, sizeof message);
    if (message.kind == TR_MSG_FATAL) {
        *(struct tr_message *)user = message;
        return TR_OK;
    }
    *answer_p = calloc(1, 3);
    *size_p = 3;
    return TR_OK;
}

static void a_rank_that_is_told_nonsense_gives_up(void **state) {
    (void)state;
    struct tr_run_settings settings = demo_settings(1);
    struct demo_job demo;
    struct dist *dist;
    struct tr_message told = {0};
    bool computes;
    demo_job_open(&demo, &settings, NULL);
    OK(dist_open(&dist, &err));
    struct dist_service service = {.user = &told, .answer = answer_nonsense, .tick = tick};
    OK(dist_serve_begin(dist, &service, &computes, &err));
    struct tr_fit fit = tr_fit_make(&demo.job, demo.kn, (struct tr_rank_bytes){.host = 1e12});
    assert_int_equal(tr_worker_run(&demo.job, demo.kn, dist, &fit, &err), TR_EFORMAT);
    dist_serve_end(dist);
    assert_int_equal(told.kind, TR_MSG_FATAL);
    assert_string_equal(told.text, "an item from rank 0 is cut short");
    dist_close(dist);
    demo_job_close(&demo);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_waits_until_the_list_grows),
        cmocka_unit_test(a_rank_that_is_told_nonsense_gives_up),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
