// SPDX-License-Identifier: Apache-2.0
// What each part of a tokenizer does, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/tokenizer.h"

static struct tr_tokenizer *parse(const char *text) {
    struct tr_tokenizer *tokenizer;
    struct tr_err err = {0};
    if (tr_tokenizer_parse(&tokenizer, text, strlen(text), "t.json", NULL, &err) != TR_OK)
        fail_msg("%s", err.text);
    return tokenizer;
}

static void refuse(const char *text, enum tr_status status, const char *sentence) {
    struct tr_tokenizer *tokenizer = NULL;
    struct tr_err err = {0};
    assert_int_equal(tr_tokenizer_parse(&tokenizer, text, strlen(text), "t.json", NULL, &err),
                     status);
    assert_null(tokenizer);
    assert_string_equal(err.text, sentence);
}

#define BYTE_LEVEL                                                                                 \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
#define NO_REGEX "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define SMALL_MODEL                                                                                \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"aab\":3,\"c\":9},"          \
    "\"merges\":[\"a b\",[\"a\",\"ab\"]]}"

static void encode(const char *json, const char *text, const int32_t *expected, int64_t count) {
    struct tr_tokenizer *tokenizer = parse(json);
    struct tr_ids ids = {0};
    struct tr_err err;
    assert_int_equal(tr_tokenizer_encode(tokenizer, text, strlen(text), &ids, &err), TR_OK);
    assert_int_equal(ids.count, count);
    if (count)
        assert_memory_equal(ids.ids, expected, (size_t)count * sizeof *expected);
    free(ids.ids);
    tr_tokenizer_free(tokenizer);
}

static void test_merges(void **state) {
    (void)state;
    encode("{" BYTE_LEVEL SMALL_MODEL "}", "aabacb", (int32_t[]){3, 0, 9, 1}, 4);
    encode("{" BYTE_LEVEL SMALL_MODEL "}", "", NULL, 0);
    // Bytes without a token are left out, as the library does.
    encode("{" BYTE_LEVEL SMALL_MODEL "}", "a\xc3\xa9z", (int32_t[]){0}, 1);
}

static void test_ids(void **state) {
    (void)state;
    struct tr_tokenizer *tokenizer = parse("{" BYTE_LEVEL SMALL_MODEL "}");
    assert_int_equal(tr_tokenizer_id(tokenizer, "aab"), 3);
    assert_int_equal(tr_tokenizer_id(tokenizer, "aa"), -1);
    assert_int_equal(tr_tokenizer_size(tokenizer), 10);
    assert_int_equal(strlen(tr_tokenizer_digest(tokenizer)), 32);
    tr_tokenizer_free(tokenizer);
}

#define ADDED(id, content, flags)                                                                  \
    "{\"id\":" id ",\"content\":\"" content "\",\"special\":false" flags "}"

static void test_added_tokens(void **state) {
    (void)state;
    // Five tokens in the model, so the first added one is 5. The raw ones are found first, the
    // longest of those at one place; stripped spaces may hold another token.
    encode(
        "{\"added_tokens\":[" ADDED("5", "xx", "") "," ADDED("6", "xxx", "") "," ADDED(
            "7", "xxxy",
            ",\"normalized\":false") "," ADDED("0", "a",
                                               ",\"single_word\":true") "]," BYTE_LEVEL SMALL_MODEL
                                                                        "}",
        "xxxxxy xxx ab a", (int32_t[]){5, 7, 6, 2, 0}, 5);
}

#define SPACED_MODEL(options)                                                                      \
    "\"model\":{" options                                                                          \
    "\"vocab\":{\"\u0120\":0,\"a\":1,\"1\":2,\"2\":3,\"12\":4,\"\u0120a\":5,"                      \
    "\"x\":6,\"xx\":7},\"merges\":[\"1 2\",[\"\u0120\",\"a\"]]}"
