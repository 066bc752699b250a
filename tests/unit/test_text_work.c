// SPDX-License-Identifier: Apache-2.0
// Hostile tokenizers and texts cost time in proportion to their size: each is timed at a size and
// at eight times that size, where a quadratic cost would be sixty-four times as much.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/strings.h"
#include "documents.h"
#include "search.h"
#include "text/tokenizer.h"

enum { GROWTH = 8, ALLOWED = 32, REPEATS = 3 };
static const double least_seconds = 2e-3; // below this, time is mostly noise

// A text of a head, a unit repeated up to `size` bytes, and a tail.
static void make_text(struct tr_string *text, const char *head, const char *unit, const char *tail,
                      size_t size) {
    text->size = 0;
    assert_int_equal(tr_string_append(text, head, strlen(head), NULL), TR_OK);
    while (text->size < size)
        assert_int_equal(tr_string_append(text, unit, strlen(unit), NULL), TR_OK);
    assert_int_equal(tr_string_append(text, tail, strlen(tail), NULL), TR_OK);
}

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// The fastest of a few goes, of one when that is long.
static double time_encode(const struct tr_tokenizer *tokenizer, const struct tr_string *text) {
    double best = 1e9;
    for (int i = 0; i < REPEATS && best > 0.1; i++) {
        struct tr_ids ids = {0};
        struct tr_err err;
        double start = cpu_seconds();
        enum tr_status status = tr_tokenizer_encode(tokenizer, text->data, text->size, &ids, &err);
        double seconds = cpu_seconds() - start;
        assert_true(status == TR_OK || status == TR_EUNSUPPORTED);
        best = seconds < best ? seconds : best;
        free(ids.ids);
    }
    return best;
}

struct row {
    const char *name;
    const char *tokenizer; // a tokenizer.json, or the path of a file
    const char *head, *unit, *tail;
    size_t size;
};

static void check_growth(const struct row *row) {
    struct tr_tokenizer *tokenizer;
    struct tr_err err;
    struct tr_string text = {0};
    enum tr_status status = *row->tokenizer == '{'
                                ? tr_tokenizer_parse(&tokenizer, row->tokenizer,
                                                     strlen(row->tokenizer), "t.json", NULL, &err)
                                : tr_tokenizer_open(&tokenizer, row->tokenizer, "llama", &err);
    if (status != TR_OK)
        fail_msg("%s: %s", row->name, err.text);
    make_text(&text, row->head, row->unit, row->tail, row->size);
    double small = time_encode(tokenizer, &text);
    make_text(&text, row->head, row->unit, row->tail, GROWTH * row->size);
    double large = time_encode(tokenizer, &text);
    print_message("%-24s %8.5f s, %d x the size %8.5f s\n", row->name, small, GROWTH, large);
    if (large > ALLOWED * (small > least_seconds ? small : least_seconds))
        fail_msg("%s grows faster than its size", row->name);
    tr_string_free(&text);
    tr_tokenizer_free(tokenizer);
}

#define MODEL                                                                                      \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"aab\":3,\"x\":4},"          \
    "\"merges\":[\"a b\",\"a ab\"]}}"
#define LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define PLAIN "\"pre_tokenizer\":" LEVEL "," MODEL
#define SPLIT(pattern)                                                                             \
    "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","            \
    "\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"Isolated\",\"invert\":false}," LEVEL   \
    "]}," MODEL
#define ADDED(content, flags)                                                                      \
    "{\"added_tokens\":[{\"id\":5,\"content\":\"" content "\",\"normalized\":false" flags          \
    "}]," PLAIN
#define TEN_A "aaaaaaaaaa"
#define HUNDRED_A TEN_A TEN_A TEN_A TEN_A TEN_A TEN_A TEN_A TEN_A TEN_A TEN_A
#define MARKS "\xcc\x81\xcc\x96" // of classes 230 and 220, out of order

