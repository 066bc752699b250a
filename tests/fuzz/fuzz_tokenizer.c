// SPDX-License-Identifier: Apache-2.0
// A tokenizer.json (what begins with a brace) or a split pattern for a fixed one, and after the
// last newline a text for it; or a merges.txt (what begins with #), and after a 0 each vocab.json,
// to which bytes are added, tokenizer_config.json, special_tokens_map.json, added_tokens.json and a
// text. Ids lie below the size the tokenizer reports.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "bpe_files.h"
#include "byte_level.h"
#include "fuzz.h"
#include "fuzz_encode.h"

// A tokenizer.json with a Split by this pattern; NULL when the pattern is not UTF-8.
static char *json_with_pattern(const char *pattern, size_t size) {
    static const char *const behaviors[] = {"Isolated", "Removed", "Contiguous",
                                            "MergedWithPrevious", "MergedWithNext"};
    json_t *root =
        json_pack("{s:{s:s,s:[{s:s,s:{s:s%},s:s,s:b},{s:s,s:b,s:b}]},s:{s:{s:i,s:i,s:i},s:[s]}}",
                  "pre_tokenizer", "type", "Sequence", "pretokenizers", "type", "Split", "pattern",
                  "Regex", pattern, size, "behavior", behaviors[size % 5], "invert",
                  (int)(size & 1), "type", "ByteLevel", "add_prefix_space", 1, "use_regex", 0,
                  "model", "vocab", "a", 0, "b", 1, "ab", 2, "merges", "a b");
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

// The next of the parts that a 0 ends, as JSON where it is some.
static json_t *next_json(const char **at, const char *end) {
    const char *stop = *at < end ? memchr(*at, 0, (size_t)(end - *at)) : NULL;
    size_t size = (size_t)((stop ? stop : end) - *at);
    json_t *value = NULL;
    if (tr_json_parse(&value, *at, size, "fuzz", NULL) != TR_OK)
        value = NULL;
    *at = stop ? stop + 1 : end;
    return value;
}

// Each byte has a token, so that what follows is reached.
static void add_bytes(json_t *vocabulary) {
    for (int byte = 0; byte < 256; byte++) {
        char spelled[3] = {0};
        tr_byte_spell((unsigned char)byte, spelled);
        if (json_is_object(vocabulary) && !json_object_get(vocabulary, spelled))
            json_object_set_new(vocabulary, spelled,
                                json_integer((json_int_t)json_object_size(vocabulary)));
    }
}

// The document of files that begin with merges; `at` comes to stand on the text.
static char *json_of_files(const char **at, const char *end) {
    const char *merges = *at, *stop = memchr(merges, 0, (size_t)(end - merges));
    struct tr_bpe_files files = {.merges = merges, .model_type = "opt"};
    files.merges_size = (size_t)((stop ? stop : end) - merges);
    *at = stop ? stop + 1 : end;
    json_t *values[4], *document = NULL;
    for (int i = 0; i < 4; i++)
        values[i] = next_json(at, end);
    add_bytes(values[0]);
    files.vocabulary = values[0];
    files.config = values[1];
    files.specials = values[2];
    files.added = values[3];
    char *text = NULL;
    if (values[0] && tr_bpe_files_join(&document, &files, "fuzz", NULL) == TR_OK)
        text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    for (int i = 0; i < 4; i++)
        json_decref(values[i]);
    return text;
}

static void fuzz_files(const char *bytes, size_t size) {
    const char *at = bytes;
    char *text = json_of_files(&at, bytes + size);
    struct tr_tokenizer *tokenizer;
    if (text && tr_tokenizer_parse(&tokenizer, text, strlen(text), "fuzz", NULL, NULL) == TR_OK) {
        fuzz_encode(tokenizer, at, (size_t)(bytes + size - at));
        tr_tokenizer_free(tokenizer);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char fixed[] =
        "It's 12 e\xcc\x81\xc5\xbf \t\r\n  <x> \xe1\x86\xa7\xf0\x9f\x98\x80";
    const char *bytes = size ? (const char *)data : "";
    if (*bytes == '#') {
        fuzz_files(bytes, size);
        return 0;
    }
    const char *newline = memrchr(bytes, '\n', size);
    size_t head = newline ? (size_t)(newline - bytes) : size;
    char *made = head && *bytes != '{' ? json_with_pattern(bytes, head) : NULL;
    struct tr_tokenizer *tokenizer;
    struct tr_err err;
    enum tr_status status = tr_tokenizer_parse(&tokenizer, made ? made : bytes,
                                               made ? strlen(made) : head, "fuzz", NULL, &err);
    free(made);
    if (status != TR_OK)
        return 0;
    fuzz_encode(tokenizer, fixed, sizeof fixed - 1);
    if (newline)
        fuzz_encode(tokenizer, newline + 1, size - head - 1);
    tr_tokenizer_free(tokenizer);
    return 0;
}
