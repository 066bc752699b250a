// SPDX-License-Identifier: Apache-2.0
// Causal attention by blocks of queries and keys with an online softmax. Scores are kept with the
// queries along the vector lanes, so that neither keys nor scores need to be transposed:
//   scores[key, query] = sum_i k[key, i] q[i, query]         queries packed once a block
//   sum[query, column] = sum_key scores[key, query] v[key, column]
// Both are sums of a scalar times a vector, six scalars at a time.
#include "cpu.h"

#include "check.h"
#include "reference.h"
#include "vector_math.h"

#include <math.h>
#include <stddef.h>

typedef float kn_float16 __attribute__((vector_size(64)));

enum { LANES = 16, GROUP = 6, QUERIES = 96, KEYS = 288, QUERY_COLUMNS = QUERIES / LANES };

// One block of queries of one head, and the thread's scratch. Positions count from the sequence's
// first token.
struct block {
    const float *q, *k, *v; // the block's first query, the sequence's first key and value
    int64_t head_dim, columns, stride, first, queries;
    kn_float16 *q_packed;            // [QUERY_COLUMNS][head_dim], times the scale
    kn_float16 *v_packed;            // [columns][KEYS], zeros beyond head_dim
    kn_float16 *sums;                // [columns][QUERIES]
    float *scores;                   // [KEYS][QUERIES]
    float *maximum, *total, *factor; // [QUERIES]
};

// out[r] += sum_i scalars[i * step + r * row_step] * vectors[i], r < rows.
KN_INLINE void multiply(kn_float16 *out, int64_t out_step, const float *scalars, int64_t step,
                        int64_t row_step, const kn_float16 *vectors, int64_t count, int rows) {
    kn_float16 sum[GROUP];
    for (int r = 0; r < rows; r++) {
        sum[r] = out[r * out_step];
    }
    for (int64_t i = 0; i < count; i++) {
        for (int r = 0; r < rows; r++) {
            sum[r] += scalars[i * step + r * row_step] * vectors[i];
        }
    }
    for (int r = 0; r < rows; r++) {
        out[r * out_step] = sum[r];
    }
}

KN_CLONES static void pack_queries(const struct block *b, float scale) {
    float *to = (float *)b->q_packed;
    memset(to, 0, (size_t)(QUERIES * b->head_dim) * sizeof *to);
    for (int64_t query = 0; query < b->queries; query++) {
        float *column = to + query / LANES * LANES * b->head_dim + query % LANES;
        for (int64_t i = 0; i < b->head_dim; i++) {
            column[i * LANES] = b->q[query * b->stride + i] * scale;
        }
    }
}

KN_CLONES static void pack_values(const struct block *b, int64_t first_key, int64_t keys) {
    int64_t whole = b->head_dim / LANES, rest = b->head_dim % LANES;
    for (int64_t key = 0; key < keys; key++) {
        const float *from = b->v + (first_key + key) * b->stride;
        kn_float16 *to = b->v_packed + key;
        for (int64_t c = 0; c < whole; c++) {
            memcpy(&to[c * KEYS], from + c * LANES, sizeof *to);
        }
        if (rest) {
            kn_float16 v = {0};
            memcpy(&v, from + whole * LANES, (size_t)rest * sizeof *from);
            to[whole * KEYS] = v;
        }
    }
}

// Columns of queries that come before all keys of the group are left out: they are masked next.
KN_CLONES static void compute_scores(const struct block *b, int64_t first_key, int64_t keys) {
    memset(b->scores, 0, (size_t)(keys * QUERIES) * sizeof(float));
    for (int64_t key = 0; key < keys; key += GROUP) {
        const float *k = b->k + (first_key + key) * b->stride;
        int64_t hidden = first_key + key - b->first;
        for (int64_t c = hidden > 0 ? hidden / LANES : 0; c < QUERY_COLUMNS; c++) {
            kn_float16 *out = (kn_float16 *)(void *)(b->scores + key * QUERIES) + c;
            const kn_float16 *q = b->q_packed + c * b->head_dim;
            if (keys - key >= GROUP) {
                multiply(out, QUERY_COLUMNS, k, 1, b->stride, q, b->head_dim, GROUP);
                continue;
            }
            for (int64_t r = 0; r < keys - key; r++) {
                multiply(out + r * QUERY_COLUMNS, 0, k + r * b->stride, 1, 0, q, b->head_dim, 1);
            }
        }
    }
}

// A query sees the keys up to its own position.
KN_CLONES static void mask_scores(const struct block *b, int64_t first_key, int64_t keys) {
    for (int64_t key = 0; key < keys; key++) {
        int64_t hidden = cpu_min(QUERIES, first_key + key - b->first);
        for (int64_t query = 0; query < hidden; query++) {
            b->scores[key * QUERIES + query] = -INFINITY;
        }
    }
}

// Scores become exp(score - maximum); factor is what earlier sums are to be multiplied by.
KN_CLONES static void exponentiate(const struct block *b, int64_t keys) {
    float maximum[QUERIES], shift[QUERIES], sum[QUERIES] = {0};
    memcpy(maximum, b->maximum, sizeof maximum);
    for (int64_t key = 0; key < keys; key++) {
        const float *row = b->scores + key * QUERIES;
#pragma omp simd
        for (int i = 0; i < QUERIES; i++) {
            maximum[i] = row[i] > maximum[i] ? row[i] : maximum[i];
        }
    }
#pragma omp simd
    for (int i = 0; i < QUERIES; i++) {
        shift[i] = maximum[i] == -INFINITY ? 0.F : maximum[i];
        b->factor[i] = kn_exp(b->maximum[i] - shift[i]);
        b->maximum[i] = maximum[i];
    }
    for (int64_t key = 0; key < keys; key++) {
        float *row = b->scores + key * QUERIES;
#pragma omp simd
        for (int i = 0; i < QUERIES; i++) {
            row[i] = kn_exp(row[i] - shift[i]);
            sum[i] += row[i];
        }
    }
#pragma omp simd
    for (int i = 0; i < QUERIES; i++) {
        b->total[i] = b->total[i] * b->factor[i] + sum[i];
    }
}

