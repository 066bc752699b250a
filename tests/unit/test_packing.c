// SPDX-License-Identifier: Apache-2.0
// Codes to words and back, against words that the peers' own functions gave for the same codes
// (compressed_tensors' pack_to_int32, AutoAWQ's packing and its unpack_reorder_pack), and over
// random weights of odd shapes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ckpt/packed_layout.h"

static uint32_t random_state = 20260131;

static uint32_t draw(uint32_t below) {
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * below >> 32);
}

static struct tr_codes make(int64_t out, int64_t in, int bits, int64_t group, bool ordered) {
    struct tr_codes codes;
    struct tr_err err;
    assert_int_equal(tr_codes_new(&codes, out, in, bits, group, ordered, "codes", &err), TR_OK);
    return codes;
}

// The bytes of a part, freed by the caller; NULL: it has none.
static void *pack(const struct tr_packed_layout *layout, const struct tr_codes *codes,
                  enum tr_packed_part part, uint64_t *bytes_p) {
    struct tr_part_form form;
    if (!tr_layout_part(layout, codes, part, &form))
        return NULL;
    void *bytes = malloc(form.bytes);
    assert_non_null(bytes);
    memset(bytes, 0xa5, form.bytes);
    tr_layout_pack(layout, codes, part, bytes);
    *bytes_p = form.bytes;
    return bytes;
}

// ---- known words -------------------------------------------------------------------------------

enum { N = 8 };
static const uint8_t known_codes[N * N] = {
    5, 3, 9,  5,  0,  7,  15, 12, 11, 7, 11, 15, 0, 14, 7, 10, 1,  3,  8,  13, 4,  15,
    0, 8, 15, 9,  2,  1,  4,  10, 0,  6, 4,  9,  6, 8,  0, 4,  10, 15, 0,  13, 12, 10,
    7, 5, 13, 15, 15, 12, 8,  0,  6,  9, 0,  8,  8, 10, 0, 3,  4,  0,  15, 3};
static const uint8_t known_zeros[N] = {4, 15, 5, 8, 5, 6, 6, 6};

static const struct {
    const char *layout;
    uint32_t codes[N], zeros;
} known[] = {
    {"gptq",
     {0xcf705935, 0xa7e0fb7b, 0x80f4d831, 0x60a4129f, 0xfa408694, 0xfd57acd0, 0x809608cf,
      0x3f0430a8},
     0x555474e3},
    {"gptq-v2",
     {0xcf705935, 0xa7e0fb7b, 0x80f4d831, 0x60a4129f, 0xfa408694, 0xfd57acd0, 0x809608cf,
      0x3f0430a8},
     0x666585f4},
    {"awq",
     {0x80fbf415, 0xad97c933, 0x0c2b8689, 0x3a1f08d5, 0x47406040, 0x05ae94f7, 0xfd070a0f,
      0x3f6a8f8c},
     0x668f6554},
    {"compressed-tensors",
     {0xcf705935, 0xa7e0fb7b, 0x80f4d831, 0x60a4129f, 0xfa408694, 0xfd57acd0, 0x809608cf,
      0x3f0430a8},
     0x666585f4},
};

static void check_words(const void *bytes, const uint32_t *expected, int count) {
    const unsigned char *at = bytes;
    for (int i = 0; i < count; i++, at += 4)
        assert_int_equal(at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24, expected[i]);
}

static void test_known_words(void **state) {
    (void)state;
    struct tr_codes codes = make(N, N, 4, N, false);
    memcpy(codes.code, known_codes, sizeof known_codes);
    memcpy(codes.zero, known_zeros, sizeof known_zeros);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct tr_packed_layout *layout = tr_layout_find(known[i].layout);
        uint64_t code_bytes, zero_bytes;
        void *words = pack(layout, &codes, TR_PART_CODES, &code_bytes);
        void *zeros = pack(layout, &codes, TR_PART_ZEROS, &zero_bytes);
        assert_int_equal(code_bytes, sizeof known[i].codes);
        assert_int_equal(zero_bytes, sizeof known[i].zeros);
        check_words(words, known[i].codes, N);
        check_words(zeros, &known[i].zeros, 1);
        free(words);
        free(zeros);
    }
    tr_codes_free(&codes);
}

// A zero of 0 takes one from its neighbour in version 1, and gives it back.
static void test_zeros_of_zero(void **state) {
    (void)state;
    static const uint32_t expected[] = {0x7777776f, 0x88888880};
    static const char *const names[] = {"gptq", "gptq-v2"};
    for (int i = 0; i < 2; i++) {
        const struct tr_packed_layout *layout = tr_layout_find(names[i]);
        struct tr_codes codes = make(N, 32, 4, 32, false), again = make(N, 32, 4, 32, false);
        uint64_t bytes;
        for (int o = 1; o < N; o++)
            codes.zero[o] = 8;
        void *zeros = pack(layout, &codes, TR_PART_ZEROS, &bytes);
        check_words(zeros, &expected[i], 1);
        tr_layout_unpack(layout, &again, TR_PART_ZEROS, zeros);
        assert_memory_equal(again.zero, codes.zero, N);
        free(zeros);
        tr_codes_free(&codes);
        tr_codes_free(&again);
    }
}

