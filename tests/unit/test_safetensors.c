// SPDX-License-Identifier: Apache-2.0
// The header parser on headers made by hand: what it gives, and what it refuses with which words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "safetensors.h"

struct parsed {
    struct tr_tensor *tensors;
    int64_t count;
    char *names;
};

// The header as that of a file with `data` bytes of data.
static enum tr_status parse(struct parsed *parsed, const char *json, uint64_t data,
                            struct tr_err *err) {
    uint64_t size = strlen(json);
    char *exact = malloc(size ? size : 1); // without a final 0, as in a file
    assert_non_null(exact);
    memcpy(exact, json, size);
    enum tr_status status = tr_safetensors_parse(
        exact, size, 8 + size + data, "m", &parsed->tensors, &parsed->count, &parsed->names, err);
    free(exact);
    return status;
}

static void release(struct parsed *parsed) {
    free(parsed->tensors);
    free(parsed->names);
}

static void test_tensors_come_in_order_of_their_offsets(void **state) {
    (void)state;
    static const char json[] =
        " {\"__metadata__\" : {\"format\":\"pt\", \"a\":\"\\\"}\"} ,\n"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[8,20]},"
        "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[20,20]},"
        "\"a\":{\"data_offsets\":[0,8],\"shape\":[],\"dtype\":\"F64\"},"
        "\"c\\u00e9\\ud83d\\ude00\\n\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[20,22]}} "
        " ";
    struct parsed parsed;
    struct tr_err err = {.text = ""};
    if (parse(&parsed, json, 22, &err))
        fail_msg("%s", err.text);
    uint64_t start = 8 + strlen(json);
    assert_int_equal(parsed.count, 4);
    const struct tr_tensor *t = parsed.tensors;
    assert_string_equal(t[0].name, "a");
    assert_int_equal(t[0].dtype, TR_F64);
    assert_int_equal(t[0].dims, 0);
    assert_int_equal(t[0].piece.offset, start);
    assert_string_equal(t[1].name, "b");
    assert_int_equal(t[1].dtype, TR_BF16);
    assert_string_equal(t[1].dtype_text, "BF16");
    assert_int_equal(t[1].dims, 2);
    assert_int_equal(t[1].shape[0], 2);
    assert_int_equal(t[1].shape[1], 3);
    assert_int_equal(t[1].piece.offset, start + 8);
    assert_int_equal(t[1].bytes, 12);
    assert_string_equal(t[2].name, "empty");
    assert_int_equal(t[2].bytes, 0);
    assert_string_equal(t[3].name, "c\xc3\xa9\xf0\x9f\x98\x80\n");
    assert_int_equal(t[3].dtype, TR_OTHER_DTYPE);
    assert_string_equal(t[3].dtype_text, "F4");
    release(&parsed);
}

static void test_a_file_without_tensors(void **state) {
    (void)state;
    struct parsed parsed;
    struct tr_err err;
    assert_int_equal(parse(&parsed, "{}", 0, &err), TR_OK);
    assert_int_equal(parsed.count, 0);
    release(&parsed);
    assert_int_equal(parse(&parsed, "{\"__metadata__\":{}}", 0, &err), TR_OK);
    assert_int_equal(parsed.count, 0);
    release(&parsed);
}

static void test_dtypes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes; // of eight elements
    } cases[] = {{"BOOL", 8},    {"F4", 4},   {"F6_E2M3", 6},     {"F6_E3M2", 6},
                 {"U8", 8},      {"I8", 8},   {"F8_E5M2", 8},     {"F8_E4M3", 8},
                 {"F8_E8M0", 8}, {"I16", 16}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
                 {"U16", 16},    {"F16", 16}, {"BF16", 16},       {"I32", 32},
                 {"U32", 32},    {"F32", 32}, {"C64", 64},        {"F64", 64},
                 {"I64", 64},    {"U64", 64}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[128];
        struct parsed parsed;
        struct tr_err err = {.text = ""};
        snprintf(json, sizeof json,
                 "{\"t\":{\"dtype\":\"%s\",\"shape\":[8],\"data_offsets\":[0,%d]}}", cases[i].text,
                 (int)cases[i].bytes);
        if (parse(&parsed, json, cases[i].bytes, &err))
            fail_msg("%s: %s", cases[i].text, err.text);
        size_t size = tr_dtype_size(parsed.tensors->dtype);
        assert_true(!size || size * 8 == cases[i].bytes);
        release(&parsed);
    }
    assert_int_equal(tr_dtype_size(TR_BF16), 2);
}

#define T(name, dtype, shape, offsets)                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define BODY "\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]"