#define STEPS(first, prefix)                                                                       \
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" first                           \
    ",{\"type\":\"ByteLevel\",\"add_prefix_space\":" prefix ",\"use_regex\":false}]},"
#define DIGITS(individual) "{\"type\":\"Digits\",\"individual_digits\":" individual "}"

static void test_steps(void **state) {
    (void)state;
    encode("{" STEPS(DIGITS("true"), "false") SPACED_MODEL("") "}", "12 a", (int32_t[]){2, 3, 5},
           3);
    encode("{" STEPS(DIGITS("false"), "false") SPACED_MODEL("") "}", "12 a", (int32_t[]){4, 5}, 2);
    // Each piece between the digits gets its space, unless it has one.
    encode("{" STEPS(DIGITS("false"), "true") SPACED_MODEL("") "}", "a12a 1 a",
           (int32_t[]){5, 0, 4, 5, 0, 0, 2, 5}, 8);
    encode("{" STEPS("{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":"
                     "\"Removed\",\"invert\":false}",
                     "false") SPACED_MODEL("") "}",
           "1 2 a  12", (int32_t[]){2, 3, 1, 4}, 4);
}

// A superscript belongs to a word where \w stands alone, and to none within a class.
static void test_words_of_a_pattern(void **state) {
    (void)state;
    encode("{" STEPS("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"1\\\\W\"},\"behavior\":"
                     "\"Removed\",\"invert\":false}",
                     "false") SPACED_MODEL("") "}",
           "1\xc2\xb2x 1 x", (int32_t[]){2, 6, 0, 6}, 4);
    encode("{" STEPS("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"1[^\\\\w]\"},\"behavior\":"
                     "\"Removed\",\"invert\":false}",
                     "false") SPACED_MODEL("") "}",
           "1\xc2\xb2x 1 x", (int32_t[]){6, 0, 6}, 3);
}

static void test_ignore_merges(void **state) {
    (void)state;
    encode("{" BYTE_LEVEL SPACED_MODEL("") "}", "xx", (int32_t[]){6, 6}, 2);
    encode("{" BYTE_LEVEL SPACED_MODEL("\"ignore_merges\":true,") "}", "xx xxa",
           (int32_t[]){7, 0, 6, 6, 1}, 5);
}

static void test_edges_of_added_tokens(void **state) {
    (void)state;
    // A joiner and a circled letter are part of a word, so two of these are no single words.
    encode("{\"added_tokens\":[" ADDED("1", "a", "") "," ADDED(
               "8", "y", ",\"single_word\":true") "]," BYTE_LEVEL SPACED_MODEL("") "}",
           "y\xe2\x80\x8cy\xe2\x92\xb6y", NULL, 0);
}

static void test_stripped_spaces(void **state) {
    (void)state;
    // The spaces between them go to "x"; U+0085 is one; "a" cannot take them a second time.
    encode("{\"added_tokens\":[" ADDED("6", "x", ",\"rstrip\":true") "," ADDED(
               "1", "a", ",\"lstrip\":true") "]," BYTE_LEVEL SPACED_MODEL("") "}",
           "x \xc2\x85 a 1x\xc2\x85 1", (int32_t[]){6, 1, 0, 2, 6, 2}, 6);
    // A space that went to "x" is no token of its own when that takes spaces before it.
    encode("{\"added_tokens\":[" ADDED("6", "x", ",\"rstrip\":true") "," ADDED(
               "8", " ", ",\"lstrip\":true") "]," BYTE_LEVEL SPACED_MODEL("") "}",
           "x 1 x", (int32_t[]){6, 2, 8, 6}, 4);
}

static void test_long_word(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 };
    struct tr_tokenizer *tokenizer = parse("{" BYTE_LEVEL SMALL_MODEL "}");
    struct tr_ids ids = {0};
    struct tr_err err;
    char *word = malloc(SIZE);
    assert_non_null(word);
    for (int i = 0; i < SIZE; i++)
        word[i] = "aab"[i % 3];
    assert_int_equal(tr_tokenizer_encode(tokenizer, word, SIZE, &ids, &err), TR_OK);
    assert_int_equal(ids.count, SIZE / 3 + 1);
    assert_int_equal(ids.ids[0], 3);
    free(word);
    free(ids.ids);
    tr_tokenizer_free(tokenizer);
}

#define MARK "\xe2\x96\x81"
#define FALLBACK_MODEL(options)                                                                    \
    "\"model\":{\"type\":\"BPE\"," options                                                         \
    "\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"<0xC3>\":2,\"<0xA9>\":3,"                    \
    "\"" MARK "\":4,\"a" MARK "\":5,\"b\":6},\"merges\":[\"a " MARK "\"]}"

