// SPDX-License-Identifier: Apache-2.0
// Causal attention by blocks of queries and keys with an online softmax. Scores are kept with the
// queries along the vector lanes, so that neither keys nor scores need to be transposed:
//   scores[key, query] = sum_i k[key, i] q[i, query]         queries packed once a block
//   sum[query, column] = sum_key scores[key, query] v[key, column]
// Both are sums of a scalar times a vector, six scalars at a time.
#include <math.h>
#include <stddef.h>

#include "check.h"
#include "cpu.h"
#include "reference.h"
#include "vector_math.h"

typedef float kn_float8 __attribute__((vector_size(32)));
typedef float kn_float16 __attribute__((vector_size(64)));

// What most of the time goes into is compiled by the width of vectors: those that are wider than a
// register are kept in memory. Results do not depend on it.
#ifdef KN_HAS_TARGET_CLONES
#define WIDE __attribute__((target("arch=x86-64-v4")))
#define NARROW __attribute__((target_clones("default", "arch=x86-64-v3")))
static bool has_wide_vectors(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512cd");
}
#else
#define WIDE
#define NARROW
static bool has_wide_vectors(void) {
    return false;
}
#endif

enum { LANES = 16, GROUP = 6, QUERIES = 96, KEYS = 288, QUERY_COLUMNS = QUERIES / LANES };

// One block of queries of one head, and the thread's scratch. Positions count from the sequence's
// first token.
struct block {
    const float *q, *k, *v; // the block's first query, the sequence's first key and value
    int64_t q_stride, k_stride, v_stride;
    int64_t dim, v_dim, columns; // of queries and keys, of values; vectors of v_dim
    int64_t first, queries, window;
    bool chunks;                     // see kn_attention
    float *q_packed;                 // [QUERY_COLUMNS][dim][LANES], times the scale
    float *v_packed;                 // [columns][KEYS][LANES], zeros beyond v_dim
    float *sums;                     // [columns][QUERIES][LANES]
    float *scores;                   // [KEYS][QUERIES]
    float *maximum, *total, *factor; // [QUERIES]
};

// out[r] += sum_i scalars[i * step + r * row_step] * vectors[i], r < rows; of LANES elements each.
KN_INLINE void multiply_wide(float *out, int64_t out_step, const float *scalars, int64_t step,
                             int64_t row_step, const float *vectors, int64_t count, int rows) {
    const kn_float16 *v = (const kn_float16 *)(const void *)vectors;
    kn_float16 *to = (kn_float16 *)(void *)out, sum[GROUP];
    for (int r = 0; r < rows; r++)
        sum[r] = to[r * out_step];
    for (int64_t i = 0; i < count; i++)
        for (int r = 0; r < rows; r++)
            sum[r] += scalars[i * step + r * row_step] * v[i];
    for (int r = 0; r < rows; r++)
        to[r * out_step] = sum[r];
}

// The same by halves.
KN_INLINE void multiply_narrow(float *out, int64_t out_step, const float *scalars, int64_t step,
                               int64_t row_step, const float *vectors, int64_t count, int rows) {
    const kn_float8 *v = (const kn_float8 *)(const void *)vectors;
    kn_float8 *to = (kn_float8 *)(void *)out, low[GROUP], high[GROUP];
    for (int r = 0; r < rows; r++) {
        low[r] = to[2 * r * out_step];
        high[r] = to[2 * r * out_step + 1];
    }
    for (int64_t i = 0; i < count; i++) {
        kn_float8 v_low = v[2 * i], v_high = v[2 * i + 1];
        for (int r = 0; r < rows; r++) {
            low[r] += scalars[i * step + r * row_step] * v_low;
            high[r] += scalars[i * step + r * row_step] * v_high;
        }
    }
    for (int r = 0; r < rows; r++) {
        to[2 * r * out_step] = low[r];
        to[2 * r * out_step + 1] = high[r];
    }
}

KN_INLINE void multiply(float *out, int64_t out_step, const float *scalars, int64_t step,
                        int64_t row_step, const float *vectors, int64_t count, int rows,
                        bool wide) {
    if (wide)
        multiply_wide(out, out_step, scalars, step, row_step, vectors, count, rows);
    else
        multiply_narrow(out, out_step, scalars, step, row_step, vectors, count, rows);
}

