// SPDX-License-Identifier: Apache-2.0
#include <math.h>

#include "support.h"

static void check_embed(enum kn_type type, int64_t cols, float scale, bool accumulate) {
    const int64_t rows = 6, vocabulary = 11, first_panel = 4;
    const int32_t ids[] = {10, 0, 3, 4, 0, 7};
    struct matrix table = matrix_random(type, vocabulary, cols, 3);
    struct matrix y = matrix_random(KN_F32, rows, cols, 2);
    long double *truth = host_new((size_t)(rows * cols) * sizeof *truth);
    for (int64_t i = 0; i < rows * cols; i++) {
        long double value = (long double)table.values[ids[i / cols] * cols + i % cols];
        truth[i] = value * (long double)scale + (long double)(accumulate ? y.values[i] : 0);
    }
    struct kn_embed op = {y.m, table.m, buffer_new(ids, sizeof ids), 0, scale, accumulate};
    op.table.rows = first_panel; // ids 0 ... 3, then the rest
    check_status(kn->ops->embed(kn, &op));
    op.first_id = first_panel;
    op.table.rows = vocabulary - first_panel;
    op.table.data =
        (char *)table.m.data + (size_t)(first_panel * table.m.stride) * kn_type_size(type);
    check_status(kn->ops->embed(kn, &op));
    matrix_read(&y);
    check_close(scale == 1 && !accumulate ? OP_COPY : OP_EMBED, KN_F32, y.values, truth,
                rows * cols);
}

static void test_embed(void **state) {
    (void)state;
    for (int type = KN_F32; type <= KN_BF16; type++) {
        check_embed((enum kn_type)type, 80, 1, false);
        check_embed((enum kn_type)type, 1, 1, false);
        check_embed((enum kn_type)type, 70, 27.7F, false);
        check_embed((enum kn_type)type, 9, 1, true);
        check_embed((enum kn_type)type, 70, -0.3F, true);
    }
}

// An id of no panel leaves its row as it was.
static void test_embed_foreign(void **state) {
    (void)state;
    const int32_t ids[] = {5, -1, 2};
    struct matrix table = matrix_random(KN_F32, 4, 8, 0), y = matrix_random(KN_F32, 3, 8, 0);
    struct kn_embed op = {y.m, table.m, buffer_new(ids, sizeof ids), 0, 1, false};
    long double truth[24];
    for (int i = 0; i < 24; i++)
        truth[i] = (long double)(i < 16 ? y.values[i] : table.values[i]);
    check_status(kn->ops->embed(kn, &op));
    matrix_read(&y);
    check_close(OP_EMBED, KN_F32, y.values, truth, 24);
}

static void check_gather(enum kn_type type, int64_t cols) {
    const int32_t rows[] = {4, 0, 4, 2, 1};
    struct matrix x = matrix_random(type, 5, cols, 3), y = matrix_output(type, 5, cols, 2);
    struct kn_gather op = {.y = y.m, .x = x.m, .rows = buffer_new(rows, sizeof rows)};
    long double *truth = host_new((size_t)(5 * cols) * sizeof *truth);
    for (int64_t i = 0; i < 5 * cols; i++)
        truth[i] = (long double)x.values[rows[i / cols] * cols + i % cols];
    check_status(kn->ops->gather(kn, &op));
    matrix_read(&y);
    check_close(OP_COPY, type, y.values, truth, 5 * cols);
}

static void test_gather(void **state) {
    (void)state;
    for (int type = KN_F32; type <= KN_BF16; type++) {
        check_gather((enum kn_type)type, 1);
        check_gather((enum kn_type)type, 77);
    }
    struct matrix x = matrix_random(KN_F32, 5, 8, 0), y = matrix_output(KN_BF16, 5, 8, 0);
    struct kn_gather op = {.y = y.m, .x = x.m};
    assert_int_equal(kn->ops->gather(kn, &op), KN_ESHAPE); // converts nothing
    op.y = x.m;
    op.y.rows = 0;
    check_status(kn->ops->gather(kn, &op));
}

// Rows of a range, with room for more and for fewer.
static void test_gather_range(void **state) {
    (void)state;
    const int32_t rows[] = {4, 0, 4, 2, 1};
    const int64_t range[] = {1, 4};
    int64_t *ends = buffer_new(range, sizeof range);
    struct matrix x = matrix_random(KN_F32, 5, 8, 0);
    for (int64_t room = 2; room <= 5; room++) {
        struct matrix y = matrix_random(KN_F32, room, 8, 0);
        struct kn_gather op = {
            .y = y.m, .x = x.m, .rows = buffer_new(rows, sizeof rows), .range = {ends, ends + 1}};
        long double truth[5 * 8];
        for (int64_t i = 0; i < room * 8; i++)
            truth[i] =
                (long double)(i / 8 < 3 ? x.values[rows[1 + i / 8] * 8 + i % 8] : y.values[i]);
        check_status(kn->ops->gather(kn, &op));
        matrix_read(&y);
        check_close(OP_COPY, KN_F32, y.values, truth, room * 8);
        op.range.end = NULL;
        assert_int_equal(kn->ops->gather(kn, &op), KN_ESHAPE);
    }
}

