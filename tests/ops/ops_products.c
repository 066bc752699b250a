// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <string.h>

#include "support.h"

static const enum kn_type types[] = {KN_F32, KN_F16, KN_BF16};

static long double *product_truth(const struct matrix *x, const struct matrix *w, const float *bias,
                                  enum kn_activation activation) {
    int64_t n = x->m.rows, m = w->m.rows, k = x->m.cols;
    long double *truth = host_new((size_t)(n * m) * sizeof *truth);
    for (int64_t r = 0; r < n; r++) {
        for (int64_t c = 0; c < m; c++) {
            long double sum = bias ? (long double)bias[c] : 0;
            for (int64_t i = 0; i < k; i++)
                sum += (long double)x->values[r * k + i] * (long double)w->values[c * k + i];
            truth[r * m + c] = truth_activate(activation, sum);
        }
    }
    return truth;
}

static const float *parameters_of(enum kn_activation activation) {
    return activation == KN_XIELU ? xielu_parameters : NULL;
}

// Rows of matrices of even sizes begin where copies of whole tiles can.
static void check_product(int64_t n, int64_t m, int64_t k, enum kn_type y_type, enum kn_type type,
                          bool with_bias, enum kn_activation activation) {
    int64_t pad = k % 8 ? 1 : 8;
    struct matrix x = matrix_random(kn->activation_type, n, k, 3 * pad);
    struct matrix w = matrix_weights(type, m, k, 5 * pad);
    struct matrix y = matrix_output(y_type, n, m, 7 * pad);
    float *host = NULL, *bias = with_bias ? vector_representable(&host, m, y.m.type) : NULL;
    struct kn_product op = {y.m, x.m, w.m, bias, activation, parameters_of(activation)};
    check_status(kn->ops->product(kn, &op));
    matrix_read(&y);
    enum test_op bound = activation == KN_IDENTITY ? OP_PRODUCT : OP_ACTIVATED;
    check_close(bound, y.m.type, y.values, product_truth(&x, &w, host, activation), n * m);
}

static void test_shapes(void **state) {
    static const int64_t shapes[][3] = {{1, 1, 1},    {1, 7, 5},    {13, 17, 80},  {3, 400, 33},
                                        {130, 9, 24}, {40, 1, 300}, {1030, 3, 16}, {5, 800, 8},
                                        {0, 4, 4},    {4, 0, 4}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        for (size_t t = 0; t < TEST_ARRAY_SIZE(types); t++) {
            enum kn_type y_type = (i + t) % 2 ? KN_F32 : kn->activation_type;
            check_product(shapes[i][0], shapes[i][1], shapes[i][2], y_type, types[t], i % 2,
                          KN_IDENTITY);
            buffers_free(state);
        }
    }
}

static void test_activations(void **state) {
    (void)state;
    for (int activation = KN_IDENTITY; activation <= KN_XIELU; activation++) {
        check_product(9, 21, 30, kn->activation_type, KN_F32, true, (enum kn_activation)activation);
        check_product(9, 21, 30, KN_F32, KN_BF16, false, (enum kn_activation)activation);
    }
}

// As many rows as a device has ways of its own for, which ends within tiles of rows and columns.
static void test_many_rows(void **state) {
    enum kn_type type = kn->activation_type;
    for (int activation = KN_IDENTITY; activation <= KN_XIELU; activation++) {
        check_product(2064, 40, 72, type, type, activation % 2, (enum kn_activation)activation);
        buffers_free(state);
    }
    check_product(2200, 264, 136, type, type, true, KN_GELU_ERF);
    check_product(2064, 24, 72, KN_F32, type, true, KN_GELU_ERF);
}

// A product of width 1 passes its values on: from a half down to where an activation is all
// cancellation unless it is written with care.
static void test_activation_values(void **state) {
    float values[4000];
    for (int i = 0; i < 4000; i++) {
        float size = powf(2.F, (float)(i / 2) * 0.016F - 33);
        values[i] = i % 2 ? size : -size;
    }
    for (int activation = KN_IDENTITY; activation <= KN_XIELU; activation++) {
        struct matrix x = matrix_of(values, kn->activation_type, 4000, 1, 0);
        struct matrix w = matrix_of((float[]){1}, KN_F32, 1, 1, 0);
        struct matrix y = matrix_output(kn->activation_type, 4000, 1, 0);
        struct kn_product op = {.y = y.m, .x = x.m, .w = w.m};
        op.activation = (enum kn_activation)activation;
        op.parameters = parameters_of(op.activation);
        check_status(kn->ops->product(kn, &op));
        matrix_read(&y);
        check_close(OP_GATE, y.m.type, y.values, product_truth(&x, &w, NULL, op.activation), 4000);
        buffers_free(state);
    }
}

