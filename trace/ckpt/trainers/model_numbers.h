// SPDX-License-Identifier: Apache-2.0
#ifndef TR_MODEL_NUMBERS_H
#define TR_MODEL_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// What of a config.json decides how rows of fused or permuted matrices are meant. Internal.
struct tr_model_numbers {
    char type[64];                                                 // model_type; "" when not given
    int64_t heads, kv_heads, head_dim, hidden, vocabulary, layers; // 0 when not given
    bool interleaved; // rotary pairs are neighbours, as in Meta's order
};

// Reads them from json[0, size); `path` opens each sentence.
enum tr_status tr_model_numbers_read(struct tr_model_numbers *numbers, const char *json,
                                     size_t size, const char *path, struct tr_err *err);

#endif
