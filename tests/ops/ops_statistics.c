// SPDX-License-Identifier: Apache-2.0
// The statistics of residual adds and the adds themselves, and what they are for: an importance
// that keeps its digits down to 1e-12.
#include <math.h>
#include <string.h>

#include "support.h"

struct sums {
    double *xx, *xd, *dd; // [KN_RESIDUAL_ADDS, n], on the host
};

// The end of a block; mlp may be NULL. x becomes what the block leaves.
static struct sums run(struct matrix *x, const struct matrix *attention, const struct matrix *mlp,
                       bool parallel) {
    size_t bytes = (size_t)(KN_RESIDUAL_ADDS * x->m.rows) * sizeof(double);
    struct sums host = {host_new(bytes), host_new(bytes), host_new(bytes)};
    struct kn_block_end op = {.xx = buffer_new(NULL, bytes),
                              .xd = buffer_new(NULL, bytes),
                              .dd = buffer_new(NULL, bytes),
                              .x = x->m,
                              .attention = attention->m,
                              .parallel = parallel};
    if (mlp)
        op.mlp = mlp->m;
    check_status(kn->ops->block_end(kn, &op));
    buffer_read(op.xx, host.xx, bytes);
    buffer_read(op.xd, host.xd, bytes);
    buffer_read(op.dd, host.dd, bytes);
    matrix_read(x);
    return host;
}

static float sum_of(const float *values, const float *addend, int64_t i) {
    return addend ? values[i] + addend[i] : values[i];
}

// The stream, what was added to it first, the change and what is added to that; NULL: nothing.
struct add {
    const float *x, *x_addend, *delta, *delta_addend;
};

static void check_add(const struct sums *got, int64_t at, const struct add *add, int64_t row,
                      int64_t cols) {
    long double xx = 0, xd = 0, dd = 0;
    for (int64_t i = row * cols; i < (row + 1) * cols; i++) {
        long double v = (long double)sum_of(add->x, add->x_addend, i);
        long double e = (long double)sum_of(add->delta, add->delta_addend, i);
        xx += v * v;
        xd += v * e;
        dd += e * e;
    }
    check_close_f64(OP_STATISTICS, KN_F32, &got->xx[at], &xx, 1);
    check_close_f64(OP_STATISTICS, KN_F32, &got->dd[at], &dd, 1);
    assert_true(fabsl((long double)got->xd[at] - xd) <= 1e-14L * sqrtl(xx * dd));
}

static void check_sum(const struct matrix *x, const struct add *add) {
    int64_t count = x->m.rows * x->m.cols;
    long double *truth = host_new((size_t)count * sizeof *truth);
    for (int64_t i = 0; i < count; i++) {
        float sum = sum_of(add->delta, add->delta_addend, i);
        truth[i] = (long double)add->x[i] + (long double)sum;
    }
    check_close(OP_ADD, KN_F32, x->values, truth, count);
}

static void check_statistics(int64_t rows, int64_t cols, bool parallel, bool has_mlp) {
    struct matrix m[3];
    for (int i = 0; i < 3; i++)
        m[i] = matrix_random(KN_F32, rows, cols, i);
    float *x = host_new((size_t)(rows * cols) * sizeof *x);
    memcpy(x, m[0].values, (size_t)(rows * cols) * sizeof *x);
    const float *attention = m[1].values, *mlp = has_mlp ? m[2].values : NULL;
    const struct add adds[KN_RESIDUAL_ADDS] = {
        [KN_ADD_ATTENTION] = {x, NULL, attention, NULL},
        [KN_ADD_MLP] = {x, parallel ? NULL : attention, mlp, NULL},
        [KN_ADD_BLOCK] = {x, NULL, attention, mlp}};
    struct sums got = run(&m[0], &m[1], has_mlp ? &m[2] : NULL, parallel);
    for (int64_t i = 0; i < KN_RESIDUAL_ADDS * rows; i++)
        if (adds[i / rows].delta)
            check_add(&got, i, &adds[i / rows], i % rows, cols);
    check_sum(&m[0], &adds[KN_ADD_BLOCK]);
}

static void test_sums(void **state) {
    static const int64_t sizes[][2] = {{1, 1},   {5, 80}, {3, 33}, {2, 4096}, {129, 24}, {0, 8},
                                       {26, 78}, {5, 12}, {7, 23}, {11, 34},  {18, 56},  {5, 1}};
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
    struct sums got = run(&a, &b, NULL, false);
    double value = importance(got.xx[0], got.xd[0], got.dd[0]);
    if (!(fabsl((long double)value - truth) <= 3e-9L * truth))
        fail_msg("importance %.12g, the truth is %.12Lg (along %g, across %g)", value, truth, along,
                 across);
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
    struct sums got = run(&a, &b, NULL, false);
    assert_true(isnan(got.xx[0]) && isnan(got.xd[0]) && got.dd[0] == 5);
    assert_true(got.xx[1] == 5 && got.xd[1] == 11 && got.dd[1] == 25);
    assert_true(isinf(got.xx[2]) && isinf(got.xd[2]) && got.dd[2] == 61);
}

int test_statistics(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_sums), OPS_TEST(test_importance),
                                       OPS_TEST(test_nonfinite)};
    return cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
}
