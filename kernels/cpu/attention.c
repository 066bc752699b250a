// SPDX-License-Identifier: Apache-2.0
// Causal attention by blocks of queries and keys with an online softmax. A block's scores are one
// product of the strided heads in place; the output is accumulated in y itself.
#include "cpu.h"

#include "check.h"
#include "reference.h"
#include "vector_math.h"

#include <math.h>
#include <stddef.h>

// KEYS is a multiple of QUERIES: every query of a block sees at least one key of each key block.
enum { QUERIES = 128, KEYS = 512 };

// One block of queries of one head; positions count from the sequence's first token.
struct block {
    float *y, *q;       // the block's first query
    const float *k, *v; // the sequence's first key
    int64_t head_dim, y_stride, stride, first, queries;
    float scale;
};

// The softmax of a query so far.
struct softmax {
    float maximum, sum;
};

// scores[visible] become exp(score - maximum), scores[visible ... count - 1] zero. Returns what
// earlier exponentials are to be multiplied by.
KN_CLONES static float softmax_row(struct softmax *state, float *scores, int64_t visible,
                                   int64_t count) {
    float maximum = state->maximum, sum = 0;
#pragma omp simd reduction(max : maximum)
    for (int64_t i = 0; i < visible; i++) {
        maximum = scores[i] > maximum ? scores[i] : maximum;
    }
    float shift = maximum == -INFINITY ? 0 : maximum;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < visible; i++) {
        scores[i] = kn_exp(scores[i] - shift);
        sum += scores[i];
    }
    for (int64_t i = visible; i < count; i++) {
        scores[i] = 0;
    }
    float correction = expf(state->maximum - shift);
    *state = (struct softmax){maximum, state->sum * correction + sum};
    return correction;
}

KN_CLONES static void scale_row(float *y, float factor, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        y[i] *= factor;
    }
}

// Scores beyond a query's own position are computed with the block and set to zero, and zero times
// a value is zero only if the value is finite.
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

static void attend_keys(const struct block *b, int64_t first_key, float *scores,
                        struct softmax *states) {
    int64_t keys = cpu_min(KEYS, b->first + b->queries - first_key);
    int queries = (int)b->queries, head_dim = (int)b->head_dim, stride = (int)b->stride;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, queries, (int)keys, head_dim, b->scale,
                b->q, stride, b->k + first_key * b->stride, stride, 0, scores, KEYS);
    for (int64_t i = 0; i < b->queries; i++) {
        int64_t visible = cpu_min(keys, b->first + i + 1 - first_key);
        float correction = softmax_row(&states[i], scores + i * KEYS, visible, keys);
        if (first_key > 0) {
            scale_row(b->y + i * b->y_stride, correction, b->head_dim);
        }
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, queries, head_dim, (int)keys, 1, scores,
                KEYS, b->v + first_key * b->stride, stride, first_key > 0 ? 1 : 0, b->y,
                (int)b->y_stride);
}

static void attend_block(const struct block *b, float *scores) {
    struct softmax states[QUERIES];
    for (int64_t i = 0; i < b->queries; i++) {
        states[i] = (struct softmax){-INFINITY, 0};
    }
    for (int64_t key = 0; key < b->first + b->queries; key += KEYS) {
        attend_keys(b, key, scores, states);
    }
    for (int64_t i = 0; i < b->queries; i++) {
        scale_row(b->y + i * b->y_stride, 1 / states[i].sum, b->head_dim);
    }
}

static void attend(const struct kn_attention *op, int64_t sequence, int64_t head, int64_t first,
                   float *scores) {
    int64_t row = sequence * op->seq_len, group = head / (op->heads / op->kv_heads);
    const float *qkv = cpu_row(&op->qkv, row);
    struct block b = {
        .y = cpu_row(&op->y, row + first) + head * op->head_dim,
        .q = cpu_row(&op->qkv, row + first) + head * op->head_dim,
        .k = qkv + (op->heads + group) * op->head_dim,
        .v = qkv + (op->heads + op->kv_heads + group) * op->head_dim,
        .head_dim = op->head_dim,
        .y_stride = op->y.stride,
        .stride = op->qkv.stride,
        .first = first,
        .queries = cpu_min(QUERIES, op->seq_len - first),
        .scale = op->scale,
    };
    if (is_finite(b.v + first * b.stride, b.stride, b.queries, b.head_dim)) {
        attend_block(&b, scores);
        return;
    }
    for (int64_t i = 0; i < b.queries; i++) {
        kn_reference_attend(op, row + first + i, head);
    }
}

enum kn_status cpu_attention(struct kn_backend *self, const struct kn_attention *op) {
    struct cpu_scratch scratch;
    enum kn_status status = kn_check_attention(op, KN_F32);
    if (status == KN_OK && !(cpu_fits_blas(&op->qkv) && cpu_fits_blas(&op->y))) {
        status = KN_EUNSUPPORTED;
    }
    if (status == KN_OK) {
        status = cpu_reserve(self, &scratch, 0, QUERIES * KEYS * sizeof(float));
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