static void test_nonfinite(void **state) {
    (void)state;
    const float x[] = {1, 2, NAN, 1, INFINITY, 1, -INFINITY, 1}, w[] = {1, 1, 1, 2};
    struct matrix a = matrix_of(x, kn->activation_type, 4, 2, 0), b = matrix_of(w, KN_F32, 2, 2, 0);
    struct matrix y = matrix_output(kn->activation_type, 4, 2, 0);
    for (int activation = KN_IDENTITY; activation <= KN_XIELU; activation++) {
        struct kn_product op = {.y = y.m, .x = a.m, .w = b.m};
        op.activation = (enum kn_activation)activation;
        op.parameters = parameters_of(op.activation);
        check_status(kn->ops->product(kn, &op));
        matrix_read(&y);
        check_close(OP_PRODUCT, y.m.type, y.values, product_truth(&a, &b, NULL, op.activation), 8);
    }
}

static void test_shape_errors(void **state) {
    (void)state;
    struct matrix x = matrix_random(kn->activation_type, 4, 6, 0);
    struct matrix w = matrix_random(KN_F32, 5, 6, 0), narrow = matrix_random(KN_F32, 5, 5, 0);
    struct matrix y = matrix_output(kn->activation_type, 4, 5, 0);
    struct kn_product op = {y.m, x.m, narrow.m, NULL, KN_IDENTITY, NULL};
    assert_int_equal(kn->ops->product(kn, &op), KN_ESHAPE);
    op.w = w.m;
    op.y.rows = 3;
    assert_int_equal(kn->ops->product(kn, &op), KN_ESHAPE);
    op.y = y.m;
    op.x.stride = 5;
    assert_int_equal(kn->ops->product(kn, &op), KN_ESHAPE);
    op.x = x.m;
    op.activation = KN_XIELU; // without parameters
    assert_int_equal(kn->ops->product(kn, &op), KN_ESHAPE);
    op.activation = KN_IDENTITY;
    check_status(kn->ops->product(kn, &op));
}

// Rows begin[g] ... begin[g + 1] of x meet the g-th of `groups` matrices of m rows; begin[0] may be
// any number.
static void check_groups(const int64_t *begin, int64_t groups, int64_t m, int64_t k,
                         enum kn_type y_type, enum kn_type w_type, enum kn_activation activation,
                         bool biased) {
    float *biases = NULL;
    const float *bias = biased ? vector_random(&biases, groups * m) : NULL;
    int64_t n = begin[groups] - begin[0], pad = k % 8 ? 1 : 8;
    struct matrix x = matrix_random(kn->activation_type, n, k, 3 * pad);
    struct matrix w = matrix_weights(w_type, groups * m, k, 5 * pad);
    struct matrix y = matrix_output(y_type, n, m, 7 * pad);
    struct kn_grouped_product op = {
        .product = {y.m, x.m, w.m, bias, activation, parameters_of(activation)},
        .first = buffer_new(begin, (size_t)(groups + 1) * sizeof *begin),
        .groups = groups};
    long double *truth = host_new((size_t)(n * m) * sizeof *truth);
    check_status(kn->ops->grouped_product(kn, &op));
    matrix_read(&y);
    for (int64_t g = 0; g < groups; g++) {
        int64_t first = begin[g] - begin[0], rows = begin[g + 1] - begin[g];
        struct matrix part = {x.m, x.values + first * k}, own = {w.m, w.values + g * m * k};
        part.m.rows = rows;
        own.m.rows = m;
        memcpy(truth + first * m,
               product_truth(&part, &own, biased ? biases + g * m : NULL, activation),
               (size_t)(rows * m) * sizeof *truth);
    }
    bool is_plain = activation == KN_IDENTITY && (!biased || y_type == KN_F32);
    check_close(is_plain ? OP_PRODUCT : OP_ACTIVATED, y.m.type, y.values, truth, n * m);
}

