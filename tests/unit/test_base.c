// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/printable.h"
#include "base/status.h"
#include "base/strings.h"
#include "base/wrap.h"

static void sentences_hide_control_characters(void **state) {
    (void)state;
    struct tr_err err;
    assert_int_equal(tr_fail(&err, TR_EFORMAT, "tensor %s\x1b[2J", "a\nb"), TR_EFORMAT);
    assert_string_equal(err.text, "tensor a?b?[2J");
    assert_int_equal(err.code, TR_EFORMAT);
    assert_string_equal(tr_status_text(TR_EIO), "input or output failed");
}

struct printed {
    const char *text, *kept, *expected;
};

// Controls of both sets, as one byte and as two, and what is not UTF-8.
static const struct printed printed[] = {
    {"plain", "", "plain"},
    {"", "", ""},
    {"\033[31mred\033[0m", "", "?[31mred?[0m"},
    {"a\nb\tc\r\a\177", "", "a?b?c???"},
    {"a\nb\tc\r\a\177", "\n", "a\nb?c???"},
    {"\302\233"
     "31m \302\200\302\237\302\205",
     "\n", "?31m ???"},
    {"\302\240\303\251 \342\226\210 \360\237\230\200", "",
     "\302\240\303\251 \342\226\210 \360\237\230\200"},
    {"\233"
     "31m \377\200\237",
     "", "?31m ???"},
    {"\303", "", "?"},
    {"\342\226", "", "??"},
    {"\342\226x", "", "??x"},
    {"\300\233 \340\202\233 \355\240\200 \364\220\200\200", "", "?? ??? ??? ????"},
};

static void nothing_reaches_a_terminal(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof printed / sizeof *printed; i++) {
        struct tr_err err;
        char text[64];
        strcpy(text, printed[i].text);
        assert_int_equal(tr_printable(text, strlen(text), printed[i].kept),
                         strlen(printed[i].expected));
        assert_string_equal(text, printed[i].expected);
        if (*printed[i].kept)
            continue;
        tr_fail(&err, TR_EFORMAT, "%s", printed[i].text);
        assert_string_equal(err.text, printed[i].expected);
    }
    char every[2] = "";
    for (int c = 0; c < 256; c++) {
        every[0] = (char)c;
        tr_printable(every, 1, "\n");
        assert_int_equal((unsigned char)every[0], c == '\n' || (c >= 0x20 && c < 0x7f) ? c : '?');
    }
}

static void sizes_do_not_wrap(void **state) {
    (void)state;
    uint64_t value;
    assert_true(tr_mul(1 << 20, 1 << 20, &value));
    assert_true(value == UINT64_C(1) << 40);
    assert_false(tr_mul(UINT64_C(1) << 33, UINT64_C(1) << 33, &value));
    assert_false(tr_add(UINT64_MAX, 1, &value));
    void *memory;
    struct tr_err err;
    assert_int_equal(tr_alloc(&memory, UINT64_MAX, 8, "a giant", &err), TR_ENOMEM);
    assert_non_null(strstr(err.text, "a giant"));
    assert_int_equal(tr_alloc(&memory, 0, 8, "nothing", &err), TR_OK);
    free(memory);
}

static void numbers_are_strict(void **state) {
    (void)state;
    int64_t i;
    double f;
    uint64_t bytes;
    assert_true(tr_parse_i64("42", 0, 100, &i) && i == 42);
    assert_false(tr_parse_i64("42 ", 0, 100, &i));
    assert_false(tr_parse_i64(" 42", 0, 100, &i));
    assert_false(tr_parse_i64("+42", 0, 100, &i));
    assert_false(tr_parse_i64("101", 0, 100, &i));
    assert_false(tr_parse_i64("99999999999999999999", 0, INT64_MAX, &i));
    assert_false(tr_parse_i64("", 0, 100, &i));
    assert_true(tr_parse_f64("-2.5e3", -1e9, 1e9, &f) && f == -2500);
    assert_false(tr_parse_f64("nan", -1e9, 1e9, &f));
    assert_false(tr_parse_f64("", -1e9, 1e9, &f));
    assert_true(tr_parse_bytes("1.5G", &bytes) && bytes == 3 * (UINT64_C(1) << 29));
    assert_true(tr_parse_bytes("64KiB", &bytes) && bytes == 65536);
    assert_false(tr_parse_bytes("12 potatoes", &bytes));
    assert_false(tr_parse_bytes("1e300T", &bytes));
}

