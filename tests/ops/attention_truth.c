// SPDX-License-Identifier: Apache-2.0
#include "attention_truth.h"

#include <math.h>

int64_t attention_width(const struct attention_shape *s) {
    return (s->heads + s->kv_heads) * s->head_dim + s->kv_heads * s->v_dim;
}

struct kn_attention attention_of(const struct attention_shape *s, const struct attention_options *o,
                                 struct kn_matrix y, struct kn_matrix qkv) {
    int64_t k_col = s->heads * s->head_dim, v_col = k_col + s->kv_heads * s->head_dim;
    return (struct kn_attention){.y = y,
                                 .q = {qkv, 0, s->heads, s->head_dim, s->head_dim},
                                 .k = {qkv, k_col, s->kv_heads, s->head_dim, s->head_dim},
                                 .v = {qkv, v_col, s->kv_heads, s->v_dim, s->v_dim},
                                 .sequences = kn_whole_sequences(s->seq_len),
                                 .window = o->window,
                                 .chunks = o->chunks,
                                 .scale = o->scale,
                                 .softcap = o->softcap,
                                 .slopes = o->slopes,
                                 .slopes_bf16 = o->slopes_bf16,
                                 .sinks =
                                     o->sinks ? buffer_new(o->sinks, (size_t)s->heads * 4) : NULL};
}

// Element i of a head, from the host's copy of the matrix.
static long double element(const struct kn_heads *h, const float *values, int64_t row, int64_t head,
                           int64_t i) {
    return (long double)values[row * h->x.cols + h->first_col + head * h->pitch + i];
}

static long double round_bf16(float value) {
    uint16_t bits;
    float rounded;
    kn_convert(&bits, KN_BF16, &value, KN_F32, 1);
    kn_convert(&rounded, KN_F32, &bits, KN_BF16, 1);
    return (long double)rounded;
}

// Falcon's ALiBi of the token at a position.
static long double bf16_slope(const struct kn_attention *op, int64_t at, int64_t head) {
    float position = (float)round_bf16((float)at);
    return round_bf16(op->slopes[head] * position);
}

// A query, and its sequence's rows of keys, over which positions go round.
struct query {
    int64_t row, head, position, first_key, keys;
};

static int64_t key_row(const struct query *at, int64_t key) {
    return at->first_key + key % at->keys;
}

static long double score_truth(const struct kn_attention *op, const struct attention_values *values,
                               const struct query *at, int64_t key) {
    int64_t head = at->head;
    int64_t group = head / (op->q.count / op->k.count);
    long double sum = 0, softcap = (long double)op->softcap;
    for (int64_t i = 0; i < op->q.dim; i++)
        sum += element(&op->q, values->q, at->row, head, i) *
               element(&op->k, values->kv, key_row(at, key), group, i);
    sum *= (long double)op->scale;
    if (op->slopes && op->slopes_bf16)
        sum += (long double)op->scale *
               (bf16_slope(op, key, head) - bf16_slope(op, at->position, head));
    else if (op->slopes)
        sum += (long double)op->slopes[head] * (long double)(key - at->position);
    return softcap > 0 ? softcap * tanhl(sum / softcap) : sum;
}

static void attend_truth(const struct kn_attention *op, const struct attention_values *values,
                         const struct query *at, long double *y) {
    int64_t first = 0, last = at->position, group = at->head / (op->q.count / op->k.count);
    if (op->window > 0 && op->chunks)
        first = last / op->window * op->window;
    else if (op->window > 0 && last - op->window + 1 > 0)
        first = last - op->window + 1;
    long double *scores = host_new((size_t)(last + 1) * sizeof *scores), largest = -INFINITY;
    for (int64_t j = first; j <= last; j++) {
        scores[j - first] = score_truth(op, values, at, j);
        largest = fmaxl(largest, scores[j - first]);
    }
    long double total = values->sinks ? expl((long double)values->sinks[at->head] - largest) : 0;
    for (int64_t j = first; j <= last; j++) {
        long double weight = expl(scores[j - first] - largest);
        total += weight;
        for (int64_t i = 0; i < op->v.dim; i++)
            y[i] += weight * element(&op->v, values->kv, key_row(at, j), group, i);
    }
    for (int64_t i = 0; i < op->v.dim; i++)
        y[i] /= total;
}

static void check_query(const struct kn_attention *op, const struct attention_values *values,
                        const struct matrix *y, const struct query *at) {
    long double truth[512] = {0};
    attend_truth(op, values, at, truth);
    check_close(OP_ATTENTION, y->m.type, y->values + at->row * y->m.cols + at->head * op->v.dim,
                truth, op->v.dim);
}

void attention_check(const struct kn_attention *op, struct attention_values values,
                     struct matrix *y, int64_t step) {
    check_status(kn->ops->attention(kn, op));
    matrix_read(y);
    for (int64_t row = 0; row < y->m.rows; row += row + step < y->m.rows ? step : 1) {
        for (int64_t head = 0; head < op->q.count; head++) {
            const struct kn_sequences *s = &op->sequences;
            const struct query at = {row, head, s->first + row % s->queries,
                                     row / s->queries * s->keys, s->keys};
            check_query(op, &values, y, &at);
        }
    }
}

void decode_check(const struct kn_decode_attention *op, struct attention_values values,
                  struct matrix *y, const int32_t *positions, const int32_t *sequences) {
    check_status(kn->ops->decode_attention(kn, op));
    matrix_read(y);
    for (int64_t row = 0; row < y->m.rows; row++)
        for (int64_t head = 0; head < op->attention.q.count; head++) {
            const struct query at = {row, head, positions[row], sequences[row] * op->keys,
                                     op->keys};
            check_query(&op->attention, &values, y, &at);
        }
}
