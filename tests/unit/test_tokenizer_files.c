// SPDX-License-Identifier: Apache-2.0
// Tokenizer files against the stored ids of tests/golden/tokenizer, and how they are found.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json.h"
#include "text/tokenizer.h"

static void check_case(const struct tr_tokenizer *tokenizer, const json_t *string,
                       const json_t *expected) {
    struct tr_ids ids = {0};
    struct tr_err err = {0};
    const char *text = json_string_value(string);
    assert_int_equal(tr_tokenizer_encode(tokenizer, text, json_string_length(string), &ids, &err),
                     TR_OK);
    for (int64_t i = 0; i < ids.count; i++)
        if (ids.ids[i] != json_integer_value(json_array_get(expected, (size_t)i)))
            fail_msg("\"%s\": id %d at %d", text, ids.ids[i], (int)i);
    assert_int_equal(ids.count, json_array_size(expected));
    free(ids.ids);
}

// A tokenizer and strings with their right ids.
static void check_file(const char *path, const char *model_type, const char *cases_path) {
    struct tr_tokenizer *tokenizer;
    struct tr_err err = {0};
    json_t *cases;
    if (tr_tokenizer_open(&tokenizer, path, model_type, &err) != TR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(tr_json_load(&cases, cases_path, 1 << 20, &err), TR_OK);
    const json_t *strings = json_object_get(cases, "strings"), *ids = json_object_get(cases, "ids");
    assert_true(json_array_size(strings) > 100);
    for (size_t i = 0; i < json_array_size(strings); i++)
        check_case(tokenizer, json_array_get(strings, i), json_array_get(ids, i));
    json_decref(cases);
    tr_tokenizer_free(tokenizer);
}

static void test_families(void **state) {
    static const char *const names[] = {"gpt2",   "gpt2_prefix", "gpt_neox", "llama3",
                                        "dolma2", "qwen2",       "smollm2",  "bloom"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128], cases[128];
        snprintf(path, sizeof path, "tests/golden/tokenizer/%s.json", names[i]);
        snprintf(cases, sizeof cases, "tests/golden/tokenizer/%s.cases.json", names[i]);
        check_file(path, NULL, cases);
    }
}

// Files as published models have them, found in their folder; ids from the library they belong to.
static void test_files(void **state) {
    static const struct {
        const char *name, *file, *model_type;
    } rows[] = {
        {"json-bpe-gemma-never", "tokenizer.json", NULL},
        {"json-bpe-llama-metaspace-first", "tokenizer.json", NULL},
        {"json-bpe-llama-prepend", "tokenizer.json", NULL},
        {"json-unigram-t5-metaspace-always", "tokenizer.json", NULL},
        {"spm-bpe-gemma", "tokenizer.model", "gemma"},
        {"spm-bpe-llama", "tokenizer.model", "llama"},
        {"spm-bpe-nfkc-uds", "tokenizer.model", NULL},
        {"spm-unigram-bytes", "tokenizer.model", NULL},
        {"tiktoken-llama3", "tokenizer.model", "llama"},
        {"tiktoken-o200k", "tokenizer.model", "gpt_oss"},
        {"tiktoken-qwen", "qwen.tiktoken", "qwen2"},
        {"pair-opt", "merges.txt", "opt"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char folder[128], cases[160], expected[160], *path = NULL;
        struct tr_err err;
        snprintf(folder, sizeof folder, "tests/golden/tokenizer/%s", rows[i].name);
        snprintf(cases, sizeof cases, "%s/cases.json", folder);
        snprintf(expected, sizeof expected, "%s/%s", folder, rows[i].file);
        assert_int_equal(tr_tokenizer_find(&path, folder, &err), TR_OK);
        assert_string_equal(path, expected);
        check_file(path, rows[i].model_type, cases);
        free(path);
    }
}

static void test_no_file(void **state) {
    (void)state;
    struct tr_tokenizer *tokenizer = NULL;
    struct tr_err err;
    char *path = (char *)"";
    assert_int_equal(tr_tokenizer_find(&path, "tests/unit", &err), TR_OK);
    assert_null(path);
    assert_int_equal(tr_tokenizer_open(&tokenizer,
                                       "tests/golden/tokenizer/tiktoken-llama3/"
                                       "tokenizer.model",
                                       "bloom", &err),
                     TR_EUNSUPPORTED);
    assert_string_equal(err.text,
                        "tests/golden/tokenizer/tiktoken-llama3/tokenizer.model is a file of "
                        "ranks, which does not say how text is split into words, and for a model "
                        "of type \"bloom\" we do not know it; a tokenizer.json does (or pass token "
                        "ids)");
}

static void check_begin(const char *path, int32_t id, const char *template) {
    struct tr_tokenizer *tokenizer;
    struct tr_ids ids = {0};
    struct tr_err err;
    assert_int_equal(tr_tokenizer_open(&tokenizer, path, "llama", &err), TR_OK);
    assert_string_equal(tr_tokenizer_template(tokenizer), template);
    assert_int_equal(tr_tokenizer_begin(tokenizer, &ids, &err), id < 0 ? TR_EUSAGE : TR_OK);
    assert_int_equal(ids.count, id >= 0);
    assert_true(id < 0 || ids.ids[0] == id);
    free(ids.ids);
    tr_tokenizer_free(tokenizer);
}

static void test_begin(void **state) {
    (void)state;
    check_begin("tests/golden/tokenizer/spm-bpe-llama/tokenizer.model", 1, "<s> A");
    check_begin("tests/golden/tokenizer/gpt2.json", -1, "A");
    check_begin("tests/golden/tokenizer/pair-opt/vocab.json", 400, "</s> A");
    check_begin("tests/golden/tokenizer/tiktoken-llama3/tokenizer.model", -1, "A");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