static void people_read_three_digits(void **state) {
    (void)state;
    char out[TR_HUMAN_MAX];
    assert_string_equal(tr_human_bytes(0, out), "0 B");
    assert_string_equal(tr_human_bytes(1210000000, out), "1.21 GB");
    assert_string_equal(tr_human_bytes(999600, out), "1.00 MB");
    assert_string_equal(tr_human_count(12345, out), "12.3 k");
    assert_string_equal(tr_human_count(7, out), "7");
    assert_string_equal(tr_human_seconds(4.25, out), "4.2 s");
    assert_string_equal(tr_human_seconds(3720 * 3, out), "3 h 06 min");
}

static void names_sort_as_people_count(void **state) {
    (void)state;
    assert_true(tr_natural_compare("step2000", "step10000") < 0);
    assert_true(tr_natural_compare("step-2", "step-10") < 0);
    assert_true(tr_natural_compare("a", "b") < 0);
    assert_true(tr_natural_compare("ckpt", "ckpt_1") < 0);
    assert_int_equal(tr_natural_compare("x007", "x007"), 0);
    assert_true(tr_natural_compare("x07", "x7") != 0);
    assert_true(tr_natural_compare("x99999999999999999999998", "x99999999999999999999999") < 0);
}

static void paths_are_joined_and_cut(void **state) {
    (void)state;
    char *text;
    assert_int_equal(tr_path_name(&text, "a/b//", NULL), TR_OK);
    assert_string_equal(text, "b");
    free(text);
    assert_int_equal(tr_path_join(&text, "a/", "b", NULL), TR_OK);
    assert_string_equal(text, "a/b");
    free(text);
}

static void utf8_is_checked(void **state) {
    (void)state;
    assert_true(tr_utf8_valid("\xc3\xa9\xf0\x9f\x98\x80", 6));
    assert_false(tr_utf8_valid("\xc0\xaf", 2));         // overlong
    assert_false(tr_utf8_valid("\xed\xa0\x80", 3));     // surrogate
    assert_false(tr_utf8_valid("\xf4\x90\x80\x80", 4)); // past U+10FFFF
    assert_false(tr_utf8_valid("\xe2\x82", 2));         // cut short
}

static void json_is_strict_but_knows_python(void **state) {
    (void)state;
    struct tr_err err;
    json_t *value;
    const char twice[] = "{\"a\": 1, \"a\": 2}";
    assert_int_equal(tr_json_parse(&value, twice, strlen(twice), "x.json", &err), TR_EFORMAT);
    assert_non_null(strstr(err.text, "x.json is not valid JSON"));
    const char python[] = "{\"a\": NaN, \"b\": -Infinity, \"c\": \"NaN\", \"d\": 1e4, \"e\": true}";
    assert_int_equal(tr_json_parse(&value, python, strlen(python), "x.json", &err), TR_OK);
    double real = 7;
    assert_int_equal(tr_json_f64(value, "a", &real, "x.json", &err), TR_EFORMAT);
    assert_string_equal(err.text, "x.json: \"a\" must be a number, it is NaN or infinite");
    assert_int_equal(tr_json_f64(value, "b", &real, "x.json", &err), TR_EFORMAT);
    assert_string_equal(err.text, "x.json: \"b\" must be a number, it is NaN or infinite");
    assert_true(real == 7);
    assert_string_equal(json_string_value(json_object_get(value, "c")), "NaN");
    int64_t number = 7;
    assert_int_equal(tr_json_i64(value, "d", &number, "x.json", &err), TR_OK);
    assert_true(number == 10000);
    assert_int_equal(tr_json_i64(value, "absent", &number, "x.json", &err), TR_OK);
    assert_true(number == 10000);
    assert_int_equal(tr_json_i64(value, "e", &number, "x.json", &err), TR_EFORMAT);
    assert_string_equal(err.text, "x.json: \"e\" must be an integer, it is true");
    json_decref(value);
}

