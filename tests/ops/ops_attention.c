// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <string.h>

#include "support.h"

// One matrix holds the query heads, then the key heads, then the value heads, as a fused projection
// leaves them.
struct shape {
    int64_t sequences, seq_len, heads, kv_heads, head_dim, v_dim;
};

struct options {
    float scale, softcap;
    int64_t window;
    const float *slopes;
    bool slopes_bf16;
};

static int64_t width(const struct shape *s) {
    return (s->heads + s->kv_heads) * s->head_dim + s->kv_heads * s->v_dim;
}

static struct kn_attention attention_of(const struct shape *s, const struct options *o,
                                        struct kn_matrix y, struct kn_matrix qkv) {
    int64_t k_col = s->heads * s->head_dim, v_col = k_col + s->kv_heads * s->head_dim;
    return (struct kn_attention){.y = y,
                                 .q = {qkv, 0, s->heads, s->head_dim, s->head_dim},
                                 .k = {qkv, k_col, s->kv_heads, s->head_dim, s->head_dim},
                                 .v = {qkv, v_col, s->kv_heads, s->v_dim, s->v_dim},
                                 .sequences = kn_whole_sequences(s->seq_len),
                                 .window = o->window,
                                 .scale = o->scale,
                                 .softcap = o->softcap,
                                 .slopes = o->slopes,
                                 .slopes_bf16 = o->slopes_bf16};
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

// The host's copies of the matrix of queries and of that of keys and values.
struct values {
    const float *q, *kv;
};

// A query, and the row of its sequence's first key.
struct query {
    int64_t row, head, position, first_key;
};

static long double score_truth(const struct kn_attention *op, const struct values *values,
                               const struct query *at, int64_t key) {
    int64_t head = at->head;
    int64_t group = head / (op->q.count / op->k.count);
    long double sum = 0, softcap = (long double)op->softcap;
    for (int64_t i = 0; i < op->q.dim; i++)
        sum += element(&op->q, values->q, at->row, head, i) *
               element(&op->k, values->kv, at->first_key + key, group, i);
    sum *= (long double)op->scale;
    if (op->slopes && op->slopes_bf16)
        sum += (long double)op->scale *
               (bf16_slope(op, key, head) - bf16_slope(op, at->position, head));
    else if (op->slopes)
        sum += (long double)op->slopes[head] * (long double)(key - at->position);
    return softcap > 0 ? softcap * tanhl(sum / softcap) : sum;
}

static void attend_truth(const struct kn_attention *op, const struct values *values, int64_t row,
                         int64_t head, long double *y) {
    const struct kn_sequences *s = &op->sequences;
    const struct query at = {row, head, s->first + row % s->queries, row / s->queries * s->keys};
    int64_t first = 0, last = at.position, group = head / (op->q.count / op->k.count);
    first = op->window > 0 && last - op->window + 1 > first ? last - op->window + 1 : first;
    long double *scores = host_new((size_t)(last + 1) * sizeof *scores), largest = -INFINITY;
    for (int64_t j = first; j <= last; j++) {
        scores[j - first] = score_truth(op, values, &at, j);
        largest = fmaxl(largest, scores[j - first]);
    }
    long double total = 0;
    for (int64_t j = first; j <= last; j++) {
        long double weight = expl(scores[j - first] - largest);
        total += weight;
        for (int64_t i = 0; i < op->v.dim; i++)
            y[i] += weight * element(&op->v, values->kv, at.first_key + j, group, i);
    }
    for (int64_t i = 0; i < op->v.dim; i++)
        y[i] /= total;
}

// Runs and compares the rows with index % step == 0: the truth is slow.
static void check_rows(const struct kn_attention *op, struct values values, struct matrix *y,
                       int64_t step) {
    check_status(kn->ops->attention(kn, op));
    matrix_read(y);
    for (int64_t row = 0; row < y->m.rows; row += row + step < y->m.rows ? step : 1) {
        for (int64_t head = 0; head < op->q.count; head++) {
            long double truth[512] = {0};
            attend_truth(op, &values, row, head, truth);
            check_close(OP_ATTENTION, y->m.type, y->values + row * y->m.cols + head * op->v.dim,
                        truth, op->v.dim);
        }
    }
}

static void check_shape(const struct shape *s, const struct options *options) {
    int64_t n = s->sequences * s->seq_len;
    struct matrix qkv = matrix_random(kn->activation_type, n, width(s), 3);
    struct matrix y = matrix_output(kn->activation_type, n, s->heads * s->v_dim, 5);
    struct kn_attention op = attention_of(s, options, y.m, qkv.m);
    check_rows(&op, (struct values){qkv.values, qkv.values}, &y, s->seq_len > 100 ? 29 : 1);
}

// A cache of the keys and values of `first` positions before the queries, of theirs, and with room
// for `spare` behind them. They lie as in the matrix of one projection, behind unused queries.
struct cached {
    struct shape shape;
    int64_t first, spare;
};

// Queries that begin at a position of their own, keys and values from a cache, whose spare rows,
// never to be read, are not numbers.
static void check_cached(const struct cached *cached, const struct options *options) {
    const struct shape *s = &cached->shape;
    int64_t seen = cached->first + s->seq_len;
    struct kn_sequences sequences = {s->seq_len, seen + cached->spare, cached->first};
    int64_t rows = s->sequences * sequences.keys, queries = s->sequences * s->seq_len;
    struct matrix q = matrix_random(kn->activation_type, queries, width(s), 3);
    struct matrix kv = matrix_random(kn->activation_type, rows, width(s), 5);
    for (int64_t i = 0; i < rows * width(s); i++) {
        bool is_spare = i / width(s) % sequences.keys >= seen;
        kv.values[i] = is_spare ? NAN : kv.values[i];
    }
    kv = matrix_of(kv.values, kn->activation_type, rows, width(s), 5);
    struct matrix y = matrix_output(kn->activation_type, queries, s->heads * s->v_dim, 4);
    struct kn_attention op = attention_of(s, options, y.m, q.m);
    op.k.x = op.v.x = kv.m;
    op.sequences = sequences;
    check_rows(&op, (struct values){q.values, kv.values}, &y, s->seq_len > 100 ? 29 : 1);
}

static void test_shapes(void **state) {
    static const struct shape shapes[] = {
        {1, 1, 1, 1, 1, 1},     {2, 7, 3, 1, 24, 24},   {1, 33, 4, 2, 80, 80},
        {3, 20, 6, 3, 96, 96},  {2, 130, 2, 2, 16, 16}, {1, 257, 2, 1, 256, 256},
        {1, 520, 4, 2, 64, 64}, {2, 700, 1, 1, 24, 24}, {1, 1100, 2, 1, 8, 8},
        {2, 40, 2, 1, 24, 16},  {1, 300, 2, 2, 8, 33},  {0, 5, 2, 1, 8, 8},
    };
    const struct options options = {.scale = 1.5F};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        check_shape(&shapes[i], &options);
        buffers_free(state);
    }
}

