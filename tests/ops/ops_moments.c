// SPDX-License-Identifier: Apache-2.0
// Second moments: added to what is there, below the diagonal alone.
#include "support.h"

static const double before = 3.5;

static double *moment_new(int64_t cols) {
    size_t bytes = (size_t)(cols * cols) * sizeof(double);
    double *host = host_new(bytes);
    for (int64_t i = 0; i < cols * cols; i++)
        host[i] = before;
    return buffer_new(host, bytes);
}

static void check_moment(enum kn_type type, int64_t rows, int64_t cols, int64_t pad) {
    struct matrix x = matrix_random(type, rows, cols, pad);
    double *y = moment_new(cols), *got = host_new((size_t)(cols * cols) * sizeof *got);
    long double *truth = host_new((size_t)(cols * cols) * sizeof *truth);
    for (int64_t i = 0; i < cols; i++)
        for (int64_t j = 0; j < cols; j++) {
            truth[i * cols + j] = (long double)before;
            for (int64_t r = 0; r < rows && j <= i; r++)
                truth[i * cols + j] +=
                    (long double)x.values[r * cols + i] * (long double)x.values[r * cols + j];
        }
    struct kn_second_moment op = {y, x.m};
    check_status(kn->ops->second_moment(kn, &op));
    buffer_read(y, got, (size_t)(cols * cols) * sizeof *got);
    check_close_f64(OP_MOMENT, type, got, truth, cols * cols);
    for (int64_t i = 0; i < cols; i++)
        for (int64_t j = i + 1; j < cols; j++)
            assert_true(got[i * cols + j] == before);
}

static void test_moments(void **state) {
    static const int64_t sizes[][3] = {{1, 1, 0},    {5, 80, 3},   {0, 7, 0},   {130, 129, 1},
                                       {700, 64, 0}, {3, 2100, 4}, {40, 260, 8}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(sizes); i++) {
        check_moment(kn->activation_type, sizes[i][0], sizes[i][1], sizes[i][2]);
        buffers_free(state);
        check_moment(KN_F32, sizes[i][0], sizes[i][1], sizes[i][2]);
        buffers_free(state);
    }
}

static void test_refused(void **state) {
    (void)state;
    enum kn_type other = kn->activation_type == KN_F16 ? KN_BF16 : KN_F16;
    struct matrix x = matrix_random(other, 3, 4, 0);
    struct kn_second_moment op = {moment_new(4), x.m};
    assert_int_equal(kn->ops->second_moment(kn, &op), KN_ESHAPE);
    op.x = matrix_random(KN_F32, 3, 4, 0).m;
    op.y = NULL;
    assert_int_equal(kn->ops->second_moment(kn, &op), KN_ESHAPE);
}

int test_second_moments(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_moments), OPS_TEST(test_refused)};
    return cmocka_run_group_tests_name("second moments", tests, NULL, NULL);
}