KN_CLONES static void add_values(const struct block *b, int64_t first_key, int64_t keys) {
    for (int64_t query = 0; query < QUERIES; query += GROUP) {
        int64_t visible = cpu_min(keys, b->first + query + GROUP - first_key);
        for (int64_t c = 0; c < b->columns; c++) {
            kn_float16 *out = b->sums + c * QUERIES + query;
            for (int r = 0; r < GROUP; r++) {
                out[r] *= b->factor[query + r];
            }
            multiply(out, 1, b->scores + query, QUERIES, 1, b->v_packed + c * KEYS, visible, GROUP);
        }
    }
}

static void attend_block(const struct block *b, float scale) {
    for (int i = 0; i < QUERIES; i++) {
        b->maximum[i] = -INFINITY;
        b->total[i] = 0;
    }
    memset(b->sums, 0, (size_t)(b->columns * QUERIES) * sizeof *b->sums);
    pack_queries(b, scale);
    for (int64_t key = 0; key < b->first + b->queries; key += KEYS) {
        int64_t keys = cpu_min(KEYS, b->first + b->queries - key);
        pack_values(b, key, keys);
        compute_scores(b, key, keys);
        mask_scores(b, key, keys);
        exponentiate(b, keys);
        add_values(b, key, keys);
    }
}

KN_CLONES static void write_block(const struct block *b, float *y, int64_t stride) {
    for (int64_t query = 0; query < b->queries; query++) {
        float scale = 1 / b->total[query];
        for (int64_t c = 0; c < b->columns; c++) {
            kn_float16 v = b->sums[c * QUERIES + query] * scale;
            size_t count = (size_t)cpu_min(LANES, b->head_dim - c * LANES);
            memcpy(y + query * stride + c * LANES, &v, count * sizeof(float));
        }
    }
}

// Weights beyond a query's own position are zero, and zero times a value is zero only if the value
// is finite.
KN_CLONES static bool is_finite(const float *v, int64_t stride, int64_t rows, int64_t cols) {
    float zero = 0;
    for (int64_t r = 0; r < rows; r++) {
#pragma omp simd reduction(+ : zero)
        for (int64_t c = 0; c < cols; c++) {
            zero += v[r * stride + c] * 0;
        }
    }
    return zero == 0;
}

static void attend(const struct kn_attention *op, int64_t sequence, int64_t head, int64_t first,
                   kn_float16 *scratch) {
    int64_t row = sequence * op->seq_len, group = head / (op->heads / op->kv_heads);
    const float *qkv = cpu_row(&op->qkv, row);
    struct block b = {
        .q = cpu_row(&op->qkv, row + first) + head * op->head_dim,
        .k = qkv + (op->heads + group) * op->head_dim,
        .v = qkv + (op->heads + op->kv_heads + group) * op->head_dim,
        .head_dim = op->head_dim,
        .columns = cpu_divide_up(op->head_dim, LANES),
        .stride = op->qkv.stride,
        .first = first,
        .queries = cpu_min(QUERIES, op->seq_len - first),
        .q_packed = scratch,
    };
    b.v_packed = b.q_packed + QUERY_COLUMNS * b.head_dim;
    b.sums = b.v_packed + KEYS * b.columns;
    b.scores = (float *)(b.sums + QUERIES * b.columns);
    b.maximum = b.scores + KEYS * QUERIES;
    b.total = b.maximum + QUERIES;
    b.factor = b.total + QUERIES;
    if (is_finite(b.v + first * b.stride, b.stride, b.queries, b.head_dim)) {
        attend_block(&b, op->scale);
        write_block(&b, cpu_row(&op->y, row + first) + head * op->head_dim, op->y.stride);
        return;
    }
    for (int64_t i = 0; i < b.queries; i++) {
        kn_reference_attend(op, row + first + i, head);
    }
}

static size_t scratch_bytes(int64_t head_dim) {
    int64_t columns = cpu_divide_up(head_dim, LANES);
    int64_t vectors = QUERY_COLUMNS * head_dim + (KEYS + QUERIES) * columns;
    return (size_t)(vectors * LANES + (KEYS + 3) * QUERIES) * sizeof(float);
}

enum kn_status cpu_attention(struct kn_backend *self, const struct kn_attention *op) {
    struct cpu_scratch scratch;
    enum kn_status status = kn_check_attention(op, KN_F32);
    if (status == KN_OK) {
        status = cpu_reserve(self, &scratch, 0, scratch_bytes(op->head_dim));
    }
    if (status != KN_OK) {
        return status;
    }
    int64_t blocks = cpu_divide_up(op->seq_len, QUERIES);
    int64_t tasks = op->y.rows / op->seq_len * op->heads * blocks;
    // The last queries see the most keys: they go first, so that threads end together.
#pragma omp parallel for schedule(dynamic) num_threads(self->threads)
    for (int64_t task = 0; task < tasks; task++) {
        int64_t pair = task % (tasks / blocks), block = blocks - 1 - task / (tasks / blocks);
        attend(op, pair / op->heads, pair % op->heads, block * QUERIES,
               cpu_thread_scratch(&scratch));
    }
    return KN_OK;
}
