// SPDX-License-Identifier: Apache-2.0
// Attention of single queries over a cache: a few query heads that share keys at a time, so that
// each key and each value comes from memory once for them. Queries meet only the keys they see.
#include <math.h>
#include <stddef.h>

#include "check.h"
#include "cpu.h"
#include "vector_math.h"

enum { SHARING = 8 }; // query heads of a task, at most

// Query heads [first_head, first_head + heads) of one row, all with the same keys.
struct task {
    const struct kn_attention *op;
    int64_t row, first_head, heads, group; // group: of the keys
    int64_t position, begin;               // of the query, of the first key that it sees
    int64_t first_row, keys;               // the sequence's rows in the cache
    float *scores;                         // [SHARING, keys]: of the keys from `begin` on
    float *sums;                           // [v.dim]
};

static const float *cached(const struct task *t, const struct kn_heads *heads, int64_t key) {
    return cpu_head(heads, t->first_row + key % t->keys, t->group);
}

static float score(const struct task *t, int64_t head, int64_t key, const float *k) {
    const struct kn_attention *op = t->op;
    float s = op->scale * cpu_dot(cpu_head(&op->q, t->row, head), k, op->q.dim);
    if (op->slopes && op->slopes_bf16)
        s += op->scale *
             (kn_slope_bf16(op->slopes[head], key) - kn_slope_bf16(op->slopes[head], t->position));
    else if (op->slopes)
        s += op->slopes[head] * (float)(key - t->position);
    return op->softcap > 0 ? op->softcap * kn_tanh(s / op->softcap) : s;
}

// Scores become exp(score - maximum); returns their sum, the sink's with it.
KN_CLONES static float exponentiate(float *scores, int64_t count, float sink) {
    float maximum = -INFINITY, total = 0;
    for (int64_t i = 0; i < count; i++)
        maximum = scores[i] > maximum ? scores[i] : maximum;
    float shift = maximum == -INFINITY ? 0.F : maximum;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < count; i++) {
        scores[i] = kn_exp(scores[i] - shift);
        total += scores[i];
    }
    return total + kn_exp(sink - shift);
}

KN_CLONES static void write_sums(float *y, const float *sums, float total, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = sums[i] / total;
}

static void attend_head(const struct task *t, int64_t head) {
    const struct kn_attention *op = t->op;
    int64_t dim = op->v.dim, count = t->position + 1 - t->begin;
    float *scores = t->scores + (head - t->first_head) * t->keys;
    float total = exponentiate(scores, count, op->sinks ? op->sinks[head] : -INFINITY);
    memset(t->sums, 0, (size_t)dim * sizeof *t->sums);
    for (int64_t i = 0; i < count; i++)
        cpu_add_weighted(t->sums, cached(t, &op->v, t->begin + i), scores[i], dim);
    write_sums(cpu_row(&op->y, t->row) + head * dim, t->sums, total, dim);
}

static void attend(const struct task *t) {
    int64_t end = t->first_head + t->heads;
    for (int64_t key = t->begin; key <= t->position; key++) {
        const float *k = cached(t, &t->op->k, key);
        for (int64_t head = t->first_head; head < end; head++)
            t->scores[(head - t->first_head) * t->keys + key - t->begin] = score(t, head, key, k);
    }
    for (int64_t head = t->first_head; head < end; head++)
        attend_head(t, head);
}

// Task `index`: tasks go by row, then by group, then by the group's query heads.
static struct task task_of(const struct kn_decode_attention *op, int64_t index, float *scratch) {
    const struct kn_attention *a = &op->attention;
    int64_t group = a->q.count / a->k.count, parts = cpu_divide_up(group, SHARING);
    int64_t row = index / (a->k.count * parts), rest = index % (a->k.count * parts);
    int64_t first = rest % parts * SHARING, position = op->positions[row];
    return (struct task){.op = a,
                         .row = row,
                         .first_head = rest / parts * group + first,
                         .heads = cpu_min(SHARING, group - first),
                         .group = rest / parts,
                         .position = position,
                         .begin = kn_first_key(a, position),
                         .first_row = op->sequences[row] * op->keys,
                         .keys = op->keys,
                         .scores = scratch,
                         .sums = scratch + SHARING * op->keys};
}

enum kn_status cpu_decode_attention(struct kn_backend *self, const struct kn_decode_attention *op) {
    const struct kn_attention *a = &op->attention;
    struct cpu_scratch scratch;
    KN_TRY(kn_check_decode_attention(op, KN_F32));
    size_t floats = (size_t)(SHARING * op->keys + a->v.dim);
    KN_TRY(cpu_reserve(self, &scratch, 0, floats * sizeof(float)));
    int64_t group = a->q.count / a->k.count;
    int64_t tasks = a->y.rows * a->k.count * cpu_divide_up(group, SHARING), work = 0;
    for (int64_t r = 0; r < a->y.rows; r++)
        work += cpu_min(op->positions[r] + 1, op->keys) * a->q.count * (a->q.dim + a->v.dim);
    int threads = tasks > 1 ? cpu_threads(self, work / CPU_MULTIPLICATIONS) : 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t i = 0; i < tasks; i++) {
        struct task task = task_of(op, i, cpu_thread_scratch(&scratch));
        attend(&task);
    }
    return KN_OK;
}
