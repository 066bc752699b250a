// SPDX-License-Identifier: Apache-2.0
// What rank 0 answers a rank that asks for work: read as it was written, refused when cut short.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/assignment.h"

static struct tr_err err;

static const struct dist_item item = {.task = 17,
                                      .begin = 3,
                                      .end = 9,
                                      .pieces = 4,
                                      .bytes = 1.5e9,
                                      .flops = 2.5e15,
                                      .node = 2,
                                      .ticket = 123456789012};

static struct tr_series_entry entry(const char *path, const char *name) {
    struct tr_series_entry made = {.path = (char *)path,
                                   .name = (char *)name,
                                   .parsed = {.stage = "stage2",
                                              .step = 4096,
                                              .tokens = NAN,
                                              .other = "ingredient",
                                              .line = "seed7",
                                              .unclear = true},
                                   .row = 11,
                                   .given = TR_GIVEN_STEP | TR_GIVEN_STAGE};
    return made;
}

static struct tr_string written(enum dist_next next, const struct tr_series_entry *of) {
    struct tr_string bytes = {0};
    assert_int_equal(tr_assignment_write(&bytes, next, &item, of, true, true, &err), TR_OK);
    return bytes;
}

static void assert_round_trip(const char *path, const char *name) {
    struct tr_series_entry of = entry(path, name);
    struct tr_string bytes = written(DIST_ITEM, &of);
    struct tr_assignment read;
    assert_int_equal(tr_assignment_read(&read, bytes.data, bytes.size, &err), TR_OK);
    assert_int_equal(read.next, DIST_ITEM);
    assert_memory_equal(&read.item, &item, sizeof item);
    assert_true(read.traced && read.suspect);
    assert_string_equal(read.entry.path, path);
    assert_string_equal(read.entry.name, name);
    assert_true(read.entry.path != path && read.entry.name != name); // its own
    assert_string_equal(read.entry.parsed.stage, "stage2");
    assert_int_equal(read.entry.parsed.step, 4096);
    assert_true(isnan(read.entry.parsed.tokens));
    assert_string_equal(read.entry.parsed.other, "ingredient");
    assert_string_equal(read.entry.parsed.line, "seed7");
    assert_true(read.entry.parsed.unclear);
    assert_int_equal(read.entry.row, 11);
    assert_int_equal(read.entry.given, TR_GIVEN_STEP | TR_GIVEN_STAGE);
    tr_assignment_free(&read);
    assert_null(read.entry.path);
    tr_string_free(&bytes);
}

static void an_item_is_read_as_it_was_written(void **state) {
    (void)state;
    assert_round_trip("/data/run/step_4096", "step_4096");
    assert_round_trip("a", "b");
    assert_round_trip("", "");
    assert_round_trip("run/\xc3\xa9tape 12", "\xff not UTF-8");
}

static void without_an_item_there_is_nothing_else(void **state) {
    (void)state;
    static const enum dist_next none[] = {DIST_END, DIST_WAIT};
    for (int i = 0; i < 2; i++) {
        struct tr_string bytes = written(none[i], NULL);
        struct tr_assignment read = {.entry.name = (char *)"before"};
        assert_int_equal(tr_assignment_read(&read, bytes.data, bytes.size, &err), TR_OK);
        assert_int_equal(read.next, none[i]);
        assert_int_equal(read.item.task, 0);
        assert_null(read.entry.path);
        assert_null(read.entry.name);
        tr_string_free(&bytes);
    }
}

// The first `size` of the bytes, in memory of just that size, are refused and nothing is set.
static void assert_refused(const struct tr_string *bytes, size_t size) {
    struct tr_assignment read = {.item.task = 77};
    char *cut = malloc(size ? size : 1);
    assert_non_null(cut);
    memcpy(cut, bytes->data, size);
    err = (struct tr_err){0};
    if (tr_assignment_read(&read, cut, size, &err) != TR_EFORMAT)
        fail_msg("%zu of %zu bytes were not refused", size, bytes->size);
    assert_string_equal(err.text, "an item from rank 0 is cut short");
    assert_int_equal(read.item.task, 77);
    free(cut);
}

static void every_cut_is_refused(void **state) {
    (void)state;
    struct tr_series_entry of = entry("/data/run/step_4096", "step_4096");
    struct tr_string bytes = written(DIST_ITEM, &of), end = written(DIST_END, NULL);
    for (size_t size = 0; size < bytes.size; size++)
        assert_refused(&bytes, size);
    for (size_t size = 0; size < end.size; size++)
        assert_refused(&end, size);
    tr_string_free(&bytes);
    tr_string_free(&end);
}

// Answers are appended to what is there.
static void an_answer_is_appended(void **state) {
    (void)state;
    struct tr_string bytes = {0};
    assert_int_equal(tr_string_append(&bytes, "head", 4, &err), TR_OK);
    assert_int_equal(tr_assignment_write(&bytes, DIST_WAIT, NULL, NULL, false, false, &err), TR_OK);
    struct tr_assignment read;
    assert_memory_equal(bytes.data, "head", 4);
    assert_int_equal(tr_assignment_read(&read, bytes.data + 4, bytes.size - 4, &err), TR_OK);
    assert_int_equal(read.next, DIST_WAIT);
    tr_string_free(&bytes);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_is_read_as_it_was_written),
        cmocka_unit_test(without_an_item_there_is_nothing_else),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(an_answer_is_appended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
