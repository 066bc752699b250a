// SPDX-License-Identifier: Apache-2.0
// What people see of a running job: lines into a file, and lines on a terminal made for the test.
// The clock is the machine's; jobs began so long ago that what passes meanwhile is nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "run/progress.h"

static const double ago = 1e6; // seconds since the job began

struct shown {
    struct tr_run_settings settings;
    struct tr_job job;
    struct tr_progress progress;
};

// Four checkpoints of a thousand million tokens, of which one is done and half of the next.
static void start(struct shown *s, FILE *stream) {
    *s = (struct shown){.settings = {.messages = stream, .out = "out.h5", .progress_seconds = -1}};
    s->job = (struct tr_job){
        .settings = &s->settings, .todo_count = 4, .calibration = {.sequences = 1000}};
    s->job.calibration.seq_len = 1000000;
    tr_progress_start(&s->progress, &s->job);
    assert_true(tr_now() - s->progress.start < 60);
    assert_int_equal(s->progress.terminal, isatty(fileno(stream)) == 1);
    s->progress.start = s->progress.last_shown = tr_now() - ago;
    s->progress.finished = 1;
    s->progress.tokens = 1e9;
    s->progress.partial = 5e8;
}

// What was written since the last call; the file is empty again.
static const char *written(FILE *file) {
    static char text[4096];
    fflush(file);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    rewind(file);
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    return text;
}

static void assert_written(FILE *file, const char *expected) {
    assert_string_equal(written(file), expected);
}

// "[2026-01-31T12:00:00Z] " and the rest.
static const char *behind_time(const char *line) {
    assert_int_equal(line[0], '[');
    assert_int_equal(line[TR_TIME_MAX - 4 + 1], ']');
    return line + TR_TIME_MAX - 4 + 3;
}

// ---- the line ----------------------------------------------------------------------------------

// How long waiting takes nobody knows, and what may come.
static void a_run_that_is_followed_has_no_time_left(void **state) {
    (void)state;
    FILE *file = tmpfile();
    struct shown s;
    assert_non_null(file);
    start(&s, file);
    s.settings.follow = true;
    tr_progress_plan(&s.progress, false);
    tr_progress_show(&s.progress);
    assert_string_equal(behind_time(written(file)),
                        "1 checkpoints traced, 4 in hand, more may come\n");
    fclose(file);
}

static void one_that_vanished_has_not_failed(void **state) {
    (void)state;
    FILE *file = tmpfile();
    struct shown s;
    struct tr_message gone = {.status = TR_EIO, .vanished = true};
    assert_non_null(file);
    start(&s, file);
    tr_progress_checkpoint(&s.progress, "step-7", &gone);
    assert_written(file, "step-7 vanished or was written anew before it was traced\n");
    assert_int_equal(s.progress.failed, 0);
    fclose(file);
}

static void a_line_has_rate_and_time_left(void **state) {
    (void)state;
    FILE *file = tmpfile();
    struct shown s;
    assert_non_null(file);
    start(&s, file);
    tr_progress_show(&s.progress);
    assert_string_equal(behind_time(written(file)),
                        "1 of 4 checkpoints, 1.50 k tokens/s, 462 h 57 min left\n");
    s.progress.last_shown -= ago;
    s.progress.failed = 2; // nothing is left of those
    tr_progress_show(&s.progress);
    assert_string_equal(behind_time(written(file)),
                        "1 of 4 checkpoints, 1.50 k tokens/s, 92 h 35 min left\n");
    s.progress.last_shown -= ago;
    s.progress.tokens = s.progress.partial = 0;
    tr_progress_show(&s.progress);
    assert_string_equal(behind_time(written(file)),
                        "1 of 4 checkpoints, 0 tokens/s, unknown left\n");
    s.progress.last_shown -= ago;
    s.progress.tokens = 9e9; // more than all
    tr_progress_show(&s.progress);
    assert_string_equal(behind_time(written(file)),
                        "1 of 4 checkpoints, 9.00 k tokens/s, 0.0 s left\n");
    fclose(file);
}

// Whether a line is shown so long after the last.
static bool shows(int64_t period, bool quiet, double since) {
    FILE *file = tmpfile();
    struct shown s;
    assert_non_null(file);
    start(&s, file);
    s.settings.progress_seconds = period;
    s.settings.quiet = quiet;
    s.progress.last_shown = tr_now() - since;
    tr_progress_show(&s.progress);
    bool shown = *written(file) != 0;
    tr_progress_show(&s.progress); // not twice
    assert_written(file, "");
    fclose(file);
    return shown;
}

static void a_line_comes_when_it_is_due(void **state) {
    (void)state;
    assert_false(shows(-1, false, 1)); // no terminal: every 30 seconds
    assert_true(shows(-1, false, 31));
    assert_true(shows(300, false, 301));
    assert_false(shows(300, false, 31));
    assert_false(shows(0, false, 1e6));
    assert_false(shows(-1, true, 1e6));
}

