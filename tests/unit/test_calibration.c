// SPDX-License-Identifier: Apache-2.0
// Calibration rows: equal to those the series were measured with, defaults, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "folder.h"
#include "text/calibration.h"
#include "token_file.h"

// Writes a file of the test folder; the path stays valid until eight more.
static const char *new_file(const char *name, const void *bytes, size_t size) {
    char *path = in_folder(name);
    write_file(path, bytes, size);
    return path;
}

static struct tr_tokenizer *open_tokenizer(const char *path) {
    struct tr_tokenizer *tokenizer;
    struct tr_err err = {0};
    if (tr_tokenizer_open(&tokenizer, path, NULL, &err) != TR_OK)
        fail_msg("%s", err.text);
    return tokenizer;
}

static void check_series(const char *tokenizer_path, const char *tokens_path) {
    const struct tr_calibration_options options = {.samples = 16, .seq_len = 256};
    struct tr_tokenizer *tokenizer = open_tokenizer(tokenizer_path);
    struct tr_calibration text, builtin, tokens;
    struct tr_err err;
    assert_int_equal(
        tr_calibration_from_text(&text, "trace/text/calibration.txt", tokenizer, 0, &options, &err),
        TR_OK);
    assert_int_equal(tr_calibration_from_builtin(&builtin, tokenizer, 0, &options, &err), TR_OK);
    assert_int_equal(
        tr_calibration_from_tokens(&tokens, tokens_path, &(struct tr_calibration_options){0}, &err),
        TR_OK);
    assert_int_equal(tokens.sequences, 16);
    assert_int_equal(tokens.seq_len, 256);
    assert_memory_equal(text.ids, tokens.ids, 16 * 256 * sizeof *text.ids);
    assert_string_equal(text.ids_digest, tokens.ids_digest);
    assert_string_equal(builtin.ids_digest, tokens.ids_digest);
    assert_string_equal(text.label, "calibration.txt");
    assert_string_equal(builtin.label, "built-in");
    tr_calibration_free(&text);
    tr_calibration_free(&builtin);
    tr_calibration_free(&tokens);
    tr_tokenizer_free(tokenizer);
}

static void test_series(void **state) {
    (void)state;
    check_series("tests/series/demo/step_0/tokenizer.json", "tests/series/demo/tokens.npy");
    check_series("tests/series/neox/step_0/tokenizer.json", "tests/series/neox/tokens.npy");
}

