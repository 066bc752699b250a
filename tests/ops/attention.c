// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <math.h>
#include <string.h>

struct shape {
    int64_t sequences, seq_len, heads, kv_heads, head_dim;
};

static void attend_truth(const struct shape *s, const float *qkv, float scale, int64_t row,
                         int64_t head, long double *y) {
    int64_t cols = (s->heads + 2 * s->kv_heads) * s->head_dim, first = row - row % s->seq_len;
    int64_t group = head / (s->heads / s->kv_heads);
    const float *q = qkv + row * cols + head * s->head_dim;
    const float *k = qkv + (s->heads + group) * s->head_dim, *v = k + s->kv_heads * s->head_dim;
    long double *scores = host_new((size_t)s->seq_len * sizeof *scores), largest = -INFINITY;
    for (int64_t j = first; j <= row; j++) {
        long double sum = 0;
        for (int64_t i = 0; i < s->head_dim; i++) {
            sum += (long double)q[i] * (long double)k[j * cols + i];
        }
        scores[j - first] = sum * (long double)scale;
        largest = fmaxl(largest, scores[j - first]);
    }
    long double total = 0;
    for (int64_t j = first; j <= row; j++) {
        long double weight = expl(scores[j - first] - largest);
        total += weight;
        for (int64_t i = 0; i < s->head_dim; i++) {
            y[i] += weight * (long double)v[j * cols + i];
        }
    }
    for (int64_t i = 0; i < s->head_dim; i++) {
        y[i] /= total;
    }
}

static void run(const struct shape *s, const struct matrix *qkv, float scale, struct matrix *y) {
    struct kn_attention op = {y->m, qkv->m, s->heads, s->kv_heads, s->head_dim, s->seq_len, scale};
    check_status(kn->ops->attention(kn, &op));
    matrix_read(y);
}

// Rows with index % step == 0 are compared: the truth is slow.
static void check_rows(const struct shape *s, const struct matrix *qkv, float scale,
                       const struct matrix *y, int64_t step) {
    for (int64_t row = 0; row < y->m.rows; row += row + step < y->m.rows ? step : 1) {
        for (int64_t head = 0; head < s->heads; head++) {
            long double truth[512] = {0};
            attend_truth(s, qkv->values, scale, row, head, truth);
            check_close(OP_ATTENTION, y->m.type, y->values + row * y->m.cols + head * s->head_dim,
                        truth, s->head_dim);
        }
    }
}

static void test_shapes(void **state) {
    static const struct shape shapes[] = {
        {1, 1, 1, 1, 1},    {2, 7, 3, 1, 24},    {1, 33, 4, 2, 80},  {3, 20, 6, 3, 96},
        {2, 130, 2, 2, 16}, {1, 257, 2, 1, 256}, {1, 520, 4, 2, 64}, {2, 700, 1, 1, 24},
        {1, 1100, 2, 1, 8}, {0, 5, 2, 1, 8},
    };
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        const struct shape *s = &shapes[i];
        int64_t n = s->sequences * s->seq_len, kv = 2 * s->kv_heads;
        struct matrix qkv = matrix_random(kn->activation_type, n, (s->heads + kv) * s->head_dim, 3);
        struct matrix y = matrix_output(kn->activation_type, n, s->heads * s->head_dim, 5);
        run(s, &qkv, 1.5F, &y);
        check_rows(s, &qkv, 1.5F, &y, s->seq_len > 100 ? 29 : 1);
        buffers_free(state);
    }
}

// Large scores: without the running maximum their exponentials overflow. Eighths keep the scores
// exact, so that only the softmax can err.
static void test_large_scores(void **state) {
    (void)state;
    const struct shape s = {1, 600, 1, 1, 16};
    float values[600 * 48];
    for (int i = 0; i < 600 * 48; i++) {
        values[i] = roundf(random_value() * 8) / 8;
    }
    struct matrix qkv = matrix_of(values, kn->activation_type, 600, 48, 0);
    struct matrix y = matrix_output(kn->activation_type, 600, 16, 0);
    run(&s, &qkv, 16.F, &y);
    check_rows(&s, &qkv, 16.F, &y, 31);
    run(&s, &qkv, 1e4F, &y); // a softmax that is all but one-hot: still finite
    for (int64_t i = 0; i < 600 * 16; i++) {
        assert_true(isfinite(y.values[i]));
    }
}

// A key or value that is not a number may touch its own and later queries only.
static void test_nonfinite(void **state) {
    (void)state;
    const struct shape s = {2, 200, 2, 1, 8};
    const int64_t cols = 32, bad = 150;
    struct matrix clean = matrix_random(kn->activation_type, 400, cols, 0);
    struct matrix expected = matrix_output(kn->activation_type, 400, 16, 0);
    struct matrix y = matrix_output(kn->activation_type, 400, 16, 0);
    run(&s, &clean, 1, &expected);
    for (int64_t col = 16; col < 32; col += 8) { // a key, then a value
        float *values = host_new((size_t)(400 * cols) * sizeof *values);
        memcpy(values, clean.values, (size_t)(400 * cols) * sizeof *values);
        values[bad * cols + col] = NAN;
        struct matrix qkv = matrix_of(values, kn->activation_type, 400, cols, 0);
        run(&s, &qkv, 1, &y);
        for (int64_t row = 0; row < 400; row++) {
            for (int64_t i = 0; i < 16; i++) {
                bool touched = row >= bad && row < 200 && (col == 16 || i % 8 == 0);
                float got = y.values[row * 16 + i], other = expected.values[row * 16 + i];
                assert_true(touched ? isnan(got) : fabsf(got - other) <= 2e-6F);
            }
        }
    }
}

static void test_shape_errors(void **state) {
    (void)state;
    struct matrix qkv = matrix_random(kn->activation_type, 6, 32, 0);
    struct matrix y = matrix_output(kn->activation_type, 6, 16, 0);
    struct kn_attention op = {y.m, qkv.m, 2, 1, 8, 4, 1}; // 6 rows are no sequences of 4
    assert_int_equal(kn->ops->attention(kn, &op), KN_ESHAPE);
    op.seq_len = 3;
    op.kv_heads = 2;
    assert_int_equal(kn->ops->attention(kn, &op), KN_ESHAPE);
    op.kv_heads = 1;
    check_status(kn->ops->attention(kn, &op));
}

int test_attention(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_shapes), OPS_TEST(test_large_scores),
                                       OPS_TEST(test_nonfinite), OPS_TEST(test_shape_errors)};
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