static void test_symmetric(void **state) {
    (void)state;
    static const uint32_t taken[][2] = {{0x77777777, 0x7f7f7f7f}, {0x88888888, 0x80808080}};
    const struct tr_packed_layout *layout = tr_layout_find("gptq");
    for (int bits = 4; bits <= 8; bits += 4)
        for (int i = 0; i < 2; i++) {
            struct tr_codes codes = make(32 / bits, 32, bits, 32, false);
            uint32_t word = taken[i][bits == 8], wrong = word ^ 2;
            assert_true(tr_layout_unpack_symmetric(layout, &codes, &word));
            for (int o = 0; o < 32 / bits; o++)
                assert_int_equal(codes.zero[o], 1 << (bits - 1));
            assert_false(tr_layout_unpack_symmetric(layout, &codes, &wrong));
            tr_codes_free(&codes);
        }
}

// ---- there and back ----------------------------------------------------------------------------

static void fill(struct tr_codes *codes, enum tr_dtype dtype) {
    for (int64_t i = 0; i < codes->out * codes->in; i++)
        codes->code[i] = (uint8_t)draw(1u << codes->bits);
    for (int64_t i = 0; i < codes->out * codes->groups; i++) {
        codes->scale[i] = (float)draw(256) / 1024; // of any of the types
        codes->zero[i] = (uint8_t)draw(1u << codes->bits);
    }
    for (int64_t i = 0; codes->group_of && i < codes->in; i++)
        codes->group_of[i] = (int32_t)draw((uint32_t)codes->groups);
    codes->scale_dtype = dtype;
}

static void check_same(const struct tr_codes *a, const struct tr_codes *b) {
    assert_memory_equal(a->code, b->code, (size_t)(a->out * a->in));
    assert_memory_equal(a->zero, b->zero, (size_t)(a->out * a->groups));
    assert_memory_equal(a->scale, b->scale, (size_t)(a->out * a->groups) * sizeof *a->scale);
    if (a->group_of)
        assert_memory_equal(a->group_of, b->group_of, (size_t)a->in * sizeof *a->group_of);
}

static void go_through(const struct tr_packed_layout *layout, struct tr_codes *codes) {
    struct tr_codes again =
        make(codes->out, codes->in, codes->bits, codes->group_size, codes->group_of);
    again.scale_dtype = codes->scale_dtype;
    for (int part = 0; part < TR_PACKED_PARTS; part++) {
        uint64_t bytes;
        void *packed = pack(layout, codes, part, &bytes);
        if (packed && (part != TR_PART_GROUPS || codes->group_of))
            tr_layout_unpack(layout, &again, part, packed);
        free(packed);
    }
    assert_int_equal(again.out, codes->out);
    assert_int_equal(again.in, codes->in);
    check_same(codes, &again);
    tr_codes_free(&again);
}

static void test_there_and_back(void **state) {
    (void)state;
    static const enum tr_dtype dtypes[] = {TR_F16, TR_BF16, TR_F32};
    for (int i = 0; i < TR_LAYOUTS; i++)
        for (int round = 0; round < 60; round++) {
            int bits = tr_layouts[i].widest == 8 && round % 2 ? 8 : 4;
            int64_t out = 1 + draw(40), in = 1 + draw(90), group = 1 + draw((uint32_t)in);
            bool ordered = tr_layouts[i].endings[TR_PART_GROUPS] && round % 3 == 0;
            struct tr_codes codes = make(out, in, bits, group, ordered);
            fill(&codes, dtypes[draw(3)]);
            go_through(&tr_layouts[i], &codes);
            tr_codes_free(&codes);
        }
}

// ---- parts and values --------------------------------------------------------------------------

static void test_parts(void **state) {
    (void)state;
    struct tr_codes codes = make(16, 72, 4, 32, false);
    struct tr_part_form form;
    const struct tr_packed_layout *plain = tr_layout_find("compressed-tensors");
    codes.symmetric = true;
    assert_false(tr_layout_part(plain, &codes, TR_PART_ZEROS, &form));
    assert_false(tr_layout_part(plain, &codes, TR_PART_GROUPS, &form));
    assert_true(tr_layout_part(plain, &codes, TR_PART_SHAPE, &form));
    assert_string_equal(form.dtype_text, "I64");
    assert_true(tr_layout_part(tr_layout_find("gptq"), &codes, TR_PART_GROUPS, &form));
    assert_true(tr_layout_part(tr_layout_find("gptq"), &codes, TR_PART_ZEROS, &form));
    assert_int_equal(form.shape[0], 3);
    assert_int_equal(form.shape[1], 2);
    assert_false(tr_layout_part(tr_layout_find("awq"), &codes, TR_PART_GROUPS, &form));
    assert_null(tr_layout_find("gguf"));
    tr_codes_free(&codes);
}

// The formula, with a last group that is shorter and with groups out of order.
static void test_values(void **state) {
    (void)state;
    for (int ordered = 0; ordered < 2; ordered++) {
        struct tr_codes codes = make(3, 10, 4, 4, ordered);
        float values[30];
        fill(&codes, TR_F16);
        tr_codes_values(&codes, values);
        for (int i = 0; i < 30; i++) {
            int g = ordered ? codes.group_of[i % 10] : i % 10 / 4, at = i / 10 * 3 + g;
            float expected = codes.scale[at] * (float)(codes.code[i] - codes.zero[at]);
            assert_memory_equal(&values[i], &expected, sizeof expected);
        }
        tr_codes_free(&codes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_words), cmocka_unit_test(test_zeros_of_zero),
        cmocka_unit_test(test_symmetric),   cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_parts),       cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
