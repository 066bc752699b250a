// SPDX-License-Identifier: Apache-2.0
// What is refused of vocab.json, merges.txt and the files beside them, with its sentence.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "bpe_files.h"
#include "text/tokenizer.h"

#define FOLDER "tests/golden/tokenizer/pair-opt/"
#define MERGES "#version: 0.2\no n\n"
#define GPT2 "{\"tokenizer_class\":\"GPT2Tokenizer\""
#define QWEN2 "{\"tokenizer_class\":\"Qwen2TokenizerFast\""
#define ANYWAY " (pass token ids instead)"

static json_t *json_of(const char *text) {
    json_t *value = NULL;
    struct tr_err err;
    if (text && tr_json_parse(&value, text, strlen(text), "test", &err) != TR_OK)
        fail_msg("%s", err.text);
    return value;
}

struct row {
    const char *merges, *config, *specials, *added, *model_type;
    enum tr_status status;
    const char *sentence;
};

static void check_row(const struct row *row, const json_t *vocabulary) {
    json_t *config = json_of(row->config), *specials = json_of(row->specials);
    json_t *added = json_of(row->added), *document = NULL;
    const char *merges = row->merges ? row->merges : MERGES;
    const struct tr_bpe_files files = {vocabulary, merges, strlen(merges), config,
                                       specials,   added,  row->model_type};
    struct tr_tokenizer *tokenizer = NULL;
    struct tr_err err = {0};
    enum tr_status status = tr_bpe_files_join(&document, &files, "D/vocab.json", &err);
    char *text = status == TR_OK ? json_dumps(document, JSON_COMPACT) : NULL;
    if (text)
        status = tr_tokenizer_parse(&tokenizer, text, strlen(text), "D/vocab.json", NULL, &err);
    assert_string_equal(err.text, row->sentence);
    assert_int_equal(status, row->status);
    tr_tokenizer_free(tokenizer);
    free(text);
    json_decref(document);
    json_decref(config);
    json_decref(specials);
    json_decref(added);
}

static void test_refused(void **state) {
    static const char differ[] = "D/vocab.json: versions of transformers differ in how they match "
                                 "the special token \"<x>\"" ANYWAY;
    static const char lines[] = "D/vocab.json: merges.txt must begin with a line \"#version\" and "
                                "end with a newline; otherwise versions of transformers differ in "
                                "what they read";
    static const struct row rows[] = {
        {.model_type = "opt", .status = TR_OK, .sentence = ""},
        {.model_type = "bloom",
         .status = TR_EUNSUPPORTED,
         .sentence = "D/vocab.json does not say how text is split into words, and for a tokenizer "
                     "of class \"unknown\" and a model of type \"bloom\" we do not know it; a "
                     "tokenizer.json does (or pass token ids)"},
        {.config = "{\"tokenizer_class\":\"GPT2TokenizerSlow\"}",
         .status = TR_EUNSUPPORTED,
         .sentence =
             "D/vocab.json does not say how text is split into words, and for a tokenizer "
             "of class \"GPT2TokenizerSlow\" and a model of type \"unknown\" we do not know "
             "it; a tokenizer.json does (or pass token ids)"},
        {.config = "[]",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: tokenizer_config.json must hold an object"},
        {.merges = "o n\n", .config = GPT2 "}", .status = TR_EFORMAT, .sentence = lines},
        {.merges = "#version: 0.2\no n",
         .config = GPT2 "}",
         .status = TR_EFORMAT,
         .sentence = lines},
        {.merges = "#version: 0.2\no n\n\n",
         .config = GPT2 "}",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: line 3 of merges.txt is empty"},
        {.merges = "#version: 0.2\no n o\n",
         .config = GPT2 "}",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: merge 0 must be two tokens, as \"a b\" or [\"a\", \"b\"]"},
        {.merges = "#version: 0.2\no \xff\n",
         .config = GPT2 "}",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: line 2 of merges.txt is not UTF-8"},
        {.merges = "#version: 0.2\r\no n\r\nz zqz\r\n",
         .config = GPT2 "}",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: merge 1 needs the token \"zqz\", which is not in the "
                     "vocabulary"},
        {.config = GPT2 ",\"split_special_tokens\":true}",
         .status = TR_EUNSUPPORTED,
         .sentence = "D/vocab.json: \"split_special_tokens\" is not supported there" ANYWAY},
        {.config = GPT2 ",\"image_token\":\"<i>\"}",
         .status = TR_EUNSUPPORTED,
         .sentence = "D/vocab.json: \"image_token\" is not supported there" ANYWAY},
        {.config = GPT2 ",\"bos_token\":7}",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: \"bos_token\" must be a token, or an object with one"},
        {.config =
             GPT2 ",\"bos_token\":\"<x>\",\"eos_token\":{\"content\":\"<x>\",\"lstrip\":true}}",
         .status = TR_EUNSUPPORTED,
         .sentence = differ},
        {.config = QWEN2 ",\"bos_token\":{\"content\":\"<x>\",\"normalized\":true}}",
         .status = TR_EUNSUPPORTED,
         .sentence = differ},
        {.config = GPT2 "}",
         .added = "{\"<x>\":\"7\"}",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: \"<x>\" must be the id of an added token, or have one"},
        {.config = GPT2 "}",
         .added = "{\"<x>\":7}",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: the added token with id 7 would get id 400 from the Hugging "
                     "Face library, which numbers added tokens itself"},
        {.config = GPT2 ",\"added_tokens_decoder\":{\"-1\":{\"content\":\"<x>\"}}}",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: \"-1\" must be the id of an added token, or have one"},
        {.config = GPT2 ",\"added_tokens_decoder\":{\"400\":7}}",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: \"400\" must be a token, or an object with one"},
        {.config = GPT2 "}",
         .specials = "{\"additional_special_tokens\":[\"<x>\",{\"content\":\"a\\u0000\"}]}",
         .status = TR_EFORMAT,
         .sentence = "D/vocab.json: \"additional_special_tokens\" must be a token, or an object "
                     "with one"},
    };
    (void)state;
    json_t *vocabulary;
    struct tr_err err;
    assert_int_equal(tr_json_load(&vocabulary, FOLDER "vocab.json", 1 << 20, &err), TR_OK);
    assert_int_equal(json_object_size(vocabulary), 400);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_row(&rows[i], vocabulary);
    assert_int_equal(json_object_del(vocabulary, "!"), 0);
    check_row(&(struct row){.model_type = "opt",
                            .status = TR_EUNSUPPORTED,
                            .sentence = "D/vocab.json: byte 33 has no token, and versions of "
                                        "transformers differ in what becomes of it" ANYWAY},
              vocabulary);
    json_decref(vocabulary);
}

// A vocabulary is none without its merges, nor are merges without theirs.
static void test_pair(void **state) {
    (void)state;
    assert_true(tr_is_bpe_files(FOLDER "vocab.json"));
    assert_true(tr_is_bpe_files(FOLDER "merges.txt"));
    assert_false(tr_is_bpe_files(FOLDER "tokenizer_config.json"));
    assert_false(tr_is_bpe_files("tests/golden/tokenizer/vocab.json"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
