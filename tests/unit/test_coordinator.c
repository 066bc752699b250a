// SPDX-License-Identifier: Apache-2.0
// Rank 0's service, asked as ranks ask it: what it hands out, and what becomes of whole
// checkpoints, of pieces in any order, of failures, and of a signal.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "demo_job.h"
#include "folder.h"
#include "results.h"
#include "run/assignment.h"
#include "run/coordinator.h"
#include "run/resume.h"

enum { SEQUENCES = 8, SEQ_LEN = 512, MICRO = 2 };

struct served {
    struct demo_job demo;
    struct tr_store *store;
    struct tr_coordinator *coordinator;
    struct dist_service service;
    volatile sig_atomic_t stop;
    FILE *messages;
};

// `clock`: the seconds of settings.h; the other settings are the test's.
static void serve_by(struct served *s, const char *name, int64_t checkpoints, int ranks,
                     const struct tr_run_settings *clock) {
    struct tr_run_settings settings = demo_settings(checkpoints);
    char *warnings;
    settings.time_limit = clock->time_limit;
    settings.grace = clock->grace;
    settings.stall = clock->stall;
    settings.stall_limit = clock->stall_limit;
    *s = (struct served){.messages = tmpfile()};
    assert_non_null(s->messages);
    settings.samples = SEQUENCES;
    settings.out = in_folder(name);
    settings.messages = s->messages;
    settings.stop = &s->stop;
    demo_job_open(&s->demo, &settings, NULL);
    struct tr_job *job = &s->demo.job;
    assert_int_equal(job->micro_batch, MICRO);
    OK(tr_job_describe(job, s->demo.kn, &err));
    OK(tr_store_open(&s->store, settings.out, &job->info, false, &warnings, &err));
    OK(tr_job_resume(job, s->store, &s->demo.notes, &err));
    OK(tr_coordinator_new(&s->coordinator, job, s->store, ranks, "rank 0's backend", &err));
    s->service = tr_coordinator_service(s->coordinator);
}

static void serve(struct served *s, const char *name, int64_t checkpoints, int ranks) {
    const struct tr_run_settings clock = {.time_limit = INFINITY};
    serve_by(s, name, checkpoints, ranks, &clock);
}

// The job's outcome; its status is returned.
static enum tr_status finish(struct served *s, struct tr_run_outcome *outcome) {
    enum tr_status status = tr_coordinator_finish(s->coordinator, outcome, &err);
    tr_coordinator_free(s->coordinator);
    tr_store_close(s->store);
    fclose(s->messages);
    return status;
}

// A message with bytes behind it, from a rank, and its answer.
static enum tr_status say(const struct served *s, int from, const struct tr_message *message,
                          const void *bytes, size_t size, struct tr_string *answer) {
    struct tr_string request = {0};
    *answer = (struct tr_string){0};
    void *data = NULL;
    size_t answer_size = 0;
    OK(tr_string_append(&request, message, sizeof *message, &err));
    if (size)
        OK(tr_string_append(&request, bytes, size, &err));
    enum tr_status status = s->service.answer(s->service.user, from, request.data, request.size,
                                              &data, &answer_size, &err);
    *answer = (struct tr_string){.data = data, .size = answer_size};
    tr_string_free(&request);
    return status;
}

static struct tr_assignment next(const struct served *s, int rank) {
    struct tr_message message = {.kind = TR_MSG_NEXT};
    struct tr_string answer;
    struct tr_assignment assignment;
    OK(say(s, rank, &message, NULL, 0, &answer));
    OK(tr_assignment_read(&assignment, answer.data, answer.size, &err));
    tr_string_free(&answer);
    return assignment;
}

// The next item, of the checkpoint of that name.
static struct dist_item item(const struct served *s, int rank, const char *name) {
    struct tr_assignment assignment = next(s, rank);
    assert_int_equal(assignment.next, DIST_ITEM);
    assert_string_equal(assignment.entry.name, name);
    struct dist_item got = assignment.item;
    tr_assignment_free(&assignment);
    return got;
}

