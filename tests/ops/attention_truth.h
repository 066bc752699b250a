// SPDX-License-Identifier: Apache-2.0
#ifndef ATTENTION_TRUTH_H
#define ATTENTION_TRUTH_H

#include "support.h"

// Attention in long double, and ops to compare with it.

// One matrix holds the query heads, then the key heads, then the value heads, as a fused projection
// leaves them.
struct attention_shape {
    int64_t sequences, seq_len, heads, kv_heads, head_dim, v_dim;
};

struct attention_options {
    float scale, softcap;
    int64_t window;
    bool chunks;
    const float *slopes;
    bool slopes_bf16;
    const float *sinks; // the host's, as of the values below
};

// Columns of that matrix.
int64_t attention_width(const struct attention_shape *s);

// Whole sequences, queries, keys and values from that matrix.
struct kn_attention attention_of(const struct attention_shape *s, const struct attention_options *o,
                                 struct kn_matrix y, struct kn_matrix qkv);

// The host's copies of the matrix of queries and of that of keys and values.
struct attention_values {
    const float *q, *kv, *sinks;
};

// Runs and compares the rows with index % step == 0: the truth is slow.
void attention_check(const struct kn_attention *op, struct attention_values values,
                     struct matrix *y, int64_t step);

// The same of single queries over a cache, all rows; the host's copies of where they are.
void decode_check(const struct kn_decode_attention *op, struct attention_values values,
                  struct matrix *y, const int32_t *positions, const int32_t *sequences);

#endif