static void test_patterns(void **state) {
    static const struct row rows[] = {
        {"exponential", SPLIT("(?:(?:a|b)*a*)*[cd]"), "", "a", "", 12000},
        {"possessive", SPLIT("a*+c|a"), "", "a", "", 12000},
        {"two repeats", SPLIT("a*a*c|a"), "", "a", "", 12000},
        {"three repeats", SPLIT("a*a*a*c"), "", "a", "", 12000},
        {"repeat of repeats", SPLIT("(?:a*b)*c|a"), "", "a", "", 12000},
        {"looking ahead", SPLIT("(?:[abc](?=a*+z|))*"), "", "a", "", 12000},
        {"atomic", SPLIT("(?=(?>a*)z|(?>a*)y|a)a"), "", "a", "", 12000},
        {"looking behind", SPLIT("(?<=a)a*?c|a"), "", "a", "", 12000},
        {"spaces", SPLIT("\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"), "", " ", "", 12000},
        {"words", SPLIT("\\\\w+"), "", "a", "", 200000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_growth(&rows[i]);
}

static void test_marks(void **state) {
    static const struct row rows[] = {
        {"NFC", "{\"normalizer\":{\"type\":\"NFC\"}," PLAIN, "e", MARKS, "", 40000},
        {"NFKD", "{\"normalizer\":{\"type\":\"NFKD\"}," PLAIN, "e", MARKS, "e", 40000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_growth(&rows[i]);
}

static void test_added_tokens(void **state) {
    static const struct row rows[] = {
        {"stripping before", ADDED(" ", ",\"lstrip\":true"), "", " ", "", 20000},
        {"stripping behind", ADDED(" ", ",\"rstrip\":true"), "", " ", "", 20000},
        {"stripping both", ADDED("y", ",\"lstrip\":true,\"rstrip\":true"), "y", " ", "y", 20000},
        {"almost there", ADDED(HUNDRED_A HUNDRED_A "b", ""), "", "a", "", 20000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_growth(&rows[i]);
}

static void test_words(void **state) {
    static const struct row rows[] = {
        {"one long word", "{" PLAIN, "", "aab", "", 60000},
        {"merges from the right", "{" PLAIN, "", "a", "b", 60000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_growth(&rows[i]);
}

#define GOLDEN(name) "tests/golden/tokenizer/" name
#define UNIGRAM                                                                                    \
    "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"a\",-1],[\"aa\",-1.5],"  \
    "[\"" HUNDRED_A HUNDRED_A "b\",-2]]}}"
#define NORMAL(fields) "{\"normalizer\":{" fields "}," PLAIN
#define REPLACE(pattern, content)                                                                  \
    NORMAL("\"type\":\"Replace\",\"pattern\":{\"Regex\":\"" pattern "\"},\"content\":\"" content   \
           "\"")
#define METASPACE(fields)                                                                          \
    "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\"" fields "}," MODEL

static void test_characters(void **state) {
    static const struct row rows[] = {
        {"unigram", "{" UNIGRAM, "", "a", "", 20000},
        {"unknown to unigram", "{" UNIGRAM, "", "z", "", 20000},
        {"replace", REPLACE("a*+c|a", "b"), "", "a", "", 12000},
        {"blow up", REPLACE("a", HUNDRED_A), "", "a", "", 20000},
        {"strip", NORMAL("\"type\":\"Strip\""), "", " ", "", 100000},
        {"metaspace", METASPACE(""), "", " ", "", 20000},
        {"metaspace, whole", METASPACE(",\"split\":false"), "", " a", "", 20000},
        {"clusters", GOLDEN("json-unigram-t5-metaspace-always/tokenizer.json"), "e", MARKS, "",
         20000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_growth(&rows[i]);
}

static void test_files(void **state) {
    static const char *const files[] = {
        GOLDEN("spm-bpe-gemma/tokenizer.model"), GOLDEN("spm-bpe-nfkc-uds/tokenizer.model"),
        GOLDEN("spm-unigram-bytes/tokenizer.model"), GOLDEN("tiktoken-llama3/tokenizer.model")};
    static const char *const units[] = {"a", " ", "\n", MARKS, "\xf0\x9f\x98\x80", "the "};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (size_t j = 0; j < sizeof units / sizeof *units; j++) {
            struct row row = {files[i] + sizeof GOLDEN("") - 1, files[i], "", units[j], "", 20000};
            check_growth(&row);
        }
}

// What is spent is counted, and never more than so much for each byte.
static void test_allowance(void **state) {
    (void)state;
    struct tr_searcher *searcher;
    struct tr_err err = {0};
    pcre2_code *code;
    struct tr_string text = {0};
    assert_int_equal(tr_searcher_new(&searcher, &err), TR_OK);
    assert_int_equal(tr_pattern_compile(&code, "a*+c|a", 6, "t", &err), TR_OK);
    uint64_t spent[2];
    for (int i = 0; i < 2; i++) {
        make_text(&text, "", "a", "", 20000u << i);
        struct tr_matches m = {
            .searcher = searcher, .code = code, .text = text.data, .size = text.size};
        bool found = true;
        tr_searcher_allow(searcher, text.size);
        while (found && tr_matches_next(&m, &found, &err) == TR_OK)
            ;
        spent[i] = tr_searcher_spent(searcher);
        assert_true(spent[i] > 0 && spent[i] <= tr_searcher_allowance(searcher));
    }
    assert_true(spent[1] < 3 * spent[0]);
    tr_string_free(&text);
    pcre2_code_free(code);
    tr_searcher_free(searcher);
}

static enum tr_status count_document(void *user, const char *text, size_t size, bool *more_p,
                                     struct tr_err *err) {
    (void)text, (void)size, (void)more_p, (void)err;
    ++*(size_t *)user;
    return TR_OK;
}

typedef enum tr_status documents_fn(const char *text, size_t size, const char *path,
                                    tr_document_fn *take, void *user, struct tr_err *err);

static double time_documents(documents_fn *documents, const struct tr_string *text) {
    double best = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        size_t count = 0;
        struct tr_err err;
        double start = cpu_seconds();
        assert_int_equal(documents(text->data, text->size, "t", count_document, &count, &err),
                         TR_OK);
        double seconds = cpu_seconds() - start;
        assert_true(count > 0);
        best = seconds < best ? seconds : best;
    }
    return best;
}

static void test_documents(void **state) {
    static const struct {
        documents_fn *documents;
        const char *head, *unit, *tail;
    } rows[] = {
        {
            tr_documents_plain,
            "",
            "a\n<|endoftext|>\n",
            "a",
        },
        {tr_documents_plain, "", "<|endoftext|>", "\r\n<|endoftext|>"},
        {tr_documents_jsonl, "", "{\"text\":\"a\"}\n", "\n"},
        {tr_documents_jsonl, "{\"text\":\"", "\\u00e9", "\"}"},
        {tr_documents_jsonl, "", " \t\n", "{\"text\":\"a\"}"},
    };
    (void)state;
    struct tr_string text = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        make_text(&text, rows[i].head, rows[i].unit, rows[i].tail, 100000);
        double small = time_documents(rows[i].documents, &text);
        make_text(&text, rows[i].head, rows[i].unit, rows[i].tail, 100000 * GROWTH);
        double large = time_documents(rows[i].documents, &text);
        assert_true(large < ALLOWED * (small > least_seconds ? small : least_seconds));
    }
    tr_string_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),     cmocka_unit_test(test_marks),
        cmocka_unit_test(test_added_tokens), cmocka_unit_test(test_words),
        cmocka_unit_test(test_characters),   cmocka_unit_test(test_files),
        cmocka_unit_test(test_allowance),    cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