static void test_characters(void **state) {
    (void)state;
    // Characters, not bytes; what is unknown falls back to bytes or becomes the unknown token.
    encode("{" FALLBACK_MODEL("\"byte_fallback\":true,") "}", "a\xc3\xa9zzb",
           (int32_t[]){1, 2, 3, 0, 0, 6}, 6);
    encode("{" FALLBACK_MODEL("\"fuse_unk\":true,") "}", "a\xc3\xa9zzb", (int32_t[]){1, 0, 6}, 3);
    // Unknown tokens wait for the next known character, so bytes between come first.
    encode("{" FALLBACK_MODEL("\"byte_fallback\":true,\"fuse_unk\":true,") "}", "z\xc3\xa9zb",
           (int32_t[]){2, 3, 0, 6}, 4);
}

#define METASPACE(fields)                                                                          \
    "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" MARK "\"" fields               \
    "},\"added_tokens\":[" ADDED("6", "b", ",\"normalized\":false") "]," FALLBACK_MODEL("") "}"

static void test_metaspace(void **state) {
    (void)state;
    encode(METASPACE(""), "aba a", (int32_t[]){4, 1, 6, 4, 1, 4, 1}, 7);
    encode(METASPACE(",\"split\":false"), "aba a", (int32_t[]){4, 1, 6, 4, 5, 1}, 6);
    encode(METASPACE(",\"prepend_scheme\":\"first\""), "aba a", (int32_t[]){4, 1, 6, 1, 4, 1}, 6);
    encode(METASPACE(",\"add_prefix_space\":false"), "aba a", (int32_t[]){1, 6, 1, 4, 1}, 5);
    encode(METASPACE(",\"prepend_scheme\":\"first\""), "ba", (int32_t[]){6, 1}, 2);
    encode(METASPACE(""), " a", (int32_t[]){4, 1}, 2);
}

#define NORMALIZED(list)                                                                           \
    "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[" list "]}," FALLBACK_MODEL("") "}"

static void test_normalizers(void **state) {
    (void)state;
    encode(NORMALIZED("{\"type\":\"Prepend\",\"prepend\":\"" MARK "\"},{\"type\":\"Replace\","
                      "\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"}"),
           "a b", (int32_t[]){4, 5, 6}, 3);
    encode(NORMALIZED("{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":false},"
                      "{\"type\":\"Lowercase\"}"),
           " \tA ", (int32_t[]){1, 0}, 2);
    encode(NORMALIZED("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[bc]+\"},\"content\":\"a\"}"),
           "cbac", (int32_t[]){1, 1, 1}, 3);
    encode(NORMALIZED("{\"type\":\"Nmt\"}"),
           "\x01"
           "a\x7f"
           "b",
           (int32_t[]){1, 6}, 2);
}

#define FIRST_AFTER(normalizer, added)                                                             \
    "{\"normalizer\":" normalizer ",\"added_tokens\":[" added                                      \
    "],\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" MARK                          \
    "\",\"prepend_scheme\":\"first\"}," FALLBACK_MODEL("") "}"
#define REPLACE(regex, content)                                                                    \
    "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"" regex "\"},\"content\":\"" content "\"}"

// Whether a text begins with a piece is asked of the text before it was normalised.
static void test_first_piece(void **state) {
    (void)state;
    encode(FIRST_AFTER(REPLACE("^b+", "a"), ""), "ba", (int32_t[]){4, 1, 1}, 3);
    encode(FIRST_AFTER(REPLACE("^b+", "a"), ""), "bba", (int32_t[]){1, 1}, 2);
    encode(FIRST_AFTER("{\"type\":\"Strip\"}", ""), " a", (int32_t[]){1}, 1);
    encode(FIRST_AFTER("{\"type\":\"Nmt\"}", ""),
           "\x01"
           "a",
           (int32_t[]){1}, 1);
    // What is left of a character after an added token was cut out of it is first, too.
    encode(FIRST_AFTER(REPLACE("c", "ba"), ADDED("6", "b", "")), "ca", (int32_t[]){6, 4, 1, 1}, 4);
    encode(FIRST_AFTER(REPLACE("c", "ba"), ADDED("6", "b", "")), "ba", (int32_t[]){6, 1}, 2);
}