static void test_groups(void **state) {
    static const int64_t none[] = {7}, empty[] = {3, 3, 3}, one[] = {0, 13}, later[] = {50, 60, 61},
                         holes[] = {0, 0, 5, 5, 5, 38, 39, 39},
                         wide[] = {0, 130, 140, 700, 701, 800},
                         large[] = {9, 9, 140, 141, 205, 205, 400};
    static const struct {
        const int64_t *begin;
        int64_t groups, m, k;
    } cases[] = {{none, 0, 9, 5},    {empty, 2, 9, 5},     {one, 1, 17, 80},   {later, 2, 24, 33},
                 {holes, 7, 21, 16}, {holes, 7, 1, 1},     {wide, 5, 40, 24},  {wide, 5, 128, 64},
                 {holes, 7, 0, 4},   {large, 6, 264, 200}, {large, 6, 33, 200}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(cases); i++) {
        for (size_t t = 0; t < TEST_ARRAY_SIZE(types); t++) {
            enum kn_type y_type = (i + t) % 2 ? KN_F32 : kn->activation_type;
            check_groups(cases[i].begin, cases[i].groups, cases[i].m, cases[i].k, y_type, types[t],
                         KN_IDENTITY, (i + t) % 3 == 1);
            buffers_free(state);
        }
    }
    for (int activation = KN_IDENTITY; activation <= KN_XIELU; activation++) {
        check_groups(holes, 7, 21, 30, kn->activation_type, KN_F32, (enum kn_activation)activation,
                     false);
        check_groups(wide, 5, 40, 72, kn->activation_type, kn->activation_type,
                     (enum kn_activation)activation, false);
        buffers_free(state);
    }
}

// Groups of rows in matrices with room for more, gated: activation(gate) * up of their rows.
static void check_gated(int64_t m, int64_t k, enum kn_activation gate) {
    static const int64_t begin[] = {5, 8, 8, 210, 211};
    enum { GROUPS = 4, FILLED = 206, ROOM = 230 };
    enum kn_type type = kn->activation_type;
    struct matrix x = matrix_random(type, ROOM, k, 0),
                  w = matrix_weights(type, GROUPS * 2 * m, k, 0);
    struct matrix wide = matrix_output(type, ROOM, 2 * m, 0), y = matrix_output(type, ROOM, m, 0);
    struct kn_grouped_product op = {.product = {.y = wide.m, .x = x.m, .w = w.m},
                                    .first = buffer_new(begin, sizeof begin),
                                    .groups = GROUPS,
                                    .gated = y.m,
                                    .gate = gate};
    long double *truth = host_new((size_t)(FILLED * m) * sizeof *truth);
    check_status(kn->ops->grouped_product(kn, &op));
    matrix_read(&y);
    for (int64_t g = 0; g < GROUPS; g++) {
        int64_t first = begin[g] - begin[0], rows = begin[g + 1] - begin[g];
        struct matrix part = {x.m, x.values + first * k}, own = {w.m, w.values + g * 2 * m * k};
        part.m.rows = rows;
        own.m.rows = 2 * m;
        const long double *both = product_truth(&part, &own, NULL, KN_IDENTITY);
        for (int64_t i = 0; i < rows * m; i++)
            truth[first * m + i] =
                truth_activate(gate, both[i / m * 2 * m + i % m]) * both[i / m * 2 * m + m + i % m];
    }
    check_close(OP_GATED, type, y.values, truth, FILLED * m);
}

// Without groups, as a dense layer is: many rows, and few.
static void check_gated_whole(int64_t rows) {
    enum { M = 24, K = 72 };
    enum kn_type type = kn->activation_type;
    struct matrix x = matrix_random(type, rows, K, 8), w = matrix_weights(type, 2 * M, K, 0);
    struct matrix wide = matrix_output(type, rows, 2 * M, 0), y = matrix_output(type, rows, M, 8);
    struct kn_grouped_product op = {
        .product = {.y = wide.m, .x = x.m, .w = w.m}, .groups = 1, .gated = y.m, .gate = KN_SILU};
    long double *truth = host_new((size_t)(rows * M) * sizeof *truth);
    check_status(kn->ops->grouped_product(kn, &op));
    matrix_read(&y);
    const long double *both = product_truth(&x, &w, NULL, KN_IDENTITY);
    for (int64_t i = 0; i < rows * M; i++)
        truth[i] =
            truth_activate(KN_SILU, both[i / M * 2 * M + i % M]) * both[i / M * 2 * M + M + i % M];
    check_close(OP_GATED, type, y.values, truth, rows * M);
}

static void test_gated_groups(void **state) {
    static const enum kn_activation gates[] = {KN_SILU, KN_GELU_TANH, KN_GELU_ERF};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(gates); i++) {
        check_gated(136, 72, gates[i]);
        buffers_free(state);
        check_gated(13, 9, gates[i]);
        buffers_free(state);
    }
    check_gated_whole(2310);
    check_gated_whole(3);
}

