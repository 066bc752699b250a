// SPDX-License-Identifier: Apache-2.0
#include <float.h>
#include <math.h>

#include "support.h"

// From the far negative tail over zero to where the gate is the identity, and the non-finite.
static void test_gate(void **state) {
    (void)state;
    const int64_t cols = 4001;
    struct matrix x = matrix_random(kn->activation_type, 3, 2 * cols, 1);
    for (int64_t i = 0; i < cols; i++)
        x.values[i] = (float)(i - 2000) * 0.0045F; // -9 ... 9
    const float special[] = {NAN, INFINITY, -INFINITY, 0, -1e30F, 1e30F, -1e-30F, 40, -14};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(special); i++)
        x.values[2 * cols + (int64_t)i] = special[i];
    x = matrix_of(x.values, kn->activation_type, 3, 2 * cols, 1);
    struct matrix y = matrix_output(kn->activation_type, 3, cols, 6);
    long double *truth = host_new((size_t)(3 * cols) * sizeof *truth);
    for (int kind = KN_IDENTITY; kind <= KN_RELU_SQUARED; kind++) {
        struct kn_gate op = {.y = y.m, .x = x.m, .activation = (enum kn_activation)kind};
        check_status(kn->ops->gate(kn, &op));
        matrix_read(&y);
        for (int64_t i = 0; i < 3 * cols; i++) {
            const float *row = x.values + i / cols * 2 * cols + i % cols;
            truth[i] = truth_activate(op.activation, (long double)*row) * (long double)row[cols];
            if (fabsl(truth[i]) > FLT_MAX) // the square of 1e30 is more than a float holds
                truth[i] = truth[i] > 0 ? INFINITY : -INFINITY;
        }
        int64_t end = 2 * cols; // apart from the special values, whose largest is 1e30
        check_close(OP_GATE, y.m.type, y.values, truth, end);
        check_close(OP_GATE, y.m.type, y.values + end, truth + end, cols);
    }
}

// Gates and what they gate on both sides of the limit.
static void test_gate_limit(void **state) {
    (void)state;
    enum { COLS = 601 };
    struct matrix x = matrix_random(kn->activation_type, 2, 2 * COLS, 1);
    for (int i = 0; i < 4 * COLS; i++)
        x.values[i] = i % 97 ? x.values[i] * 4 : NAN;
    x = matrix_of(x.values, kn->activation_type, 2, 2 * COLS, 1);
    struct matrix y = matrix_output(kn->activation_type, 2, COLS, 6);
    struct kn_gate op = {.y = y.m, .x = x.m, .limit = 1.5F, .slope = 1.702F};
    long double truth[2 * COLS], limit = 1.5L, slope = (long double)op.slope;
    for (int i = 0; i < 2 * COLS; i++) {
        const float *row = x.values + i / COLS * 2 * COLS + i % COLS;
        long double v = (long double)row[0], up = (long double)row[COLS];
        v = v > limit ? limit : v;
        up = up > limit ? limit : up < -limit ? -limit : up;
        truth[i] = v / (1 + expl(-slope * v)) * (1 + up);
    }
    check_status(kn->ops->gate(kn, &op));
    matrix_read(&y);
    check_close(OP_GATE, y.m.type, y.values, truth, 2 * COLS);
}

static void test_gate_in_place(void **state) {
    (void)state;
    struct matrix x = matrix_random(kn->activation_type, 5, 66, 3);
    struct matrix y = {x.m, NULL};
    y.m.cols = 33;
    struct kn_gate op = {.y = y.m, .x = x.m, .activation = KN_SILU};
    long double truth[5 * 66];
    for (int i = 0; i < 5 * 66; i++) {
        long double v = (long double)x.values[i];
        truth[i] = i % 66 < 33 ? truth_activate(KN_SILU, v) * (long double)x.values[i + 33] : v;
    }
    check_status(kn->ops->gate(kn, &op));
    matrix_read(&x);
    check_close(OP_GATE, x.m.type, x.values, truth, 5 * 66);
}

// NaN and infinities, values on both sides of the limit, and no limit.
static void check_scale(enum kn_type type, int64_t rows, int64_t cols, float factor, float limit) {
    const float special[] = {NAN, INFINITY, -INFINITY, 0, 3, -3};
    struct matrix x = matrix_random(type, rows, cols, 3);
    for (size_t i = 0; i < TEST_ARRAY_SIZE(special) && (int64_t)i < rows * cols; i++)
        x.values[i] = special[i];
    x = matrix_of(x.values, type, rows, cols, 3);
    long double *truth = host_new((size_t)(rows * cols) * sizeof *truth);
    for (int64_t i = 0; i < rows * cols; i++) {
        long double v = (long double)x.values[i] * (long double)factor, end = (long double)limit;
        truth[i] = factor == 0 ? 0 : isnan(v) ? v : fminl(fmaxl(v, -end), end);
    }
    struct kn_scale op = {x.m, factor, limit};
    check_status(kn->ops->scale(kn, &op));
    matrix_read(&x);
    check_close(OP_SCALE, type, x.values, truth, rows * cols);
}

static void test_scale(void **state) {
    static const float factors[] = {1, -0.3F, 45.25F, 0};
    static const float limits[] = {INFINITY, 2, 0.125F};
    for (int i = 0; i < 12; i++) {
        check_scale(KN_F32, 4, 33, factors[i / 3], limits[i % 3]);
        check_scale(kn->activation_type, 130, 300, factors[i / 3], limits[i % 3]);
        check_scale(KN_F32, 1, 1, factors[i / 3], limits[i % 3]);
        buffers_free(state);
    }
    struct matrix x = matrix_random(KN_F32, 2, 2, 0);
    assert_int_equal(kn->ops->scale(kn, &(struct kn_scale){x.m, 1, NAN}), KN_ESHAPE);
    assert_int_equal(kn->ops->scale(kn, &(struct kn_scale){x.m, 1, -1}), KN_ESHAPE);
}

// A gate has no parameters.
static void test_gate_refusal(void **state) {
    (void)state;
    struct matrix x = matrix_random(kn->activation_type, 2, 8, 0);
    struct matrix y = matrix_output(kn->activation_type, 2, 4, 0);
    struct kn_gate op = {.y = y.m, .x = x.m, .activation = KN_XIELU};
    assert_int_equal(kn->ops->gate(kn, &op), KN_EUNSUPPORTED);
}

int test_elementwise(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_gate), OPS_TEST(test_gate_limit),
                                       OPS_TEST(test_gate_in_place), OPS_TEST(test_gate_refusal),
                                       OPS_TEST(test_scale)};
    return cmocka_run_group_tests_name("elementwise", tests, NULL, NULL);
}