// Windows shorter than a tile, of a tile, across tiles, and as long as the sequence or longer.
static void test_window(void **state) {
    static const struct shape shapes[] = {{2, 40, 2, 1, 24, 24}, {1, 700, 2, 2, 16, 16}};
    static const int64_t windows[] = {1, 2, 7, 39, 40, 41, 96, 100, 288, 400, 699, 1000};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        for (size_t w = 0; w < TEST_ARRAY_SIZE(windows); w++) {
            const struct options options = {.scale = 1.5F, .window = windows[w]};
            check_shape(&shapes[i], &options);
            buffers_free(state);
        }
    }
}

static void test_options(void **state) {
    static const struct shape shapes[] = {{2, 40, 4, 2, 24, 24}, {1, 700, 4, 1, 16, 20}};
    static const float slopes[] = {0.25F, 0.0625F, 0, 0.7F};
    static const struct options options[] = {
        {.scale = 1.5F, .slopes = slopes},
        {.scale = 1.5F, .softcap = 2.F},
        {.scale = 8.F, .softcap = 3.F, .slopes = slopes},
        {.scale = 1.F, .softcap = 1e6F},
        {.scale = 1.5F, .softcap = 2.F, .window = 50, .slopes = slopes},
        {.scale = 0.3F, .slopes = slopes, .slopes_bf16 = true},
        {.scale = 0.3F, .softcap = 3.F, .window = 50, .slopes = slopes, .slopes_bf16 = true},
    };
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        for (size_t o = 0; o < TEST_ARRAY_SIZE(options); o++) {
            check_shape(&shapes[i], &options[o]);
            buffers_free(state);
        }
    }
}

