// SPDX-License-Identifier: Apache-2.0
// Patterns of names: what they expand to, and that nothing else matches.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ckpt/name_pattern.h"

#define BOTH "l.{layer}.e.{expert}.w"

static void test_expansion(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        struct tr_name_numbers numbers;
        const char *name;
    } cases[] = {
        {"norm.weight", {{-1, -1, -1}}, "norm.weight"},
        {"l.{layer}.w", {{0, -1, -1}}, "l.0.w"},
        {"l.{layer}", {{1023, -1, -1}}, "l.1023"},
        {BOTH, {{10, 255, -1}}, "l.10.e.255.w"},
        {"{head}.{layer}", {{3, -1, 4}}, "4.3"},
        {"{layers}.{}", {{3, 4, 5}}, "{layers}.{}"},
        {"", {{-1, -1, -1}}, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[64];
        struct tr_name_numbers found;
        assert_true(tr_pattern_expand(cases[i].pattern, &cases[i].numbers, name, sizeof name));
        assert_string_equal(name, cases[i].name);
        assert_true(tr_pattern_match(cases[i].pattern, name, &found));
        for (int n = 0; n < TR_NAME_NUMBERS; n++)
            if (tr_pattern_has(cases[i].pattern, (enum tr_name_number)n))
                assert_int_equal(found.at[n], cases[i].numbers.at[n]);
            else
                assert_int_equal(found.at[n], -1);
    }
}

static void test_room_for_a_name(void **state) {
    (void)state;
    const struct tr_name_numbers numbers = {{12, 345, -1}};
    char name[16];
    for (size_t size = 0; size < sizeof name; size++) {
        memset(name, '#', sizeof name);
        assert_int_equal(tr_pattern_expand(BOTH, &numbers, name, size), size >= 13);
        assert_string_equal(size ? name : "", size >= 13 ? "l.12.e.345.w" : "");
        assert_int_equal(name[size], '#');
    }
}

static void test_names_of_no_pattern(void **state) {
    (void)state;
    static const char *const names[] = {
        "",           "l",           "l.",         "l.1.e.2",    "l.1.e.2.w.",
        "l.1.e.2.ww", "l.1.e..w",    "l..e.2.w",   "l.01.e.2.w", "l.1.e.00.w",
        "l.-1.e.2.w", "l.+1.e.2.w",  "l. 1.e.2.w", "l.1e.e.2.w", "l.1.e.1000000000.w",
        "L.1.e.2.w",  "l.{layer}.w", "ml.1.e.2.w"};
    struct tr_name_numbers numbers = {{7, 8, 9}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(tr_pattern_match(BOTH, names[i], &numbers));
    assert_int_equal(numbers.at[TR_NAME_LAYER], 7); // left alone
    assert_true(tr_pattern_match(BOTH, "l.0.e.999999999.w", &numbers));
    assert_int_equal(numbers.at[TR_NAME_EXPERT], 999999999);
}

static void test_which_pattern(void **state) {
    (void)state;
    static const char *const patterns[] = {"a.{layer}", NULL, "a.{layer}.{head}", "a.b"};
    struct tr_name_numbers numbers;
    assert_int_equal(tr_pattern_find(patterns, 4, "a.5", &numbers), 0);
    assert_int_equal(numbers.at[TR_NAME_LAYER], 5);
    assert_int_equal(tr_pattern_find(patterns, 4, "a.5.6", &numbers), 2);
    assert_int_equal(numbers.at[TR_NAME_HEAD], 6);
    assert_int_equal(numbers.at[TR_NAME_EXPERT], -1);
    assert_int_equal(tr_pattern_find(patterns, 4, "a.b", &numbers), 3);
    assert_int_equal(tr_pattern_find(patterns, 4, "a.c", &numbers), -1);
    assert_int_equal(tr_pattern_find(patterns, 3, "a.b", &numbers), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_room_for_a_name),
        cmocka_unit_test(test_names_of_no_pattern),
        cmocka_unit_test(test_which_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