KN_CLONES static void pack_queries(const struct block *b, float scale) {
    float *to = b->q_packed;
    memset(to, 0, (size_t)(QUERIES * b->dim) * sizeof *to);
    for (int64_t query = 0; query < b->queries; query++) {
        float *column = to + query / LANES * LANES * b->dim + query % LANES;
        for (int64_t i = 0; i < b->dim; i++)
            column[i * LANES] = b->q[query * b->q_stride + i] * scale;
    }
}

KN_CLONES static void pack_values(const struct block *b, int64_t first_key, int64_t keys) {
    int64_t whole = b->v_dim / LANES, rest = b->v_dim % LANES;
    for (int64_t key = 0; key < keys; key++) {
        const float *from = b->v + (first_key + key) * b->v_stride;
        float *to = b->v_packed + key * LANES;
        for (int64_t c = 0; c < whole; c++)
            memcpy(to + c * KEYS * LANES, from + c * LANES, LANES * sizeof *to);
        if (rest) {
            float v[LANES] = {0};
            memcpy(v, from + whole * LANES, (size_t)rest * sizeof *from);
            memcpy(to + whole * KEYS * LANES, v, sizeof v);
        }
    }
}

// The first key that the query at a position sees, and the position behind the last query that sees
// a key.
static int64_t first_seen(const struct block *b, int64_t position) {
    int64_t key = b->chunks ? position - position % b->window : position + 1 - b->window;
    return key > 0 ? key : 0;
}

static int64_t end_of_sight(const struct block *b, int64_t key) {
    return key + b->window - (b->chunks ? key % b->window : 0);
}

// The columns of queries [first, end) that may see some key of a group: a query sees the keys up to
// its own position, at most `window` of them. The rest is masked next.
static int64_t first_column(const struct block *b, int64_t key) {
    return key > b->first ? (key - b->first) / LANES : 0;
}

static int64_t end_column(const struct block *b, int64_t last_key) {
    int64_t queries = cpu_min(b->queries, last_key + b->window - b->first);
    return cpu_divide_up(queries, LANES);
}

KN_INLINE void scores_of(const struct block *b, int64_t first_key, int64_t keys, bool wide) {
    memset(b->scores, 0, (size_t)(keys * QUERIES) * sizeof(float));
    for (int64_t key = 0; key < keys; key += GROUP) {
        const float *k = b->k + (first_key + key) * b->k_stride;
        int64_t end = end_column(b, first_key + key + GROUP - 1);
        for (int64_t c = first_column(b, first_key + key); c < end; c++) {
            float *out = b->scores + key * QUERIES + c * LANES;
            const float *q = b->q_packed + c * b->dim * LANES;
            if (keys - key >= GROUP) {
                multiply(out, QUERY_COLUMNS, k, 1, b->k_stride, q, b->dim, GROUP, wide);
                continue;
            }
            for (int64_t r = 0; r < keys - key; r++)
                multiply(out + r * QUERIES, 0, k + r * b->k_stride, 1, 0, q, b->dim, 1, wide);
        }
    }
}

WIDE static void scores_wide(const struct block *b, int64_t first_key, int64_t keys) {
    scores_of(b, first_key, keys, true);
}

NARROW static void scores_narrow(const struct block *b, int64_t first_key, int64_t keys) {
    scores_of(b, first_key, keys, false);
}

// ALiBi: the farther a key lies behind the query, the less it counts.
KN_CLONES static void add_slope(const struct block *b, float slope, int64_t first_key,
                                int64_t keys) {
    for (int64_t key = 0; key < keys; key++) {
        float *row = b->scores + key * QUERIES;
        float distance = (float)(first_key + key - b->first);
#pragma omp simd
        for (int i = 0; i < QUERIES; i++)
            row[i] += slope * (distance - (float)i);
    }
}

// The same as Falcon rounds it; differences of bf16 values of one magnitude are exact.
KN_CLONES static void add_slope_bf16(const struct block *b, float slope, float scale,
                                     int64_t first_key, int64_t keys) {
    float here[QUERIES];
    for (int i = 0; i < QUERIES; i++)
        here[i] = kn_slope_bf16(slope, b->first + i);
    for (int64_t key = 0; key < keys; key++) {
        float *row = b->scores + key * QUERIES, there = kn_slope_bf16(slope, first_key + key);
#pragma omp simd
        for (int i = 0; i < QUERIES; i++)
            row[i] += scale * (there - here[i]);
    }
}

KN_CLONES static void cap_scores(const struct block *b, float softcap, int64_t keys) {
#pragma omp simd
    for (int64_t i = 0; i < keys * QUERIES; i++)
        b->scores[i] = kn_cap(b->scores[i], softcap);
}