static void test_cache(void **state) {
    static const float slopes[] = {0.25F, 0.0625F, 0, 0.7F, 0.01F, 0.3F};
    static const struct cached shapes[] = {
        {{1, 1, 2, 1, 16, 16}, 0, 0},      {{3, 1, 6, 2, 24, 24}, 40, 0},
        {{2, 1, 4, 4, 16, 20}, 700, 30},   {{2, 7, 4, 2, 80, 80}, 293, 5},
        {{3, 20, 6, 3, 24, 16}, 1, 1},     {{1, 130, 2, 1, 16, 16}, 95, 0},
        {{2, 97, 4, 1, 8, 33}, 400, 9},    {{2, 33, 2, 2, 64, 64}, 0, 7},
        {{2, 65, 2, 1, 128, 128}, 63, 64}, {{0, 5, 2, 1, 8, 8}, 3, 0},
    };
    static const struct options options[] = {
        {.scale = 1.5F},
        {.scale = 1.5F, .window = 1},
        {.scale = 1.5F, .window = 50},
        {.scale = 1.5F, .window = 295},
        {.scale = 1.5F, .window = 2000},
        {.scale = 1.5F, .slopes = slopes},
        {.scale = 1.5F, .softcap = 2.F},
        {.scale = 1.5F, .softcap = 2.F, .window = 50, .slopes = slopes},
        {.scale = 0.3F, .softcap = 3.F, .window = 98, .slopes = slopes, .slopes_bf16 = true},
    };
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        for (size_t o = 0; o < TEST_ARRAY_SIZE(options); o++) {
            check_cached(&shapes[i], &options[o]);
            buffers_free(state);
        }
    }
}

// Token by token through a cache, or in pieces: what the sequence gives as a whole. A key or value
// that is not a number touches the queries at and behind its position alone.
static void check_pieces(int64_t piece, int64_t bad) {
    enum { LENGTH = 120, WIDTH = 32 };
    const struct options options = {.scale = 1};
    const struct shape shape = {1, LENGTH, 2, 1, 8, 8};
    struct matrix qkv = matrix_random(kn->activation_type, LENGTH, WIDTH, 0);
    qkv.values[bad * WIDTH + 24] = NAN; // of the value
    qkv = matrix_of(qkv.values, kn->activation_type, LENGTH, WIDTH, 0);
    struct matrix expected = matrix_output(kn->activation_type, LENGTH, 16, 0);
    struct matrix y = matrix_output(kn->activation_type, LENGTH, 16, 0);
    struct kn_attention op = attention_of(&shape, &options, expected.m, qkv.m);
    check_status(kn->ops->attention(kn, &op));
    for (int64_t first = 0; first < LENGTH; first += piece) {
        size_t size = kn_type_size(qkv.m.type);
        op.sequences = (struct kn_sequences){piece, LENGTH, first};
        op.y.data = (char *)y.m.data + (size_t)(first * y.m.stride) * size;
        op.q.x.data = (char *)qkv.m.data + (size_t)(first * qkv.m.stride) * size;
        op.y.rows = op.q.x.rows = piece;
        check_status(kn->ops->attention(kn, &op));
    }
    matrix_read(&expected);
    matrix_read(&y);
    float unit = kn->activation_type == KN_F32 ? 2e-6F : 1e-2F; // values are below 1
    for (int64_t i = 0; i < LENGTH * 16; i++) {
        bool is_touched = i / 16 >= bad && i % 8 == 0;
        assert_true(isnan(expected.values[i]) == is_touched && isnan(y.values[i]) == is_touched);
        assert_true(is_touched || fabsf(y.values[i] - expected.values[i]) <= unit);
    }
}

static void test_pieces(void **state) {
    static const int64_t pieces[] = {1, 4, 40, 60, 120};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(pieces); i++) {
        check_pieces(pieces[i], 57);
        check_pieces(pieces[i], 0);
        buffers_free(state);
    }
}

// Queries, keys and values in three matrices, gaps between heads, all key heads the same columns.
static void test_placement(void **state) {
    (void)state;
    const int64_t n = 130;
    struct matrix x = matrix_random(kn->activation_type, n, 90, 3);
    struct matrix other = {x.m, x.values};
    struct matrix y = matrix_output(kn->activation_type, n, 4 * 10, 2);
    struct kn_attention op = {.y = y.m,
                              .q = {x.m, 3, 4, 20, 12},
                              .k = {other.m, 7, 2, 0, 12},
                              .v = {other.m, 50, 2, 15, 10},
                              .sequences = kn_whole_sequences(65),
                              .scale = 1.5F};
    check_rows(&op, (struct values){x.values, x.values}, &y, 1);
}