static void assert_end(const struct served *s, int rank) {
    struct tr_assignment assignment = next(s, rank);
    assert_int_equal(assignment.next, DIST_END);
    tr_assignment_free(&assignment);
}

static struct tr_message result(enum tr_message_kind kind, struct dist_item of,
                                enum tr_status status, const char *text) {
    struct tr_message m = {.kind = kind, .item = of, .status = status, .seconds = 1, .tokens = 10};
    strcpy(m.identity, "identity");
    strcpy(m.config_digest, "config");
    strcpy(m.weights_digest, "weights");
    strcpy(m.text, text);
    return m;
}

static void tell(const struct served *s, int from, const struct tr_message *message,
                 const void *bytes, size_t size) {
    struct tr_string answer;
    OK(say(s, from, message, bytes, size, &answer));
    assert_int_equal(answer.size, 0);
    tr_string_free(&answer);
}

// What a rank measured of an item: the loss of sequence s is s + 1.
static struct tr_string measured(const struct served *s, const struct dist_item *of) {
    const struct tr_layout *layout = &s->demo.job.info.layout;
    int64_t begin = of->begin * MICRO, end = of->end * MICRO;
    double loss[SEQUENCES * SEQ_LEN];
    for (int64_t i = 0; i < (end - begin) * SEQ_LEN; i++)
        loss[i] = (double)(begin + i / SEQ_LEN + 1);
    struct tr_loss_tap tap = {begin, end - begin, SEQ_LEN, loss, NULL, NULL};
    struct tr_measured made;
    struct tr_string bytes = {0};
    OK(tr_measured_new(&made, layout, begin, end, &err));
    tr_measured_loss(&made, &tap);
    OK(tr_measured_append(&made, &bytes, &err));
    tr_measured_free(&made);
    return bytes;
}

static void bring_piece(const struct served *s, int from, const struct dist_item *of,
                        const char *weights) {
    struct tr_string bytes = measured(s, of);
    struct tr_message message = result(TR_MSG_PIECE, *of, TR_OK, "");
    strcpy(message.weights_digest, weights);
    tell(s, from, &message, bytes.data, bytes.size);
    tr_string_free(&bytes);
}

// The one row of the published store, and what its error is.
static void assert_row(const struct served *s, const char *name, enum tr_row_status status,
                       const char *text) {
    struct tr_trace *trace;
    uint8_t found;
    double nll[SEQUENCES];
    OK(tr_trace_open(&trace, s->demo.settings.out, &err));
    assert_int_equal(tr_trace_rows(trace), 1);
    assert_string_equal(tr_trace_string(trace, TR_V_NAME, 0), name);
    assert_string_equal(tr_trace_string(trace, TR_V_ERROR, 0), text);
    assert_string_equal(tr_trace_string(trace, TR_V_BACKEND, 0), "rank 0's backend");
    OK(tr_trace_read(trace, TR_V_STATUS, 0, 1, &found, &err));
    OK(tr_trace_read(trace, TR_V_NLL, 0, 1, nll, &err));
    assert_int_equal(found, status);
    for (int i = 0; i < SEQUENCES; i++)
        assert_true(status == TR_ROW_COMPLETE ? nll[i] == i + 1 : isnan(nll[i]));
    tr_trace_close(trace);
}

// ---- handing out -------------------------------------------------------------------------------

static void whole_checkpoints_are_handed_out_and_counted(void **state) {
    (void)state;
    struct served s;
    struct tr_run_outcome outcome;
    serve(&s, "whole.h5", 3, 1);
    static const char *const names[] = {"step_512", "step_1024", "step_2048"};
    for (int i = 0; i < 3; i++) {
        struct dist_item of = item(&s, 0, names[i]);
        assert_int_equal(of.pieces, 1);
        assert_int_equal(of.begin, 0);
        assert_int_equal(of.end, SEQUENCES / MICRO);
        struct tr_message message =
            result(TR_MSG_WHOLE, of, i == 1 ? TR_EFORMAT : TR_OK, i == 1 ? "is damaged" : "");
        tell(&s, 0, &message, NULL, 0);
        tell(&s, 0, &message, NULL, 0); // a second one of the same counts nothing
    }
    assert_end(&s, 0);
    OK(finish(&s, &outcome));
    assert_int_equal(outcome.failed, 1);
    assert_false(outcome.stopped);
    demo_job_close(&s.demo);
}

