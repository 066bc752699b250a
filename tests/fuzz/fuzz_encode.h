// SPDX-License-Identifier: Apache-2.0
#ifndef FUZZ_ENCODE_H
#define FUZZ_ENCODE_H

#include <stdlib.h>

#include "text/tokenizer.h"

// Encodes a text with a tokenizer of any bytes: ids lie below the size the tokenizer reports, and a
// refusal leaves none.
static inline void fuzz_encode(const struct tr_tokenizer *tokenizer, const char *text,
                               size_t size) {
    struct tr_ids ids = {0};
    struct tr_err err;
    if (tr_tokenizer_encode(tokenizer, text, size, &ids, &err) != TR_OK && ids.count)
        abort();
    for (int64_t i = 0; i < ids.count; i++)
        if (ids.ids[i] < 0 || ids.ids[i] >= tr_tokenizer_size(tokenizer))
            abort();
    free(ids.ids);
}

#endif
