// SPDX-License-Identifier: Apache-2.0
// Rotary embedding and causal attention, as the formulas read.
#include <math.h>

#include "check.h"
#include "kernels/convert.h"
#include "reference_entries.h"

enum kn_status kn_reference_rope(struct kn_backend *self, const struct kn_rope *op) {
    KN_TRY(kn_check_rope(op, self->activation_type));
    bool half_split = op->kind == KN_ROPE_HALF_SPLIT;
    int64_t step = half_split ? 1 : 2, distance = half_split ? op->pairs : 1;
    for (int64_t r = 0; r < op->heads.x.rows; r++) {
        int64_t position =
            op->positions ? op->positions[r] : op->sequences.first + r % op->sequences.queries;
        const float *cos_row = op->cos + position * op->pairs;
        const float *sin_row = op->sin + position * op->pairs;
        for (int64_t h = 0; h < op->heads.count; h++) {
            float *head = kn_reference_head(&op->heads, r, h);
            for (int64_t i = 0; i < op->pairs; i++) {
                double a = (double)head[i * step], b = (double)head[i * step + distance];
                double cosine = (double)cos_row[i], sine = (double)sin_row[i];
                head[i * step] = (float)(a * cosine - b * sine);
                head[i * step + distance] = (float)(b * cosine + a * sine);
            }
        }
    }
    return KN_OK;
}

enum { SUMS = 64 }; // columns of y summed at a time

// ALiBi's term of the score of a key: `position` and `key` are positions in the sequence.
static double bias(const struct kn_attention *op, float slope, int64_t position, int64_t key) {
    if (!op->slopes_bf16)
        return (double)slope * (double)(key - position);
    double here = (double)kn_slope_bf16(slope, position);
    return (double)op->scale * ((double)kn_slope_bf16(slope, key) - here);
}

// A query row of the batch, its position, and its sequence's rows of keys, which begin anew where
// positions go on behind the last.
struct query {
    int64_t row, head, position, first_key, keys;
};

static int64_t key_row(const struct query *at, int64_t key) {
    return at->first_key + key % at->keys;
}

static double score(const struct kn_attention *op, const struct query *at, int64_t key) {
    const float *q = kn_reference_head(&op->q, at->row, at->head);
    const float *k =
        kn_reference_head(&op->k, key_row(at, key), at->head / (op->q.count / op->k.count));
    double sum = 0;
    for (int64_t i = 0; i < op->q.dim; i++)
        sum += (double)q[i] * (double)k[i];
    sum *= (double)op->scale;
    if (op->slopes)
        sum += bias(op, op->slopes[at->head], at->position, key);
    return kn_reference_cap(sum, op->softcap);
}

static void attend(const struct kn_attention *op, const struct query *at) {
    int64_t group = at->head / (op->q.count / op->k.count), last = at->position;
    int64_t first = kn_first_key(op, last);
    float *y = kn_reference_row(&op->y, at->row) + at->head * op->v.dim;
    double maximum = -INFINITY;
    for (int64_t j = first; j <= last; j++)
        maximum = fmax(maximum, score(op, at, j));
    double sink = op->sinks ? exp((double)op->sinks[at->head] - maximum) : 0;
    for (int64_t c = 0; c < op->v.dim; c += SUMS) {
        int64_t count = op->v.dim - c < SUMS ? op->v.dim - c : SUMS;
        double total = sink, sums[SUMS] = {0};
        for (int64_t j = first; j <= last; j++) {
            double weight = exp(score(op, at, j) - maximum);
            const float *v = kn_reference_head(&op->v, key_row(at, j), group) + c;
            total += weight;
            for (int64_t i = 0; i < count; i++)
                sums[i] += weight * (double)v[i];
        }
        for (int64_t i = 0; i < count; i++)
            y[c + i] = (float)(sums[i] / total);
    }
}

void kn_reference_attend(const struct kn_attention *op, int64_t row, int64_t head) {
    const struct kn_sequences *s = &op->sequences;
    const struct query at = {row, head, s->first + row % s->queries, row / s->queries * s->keys,
                             s->keys};
    attend(op, &at);
}

enum kn_status kn_reference_attention(struct kn_backend *self, const struct kn_attention *op) {
    KN_TRY(kn_check_attention(op, self->activation_type));
    for (int64_t r = 0; r < op->y.rows; r++)
        for (int64_t h = 0; h < op->q.count; h++)
            kn_reference_attend(op, r, h);
    return KN_OK;
}

enum kn_status kn_reference_decode_attention(struct kn_backend *self,
                                             const struct kn_decode_attention *op) {
    KN_TRY(kn_check_decode_attention(op, self->activation_type));
    for (int64_t r = 0; r < op->attention.y.rows; r++)
        for (int64_t h = 0; h < op->attention.q.count; h++) {
            const struct query at = {r, h, op->positions[r], op->sequences[r] * op->keys, op->keys};
            attend(&op->attention, &at);
        }
    return KN_OK;
}