static void after_a_signal_nothing_is_handed_out(void **state) {
    (void)state;
    struct served s;
    struct tr_run_outcome outcome;
    char text[256] = "";
    serve(&s, "stop.h5", 3, 2);
    struct dist_item of = item(&s, 0, "step_512");
    s.stop = 1;
    assert_end(&s, 1);
    assert_end(&s, 0);
    s.service.tick(s.service.user);
    struct tr_message message = result(TR_MSG_WHOLE, of, TR_OK, ""); // what was in flight
    tell(&s, 0, &message, NULL, 0);
    fflush(s.messages);
    rewind(s.messages);
    assert_non_null(fgets(text, sizeof text, s.messages));
    assert_string_equal(text, "stopping: finishing what is in flight\n");
    assert_non_null(fgets(text, sizeof text, s.messages));
    assert_string_equal(text, "0 of 3 checkpoints are done and kept; the same command goes on "
                              "with the rest\n");
    assert_null(fgets(text, sizeof text, s.messages)); // said once
    OK(finish(&s, &outcome));
    assert_true(outcome.stopped);
    assert_int_equal(outcome.failed, 0);
    demo_job_close(&s.demo);
}

static void a_signal_after_the_last_is_none(void **state) {
    (void)state;
    struct served s;
    struct tr_run_outcome outcome;
    serve(&s, "late.h5", 1, 1);
    struct tr_message message = result(TR_MSG_WHOLE, item(&s, 0, "step_512"), TR_OK, "");
    tell(&s, 0, &message, NULL, 0);
    s.stop = 1;
    s.service.tick(s.service.user);
    OK(finish(&s, &outcome));
    assert_false(outcome.stopped);
    demo_job_close(&s.demo);
}

// ---- the clock ---------------------------------------------------------------------------------

// The next line of the messages that were not read yet.
static const char *said(struct served *s) {
    static char text[512];
    return fgets(text, sizeof text, s->messages) ? text : "";
}

// A checkpoint takes a second, and there is less left.
static void what_would_not_be_done_in_time_is_not_begun(void **state) {
    (void)state;
    const struct tr_run_settings clock = {.time_limit = 1};
    struct served s;
    struct tr_run_outcome outcome;
    serve_by(&s, "limit.h5", 3, 1, &clock);
    struct dist_item of = item(&s, 0, "step_512"); // nobody knows yet how long it takes
    struct tr_message message = result(TR_MSG_WHOLE, of, TR_OK, "");
    tell(&s, 0, &message, NULL, 0);
    assert_end(&s, 0);
    assert_end(&s, 0);
    fflush(s.messages);
    rewind(s.messages);
    assert_non_null(strstr(said(&s), "stopping: the job's time ends in "));
    assert_string_equal(said(&s), "1 of 3 checkpoints are done and kept; the same command goes on "
                                  "with the rest; a checkpoint has taken a rank 1.0 s\n");
    assert_string_equal(said(&s), ""); // said once
    OK(finish(&s, &outcome));
    assert_true(outcome.stopped);
    demo_job_close(&s.demo);
}

// Both halves are handed out when the limit is over: they are brought, and no stop is told.
static void with_nothing_left_to_begin_no_limit_counts(void **state) {
    (void)state;
    const struct tr_run_settings clock = {.time_limit = 0.05};
    struct served s;
    struct tr_run_outcome outcome;
    struct dist_item items[2];
    serve_by(&s, "last.h5", 1, 2, &clock);
    for (int i = 0; i < 2; i++)
        items[i] = item(&s, i, "step_512");
    tr_sleep(0.1);
    bring_piece(&s, 0, &items[0], "weights");
    assert_end(&s, 0);
    bring_piece(&s, 1, &items[1], "weights");
    OK(finish(&s, &outcome));
    assert_false(outcome.stopped);
    demo_job_close(&s.demo);
}

