// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <string.h>

#include "attention_truth.h"

static void check_shape(const struct attention_shape *s, const struct attention_options *options) {
    int64_t n = s->sequences * s->seq_len;
    struct matrix qkv = matrix_random(kn->activation_type, n, attention_width(s), 3);
    struct matrix y = matrix_output(kn->activation_type, n, s->heads * s->v_dim, 5);
    struct kn_attention op = attention_of(s, options, y.m, qkv.m);
    attention_check(&op, (struct attention_values){qkv.values, qkv.values, options->sinks}, &y,
                    s->seq_len > 100 ? 29 : 1);
}

static void test_shapes(void **state) {
    static const struct attention_shape shapes[] = {
        {1, 1, 1, 1, 1, 1},     {2, 7, 3, 1, 24, 24},   {1, 33, 4, 2, 80, 80},
        {3, 20, 6, 3, 96, 96},  {2, 130, 2, 2, 16, 16}, {1, 257, 2, 1, 256, 256},
        {1, 520, 4, 2, 64, 64}, {2, 700, 1, 1, 24, 24}, {1, 1100, 2, 1, 8, 8},
        {2, 40, 2, 1, 24, 16},  {1, 300, 2, 2, 8, 33},  {0, 5, 2, 1, 8, 8},
    };
    const struct attention_options options = {.scale = 1.5F};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        check_shape(&shapes[i], &options);
        buffers_free(state);
    }
}

// Windows and chunks shorter than a tile, of a tile, across tiles, and as long as the sequence or
// longer.
static void test_window(void **state) {
    static const struct attention_shape shapes[] = {{2, 40, 2, 1, 24, 24}, {1, 700, 2, 2, 16, 16}};
    static const int64_t windows[] = {1, 2, 7, 39, 40, 41, 96, 100, 288, 400, 699, 1000};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        for (size_t w = 0; w < 2 * TEST_ARRAY_SIZE(windows); w++) {
            const struct attention_options options = {
                .scale = 1.5F, .window = windows[w / 2], .chunks = w % 2};
            check_shape(&shapes[i], &options);
            buffers_free(state);
        }
    }
}

static void test_options(void **state) {
    static const struct attention_shape shapes[] = {{2, 40, 4, 2, 24, 24}, {1, 700, 4, 1, 16, 20}};
    static const float slopes[] = {0.25F, 0.0625F, 0, 0.7F};
    static const float sinks[] = {-90, 0.5F, 4, 8};
    static const struct attention_options options[] = {
        {.scale = 0.3F, .sinks = sinks},
        {.scale = 1.5F, .softcap = 2.F, .window = 50, .slopes = slopes, .sinks = sinks},
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
    attention_check(&op, (struct attention_values){x.values, x.values, NULL}, &y, 1);
}

// Large scores: without the running maximum their exponentials overflow. Eighths keep the scores
// exact, so that only the softmax can err.
static void test_large_scores(void **state) {
    (void)state;
    const struct attention_shape s = {1, 600, 1, 1, 16, 16};
    float values[600 * 48];
    for (int i = 0; i < 600 * 48; i++)
        values[i] = roundf(random_value() * 8) / 8;
    struct matrix qkv = matrix_of(values, kn->activation_type, 600, 48, 0);
    struct matrix y = matrix_output(kn->activation_type, 600, 16, 0);
    struct kn_attention op =
        attention_of(&s, &(struct attention_options){.scale = 16.F}, y.m, qkv.m);
    attention_check(&op, (struct attention_values){values, values, NULL}, &y, 31);
    op.scale = 1e4F; // a softmax that is all but one-hot: still finite
    check_status(kn->ops->attention(kn, &op));
    matrix_read(&y);
    for (int64_t i = 0; i < 600 * 16; i++)
        assert_true(isfinite(y.values[i]));
}

// A key or value that is not a number may touch the queries that see it only.
static void check_nonfinite(int64_t window, bool chunks, int64_t bad, int64_t col) {
    const struct attention_shape s = {2, 200, 2, 1, 8, 8};
    const int64_t cols = 32, last = bad + window - (chunks ? bad % window : 0);
    const int64_t end = window && last < 200 ? last : 200;
    const struct attention_options options = {.scale = 1, .window = window, .chunks = chunks};
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
        check_nonfinite(0, false, 150, col);
        check_nonfinite(20, false, 150, col);
        check_nonfinite(20, false, 90, col);
        check_nonfinite(130, false, 3, col);
        check_nonfinite(20, true, 150, col);
        check_nonfinite(70, true, 3, col);
        buffers_free(state);
    }
}

static void test_shape_errors(void **state) {
    (void)state;
    const struct attention_shape s = {1, 6, 2, 1, 8, 8};
    struct matrix qkv = matrix_random(kn->activation_type, 6, 32, 0);
    struct matrix y = matrix_output(kn->activation_type, 6, 16, 0);
    const struct kn_attention good =
        attention_of(&s, &(struct attention_options){.scale = 1}, y.m, qkv.m);
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
    const struct CMUnitTest tests[] = {OPS_TEST(test_shapes),       OPS_TEST(test_window),
                                       OPS_TEST(test_options),      OPS_TEST(test_placement),
                                       OPS_TEST(test_large_scores), OPS_TEST(test_nonfinite),
                                       OPS_TEST(test_shape_errors)};
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
