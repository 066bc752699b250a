// SPDX-License-Identifier: Apache-2.0
// The statistics of a residual add, and what they are for: an importance that keeps its digits
// down to 1e-12.
#include "support.h"

#include <math.h>

struct sums {
    double *xx, *xd, *dd; // [n], on the host
};

static struct sums run(const struct matrix *x, const struct matrix *x_addend,
                       const struct matrix *delta, const struct matrix *delta_addend) {
    size_t bytes = (size_t)x->m.rows * sizeof(double);
    struct sums host = {host_new(bytes), host_new(bytes), host_new(bytes)};
    struct kn_statistics op = {.xx = buffer_new(NULL, bytes),
                               .xd = buffer_new(NULL, bytes),
                               .dd = buffer_new(NULL, bytes),
                               .x = x->m,
                               .delta = delta->m};
    if (x_addend) {
        op.x_addend = x_addend->m;
    }
    if (delta_addend) {
        op.delta_addend = delta_addend->m;
    }
    check_status(kn->ops->statistics(kn, &op));
    buffer_read(op.xx, host.xx, bytes);
    buffer_read(op.xd, host.xd, bytes);
    buffer_read(op.dd, host.dd, bytes);
    return host;
}

static float sum_of(const struct matrix *m, const struct matrix *addend, int64_t i) {
    return addend ? m->values[i] + addend->values[i] : m->values[i];
}

static void check_statistics(int64_t rows, int64_t cols, bool x_addend, bool delta_addend) {
    struct matrix m[4];
    for (int i = 0; i < 4; i++) {
        m[i] = matrix_random(KN_F32, rows, cols, i);
    }
    const struct matrix *first = x_addend ? &m[1] : NULL, *second = delta_addend ? &m[3] : NULL;
    struct sums got = run(&m[0], first, &m[2], second);
    for (int64_t r = 0; r < rows; r++) {
        long double xx = 0, xd = 0, dd = 0;
        for (int64_t i = r * cols; i < (r + 1) * cols; i++) {
            long double v = (long double)sum_of(&m[0], first, i);
            long double e = (long double)sum_of(&m[2], second, i);
            xx += v * v;
            xd += v * e;
            dd += e * e;
        }
        check_close_f64(OP_STATISTICS, KN_F32, &got.xx[r], &xx, 1);
        check_close_f64(OP_STATISTICS, KN_F32, &got.dd[r], &dd, 1);
        assert_true(fabsl((long double)got.xd[r] - xd) <= 1e-14L * sqrtl(xx * dd));
    }
}

static void test_sums(void **state) {
    static const int64_t sizes[][2] = {{1, 1}, {5, 80}, {3, 33}, {2, 4096}, {129, 24}, {0, 8}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(sizes); i++) {
        for (int variant = 0; variant < 4; variant++) {
            check_statistics(sizes[i][0], sizes[i][1], variant & 1, variant & 2);
            buffers_free(state);
        }
    }
}

// 1 - cos(x, x + delta) without cancellation: sin^2 from the Gram determinant.
static double importance(double xx, double xd, double dd) {
    double yy = xx + 2 * xd + dd, cosine = (xx + xd) / sqrt(xx * yy);
    double sine_squared = (xx * dd - xd * xd) / (xx * yy);
    return cosine >= 0 ? sine_squared / (1 + cosine) : 1 - cosine;
}

// delta = along * x + across * u, u roughly orthogonal to x, so that alignment and importance reach
// their extremes; the truth is computed from the f32 vectors as they are.
static void check_importance(double along, double across) {
    enum { COLS = 768 };
    float x[COLS], delta[COLS];
    long double xx = 0, xd = 0, dd = 0, ss = 0;
    for (int i = 0; i < COLS; i++) {
        x[i] = random_value();
        delta[i] = (float)(along * (double)x[i] + across * (double)random_value());
        xx += (long double)x[i] * (long double)x[i];
        xd += (long double)x[i] * (long double)delta[i];
        dd += (long double)delta[i] * (long double)delta[i];
    }
    for (int i = 0; i < COLS; i++) { // the part of delta across x, directly
        long double rest = (long double)delta[i] - xd / xx * (long double)x[i];
        ss += rest * rest;
    }
    long double yy = xx + 2 * xd + dd, cosine = (xx + xd) / sqrtl(xx * yy);
    long double truth = cosine >= 0 ? ss / yy / (1 + cosine) : 1 - cosine;
    struct matrix a = matrix_of(x, KN_F32, 1, COLS, 0), b = matrix_of(delta, KN_F32, 1, COLS, 0);
    struct sums got = run(&a, NULL, &b, NULL);
    double value = importance(got.xx[0], got.xd[0], got.dd[0]);
    if (!(fabsl((long double)value - truth) <= 3e-9L * truth)) {
        fail_msg("importance %.12g, the truth is %.12Lg (along %g, across %g)", value, truth, along,
                 across);
    }
    buffers_free(NULL);
}

static void test_importance(void **state) {
    (void)state;
    for (double across = 1e-6; across < 100; across *= 3) {
        check_importance(0, across);
        check_importance(-1.5, across / 100);
    }
    for (double across = 1e-3; across < 1; across *= 2) { // alignment up to 0.999999
        check_importance(0.7, across);
        check_importance(-0.4, across);
        check_importance(-2.5, across);
    }
}

static void test_nonfinite(void **state) {
    (void)state;
    const float x[] = {1, NAN, 1, 2, INFINITY, 1}, delta[] = {1, 2, 3, 4, 5, 6};
    struct matrix a = matrix_of(x, KN_F32, 3, 2, 0), b = matrix_of(delta, KN_F32, 3, 2, 0);
    struct sums got = run(&a, NULL, &b, NULL);
    assert_true(isnan(got.xx[0]) && isnan(got.xd[0]) && got.dd[0] == 5);
    assert_true(got.xx[1] == 5 && got.xd[1] == 11 && got.dd[1] == 25);
    assert_true(isinf(got.xx[2]) && isinf(got.xd[2]) && got.dd[2] == 61);
}

int test_statistics(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_sums), OPS_TEST(test_importance),
                                       OPS_TEST(test_nonfinite)};
    return cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
}