static jmp_buf ended;
static void end_job(void *user, bool stopped) {
    *(bool *)user = stopped;
    longjmp(ended, 1);
}

// Ticks until the job is ended, as one without a communicator can be.
static bool ends(struct served *s) {
    static bool stopped;
    tr_coordinator_on_end(s->coordinator, end_job, &stopped);
    if (setjmp(ended) == 0)
        for (double begin = tr_now(); tr_now() < begin + 20; tr_sleep(0.01))
            s->service.tick(s->service.user);
    else
        return stopped;
    fail_msg("the job went on");
    return false;
}

static void a_silent_rank_is_told_and_ends_the_job(void **state) {
    (void)state;
    const struct tr_run_settings clock = {
        .time_limit = INFINITY, .stall = 0.05, .stall_limit = 0.3};
    struct served s;
    struct tr_run_outcome outcome;
    serve_by(&s, "silent.h5", 2, 2, &clock);
    item(&s, 1, "step_512");
    assert_false(ends(&s));
    fflush(s.messages);
    rewind(s.messages);
    const char *line = said(&s);
    assert_non_null(strstr(line, "rank 1 has said nothing for "));
    assert_non_null(strstr(line, "; it is at step_512\n"));
    assert_non_null(strstr(said(&s), "it is at step_512; the job is ended, and the same command"));
    finish(&s, &outcome);
    demo_job_close(&s.demo);
}

static void what_is_in_flight_is_dropped_after_the_grace(void **state) {
    (void)state;
    const struct tr_run_settings clock = {.time_limit = INFINITY, .grace = 0.1};
    struct served s;
    struct tr_run_outcome outcome;
    serve_by(&s, "grace.h5", 2, 1, &clock);
    item(&s, 0, "step_512");
    s.stop = 1;
    assert_true(ends(&s));
    OK(finish(&s, &outcome));
    assert_true(outcome.stopped);
    demo_job_close(&s.demo);
}

// ---- pieces ------------------------------------------------------------------------------------

// One checkpoint on four ranks is four pieces, which may come in any order.
static void pieces_join_in_any_order(void **state) {
    (void)state;
    static const int orders[][4] = {{0, 1, 2, 3}, {3, 1, 0, 2}};
    for (int o = 0; o < 2; o++) {
        struct served s;
        struct tr_run_outcome outcome;
        struct dist_item items[4];
        serve(&s, o ? "backwards.h5" : "forwards.h5", 1, 4);
        for (int i = 0; i < 4; i++) {
            items[i] = item(&s, i, "step_512");
            assert_int_equal(items[i].pieces, 4);
        }
        for (int i = 0; i < 4; i++)
            bring_piece(&s, orders[o][i], &items[orders[o][i]], "weights");
        bring_piece(&s, 0, &items[0], "weights"); // late: it counts nothing
        assert_end(&s, 0);
        OK(finish(&s, &outcome));
        assert_int_equal(outcome.failed, 0);
        assert_row(&s, "step_512", TR_ROW_COMPLETE, "");
        demo_job_close(&s.demo);
    }
}

// Whichever it is, and whatever the others bring.
static void a_piece_that_fails_fails_the_checkpoint(void **state) {
    (void)state;
    for (int bad = 0; bad < 4; bad++) {
        struct served s;
        struct tr_run_outcome outcome;
        struct dist_item items[4];
        char name[16];
        snprintf(name, sizeof name, "bad%d.h5", bad);
        serve(&s, name, 1, 4);
        for (int i = 0; i < 4; i++)
            items[i] = item(&s, i, "step_512");
        for (int i = 0; i < 4; i++) {
            struct tr_message failure = result(TR_MSG_FAILED, items[i], TR_EIO, "cannot be read");
            if (i == bad)
                tell(&s, i, &failure, NULL, 0);
            else
                bring_piece(&s, i, &items[i], "weights");
        }
        OK(finish(&s, &outcome));
        assert_int_equal(outcome.failed, 1);
        assert_row(&s, "step_512", TR_ROW_FAILED, "cannot be read");
        demo_job_close(&s.demo);
    }
}