// Rows and length of a .jsonl of ids under some options.
static void check_shape(const char *lines, struct tr_calibration_options options, int64_t sequences,
                        int64_t seq_len, int64_t spare) {
    struct tr_calibration c;
    struct tr_err err = {0};
    const char *path = new_file("ids.jsonl", lines, strlen(lines));
    if (tr_calibration_from_tokens(&c, path, &options, &err) != TR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(c.sequences, sequences);
    assert_int_equal(c.seq_len, seq_len);
    assert_int_equal(c.spare_tokens, spare);
    tr_calibration_free(&c);
}

#define TEN "{\"input_ids\":[0,1,2,3,4,5,6,7,8,9]}\n"
#define THREE "{\"input_ids\":[7,8,9]}\n"

static void test_shapes(void **state) {
    (void)state;
    check_shape(TEN, (struct tr_calibration_options){0}, 1, 10, 0); // too short for a default row
    check_shape(TEN, (struct tr_calibration_options){.max_positions = 4}, 2, 4, 2);
    check_shape(TEN, (struct tr_calibration_options){.seq_len = 3}, 3, 3, 1);
    check_shape(TEN, (struct tr_calibration_options){.seq_len = 3, .samples = 2}, 2, 3, 4);
    check_shape(TEN "\n" TEN, (struct tr_calibration_options){.max_positions = 64}, 2, 10, 0);
    check_shape(TEN TEN, (struct tr_calibration_options){.samples = 1}, 1, 10, 10);
    check_shape(TEN THREE, (struct tr_calibration_options){.seq_len = 13}, 1, 13, 0);
}

static void test_at_most_256_rows(void **state) {
    (void)state;
    uint16_t ids[600] = {0};
    struct tr_calibration c;
    struct tr_err err;
    const char *path = new_file("stream.u16", ids, sizeof ids);
    assert_int_equal(
        tr_calibration_from_tokens(&c, path, &(struct tr_calibration_options){.seq_len = 2}, &err),
        TR_OK);
    assert_int_equal(c.sequences, 256);
    assert_int_equal(c.spare_tokens, 600 - 512);
    tr_calibration_free(&c);
}

static void test_raw_files(void **state) {
    static const unsigned char bytes[] = {1, 0, 2, 1, 3, 0, 4, 0};
    (void)state;
    struct tr_calibration c;
    struct tr_err err;
    const struct tr_calibration_options options = {0};
    assert_int_equal(tr_calibration_from_tokens(&c, new_file("a.bin", bytes, 8), &options, &err),
                     TR_OK);
    assert_int_equal(c.seq_len, 4);
    assert_int_equal(c.ids[1], 258);
    tr_calibration_free(&c);
    assert_int_equal(tr_calibration_from_tokens(&c, new_file("a.u32", bytes, 8), &options, &err),
                     TR_OK);
    assert_int_equal(c.seq_len, 2);
    assert_int_equal(c.ids[1], 3 + (4 << 16));
    tr_calibration_free(&c);
}

static void test_documents(void **state) {
    static const char text[] =
        "ab\r\n<|endoftext|>\r\n\n<|endoftext|>\n<|endoftext|>\nb <|endoftext|>";
    static const char lines[] =
        "{\"text\":\"ab\"}\n\n{\"text\":\"\"}\n{\"text\":\"b <|endoftext|>\"}";
    (void)state;
    struct tr_tokenizer *tokenizer = open_tokenizer("tests/golden/tokenizer/gpt2.json");
    struct tr_calibration plain, jsonl;
    struct tr_err err;
    const struct tr_calibration_options options = {0};
    assert_int_equal(tr_calibration_from_text(&plain, new_file("a.txt", text, strlen(text)),
                                              tokenizer, 5, &options, &err),
                     TR_OK);
    assert_int_equal(tr_calibration_from_text(&jsonl, new_file("a.jsonl", lines, strlen(lines)),
                                              tokenizer, 5, &options, &err),
                     TR_OK);
    assert_string_equal(plain.ids_digest, jsonl.ids_digest);
    assert_int_equal(plain.ids[plain.seq_len - 1], 5);
    assert_int_equal(plain.ids[plain.seq_len - 2], 0);
    tr_calibration_free(&plain);
    tr_calibration_free(&jsonl);
    tr_tokenizer_free(tokenizer);
}

// Every refusal of a token file: its bytes, the options, the sentence after the folder's name.
struct refusal {
    const char *name, *bytes;
    size_t size;
    struct tr_calibration_options options;
    enum tr_status status;
    const char *sentence;
};

static void check_refusal(const struct refusal *row, enum tr_status status, const char *found) {
    const char *tail =
        strncmp(found, test_folder, strlen(test_folder)) ? found : found + strlen(test_folder) + 1;
    assert_string_equal(tail, row->sentence);
    assert_int_equal(status, row->status);
}

#define BYTES(text) (text), sizeof(text) - 1
#define OPTIONS(...)                                                                               \
    { __VA_ARGS__ }

static void test_refused_tokens(void **state) {
    static const struct refusal rows[] = {
        {"a.jsonl", BYTES(TEN), OPTIONS(.vocabulary = 9), TR_EUSAGE,
         "a.jsonl: row 0, position 9 has token id 9, outside the model's vocabulary of 9"},
        {"b.jsonl", BYTES("{\"input_ids\":[1,2,3,-4]}"), OPTIONS(.seq_len = 2), TR_EUSAGE,
         "b.jsonl: row 1, position 1 has token id -4, outside the model's vocabulary of "
         "2147483647"},
        {"c.jsonl", BYTES(TEN), OPTIONS(.seq_len = 4, .samples = 3), TR_EUSAGE,
         "c.jsonl has 10 tokens, which fill 2 rows of 4; 3 were asked for"},
        {"d.jsonl", BYTES(TEN), OPTIONS(.seq_len = 11), TR_EUSAGE,
         "d.jsonl has 10 tokens, which fill 0 rows of 11; 1 were asked for"},
        {"e.jsonl", BYTES(TEN TEN), OPTIONS(.seq_len = 5), TR_EUSAGE,
         "e.jsonl has rows of 10 tokens; a sequence length of 5 was asked for"},
        {"f.jsonl", BYTES(TEN TEN), OPTIONS(.max_positions = 9), TR_EUSAGE,
         "f.jsonl has rows of 10 tokens, above the model's 9 positions"},
        {"g.jsonl", BYTES(TEN TEN), OPTIONS(.samples = 3), TR_EUSAGE,
         "g.jsonl has 2 rows; 3 were asked for"},
        {"h.jsonl", BYTES(TEN), OPTIONS(.seq_len = 9, .max_positions = 8), TR_EUSAGE,
         "sequence length 9 is above the model's 8 positions"},
        {"i.jsonl", BYTES("\n"), {0}, TR_EUSAGE, "i.jsonl holds no tokens"},
        {"j.jsonl",
         BYTES(TEN "{\"text\":\"x\"}"),
         {0},
         TR_EFORMAT,
         "j.jsonl, line 2 has no array \"input_ids\""},
        {"k.jsonl",
         BYTES(TEN "\n{\"input_ids\":[1,2.5]}"),
         {0},
         TR_EFORMAT,
         "k.jsonl, line 3: \"input_ids\" must be integers, item 1 is not"},
        {"l.jsonl",
         BYTES("{\"input_ids\":[1,]}"),
         {0},
         TR_EFORMAT,
         "l.jsonl, line 1 is not valid JSON: line 1 column 17: unexpected token near ']'"},
        {"m.u16", BYTES("abc"), {0}, TR_EFORMAT, "m.u16 has 3 bytes, which is no multiple of 2"},
        {"n.u16", BYTES(""), {0}, TR_EUSAGE, "n.u16 holds no tokens"},
        {"o.parquet",
         BYTES("PAR1"),
         {0},
         TR_EUSAGE,
         "o.parquet: token files end in .npy, .jsonl, .u16, .bin (uint16) or .u32"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tr_calibration c;
        struct tr_err err = {0};
        const char *path = new_file(rows[i].name, rows[i].bytes, rows[i].size);
        enum tr_status status = tr_calibration_from_tokens(&c, path, &rows[i].options, &err);
        check_refusal(&rows[i], status, err.text);
    }
}

static void test_negative_int32(void **state) {
    static const char bytes[] = "\x93NUMPY\x01\0\x3c\0{'descr': '<i4', 'fortran_order': False, "
                                "'shape': (1, 2), }\n\x05\0\0\0\xfe\xff\xff\xff";
    (void)state;
    struct tr_calibration c;
    struct tr_err err = {0};
    const char *path = new_file("n.npy", BYTES(bytes));
    assert_int_equal(
        tr_calibration_from_tokens(&c, path, &(struct tr_calibration_options){0}, &err), TR_EUSAGE);
    assert_string_equal(err.text, "n.npy: row 0, position 1 has token id -2, outside the model's "
                                  "vocabulary of 2147483647");
}

static void test_refused_compressed(void **state) {
    (void)state;
    struct tr_calibration c;
    struct tr_err err;
    const struct tr_calibration_options options = {0};
    assert_int_equal(tr_calibration_from_tokens(&c, "x.jsonl.zst", &options, &err), TR_EUSAGE);
    assert_string_equal(err.text,
                        "x.jsonl.zst is compressed; unpack it first: zstd -d x.jsonl.zst");
}

static void test_refused_text(void **state) {
    static const struct refusal rows[] = {
        {"a.txt", BYTES(""), {0}, TR_EUSAGE, "a.txt holds no tokens"},
        {"b.txt", BYTES("caf\xe9 au lait"), {0}, TR_EFORMAT, "b.txt is not UTF-8 at byte 3"},
        {"c.jsonl",
         BYTES("{\"text\":\"x\"}\n{\"txt\":\"x\"}"),
         {0},
         TR_EFORMAT,
         "c.jsonl, line 2 has no string \"text\""},
        {"d.jsonl", BYTES("[1]"), {0}, TR_EFORMAT, "d.jsonl, line 1 must be a JSON object"},
        {"e.txt", BYTES("aaaa bbbb"), OPTIONS(.vocabulary = 5), TR_EUSAGE,
         "e.txt: row 0, position 0 has token id 65, outside the model's vocabulary of 5"},
        {"f.txt", BYTES("a"), OPTIONS(.samples = 1), TR_EUSAGE,
         "f.txt has 2 tokens, which fill 0 rows of 2048; 1 were asked for"},
    };
    (void)state;
    struct tr_tokenizer *tokenizer = open_tokenizer("tests/golden/tokenizer/gpt2.json");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tr_calibration c;
        struct tr_err err = {0};
        const char *path = new_file(rows[i].name, rows[i].bytes, rows[i].size);
        enum tr_status status =
            tr_calibration_from_text(&c, path, tokenizer, 0, &rows[i].options, &err);
        check_refusal(&rows[i], status, err.text);
    }
    tr_tokenizer_free(tokenizer);
}

// A version 1 header of this dictionary and `data` bytes of 0 behind it.
static enum tr_status parse_header(const char *dictionary, uint64_t data,
                                   struct tr_token_layout *layout, struct tr_err *err) {
    char bytes[256];
    int size = snprintf(bytes, sizeof bytes, "\x93NUMPY\x01%c%c%c%s", 0, (char)strlen(dictionary),
                        0, dictionary);
    return tr_npy_parse(layout, bytes, (size_t)size, (uint64_t)size + data, "t.npy", err);
}

static void test_npy(void **state) {
    (void)state;
    struct tr_token_layout layout;
    struct tr_err err;
    assert_int_equal(parse_header("{'descr': '<u2', 'fortran_order': False, 'shape': (3, 4), }  \n",
                                  24, &layout, &err),
                     TR_OK);
    assert_int_equal(layout.rows, 3);
    assert_int_equal(layout.columns, 4);
    assert_int_equal(layout.type->size, 2);
    assert_int_equal(
        parse_header("{\"shape\": (5,), 'fortran_order': True, 'descr': '<i8'}", 40, &layout, &err),
        TR_OK);
    assert_int_equal(layout.rows, 0);
    assert_int_equal(tr_token_count(&layout), 5);
}

#define NPY(descr, order, shape)                                                                   \
    "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"
#define KEYS "t.npy: malformed NumPy header: the keys are not descr, fortran_order and shape"

static void test_refused_npy(void **state) {
    static const struct {
        const char *dictionary;
        uint64_t data;
        enum tr_status status;
        const char *sentence;
    } rows[] = {
        {NPY("'<i4'", "True", "(2, 2)"), 16, TR_EUNSUPPORTED,
         "t.npy is in Fortran order; save it with numpy.ascontiguousarray"},
        {NPY("'>i4'", "False", "(4,)"), 16, TR_EUNSUPPORTED,
         "t.npy is big-endian (>i4); save it with .astype('<i4')"},
        {NPY("'|O'", "False", "(4,)"), 16, TR_EUNSUPPORTED,
         "t.npy holds Python objects, not token ids"},
        {NPY("'<f4'", "False", "(4,)"), 16, TR_EUNSUPPORTED,
         "t.npy has dtype <f4; token ids are int32, int64, uint16 or uint32"},
        {NPY("[('a', '<i4')]", "False", "(4,)"), 16, TR_EUNSUPPORTED,
         "t.npy holds records, not token ids"},
        {NPY("'<i4'", "False", "(2, 2, 1)"), 16, TR_EUNSUPPORTED,
         "t.npy has more than 2 dimensions; token ids are [n] or [rows, length]"},
        {NPY("'<i4'", "False", "()"), 4, TR_EUNSUPPORTED,
         "t.npy holds a single value, not rows of token ids"},
        {NPY("'<i4'", "False", "(0, 5)"), 0, TR_EUSAGE, "t.npy holds no tokens"},
        {NPY("'<i4'", "False", "(4,)"), 15, TR_EFORMAT,
         "t.npy: its shape says 4 x 1 ids of 4 bytes, but 15 bytes follow the header"},
        {NPY("'<i4'", "False", "(4,)"), 17, TR_EFORMAT,
         "t.npy: its shape says 4 x 1 ids of 4 bytes, but 17 bytes follow the header"},
        {NPY("'<i4'", "False", "(4611686018427387904, 4)"), 0, TR_EFORMAT,
         "t.npy: its shape says 4611686018427387904 x 4 ids of 4 bytes, but 0 bytes follow the "
         "header"},
        {NPY("'<i4'", "False", "(99999999999999999999,)"), 16, TR_EFORMAT,
         "t.npy: malformed NumPy header: a dimension is too large"},
        {NPY("'<i4'", "False", "(-1,)"), 16, TR_EFORMAT,
         "t.npy: malformed NumPy header: a dimension was expected"},
        {NPY("'<i4'", "0", "(4,)"), 16, TR_EFORMAT,
         "t.npy: malformed NumPy header: True or False was expected"},
        {NPY("'<i4", "False", "(4,)"), 16, TR_EFORMAT,
         "t.npy: malformed NumPy header: a string was expected"},
        {"{'descr': '<i4'}", 16, TR_EFORMAT, KEYS},
        {"{'descr': '<i4', 'descr': '<i4', 'fortran_order': False, 'shape': (4,)}", 16, TR_EFORMAT,
         KEYS},
        {NPY("'<i4'", "False", "(4,)") " x", 16, TR_EFORMAT, KEYS},
        {"[]", 16, TR_EFORMAT, "t.npy: malformed NumPy header: a dictionary was expected"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tr_token_layout layout;
        struct tr_err err = {0};
        enum tr_status status = parse_header(rows[i].dictionary, rows[i].data, &layout, &err);
        assert_string_equal(err.text, rows[i].sentence);
        assert_int_equal(status, rows[i].status);
    }
}

static void test_refused_npy_start(void **state) {
    (void)state;
    struct tr_token_layout layout;
    struct tr_err err;
    assert_int_equal(tr_npy_parse(&layout, "abcdefghijklmn", 14, 14, "t.npy", &err), TR_EFORMAT);
    assert_string_equal(err.text, "t.npy has no NumPy header; a raw file of ids (OLMo's .npy are) "
                                  "must be named .u16 or .u32 after its type");
    assert_int_equal(tr_npy_parse(&layout, "\x93NUMPY\x04\0\0\0\0\0", 12, 12, "t.npy", &err),
                     TR_EUNSUPPORTED);
    assert_string_equal(err.text, "t.npy: NumPy format version 4.0 is not supported");
    assert_int_equal(tr_npy_parse(&layout, "\x93NUMPY\x01\0\xff\0{}", 12, 12, "t.npy", &err),
                     TR_EFORMAT);
    assert_string_equal(err.text, "t.npy: malformed NumPy header: the file ends within it");
    assert_int_equal(
        tr_npy_parse(&layout, "\x93NUMPY\x02\0\xff\xff\xff\xff", 12, 12, "t.npy", &err),
        TR_EFORMAT);
    assert_string_equal(err.text, "t.npy: malformed NumPy header: it is larger than 64 KiB");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series),           cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_at_most_256_rows), cmocka_unit_test(test_raw_files),
        cmocka_unit_test(test_documents),        cmocka_unit_test(test_refused_tokens),
        cmocka_unit_test(test_negative_int32),   cmocka_unit_test(test_refused_compressed),
        cmocka_unit_test(test_refused_text),     cmocka_unit_test(test_npy),
        cmocka_unit_test(test_refused_npy),      cmocka_unit_test(test_refused_npy_start),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