// ---- checkpoints -------------------------------------------------------------------------------

static struct tr_message message_of(enum tr_status status) {
    struct tr_message m = {.status = status, .seconds = 4, .waited = 1, .tokens = 1e9};
    m.bytes = 5e9;
    m.flops = 2e15;
    strcpy(m.text, status == TR_OK ? "" : "x/model.safetensors is cut short");
    return m;
}

static void failures_are_always_said(void **state) {
    (void)state;
    FILE *file = tmpfile();
    struct shown s;
    struct tr_message good = message_of(TR_OK), bad = message_of(TR_EFORMAT);
    assert_non_null(file);
    start(&s, file);
    for (int quiet = 0; quiet < 2; quiet++) {
        s.settings.quiet = quiet;
        tr_progress_checkpoint(&s.progress, "step_1", &good);
        assert_written(file, "");
        tr_progress_checkpoint(&s.progress, "step_2", &bad);
        assert_written(file, "step_2 failed: x/model.safetensors is cut short\n");
    }
    s.settings.quiet = false;
    s.settings.verbose = true;
    tr_progress_checkpoint(&s.progress, "step_3", &good);
    assert_written(file, "step_3 traced in 4.000 s, 1.000 s of them waiting for weights\n");
    assert_int_equal(s.progress.finished, 1 + 5);
    assert_int_equal(s.progress.failed, 2);
    fclose(file);
}

static void notes_of_ranks_are_for_who_asks(void **state) {
    (void)state;
    FILE *file = tmpfile();
    struct shown s;
    struct tr_message m = message_of(TR_OK);
    assert_non_null(file);
    start(&s, file);
    strcpy(m.note, "3 slabs are held");
    tr_progress_add(&s.progress, &m);
    assert_written(file, "");
    s.settings.verbose = true;
    tr_progress_add(&s.progress, &m);
    assert_written(file, "3 slabs are held\n");
    fclose(file);
}

// ---- the end -----------------------------------------------------------------------------------

static void the_summary(void **state) {
    (void)state;
    FILE *file = tmpfile();
    struct shown s;
    struct tr_message m = message_of(TR_OK);
    assert_non_null(file);
    start(&s, file);
    s.progress.tokens = s.progress.partial = 0;
    tr_progress_end(&s.progress, 0, 0);
    assert_written(file, "traced 0 checkpoints in 277 h 46 min, 4 of 4 left for the same command\n"
                         "out.h5\n");
    tr_progress_add(&s.progress, &m);
    tr_progress_end(&s.progress, 1, 0);
    assert_written(file, "traced 1 checkpoint in 277 h 46 min, 3 of 4 left for the same command: "
                         "1.00 k tokens/s, 5.00 GB read, "
                         "2 GFLOP/s, 25 % waiting for weights\nout.h5\n");
    s.progress.product_rate = 4e9;
    s.job.done_count = 2;
    tr_progress_end(&s.progress, 5, 2);
    assert_written(file, "traced 3 checkpoints in 277 h 46 min, 2 failed, 2 were already there: "
                         "1.00 k tokens/s, 5.00 GB read, 2 GFLOP/s (50 % of this machine's sgemm "
                         "rate), 25 % waiting for weights\nout.h5\n");
    s.job.device = KN_CUDA;
    tr_progress_end(&s.progress, 5, 2);
    assert_non_null(strstr(written(file), "(50 % of this machine's product rate)"));
    s.settings.quiet = true;
    tr_progress_end(&s.progress, 5, 2);
    assert_written(file, "");
    fclose(file);
}

// ---- a terminal --------------------------------------------------------------------------------

struct terminal {
    int person; // the end that a person reads
    FILE *stream;
};

// False where the machine has none to give. What is written comes out as it was.
static bool open_terminal(struct terminal *t, unsigned short columns) {
    struct termios plain;
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    t->person = posix_openpt(O_RDWR | O_NOCTTY);
    if (t->person < 0)
        return false;
    assert_int_equal(grantpt(t->person), 0);
    assert_int_equal(unlockpt(t->person), 0);
    int program = open(ptsname(t->person), O_RDWR | O_NOCTTY);
    assert_true(program >= 0);
    assert_int_equal(tcgetattr(program, &plain), 0);
    cfmakeraw(&plain);
    assert_int_equal(tcsetattr(program, TCSANOW, &plain), 0);
    assert_int_equal(ioctl(program, TIOCSWINSZ, &size), 0);
    assert_int_equal(fcntl(t->person, F_SETFL, O_NONBLOCK), 0);
    t->stream = fdopen(program, "w");
    assert_non_null(t->stream);
    return true;
}