// Two experts of each of three tokens: a row is times the weight of the place where it stands.
static void check_gather_weighted(enum kn_type type, int64_t cols) {
    static const int32_t rows[] = {1, 0, 2, 2, 0, 1}, positions[] = {1, 4, 0, 5, 3, 2};
    const int64_t range[] = {2, 6};
    float *weights, *device = vector_random(&weights, 6);
    int64_t *ends = buffer_new(range, sizeof range);
    struct matrix x = matrix_random(type, 3, cols, 3), y = matrix_output(type, 4, cols, 2);
    struct kn_gather op = {.y = y.m,
                           .x = x.m,
                           .rows = buffer_new(rows, sizeof rows),
                           .range = {ends, ends + 1},
                           .weights = device,
                           .positions = buffer_new(positions, sizeof positions),
                           .used = 2};
    long double *truth = host_new((size_t)(4 * cols) * sizeof *truth);
    for (int i = 0; i < 6; i++)
        for (int64_t c = 0; c < cols && positions[i] >= 2; c++)
            truth[(positions[i] - 2) * cols + c] =
                (long double)weights[i] * (long double)x.values[i / 2 * cols + c];
    check_status(kn->ops->gather(kn, &op));
    matrix_read(&y);
    check_close(OP_SCALE, type, y.values, truth, 4 * cols);
    op.positions = NULL;
    assert_int_equal(kn->ops->gather(kn, &op), KN_ESHAPE);
}

static void test_gather_weighted(void **state) {
    (void)state;
    for (int type = KN_F32; type <= KN_BF16; type++) {
        check_gather_weighted((enum kn_type)type, 1);
        check_gather_weighted((enum kn_type)type, 77);
    }
}

enum { TOKENS = 6 };

// Positions in and out of [first, first + rows), of some tokens all or none, of two tokens one
// twice.
static void check_combine(int64_t cols, int64_t used, int64_t first, int64_t rows) {
    static const int32_t positions[TOKENS * 3] = {0, 4, 8, 2, 3, 5, 1,  2, 7,
                                                  8, 8, 0, 4, 4, 6, -1, 9, 3};
    struct matrix x = matrix_random(KN_F32, rows, cols, 3),
                  y = matrix_random(KN_F32, TOKENS, cols, 2);
    float *weights, *device = vector_random(&weights, TOKENS * used);
    const int64_t ends[] = {first, first + rows};
    const int64_t *range = buffer_new(ends, sizeof ends);
    struct kn_combine op = {.y = y.m,
                            .x = x.m,
                            .positions = buffer_new(positions, (size_t)(TOKENS * used) * 4),
                            .weights = device,
                            .used = used,
                            .range = {range, range + 1}};
    if (first == 0) // as without a range
        op.range = (struct kn_range){NULL, NULL};
    long double *truth = host_new((size_t)(TOKENS * cols) * sizeof *truth);
    for (int64_t i = 0; i < TOKENS * cols; i++) {
        truth[i] = (long double)y.values[i];
        for (int64_t k = i / cols * used; k < (i / cols + 1) * used; k++) {
            int64_t row = positions[k] - first;
            if (row >= 0 && row < rows)
                truth[i] += (long double)weights[k] * (long double)x.values[row * cols + i % cols];
        }
    }
    check_status(kn->ops->combine(kn, &op));
    matrix_read(&y);
    check_close(OP_ADD, KN_F32, y.values, truth, TOKENS * cols);
    op.x.cols++;
    assert_int_equal(kn->ops->combine(kn, &op), KN_ESHAPE);
    op.x.cols--;
    op.used = -1;
    assert_int_equal(kn->ops->combine(kn, &op), KN_ESHAPE);
}

static void test_combine(void **state) {
    static const int64_t widths[] = {1, 33, 64, 900},
                         ranges[][2] = {{0, 9}, {2, 4}, {5, 1}, {3, 0}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(widths) * TEST_ARRAY_SIZE(ranges); i++) {
        for (int64_t used = 0; used <= 3; used++) {
            check_combine(widths[i / 4], used, ranges[i % 4][0], ranges[i % 4][1]);
            buffers_free(state);
        }
    }
}

// Terms are added one after the other, and only those of the range: the sum of huge and small ones
// tells in which order, a NaN outside of the range that it was not read.
static void test_combine_order(void **state) {
    (void)state;
    const float x[] = {NAN, 0x1p30F, 1, -0x1p30F, NAN}, ones[] = {1, 1, 1, 1, NAN, 1};
    const int32_t positions[] = {1, 3, 2, 2, 0, 4};
    struct matrix all = matrix_of(x, KN_F32, 5, 1, 0);
    struct matrix y = matrix_of((float[]){0, 5}, KN_F32, 2, 1, 0);
    const int64_t ends[] = {1, 4};
    const int64_t *range = buffer_new(ends, sizeof ends);
    struct kn_combine op = {.y = y.m,
                            .x = all.m,
                            .positions = buffer_new(positions, sizeof positions),
                            .weights = buffer_new(ones, sizeof ones),
                            .used = 3,
                            .range = {range, range + 1}};
    op.x.data = (float *)all.m.data + 1;
    op.x.rows = 4; // with room for one that the range has not
    check_status(kn->ops->combine(kn, &op));
    matrix_read(&y);
    assert_true(y.values[0] == 1 && y.values[1] == 6);
    op.weights = NULL; // each counts once
    check_status(kn->ops->combine(kn, &op));
    matrix_read(&y);
    assert_true(y.values[0] == 1 && y.values[1] == 7);
}

int test_moves(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_embed),           OPS_TEST(test_embed_foreign),
                                       OPS_TEST(test_gather),          OPS_TEST(test_gather_range),
                                       OPS_TEST(test_gather_weighted), OPS_TEST(test_combine),
                                       OPS_TEST(test_combine_order)};
    return cmocka_run_group_tests_name("moves", tests, NULL, NULL);
}