// A group that is not finite leaves the others alone.
static void test_nonfinite_groups(void **state) {
    (void)state;
    const float x[] = {1, NAN, 2}, w[] = {3, 4, INFINITY};
    const int64_t begin[] = {0, 1, 2, 3};
    const long double truth[] = {3, NAN, INFINITY};
    struct matrix a = matrix_of(x, kn->activation_type, 3, 1, 0), b = matrix_of(w, KN_F32, 3, 1, 0);
    struct matrix y = matrix_output(kn->activation_type, 3, 1, 0);
    struct kn_grouped_product op = {.product = {.y = y.m, .x = a.m, .w = b.m},
                                    .first = buffer_new(begin, sizeof begin),
                                    .groups = 3};
    check_status(kn->ops->grouped_product(kn, &op));
    matrix_read(&y);
    check_close(OP_PRODUCT, y.m.type, y.values, truth, 3);
}

static void test_group_shape_errors(void **state) {
    (void)state;
    const int64_t begin[] = {2, 3, 6}, falling[] = {2, 7, 6}, many[] = {2, 3, 7};
    struct matrix x = matrix_random(kn->activation_type, 4, 6, 0);
    struct matrix w = matrix_random(KN_F32, 10, 6, 0), bias = matrix_random(KN_F32, 1, 5, 0);
    struct matrix y = matrix_output(kn->activation_type, 4, 5, 0);
    const struct kn_grouped_product good = {.product = {.y = y.m, .x = x.m, .w = w.m},
                                            .first = buffer_new(begin, sizeof begin),
                                            .groups = 2};
    struct kn_grouped_product bad[] = {good, good, good, good, good, good, good, good};
    bad[0].first = NULL; // two groups
    bad[1].groups = -1;
    bad[2].product.w.rows = 9;
    bad[3].product.y.cols = 4;
    bad[4].product.bias = bias.m.data;
    bad[4].product.activation = KN_RELU;
    bad[5].gated = y.m; // as wide as what is gated
    bad[6].first = falling;
    bad[7].first = many;
    for (size_t i = 0; i < (kn->unified ? 8 : 6); i++) // a device does not look at what it holds
        assert_int_equal(kn->ops->grouped_product(kn, &bad[i]), KN_ESHAPE);
    check_status(kn->ops->grouped_product(kn, &good));
}

static void test_ceiling(void **state) {
    (void)state;
    double seconds = kn_product_seconds(kn, 40, 50, 60);
    assert_true(seconds > 0 && seconds < 10);
}

static void test_conversion(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) { // every value of a 16-bit type survives the way there
        for (size_t t = 1; t < TEST_ARRAY_SIZE(types); t++) { // and back, NaN as some NaN
            uint16_t bits = (uint16_t)i, back;
            float value;
            kn_convert(&value, KN_F32, &bits, types[t], 1);
            kn_convert(&back, types[t], &value, KN_F32, 1);
            assert_true(isnan(value) ? (back & 0x7fff) > 0x7c00 : back == bits);
        }
    }
    static const struct {
        float value;
        uint16_t f16, bf16;
    } cases[] = {
        {1.F, 0x3c00, 0x3f80},        {-2.F, 0xc000, 0xc000},       {65504.F, 0x7bff, 0x4780},
        {65519.F, 0x7bff, 0x4780},    {65520.F, 0x7c00, 0x4780},    {0x1p-24F, 0x0001, 0x3380},
        {0x1p-25F, 0x0000, 0x3300},   {0x1.8p-24F, 0x0002, 0x33c0}, {0x1.ffcp-15F, 0x0400, 0x3880},
        {0x1.002p0F, 0x3c00, 0x3f80}, {0x1.006p0F, 0x3c02, 0x3f80}, {0x1.01p0F, 0x3c04, 0x3f80},
        {0x1.03p0F, 0x3c0c, 0x3f82},  {3.4e38F, 0x7c00, 0x7f80},
    };
    for (size_t i = 0; i < TEST_ARRAY_SIZE(cases); i++) {
        uint16_t f16, bf16;
        kn_convert(&f16, KN_F16, &cases[i].value, KN_F32, 1);
        kn_convert(&bf16, KN_BF16, &cases[i].value, KN_F32, 1);
        assert_int_equal(f16, cases[i].f16);
        assert_int_equal(bf16, cases[i].bf16);
    }
}

int test_products(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_shapes),
                                       OPS_TEST(test_activations),
                                       OPS_TEST(test_many_rows),
                                       OPS_TEST(test_activation_values),
                                       OPS_TEST(test_nonfinite),
                                       OPS_TEST(test_shape_errors),
                                       OPS_TEST(test_ceiling),
                                       OPS_TEST(test_groups),
                                       OPS_TEST(test_gated_groups),
                                       OPS_TEST(test_nonfinite_groups),
                                       OPS_TEST(test_group_shape_errors),
                                       OPS_TEST(test_conversion)};
    return cmocka_run_group_tests_name("product", tests, NULL, NULL);
}
