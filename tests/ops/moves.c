// SPDX-License-Identifier: Apache-2.0
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
    for (int i = 0; i < 24; i++) {
        truth[i] = (long double)(i < 16 ? y.values[i] : table.values[i]);
    }
    check_status(kn->ops->embed(kn, &op));
    matrix_read(&y);
    check_close(OP_EMBED, KN_F32, y.values, truth, 24);
}

static void check_gather(enum kn_type type, int64_t cols) {
    const int32_t rows[] = {4, 0, 4, 2, 1};
    struct matrix x = matrix_random(type, 5, cols, 3), y = matrix_output(type, 5, cols, 2);
    struct kn_gather op = {y.m, x.m, buffer_new(rows, sizeof rows)};
    long double *truth = host_new((size_t)(5 * cols) * sizeof *truth);
    for (int64_t i = 0; i < 5 * cols; i++) {
        truth[i] = (long double)x.values[rows[i / cols] * cols + i % cols];
    }
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
    struct kn_gather op = {y.m, x.m, NULL};
    assert_int_equal(kn->ops->gather(kn, &op), KN_ESHAPE); // converts nothing
    op.y = x.m;
    op.y.rows = 0;
    check_status(kn->ops->gather(kn, &op));
}

static void test_scatter_add(void **state) {
    static const int64_t widths[] = {1, 33, 900};
    const int32_t rows[] = {5, 0, 2};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(widths); i++) {
        int64_t cols = widths[i];
        struct matrix x = matrix_random(KN_F32, 3, cols, 3), y = matrix_random(KN_F32, 6, cols, 2);
        float *weights, *device = vector_random(&weights, 3);
        struct kn_scatter_add op = {y.m, x.m, buffer_new(rows, sizeof rows), device};
        long double *truth = host_new((size_t)(6 * cols) * sizeof *truth);
        for (int64_t c = 0; c < 6 * cols; c++) {
            truth[c] = (long double)y.values[c];
        }
        for (int64_t c = 0; c < 3 * cols; c++) {
            truth[rows[c / cols] * cols + c % cols] +=
                (long double)weights[c / cols] * (long double)x.values[c];
        }
        check_status(kn->ops->scatter_add(kn, &op));
        matrix_read(&y);
        check_close(OP_ADD, KN_F32, y.values, truth, 6 * cols);
        op.x.cols++;
        assert_int_equal(kn->ops->scatter_add(kn, &op), KN_ESHAPE);
        buffers_free(state);
    }
}

int test_moves(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_embed), OPS_TEST(test_embed_foreign),
                                       OPS_TEST(test_gather), OPS_TEST(test_scatter_add)};
    return cmocka_run_group_tests_name("moves", tests, NULL, NULL);
}