// Large scores: without the running maximum their exponentials overflow. Eighths keep the scores
// exact, so that only the softmax can err.
static void test_large_scores(void **state) {
    (void)state;
    const struct shape s = {1, 600, 1, 1, 16, 16};
    float values[600 * 48];
    for (int i = 0; i < 600 * 48; i++)
        values[i] = roundf(random_value() * 8) / 8;
    struct matrix qkv = matrix_of(values, kn->activation_type, 600, 48, 0);
    struct matrix y = matrix_output(kn->activation_type, 600, 16, 0);
    struct kn_attention op = attention_of(&s, &(struct options){.scale = 16.F}, y.m, qkv.m);
    check_rows(&op, (struct values){values, values}, &y, 31);
    op.scale = 1e4F; // a softmax that is all but one-hot: still finite
    check_status(kn->ops->attention(kn, &op));
    matrix_read(&y);
    for (int64_t i = 0; i < 600 * 16; i++)
        assert_true(isfinite(y.values[i]));
}

// A key or value that is not a number may touch the queries that see it only.
static void check_nonfinite(int64_t window, int64_t bad, int64_t col) {
    const struct shape s = {2, 200, 2, 1, 8, 8};
    const int64_t cols = 32, end = window && bad + window < 200 ? bad + window : 200;
    const struct options options = {.scale = 1, .window = window};
    struct matrix clean = matrix_random(kn->activation_type, 400, cols, 0);
    struct matrix expected = matrix_output(kn->activation_type, 400, 16, 0);
    struct matrix y = matrix_output(kn->activation_type, 400, 16, 0);
    struct kn_attention op = attention_of(&s, &options, expected.m, clean.m);
    check_status(kn->ops->attention(kn, &op));
    matrix_read(&expected);
    clean.values[bad * cols + col] = NAN;
    struct matrix qkv = matrix_of(clean.values, kn->activation_type, 400, cols, 0);
    op = attention_of(&s, &options, y.m, qkv.m);
    check_status(kn->ops->attention(kn, &op));
    matrix_read(&y);
    float unit = kn->activation_type == KN_F32 ? 2e-6F : 1e-2F; // values are below 1
    for (int64_t row = 0; row < 400; row++) {
        for (int64_t i = 0; i < 16; i++) {
            bool touched = row >= bad && row < end && (col == 16 || i % 8 == 0);
            float got = y.values[row * 16 + i], other = expected.values[row * 16 + i];
            assert_true(touched ? isnan(got) : fabsf(got - other) <= unit);
        }
    }
}

static void test_nonfinite(void **state) {
    for (int64_t col = 16; col < 32; col += 8) { // a key, then a value
        check_nonfinite(0, 150, col);
        check_nonfinite(20, 150, col);
        check_nonfinite(20, 90, col);
        check_nonfinite(130, 3, col);
        buffers_free(state);
    }
}

static void test_shape_errors(void **state) {
    (void)state;
    const struct shape s = {1, 6, 2, 1, 8, 8};
    struct matrix qkv = matrix_random(kn->activation_type, 6, 32, 0);
    struct matrix y = matrix_output(kn->activation_type, 6, 16, 0);
    const struct kn_attention good = attention_of(&s, &(struct options){.scale = 1}, y.m, qkv.m);
    struct kn_attention bad[16];
    for (size_t i = 0; i < TEST_ARRAY_SIZE(bad); i++)
        bad[i] = good;
    bad[0].sequences = kn_whole_sequences(4); // 6 rows are no sequences of 4
    bad[1].k.count = bad[1].v.count = 0;
    bad[2].q.count = 3; // past the columns of y
    bad[3].v.count = 2;
    bad[4].k.dim = 7;
    bad[5].v.first_col = 25; // past the matrix
    bad[6].window = -1;
    bad[7].softcap = NAN;
    bad[8].k.x.rows = 5;
    bad[9].q.pitch = 7; // heads overlap
    bad[10].sequences.queries = 0;
    bad[11].sequences.keys = 5;  // fewer than queries
    bad[12].sequences.first = 1; // the last query is behind the last key
    bad[13].sequences.first = -1;
    bad[14].sequences = (struct kn_sequences){3, 6, 0}; // 2 sequences of queries, 1 of keys
    bad[15].sequences = (struct kn_sequences){6, INT64_MAX, INT64_MAX - 3};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(bad); i++)
        assert_int_equal(kn->ops->attention(kn, &bad[i]), KN_ESHAPE);
    check_status(kn->ops->attention(kn, &good));
}

int test_attention(void) {
    const struct CMUnitTest tests[] = {
        OPS_TEST(test_shapes),       OPS_TEST(test_window),    OPS_TEST(test_options),
        OPS_TEST(test_cache),        OPS_TEST(test_pieces),    OPS_TEST(test_placement),
        OPS_TEST(test_large_scores), OPS_TEST(test_nonfinite), OPS_TEST(test_shape_errors)};
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