// A text that a hostile file multiplies at each step is refused, not stored.
static void test_growth(void **state) {
    (void)state;
#define TENFOLD "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaaaa\"}"
    struct tr_tokenizer *tokenizer =
        parse(NORMALIZED(TENFOLD "," TENFOLD "," TENFOLD "," TENFOLD "," TENFOLD "," TENFOLD));
    struct tr_ids ids = {0};
    struct tr_err err;
    assert_int_equal(tr_tokenizer_encode(tokenizer, "ab", 2, &ids, &err), TR_EUNSUPPORTED);
    assert_string_equal(err.text, "the normalizer makes more than 65664 bytes of 10001 bytes of "
                                  "text");
    free(ids.ids);
    tr_tokenizer_free(tokenizer);
}

static void test_unigram(void **state) {
    static const char json[] =
        "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"a\",-1],[\"aa\","
        "-1.5],[\"ab\",-3],[\"b\",-2],[\"cd\",-1]]}}";
    (void)state;
    encode(json, "aab", (int32_t[]){2, 4}, 2);
    encode(json, "aaab", (int32_t[]){2, 3}, 2); // of two ways with one score the longer last piece
    encode(json, "acdcda", (int32_t[]){1, 5, 5, 1}, 4);
    encode(json, "azza", (int32_t[]){1, 0, 1}, 3);
}

#define PROCESSED(processor) "{\"post_processor\":{" processor "}," BYTE_LEVEL SMALL_MODEL "}"

