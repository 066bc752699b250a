// SPDX-License-Identifier: Apache-2.0
// The start of a .npy file, and the lines of a .jsonl. What is accepted fills the file exactly.
#include <stdlib.h>

#include "fuzz.h"
#include "token_file.h"

static void parse_npy(const char *bytes, size_t size) {
    struct tr_token_layout layout;
    struct tr_err err;
    if (tr_npy_parse(&layout, bytes, size, size, "fuzz", &err) != TR_OK)
        return;
    uint64_t count = (uint64_t)tr_token_count(&layout);
    if (!count || layout.offset + count * (uint64_t)layout.type->size != size)
        abort();
}

static void parse_jsonl(const char *bytes, size_t size) {
    struct tr_token_layout layout;
    struct tr_err err;
    int64_t *values, sum = 0;
    if (tr_token_jsonl_parse(&layout, &values, bytes, size, "fuzz", &err) != TR_OK)
        return;
    for (int64_t i = 0; i < tr_token_count(&layout); i++)
        sum ^= values[i];
    if (sum && !tr_token_count(&layout))
        abort();
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *bytes = size ? (const char *)data : "";
    parse_npy(bytes, size);
    parse_jsonl(bytes, size);
    return 0;
}
