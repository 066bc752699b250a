// SPDX-License-Identifier: Apache-2.0
// A tokenizer.model, of SentencePiece or of ranks, and two texts for it: a fixed one, and as much
// of the file itself as is UTF-8.
#include <string.h>

#include "characters.h"
#include "fuzz.h"
#include "fuzz_encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char fixed[] = "It's 12 e\xcc\x81\xc5\xbf \t\r\n  <x> \xe2\x96\x81\xe1\x86\xa7"
                                "\xf0\x9f\x98\x80 abab  aab\xef\xac\x81";
    const char *bytes = size ? (const char *)data : "";
    struct tr_tokenizer *tokenizer;
    struct tr_ids ids = {0};
    struct tr_err err;
    if (tr_tokenizer_parse(&tokenizer, bytes, size, "tokenizer.model", "llama", &err) != TR_OK)
        return 0;
    fuzz_encode(tokenizer, fixed, sizeof fixed - 1);
    fuzz_encode(tokenizer, bytes, tr_utf8_prefix(bytes, size));
    if (tr_tokenizer_begin(tokenizer, &ids, &err) == TR_OK &&
        (ids.ids[0] < 0 || ids.ids[0] >= tr_tokenizer_size(tokenizer)))
        abort();
    free(ids.ids);
    tr_tokenizer_free(tokenizer);
    return 0;
}