static void test_template(void **state) {
    static const struct {
        const char *json, *template;
        int64_t count;
        int32_t last;
    } rows[] = {
        {PROCESSED("\"type\":\"ByteLevel\""), "A", 0, 0},
        {PROCESSED("\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},{\"type\":"
                   "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},"
                   "{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"</s>\"}}],"
                   "\"special_tokens\":{\"<s>\":{\"ids\":[2,9]}}}]"),
         "<s> A </s>", 2, 9},
        {PROCESSED("\"type\":\"RobertaProcessing\",\"cls\":[\"<s>\",3],\"sep\":[\"</s>\",1]"),
         "<s> A </s>", 1, 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tr_tokenizer *tokenizer = parse(rows[i].json);
        struct tr_ids ids = {0};
        assert_string_equal(tr_tokenizer_template(tokenizer), rows[i].template);
        assert_int_equal(tr_tokenizer_begin(tokenizer, &ids, NULL),
                         rows[i].count ? TR_OK : TR_EUSAGE);
        assert_int_equal(ids.count, rows[i].count);
        assert_true(!rows[i].count || ids.ids[ids.count - 1] == rows[i].last);
        free(ids.ids);
        tr_tokenizer_free(tokenizer);
        encode(rows[i].json, "ab", (int32_t[]){2}, 1); // it is never applied by itself
    }
}

static void test_invalid_utf8(void **state) {
    (void)state;
    struct tr_tokenizer *tokenizer = parse("{" BYTE_LEVEL SMALL_MODEL "}");
    struct tr_ids ids = {0};
    struct tr_err err;
    assert_int_equal(tr_tokenizer_encode(tokenizer, "ab\xed\xa0\x80", 5, &ids, &err), TR_EFORMAT);
    assert_string_equal(err.text, "the text is not UTF-8 at byte 2");
    assert_int_equal(tr_tokenizer_encode(tokenizer, "\xc3\xa9\xe2\x82", 4, &ids, &err), TR_EFORMAT);
    assert_string_equal(err.text, "the text is not UTF-8 at byte 2");
    assert_int_equal(ids.count, 0);
    free(ids.ids);
    tr_tokenizer_free(tokenizer);
}

static void test_backtracking_limit(void **state) {
    (void)state;
    struct tr_tokenizer *tokenizer =
        parse("{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
              "\"pattern\":{\"Regex\":\"(?:(?:a|b)*a*)*[cd]\"},\"behavior\":\"Isolated\","
              "\"invert\":false}," NO_REGEX "]}," SMALL_MODEL "}");
    struct tr_ids ids = {0};
    struct tr_err err;
    const char *text = "ccaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaae";
    assert_int_equal(tr_tokenizer_encode(tokenizer, text, 60, &ids, &err), TR_EUNSUPPORTED);
    assert_string_equal(err.text, "splitting 60 bytes of text into words stopped at byte 2: match "
                                  "limit exceeded");
    assert_int_equal(ids.count, 0); // what came before is taken back
    free(ids.ids);
    tr_tokenizer_free(tokenizer);
}

#define WITH_SPLIT(pattern)                                                                        \
    "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","            \
    "\"pattern\":{\"Regex\":\"" pattern                                                            \
    "\"},\"behavior\":\"Isolated\",\"invert\":false}," NO_REGEX "]}," SMALL_MODEL "}"
#define IN_PATTERN(what, byte)                                                                     \
    "t.json: the split pattern holds " what " at byte " byte                                       \
    ", which is not supported (pass token ids instead)"

static void test_refused_patterns(void **state) {
    static const struct {
        const char *json, *sentence;
    } rows[] = {
        {WITH_SPLIT("a\\\\b"), IN_PATTERN("an escape that PCRE2 reads differently", "1")},
        {WITH_SPLIT("(?<x>a)"), IN_PATTERN("an extended group", "0")},
        {WITH_SPLIT("(*F)"), IN_PATTERN("an extended group", "0")},
        {WITH_SPLIT("(?i:\\\\w)"), IN_PATTERN("an escape inside (?i:...)", "4")},
        {WITH_SPLIT("(?i:ss)"), IN_PATTERN("letters with a ligature inside (?i:...)", "4")},
        {WITH_SPLIT("(?i:\xc3\xa9)"), IN_PATTERN("more than letters inside (?i:...)", "4")},
        {WITH_SPLIT("[a&&b]"), IN_PATTERN("an intersection of classes", "2")},
        {WITH_SPLIT("[a[^b]]"), IN_PATTERN("a class inside a class", "2")},
        {WITH_SPLIT("[[:alpha:]]"), IN_PATTERN("a class inside a class", "1")},
        {WITH_SPLIT("[ab"), IN_PATTERN("a class that never closes", "3")},
        {WITH_SPLIT("[]a]"), IN_PATTERN("a class that opens with ]", "1")},
        {WITH_SPLIT("a{2,3}+"), IN_PATTERN("a quantifier after an interval", "6")},
        {WITH_SPLIT("a{,3}"), IN_PATTERN("a brace that is no interval", "1")},
        {WITH_SPLIT("\\\\p{Letter1}"), IN_PATTERN("an unknown property", "0")},
        {WITH_SPLIT("\\\\xff"), IN_PATTERN("a code point we cannot read", "0")},
        {WITH_SPLIT("(a"), "t.json: PCRE2 does not take the split pattern: missing closing "
                           "parenthesis"},
        {WITH_SPLIT(""), "t.json: an empty split pattern"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuse(rows[i].json, TR_EUNSUPPORTED, rows[i].sentence);
}

#define MODEL(fields) "{" BYTE_LEVEL "\"model\":{" fields "}}"
#define VOCAB "\"vocab\":{\"a\":0,\"b\":1},"
#define OPTION(name, value) MODEL("\"" name "\":" value "," VOCAB "\"merges\":[]")
#define USES(name)                                                                                 \
    "t.json: its BPE model uses \"" name "\", which is not supported (pass token ids instead)"
#define KNOWN_STEPS                                                                                \
    "known: ByteLevel, Split, Digits, Metaspace, Punctuation, WhitespaceSplit, Sequence (pass "    \
    "token ids instead)"
#define KNOWN_NORMALIZERS                                                                          \
    "known: NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, Lowercase, Nmt, ByteLevel, "            \
    "Precompiled, Sequence (pass token ids instead)"
#define NORMALIZER(fields) "{\"normalizer\":{" fields "}," BYTE_LEVEL SMALL_MODEL "}"
#define STEP(fields) "{\"pre_tokenizer\":{" fields "}," SMALL_MODEL "}"

static void test_refused(void **state) {
    static const struct {
        const char *json;
        enum tr_status status;
        const char *sentence;
    } rows[] = {
        {"[]", TR_EFORMAT, "t.json: no \"model\" object; not a tokenizer.json"},
        {MODEL("\"type\":\"WordPiece\""), TR_EUNSUPPORTED,
         "t.json: the tokenizer model \"WordPiece\" is not supported; known: BPE, Unigram (pass "
         "token ids instead)"},
        {MODEL("\"type\":\"Unigram\",\"vocab\":[[\"a\"]]"), TR_EFORMAT,
         "t.json: piece 0 of the vocabulary must be [text, score]"},
        {MODEL("\"type\":\"Unigram\",\"vocab\":[[\"a\",0]],\"unk_id\":1"), TR_EFORMAT,
         "t.json: \"unk_id\" 1 is no piece of the vocabulary"},
        {OPTION("dropout", "0.1"), TR_EUNSUPPORTED, USES("dropout")},
        {OPTION("continuing_subword_prefix", "\"##\""), TR_EUNSUPPORTED,
         USES("continuing_subword_prefix")},
        {OPTION("end_of_word_suffix", "\"</w>\""), TR_EUNSUPPORTED, USES("end_of_word_suffix")},
        {MODEL(VOCAB "\"merges\":[\"a b\"]"), TR_EFORMAT,
         "t.json: merge 0 needs the token \"ab\", which is not in the vocabulary"},
        {MODEL(VOCAB "\"merges\":[\"a b c\"]"), TR_EFORMAT,
         "t.json: merge 0 must be two tokens, as \"a b\" or [\"a\", \"b\"]"},
        {MODEL("\"vocab\":{\"a\":-1},\"merges\":[]"), TR_EFORMAT,
         "t.json: the id of token \"a\" must be an integer from 0 to 2147483646"},
        {STEP("\"type\":\"BertPreTokenizer\""), TR_EUNSUPPORTED,
         "t.json: the pre-tokenizer \"BertPreTokenizer\" is not supported; " KNOWN_STEPS},
        {STEP("\"type\":\"Metaspace\",\"replacement\":\"ab\""), TR_EFORMAT,
         "t.json: a Metaspace pre-tokenizer needs a \"replacement\" of one character"},
        {STEP("\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\""),
         TR_EUNSUPPORTED, "t.json: a Metaspace with prepend_scheme \"last\" is not supported"},
        {STEP("\"type\":\"Split\",\"pattern\":{\"String\":\"a\"}"), TR_EUNSUPPORTED,
         "t.json: unknown Split behavior \"\""},
        {NORMALIZER("\"type\":\"StripAccents\""), TR_EUNSUPPORTED,
         "t.json: the normalizer \"StripAccents\" is not supported; " KNOWN_NORMALIZERS},
        {NORMALIZER("\"type\":\"Prepend\""), TR_EFORMAT,
         "t.json: a Prepend normalizer needs a string \"prepend\""},
        {NORMALIZER("\"type\":\"Replace\",\"content\":\"\""), TR_EFORMAT,
         "t.json: a Replace normalizer needs a pattern {\"Regex\": ...} or {\"String\": ...}"},
        {NORMALIZER("\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAA\""), TR_EFORMAT,
         "t.json: malformed precompiled map of characters: it is not base64"},
        {NORMALIZER("\"type\":\"Precompiled\",\"precompiled_charsmap\":\"CAAAAAAA\""), TR_EFORMAT,
         "t.json: malformed precompiled map of characters: its trie is longer than it"},
        {"{\"added_tokens\":[" ADDED("8", "xx", "") "]," BYTE_LEVEL SMALL_MODEL "}", TR_EFORMAT,
         "t.json: the added token with id 8 would get id 5 from the Hugging Face library, which "
         "numbers added tokens itself"},
        {"{\"normalizer\":{\"type\":\"NFC\"},\"added_tokens\":[" ADDED(
             "5", "\\u00e9", "") "," ADDED("6", "e\\u0301", "") "]," BYTE_LEVEL SMALL_MODEL "}",
         TR_EFORMAT, "t.json: added tokens 5 and 6 match the same text"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuse(rows[i].json, rows[i].status, rows[i].sentence);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template),
        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_long_word),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_words_of_a_pattern),
        cmocka_unit_test(test_ignore_merges),
        cmocka_unit_test(test_edges_of_added_tokens),
        cmocka_unit_test(test_stripped_spaces),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_metaspace),
        cmocka_unit_test(test_normalizers),
        cmocka_unit_test(test_first_piece),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_unigram),
        cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_refused_patterns),
        cmocka_unit_test(test_backtracking_limit),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