KN_CLONES static void mask_scores(const struct block *b, int64_t first_key, int64_t keys) {
    for (int64_t key = 0; key < keys; key++) {
        float *row = b->scores + key * QUERIES;
        int64_t position = first_key + key - b->first;
        int64_t before = cpu_min(QUERIES, position);
        for (int64_t query = 0; query < before; query++)
            row[query] = -INFINITY;
        int64_t after = end_of_sight(b, first_key + key) - b->first;
        for (int64_t query = after > 0 ? after : 0; query < QUERIES; query++)
            row[query] = -INFINITY;
    }
}

// Scores become exp(score - maximum); factor is what earlier sums are to be multiplied by.
KN_CLONES static void exponentiate(const struct block *b, int64_t keys) {
    float maximum[QUERIES], shift[QUERIES], sum[QUERIES] = {0};
    memcpy(maximum, b->maximum, sizeof maximum);
    for (int64_t key = 0; key < keys; key++) {
        const float *row = b->scores + key * QUERIES;
#pragma omp simd
        for (int i = 0; i < QUERIES; i++)
            maximum[i] = row[i] > maximum[i] ? row[i] : maximum[i];
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
    for (int i = 0; i < QUERIES; i++)
        b->total[i] = b->total[i] * b->factor[i] + sum[i];
}

KN_INLINE void values_of(const struct block *b, int64_t first_key, int64_t keys, bool wide) {
    for (int64_t query = 0; query < b->queries; query += GROUP) {
        int64_t end = cpu_min(keys, b->first + query + GROUP - first_key);
        int64_t begin = first_seen(b, b->first + query) - first_key;
        begin = begin > 0 ? cpu_min(begin, end) : 0;
        for (int64_t c = 0; c < b->columns; c++) {
            float *out = b->sums + (c * QUERIES + query) * LANES;
            for (int r = 0; r < GROUP; r++)
                for (int l = 0; l < LANES; l++)
                    out[r * LANES + l] *= b->factor[query + r];
            multiply(out, 1, b->scores + begin * QUERIES + query, QUERIES, 1,
                     b->v_packed + (c * KEYS + begin) * LANES, end - begin, GROUP, wide);
        }
    }
}

WIDE static void values_wide(const struct block *b, int64_t first_key, int64_t keys) {
    values_of(b, first_key, keys, true);
}

NARROW static void values_narrow(const struct block *b, int64_t first_key, int64_t keys) {
    values_of(b, first_key, keys, false);
}

static void attend_block(const struct block *b, const struct kn_attention *op, float slope) {
    int64_t begin = first_seen(b, b->first), end = b->first + b->queries;
    bool wide = has_wide_vectors();
    for (int i = 0; i < QUERIES; i++) {
        b->maximum[i] = -INFINITY;
        b->total[i] = 0;
    }
    memset(b->sums, 0, (size_t)(b->columns * QUERIES * LANES) * sizeof *b->sums);
    pack_queries(b, op->scale);
    for (int64_t key = begin; key < end; key += KEYS) {
        int64_t keys = cpu_min(KEYS, end - key);
        pack_values(b, key, keys);
        (wide ? scores_wide : scores_narrow)(b, key, keys);
        if (slope != 0 && op->slopes_bf16)
            add_slope_bf16(b, slope, op->scale, key, keys);
        else if (slope != 0)
            add_slope(b, slope, key, keys);
        if (op->softcap > 0)
            cap_scores(b, op->softcap, keys);
        mask_scores(b, key, keys);
        exponentiate(b, keys);
        (wide ? values_wide : values_narrow)(b, key, keys);
    }
}

// A sink takes part in the sums of weights alone.
KN_CLONES static void add_sink(const struct block *b, float sink) {
#pragma omp simd
    for (int i = 0; i < QUERIES; i++)
        b->total[i] += kn_exp(sink - b->maximum[i]);
}

KN_CLONES static void write_block(const struct block *b, float *y, int64_t stride) {
    for (int64_t query = 0; query < b->queries; query++) {
        float scale = 1 / b->total[query];
        for (int64_t c = 0; c < b->columns; c++) {
            const float *sum = b->sums + (c * QUERIES + query) * LANES;
            int64_t count = cpu_min(LANES, b->v_dim - c * LANES);
            for (int64_t i = 0; i < count; i++)
                y[query * stride + c * LANES + i] = sum[i] * scale;
        }
    }
}

KN_CLONES static bool is_finite(const struct block *b, int64_t first_key, int64_t end) {
    float zero = 0;
    for (int64_t key = first_key; key < end; key++) {
        const float *v = b->v + key * b->v_stride;
#pragma omp simd reduction(+ : zero)
        for (int64_t c = 0; c < b->v_dim; c++)
            zero += v[c] * 0;
    }
    return zero == 0;
}

// Keys that some query of the block sees and another does not weigh zero for the other, and zero
// times a value is zero only if the value is finite.
static bool is_partly_seen_finite(const struct block *b) {
    int64_t last = b->first + b->queries;
    return is_finite(b, first_seen(b, b->first), first_seen(b, last - 1)) &&
           is_finite(b, b->first, last);
}

// The queries of a sequence from its row `begin` on.
static void attend(const struct kn_attention *op, int64_t sequence, int64_t head, int64_t begin,
                   float *scratch) {
    const struct kn_sequences *s = &op->sequences;
    int64_t row = sequence * s->queries + begin, key_row = sequence * s->keys;
    int64_t group = head / (op->q.count / op->k.count), all = s->first + s->queries;
    struct block b = {
        .q = cpu_head(&op->q, row, head),
        .k = cpu_head(&op->k, key_row, group),
        .v = cpu_head(&op->v, key_row, group),
        .q_stride = op->q.x.stride,
        .k_stride = op->k.x.stride,
        .v_stride = op->v.x.stride,
        .dim = op->q.dim,
        .v_dim = op->v.dim,
        .columns = cpu_divide_up(op->v.dim, LANES),
        .first = s->first + begin,
        .queries = cpu_min(QUERIES, s->queries - begin),
        .window = op->window > 0 ? cpu_min(op->window, all) : all,
        .chunks = op->chunks,
        .q_packed = scratch,
    };
    b.v_packed = b.q_packed + QUERY_COLUMNS * b.dim * LANES;
    b.sums = b.v_packed + KEYS * b.columns * LANES;
    b.scores = b.sums + QUERIES * b.columns * LANES;
    b.maximum = b.scores + KEYS * QUERIES;
    b.total = b.maximum + QUERIES;
    b.factor = b.total + QUERIES;
    if (is_partly_seen_finite(&b)) {
        attend_block(&b, op, op->slopes ? op->slopes[head] : 0);
        if (op->sinks)
            add_sink(&b, op->sinks[head]);
        write_block(&b, cpu_row(&op->y, row) + head * op->v.dim, op->y.stride);
        return;
    }
    for (int64_t i = 0; i < b.queries; i++)
        kn_reference_attend(op, row + i, head);
}

static size_t scratch_bytes(const struct kn_attention *op) {
    int64_t columns = cpu_divide_up(op->v.dim, LANES);
    int64_t vectors = QUERY_COLUMNS * op->q.dim + (KEYS + QUERIES) * columns;
    return (size_t)(vectors * LANES + (KEYS + 3) * QUERIES) * sizeof(float);
}

// Multiplications, about: the keys before the queries and half of the rest, or a window of them.
static int64_t work_of(const struct kn_attention *op) {
    int64_t keys = op->sequences.first + cpu_divide_up(op->sequences.queries, 2);
    keys = op->window > 0 ? cpu_min(keys, op->window) : keys;
    return op->y.rows * op->q.count * keys * (op->q.dim + op->v.dim);
}

enum kn_status cpu_attention(struct kn_backend *self, const struct kn_attention *op) {
    struct cpu_scratch scratch;
    KN_TRY(kn_check_attention(op, KN_F32));
    KN_TRY(cpu_reserve(self, &scratch, 0, scratch_bytes(op)));
    int64_t blocks = cpu_divide_up(op->sequences.queries, QUERIES);
    int64_t tasks = op->y.rows / op->sequences.queries * op->q.count * blocks;
    int threads = tasks > 1 ? cpu_threads(self, work_of(op) / CPU_MULTIPLICATIONS) : 1;
    // The last queries see the most keys: they go first, so that threads end together.
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t task = 0; task < tasks; task++) {
        int64_t pair = task % (tasks / blocks), block = blocks - 1 - task / (tasks / blocks);
        attend(op, pair / op->q.count, pair % op->q.count, block * QUERIES,
               cpu_thread_scratch(&scratch));
    }
    return KN_OK;
}
