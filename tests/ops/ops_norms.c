// SPDX-License-Identifier: Apache-2.0
#include <math.h>

#include "support.h"

static const float EPSILON = 1e-5F;

// In place.
static void norm_truth(enum kn_norm_kind kind, int64_t cols, const float *weight, const float *bias,
                       long double *y) {
    if (kind == KN_NO_NORM)
        return;
    long double mean = 0, squares = 0;
    for (int64_t c = 0; c < cols; c++)
        mean += y[c] / (long double)cols;
    mean = kind == KN_LAYER_NORM ? mean : 0;
    for (int64_t c = 0; c < cols; c++)
        squares += (y[c] - mean) * (y[c] - mean) / (long double)cols;
    for (int64_t c = 0; c < cols; c++) {
        long double v = (y[c] - mean) / sqrtl(squares + (long double)EPSILON);
        y[c] = v * (weight ? (long double)weight[c] : 1) + (bias ? (long double)bias[c] : 0);
    }
}

static void check_norm(enum kn_norm_kind kind, int64_t rows, int64_t cols, enum kn_type type,
                       bool with_addend, bool with_weight, float special) {
    struct matrix x = matrix_random(KN_F32, rows, cols, 4);
    if (special != 0) {
        x.values[cols / 2] = special;
        x = matrix_of(x.values, KN_F32, rows, cols, 4);
    }
    struct matrix addend = matrix_random(KN_F32, rows, cols, 9);
    struct matrix y = matrix_output(type, rows, cols, 2);
    float *weight = NULL, *bias = NULL;
    struct kn_norm op = {y.m, x.m, {0}, kind, NULL, NULL, EPSILON};
    if (with_addend)
        op.addend = addend.m;
    if (with_weight) {
        op.weight = vector_random(&weight, cols);
        op.bias = kind == KN_LAYER_NORM ? vector_random(&bias, cols) : NULL;
    }
    check_status(kn->ops->norm(kn, &op));
    matrix_read(&y);
    long double *truth = host_new((size_t)(rows * cols) * sizeof *truth);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = r * cols; i < (r + 1) * cols; i++)
            truth[i] = (long double)(with_addend ? x.values[i] + addend.values[i] : x.values[i]);
        norm_truth(kind, cols, weight, bias, truth + r * cols);
        check_close(OP_NORM, y.m.type, y.values + r * cols, truth + r * cols, cols);
    }
}

static void test_norm(void **state) {
    static const int64_t sizes[][2] = {{1, 1},    {3, 80},   {7, 33},    {2, 1000},
                                       {65, 24},  {0, 8},    {2, 1025},  {2, 2052},
                                       {2, 4100}, {1, 8196}, {1, 16388}, {1, 20001}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(sizes); i++) {
        for (int variant = 0; variant < 24; variant++) {
            enum kn_type type = variant & 4 ? KN_F32 : kn->activation_type;
            check_norm((enum kn_norm_kind)(variant / 8), sizes[i][0], sizes[i][1], type,
                       variant & 1, variant & 2, 0);
            buffers_free(state);
        }
    }
    for (int kind = KN_RMS_NORM; kind <= KN_NO_NORM; kind++) {
        check_norm((enum kn_norm_kind)kind, 3, 40, KN_F32, true, true, NAN);
        check_norm((enum kn_norm_kind)kind, 3, 40, KN_F32, false, true, 3e4F);
    }
}

// A large mean with a small spread: the variance must not drown in mean^2.
static void test_norm_offset(void **state) {
    (void)state;
    float values[512];
    for (int i = 0; i < 512; i++)
        values[i] = 1000 + random_value();
    struct matrix x = matrix_of(values, KN_F32, 1, 512, 0);
    struct matrix y = matrix_output(kn->activation_type, 1, 512, 0);
    struct kn_norm op = {y.m, x.m, {0}, KN_LAYER_NORM, NULL, NULL, EPSILON};
    check_status(kn->ops->norm(kn, &op));
    matrix_read(&y);
    long double truth[512];
    for (int i = 0; i < 512; i++)
        truth[i] = (long double)values[i];
    norm_truth(KN_LAYER_NORM, 512, NULL, NULL, truth);
    for (int i = 0; i < 512; i++) { // the mean itself is rounded to f32: 3e-5 of the spread
        assert_true(fabsl((long double)y.values[i] - truth[i]) <
                    (y.m.type == KN_F32 ? 2e-4 : 0.02));
    }
}

// Heads with gaps between them, one weight for all or one each; what lies between stays.
static void check_head_norm(enum kn_norm_kind kind, int64_t count, int64_t dim, int64_t gap,
                            bool with_weight, bool is_shared) {
    const int64_t rows = 9, first = 3, pitch = dim + gap, cols = first + count * pitch + 2;
    struct matrix x = matrix_random(kn->activation_type, rows, cols, 4);
    float *weight = NULL, *bias = NULL;
    struct kn_head_norm op = {.heads = {x.m, first, count, pitch, dim}, .kind = kind};
    op.weight_pitch = is_shared ? 0 : dim;
    op.epsilon = EPSILON;
    if (with_weight) {
        op.weight = vector_random(&weight, count * dim);
        op.bias = kind == KN_LAYER_NORM ? vector_random(&bias, count * dim) : NULL;
    }
    long double *truth = host_new((size_t)(rows * cols) * sizeof *truth);
    for (int64_t i = 0; i < rows * cols; i++)
        truth[i] = (long double)x.values[i];
    for (int64_t i = 0; i < rows * count; i++) {
        int64_t own = i % count * op.weight_pitch;
        norm_truth(kind, dim, weight ? weight + own : NULL, bias ? bias + own : NULL,
                   truth + i / count * cols + first + i % count * pitch);
    }
    check_status(kn->ops->head_norm(kn, &op));
    matrix_read(&x);
    check_close(OP_NORM, x.m.type, x.values, truth, rows * cols);
}

static void test_head_norm(void **state) {
    static const int64_t sizes[][3] = {{1, 1, 0}, {3, 24, 0}, {4, 80, 7}, {2, 33, 33}, {0, 8, 0}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(sizes); i++) {
        for (int variant = 0; variant < 12; variant++) {
            check_head_norm((enum kn_norm_kind)(variant / 4), sizes[i][0], sizes[i][1], sizes[i][2],
                            variant & 1, variant & 2);
            buffers_free(state);
        }
    }
}

static void test_head_norm_errors(void **state) {
    (void)state;
    struct matrix x = matrix_random(kn->activation_type, 2, 20, 0);
    struct kn_head_norm op = {.heads = {x.m, 0, 2, 10, 10}, .weight_pitch = 5, .epsilon = EPSILON};
    assert_int_equal(kn->ops->head_norm(kn, &op), KN_ESHAPE);
    op.weight_pitch = 0;
    op.heads.pitch = 0; // would normalise the same columns twice
    assert_int_equal(kn->ops->head_norm(kn, &op), KN_ESHAPE);
    op.heads.pitch = 11; // past the matrix
    assert_int_equal(kn->ops->head_norm(kn, &op), KN_ESHAPE);
    op.heads.pitch = 10;
    check_status(kn->ops->head_norm(kn, &op));
}

int test_norms(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_norm), OPS_TEST(test_norm_offset),
                                       OPS_TEST(test_head_norm), OPS_TEST(test_head_norm_errors)};
    return cmocka_run_group_tests_name("norms", tests, NULL, NULL);
}