// As transformers writes "model_max_length"; what fits stays exact beside it.
static void json_knows_long_integers(void **state) {
    (void)state;
    struct tr_err err;
    json_t *value;
    const char text[] = "{\"a\": 1000000000000000019884624838656, \"b\": 9223372036854775807, "
                        "\"c\": [-9223372036854775809, 0.12345678901234567890123], "
                        "\"d\": \"12345678901234567890123\"}";
    assert_int_equal(tr_json_parse(&value, text, strlen(text), "x.json", &err), TR_OK);
    double real = 0;
    assert_int_equal(tr_json_f64(value, "a", &real, "x.json", &err), TR_OK);
    assert_true(fabs(real / 1e30 - 1) < 1e-8);
    assert_true(json_integer_value(json_object_get(value, "b")) == INT64_MAX);
    const json_t *list = json_object_get(value, "c");
    assert_true(fabs(json_real_value(json_array_get(list, 0)) / -0x1p63 - 1) < 1e-8);
    assert_true(json_real_value(json_array_get(list, 1)) == 0.12345678901234567890123);
    assert_string_equal(json_string_value(json_object_get(value, "d")), "12345678901234567890123");
    json_decref(value);
}

static void digests_are_xxh3(void **state) {
    (void)state;
    char at_once[TR_DIGEST_MAX], in_parts[TR_DIGEST_MAX];
    struct tr_digest *digest;
    assert_int_equal(tr_digest_new(&digest, NULL), TR_OK);
    tr_digest_update(digest, "hello ", 6);
    tr_digest_update(digest, "world", 5);
    tr_digest_text(digest, in_parts);
    tr_digest_free(digest);
    tr_digest_bytes("hello world", 11, at_once);
    assert_string_equal(at_once, in_parts);
    tr_digest_bytes("", 0, at_once);
    assert_string_equal(at_once, "99aa06d3014798d86001c324468d497f"); // XXH3-128 of nothing
}

static void text_is_broken_between_words(void **state) {
    (void)state;
    static const struct {
        struct tr_wrap wrap;
        const char *text, *lines;
    } cases[] = {
        {{10, 0, 2}, "", ""},
        {{10, 0, 2}, "one two three", "one two\n  three"},
        {{10, 0, 2}, "one two3456", "one\n  two3456"},
        {{10, 0, 2}, "one two345", "one two345"},
        {{10, 0, 0}, "longer-than-a-line is whole", "longer-than-a-line\nis whole"},
        {{10, 0, 2}, "longer-than-a-line is", "longer-than-a-line\n  is"},
        {{10, 0, 4}, "a longer-than-a-line", "a\n    longer-than-a-line"},
        {{10, 0, 2}, "  a  b", "  a  b"},                    // spaces stay
        {{10, 0, 2}, "one two   three", "one two\n  three"}, // but for those at an end of line
        {{10, 8, 4}, "a bc", "a\n    bc"},                   // something stands before the text
        {{10, 8, 4}, "abc d", "\n    abc d"},
        {{10, 4, 4}, "abcdefgh", "abcdefgh"}, // nothing but the indentation does
        {{10, 0, 2},
         "\xc3\xa9\xc3\xa9\xc3\xa9 \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
         "\xc3\xa9\xc3\xa9\xc3\xa9 \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"},
        {{10, 0, 2}, "a\x1b[2J\nb\x7f", "a?[2J?b?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tr_string out = {0};
        struct tr_err err;
        assert_int_equal(tr_string_append(&out, ">", 1, &err), TR_OK);
        assert_int_equal(
            tr_wrap_words(&out, cases[i].text, strlen(cases[i].text), &cases[i].wrap, &err), TR_OK);
        assert_string_equal(out.data + 1, cases[i].lines);
        tr_string_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_hide_control_characters),
        cmocka_unit_test(nothing_reaches_a_terminal),
        cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(people_read_three_digits),
        cmocka_unit_test(names_sort_as_people_count),
        cmocka_unit_test(paths_are_joined_and_cut),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(text_is_broken_between_words),
        cmocka_unit_test(json_is_strict_but_knows_python),
        cmocka_unit_test(json_knows_long_integers),
        cmocka_unit_test(digests_are_xxh3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