static void ranks_that_read_different_weights_fail_it(void **state) {
    (void)state;
    struct served s;
    struct tr_run_outcome outcome;
    struct dist_item items[2];
    serve(&s, "different.h5", 1, 2);
    for (int i = 0; i < 2; i++)
        items[i] = item(&s, i, "step_512");
    bring_piece(&s, 0, &items[0], "old");
    bring_piece(&s, 1, &items[1], "new");
    OK(finish(&s, &outcome));
    assert_int_equal(outcome.failed, 1);
    assert_row(&s, "step_512", TR_ROW_FAILED,
               "two ranks read different weights: digests old and new");
    demo_job_close(&s.demo);
}

// ---- what ends the job -------------------------------------------------------------------------

static void a_piece_of_wrong_size_ends_the_job(void **state) {
    (void)state;
    struct served s;
    struct tr_run_outcome outcome;
    serve(&s, "short.h5", 1, 2);
    struct dist_item of = item(&s, 0, "step_512");
    struct tr_string bytes = measured(&s, &of), answer;
    struct tr_message message = result(TR_MSG_PIECE, of, TR_OK, "");
    assert_int_equal(say(&s, 0, &message, bytes.data, bytes.size - 1, &answer), TR_EFORMAT);
    tr_string_free(&bytes);
    assert_end(&s, 1); // nobody gets work any more
    assert_int_equal(finish(&s, &outcome), TR_ENVIRONMENT);
    assert_non_null(strstr(err.text, "sums of sequences 0 to 4 have"));
    demo_job_close(&s.demo);
}

static void a_rank_that_cannot_go_on_ends_the_job(void **state) {
    (void)state;
    for (int ranks = 1; ranks <= 2; ranks++) {
        struct served s;
        struct tr_run_outcome outcome;
        struct tr_message fatal = {.kind = TR_MSG_FATAL, .status = TR_ENOMEM};
        struct tr_message second = fatal;
        strcpy(fatal.text, "no memory for streams");
        strcpy(second.text, "another");
        serve(&s, ranks == 1 ? "fatal1.h5" : "fatal2.h5", 3, ranks);
        tell(&s, ranks - 1, &fatal, NULL, 0);
        tell(&s, 0, &second, NULL, 0);
        assert_end(&s, 0);
        assert_int_equal(finish(&s, &outcome), TR_ENVIRONMENT);
        assert_string_equal(err.text,
                            ranks == 1 ? "no memory for streams" : "rank 1: no memory for streams");
        assert_false(outcome.stopped);
        demo_job_close(&s.demo);
    }
}

static void a_message_that_is_too_short_is_refused(void **state) {
    (void)state;
    struct served s;
    struct tr_run_outcome outcome;
    struct tr_message message = {.kind = TR_MSG_NEXT};
    void *answer = NULL;
    size_t size = 0;
    serve(&s, "tiny.h5", 1, 1);
    assert_int_equal(
        s.service.answer(s.service.user, 0, &message, sizeof message - 1, &answer, &size, &err),
        TR_EFORMAT);
    assert_null(answer);
    assert_int_equal(finish(&s, &outcome), TR_ENVIRONMENT); // the work is left
    demo_job_close(&s.demo);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_checkpoints_are_handed_out_and_counted),
        cmocka_unit_test(after_a_signal_nothing_is_handed_out),
        cmocka_unit_test(a_signal_after_the_last_is_none),
        cmocka_unit_test(what_would_not_be_done_in_time_is_not_begun),
        cmocka_unit_test(with_nothing_left_to_begin_no_limit_counts),
        cmocka_unit_test(a_silent_rank_is_told_and_ends_the_job),
        cmocka_unit_test(what_is_in_flight_is_dropped_after_the_grace),
        cmocka_unit_test(pieces_join_in_any_order),
        cmocka_unit_test(a_piece_that_fails_fails_the_checkpoint),
        cmocka_unit_test(ranks_that_read_different_weights_fail_it),
        cmocka_unit_test(a_piece_of_wrong_size_ends_the_job),
        cmocka_unit_test(a_rank_that_cannot_go_on_ends_the_job),
        cmocka_unit_test(a_message_that_is_too_short_is_refused),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