static void close_terminal(struct terminal *t) {
    assert_int_equal(fclose(t->stream), 0);
    close(t->person);
}

static const char *on_screen(struct terminal *t) {
    static char text[4096];
    size_t size = 0;
    ssize_t got;
    fflush(t->stream);
    while ((got = read(t->person, text + size, sizeof text - 1 - size)) > 0)
        size += (size_t)got;
    text[size] = 0;
    return text;
}

static void assert_wrapped(unsigned short columns, const char *text, const char *expected) {
    struct terminal t;
    if (!open_terminal(&t, columns))
        skip();
    tr_say(t.stream, text);
    assert_string_equal(on_screen(&t), expected);
    close_terminal(&t);
}

static void words_are_wrapped_on_a_terminal(void **state) {
    (void)state;
    assert_wrapped(20, "one two\n", "one two\n");
    assert_wrapped(20, "aaaa bbbb cccc dddd\n", "aaaa bbbb cccc dddd\n");
    assert_wrapped(20, "aaaa bbbb cccc ddddd\n", "aaaa bbbb cccc ddddd\n"); // 20 fit
    assert_wrapped(20, "aaaa bbbb cccc dddddd\n", "aaaa bbbb cccc\n  dddddd\n");
    assert_wrapped(20, "aaaa bbbb cccc dddd eeee", "aaaa bbbb cccc dddd\n  eeee");
    assert_wrapped(10, "aaaa bbbb\ncccc dddd\n", "aaaa bbbb\ncccc dddd\n");
    assert_wrapped(10, "  a  b   c   d\n", "  a  b   c\n  d\n");
    assert_wrapped(10, "a-word-that-is-too-long b\n", "a-word-that-is-too-long\n  b\n");
    assert_wrapped(10, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9 \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
                   "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9 \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
}

// Lines are at most 80 columns long, also where a terminal is wider or says nothing.
static void lines_are_at_most_80_long(void **state) {
    (void)state;
    static const unsigned short wide[] = {0, 80, 200};
    char text[128], expected[128];
    memset(text, 'a', 75);
    strcpy(text + 75, " bbbbb\n");
    memset(expected, 'a', 75);
    strcpy(expected + 75, "\n  bbbbb\n");
    for (int i = 0; i < 3; i++)
        assert_wrapped(wide[i], text, expected);
}

static void elsewhere_lines_stay_as_they_are(void **state) {
    (void)state;
    FILE *file = tmpfile();
    char text[300];
    assert_non_null(file);
    memset(text, 'a', sizeof text);
    for (int i = 5; i < 295; i += 6)
        text[i] = ' ';
    strcpy(text + 295, "\n");
    tr_say(file, text);
    assert_written(file, text);
    fclose(file);
}

// The line is rewritten; whatever else is said takes its place.
static void the_line_gives_way(void **state) {
    (void)state;
    struct terminal t;
    struct shown s;
    if (!open_terminal(&t, 80))
        skip();
    start(&s, t.stream);
    s.progress.last_shown = tr_now() - 1.5; // every second
    tr_progress_show(&s.progress);
    const char *line = on_screen(&t);
    assert_string_equal(line, "1 of 4 checkpoints, 1.50 k tokens/s, 462 h 57 min left");
    s.progress.last_shown -= 1.5;
    tr_progress_show(&s.progress);
    line = on_screen(&t);
    assert_memory_equal(line, "\r\033[K1 of", 8);
    tr_progress_note(&s.progress, "a remark");
    assert_string_equal(on_screen(&t), "\r\033[Ka remark\n");
    tr_progress_note(&s.progress, "another");
    assert_string_equal(on_screen(&t), "another\n");
    close_terminal(&t);
}

// A line that wrapped could not be cleared.
static void the_line_is_cut(void **state) {
    (void)state;
    struct terminal t;
    struct shown s;
    if (!open_terminal(&t, 40))
        skip();
    start(&s, t.stream);
    s.progress.last_shown = tr_now() - 1.5;
    tr_progress_show(&s.progress);
    assert_string_equal(on_screen(&t), "1 of 4 checkpoints, 1.50 k tokens/s, 46");
    close_terminal(&t);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_rate_and_time_left),
        cmocka_unit_test(a_run_that_is_followed_has_no_time_left),
        cmocka_unit_test(one_that_vanished_has_not_failed),
        cmocka_unit_test(a_line_comes_when_it_is_due),
        cmocka_unit_test(failures_are_always_said),
        cmocka_unit_test(notes_of_ranks_are_for_who_asks),
        cmocka_unit_test(the_summary),
        cmocka_unit_test(words_are_wrapped_on_a_terminal),
        cmocka_unit_test(lines_are_at_most_80_long),
        cmocka_unit_test(elsewhere_lines_stay_as_they_are),
        cmocka_unit_test(the_line_gives_way),
        cmocka_unit_test(the_line_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
