// SPDX-License-Identifier: Apache-2.0
// A tokenizer.json (what begins with a brace) or a split pattern for a fixed one, and after the
// last newline a text for it. Ids lie below the size the tokenizer reports.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char fixed[] =
        "It's 12 e\xcc\x81\xc5\xbf \t\r\n  <x> \xe1\x86\xa7\xf0\x9f\x98\x80";
    const char *bytes = size ? (const char *)data : "";
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
