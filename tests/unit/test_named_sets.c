// SPDX-License-Identifier: Apache-2.0
// Several drop sets by name: which lines are sets, what is refused, and that they read back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/named_sets.h"

static struct tr_err err;

static void lines_are_sets(void **state) {
    (void)state;
    struct tr_named_sets sets, again;
    struct tr_string text = {0};
    static const char lines[] = "# of the last checkpoint\n\n  seven lowest :  attn:7,6 mlp:3 \r\n"
                                "one block: block:2\nnothing:\n";
    assert_int_equal(tr_named_sets_parse(&sets, lines, "f", &err), TR_OK);
    assert_int_equal(sets.count, 3);
    assert_string_equal(sets.sets[0].name, "seven lowest");
    assert_true(tr_drop_set_has(&sets.sets[0].drop, TR_ATTN, 6));
    assert_true(tr_drop_set_has(&sets.sets[1].drop, TR_MLP, 2));
    assert_int_equal(sets.sets[2].drop.count, 0);
    assert_int_equal(tr_named_sets_text(&sets, &text, &err), TR_OK);
    assert_string_equal(text.data, "seven lowest: attn:6,7 mlp:3\none block: block:2\nnothing: \n");
    assert_int_equal(tr_named_sets_parse(&again, text.data, "f", &err), TR_OK);
    assert_int_equal(again.count, 3);
    tr_string_free(&text);
    tr_named_sets_free(&sets);
    tr_named_sets_free(&again);
}

static void what_is_no_set_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "f has no drop sets"},
        {"# only\n", "f has no drop sets"},
        {"attn 7\n", "f, line 1: a set is \"NAME: SET\", as in \"lowest: attn:7,6 mlp:3\""},
        {"\n: attn:7\n", "f, line 2: a name has 1 to 64 bytes and ends at the first colon"},
        {"a: attn:7\na: mlp:1\n", "f, line 2: two sets have this name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_named_sets sets;
        assert_int_equal(tr_named_sets_parse(&sets, cases[i].text, "f", &err), TR_EUSAGE);
        assert_string_equal(err.text, cases[i].says);
    }
    struct tr_named_sets sets;
    assert_int_equal(tr_named_sets_parse(&sets, "a: head:7", "f", &err), TR_EUSAGE);
    assert_non_null(strstr(err.text, "f, line 1: "));
    assert_non_null(strstr(err.text, "head"));
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_sets),
        cmocka_unit_test(what_is_no_set_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