static const struct {
    const char *json;
    uint64_t data;
    const char *expected;
} refusals[] = {
    // the data area is not tiled exactly
    {"{" T("a", "U8", "[2]", "[1,3]") "}", 3,
     "m: tensor a begins at byte 1 of the data, the header ends at 0: there is a hole"},
    {"{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[3,5]") "}", 5,
     "m: tensor b begins at byte 3 of the data, a ends at 2: there is a hole"},
    {"{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[1,3]") "}", 3,
     "m: tensor b begins at byte 1 of the data, a ends at 2: they overlap"},
    {"{" T("a", "U8", "[2]", "[0,2]") "}", 1,
     "m: the header describes 2 bytes of data, the file has 1: it is truncated"},
    {"{" T("a", "U8", "[2]", "[0,2]") "}", 3,
     "m: the header describes 2 bytes of data, the file has 3: it is followed by something else"},
    {"{}", 1,
     "m: the header describes 0 bytes of data, the file has 1: it is followed by something else"},
    // sizes
    {"{" T("a", "F32", "[2]", "[0,9]") "}", 9,
     "m: tensor a: its shape and dtype take 8 bytes, its offsets 9"},
    {"{" T("a", "F32", "[]", "[0,0]") "}", 0,
     "m: tensor a: its shape and dtype take 4 bytes, its offsets 0"},
    {"{" T("a", "F4", "[3]", "[0,1]") "}", 1, "m: tensor a does not fill whole bytes"},
    {"{" T("a", "U8", "[4294967296,4294967296]", "[0,0]") "}", 0,
     "m: the shape of tensor a overflows"},
    {"{" T("a", "U8", "[2305843009213693952]", "[0,0]") "}", 0,
     "m: the shape of tensor a overflows"},
    {"{" T("a", "U8", "[9223372036854775808]", "[0,0]") "}", 0,
     "m: tensor a: dimension 0 is 9223372036854775808"},
    {"{" T("a", "U8", "[1]", "[1,0]") "}", 1, "m: tensor a ends (0) before it begins (1)"},
    {"{" T("a", "U8", "[1]", "[18446744073709551615,18446744073709551615]") "}", 1,
     "m: tensor a: its shape and dtype take 1 bytes, its offsets 0"},
    // duplicates
    {"{" T("a", "U8", "[4]", "[0,4]") "," T("a", "F32", "[1]", "[0,4]") "}", 4,
     "m: the header has two tensors a"},
    {"{" T("a", "U8", "[1]", "[0,1]") "," T("\\u0061", "U8", "[1]", "[1,2]") "}", 2,
     "m: the header has two tensors a"},
    {"{\"a\":{" BODY ",\"shape\":[1]}}", 1, "m: tensor a has two members \"shape\""},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "m: the header has two \"__metadata__\""},
    // members
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0, "m: tensor a has no \"data_offsets\""},
    {"{\"a\":{" BODY ",\"stride\":[1]}}", 1, "m: tensor a has the unknown member \"stride\""},
    {"{" T("a", "Q4", "[1]", "[0,1]") "}", 1, "m: tensor a has the unknown dtype \"Q4\""},
    {"{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1,
     "m: tensor a has more than 8 dimensions"},
    // JSON
    {"", 0, "m: malformed JSON at byte 0: expected '{', found the end"},
    {"[]", 0, "m: malformed JSON at byte 0: expected '{', found '['"},
    {"{} x", 0, "m: malformed JSON at byte 3: expected the end, found 'x'"},
    {"{,}", 0, "m: malformed JSON at byte 1: expected a string, found ','"},
    {"{\"a", 0, "m: malformed JSON at byte 3: expected '\"', found the end"},
    {"{\"a\n\"", 0,
     "m: malformed JSON at byte 3: expected no control character in a string, found byte 0x0a"},
    {"{\"\\u0000\":", 0,
     "m: malformed JSON at byte 8: expected a valid escape in a string, found '\"'"},
    {"{\"\\ud800\":", 0,
     "m: malformed JSON at byte 8: expected a valid escape in a string, found '\"'"},
    {"{\"\xff\":", 0, "m: the JSON is not UTF-8"},
    {"{\"a\":[[[[[[", 0, "m: malformed JSON at byte 5: expected '{', found '['"},
    {"{\"a\":{" BODY ",}}", 1, "m: malformed JSON at byte 52: expected a string, found '}'"},
    {"{\"a\":{\"shape\":[-1]", 0,
     "m: malformed JSON at byte 15: expected a whole number below 2^64, found '-'"},
    {"{\"a\":{\"shape\":[1.0]", 0,
     "m: malformed JSON at byte 15: expected a whole number below 2^64, found '1'"},
    {"{\"a\":{\"shape\":[01]", 0,
     "m: malformed JSON at byte 15: expected a whole number below 2^64, found '0'"},
    {"{\"a\":{\"shape\":[18446744073709551616]", 0,
     "m: malformed JSON at byte 15: expected a whole number below 2^64, found '1'"},
    {"{\"a\":{\"shape\":[NaN]", 0,
     "m: malformed JSON at byte 15: expected a whole number below 2^64, found 'N'"},
    {"{\"__metadata__\":{\"a\":1}}", 0,
     "m: malformed JSON at byte 21: expected a string, found '1'"},
};

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct parsed parsed = {.count = 42};
        struct tr_err err = {.text = "accepted"};
        enum tr_status status = parse(&parsed, refusals[i].json, refusals[i].data, &err);
        assert_string_equal(err.text, refusals[i].expected);
        assert_true(status == err.code && parsed.count == 42 && !parsed.tensors);
        bool unknown = strstr(err.text, "unknown dtype") || strstr(err.text, "more than 8");
        assert_int_equal(status, unknown ? TR_EUNSUPPORTED : TR_EFORMAT);
    }
}

static void test_a_header_larger_than_its_file(void **state) {
    (void)state;
    struct parsed parsed;
    struct tr_err err;
    static const uint64_t file_sizes[] = {0, 7, 9};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tr_safetensors_parse("{}", 2, file_sizes[i], "m", &parsed.tensors,
                                              &parsed.count, &parsed.names, &err),
                         TR_EFORMAT);
        assert_string_equal(err.text, "m: a header of 2 bytes cannot be");
    }
    assert_int_equal(tr_safetensors_parse("", TR_SAFETENSORS_HEADER_LIMIT + 1, UINT64_MAX, "m",
                                          &parsed.tensors, &parsed.count, &parsed.names, &err),
                     TR_EFORMAT);
    assert_string_equal(err.text, "m: a header of 100000001 bytes cannot be");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors_come_in_order_of_their_offsets),
        cmocka_unit_test(test_a_file_without_tensors),
        cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_header_larger_than_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
