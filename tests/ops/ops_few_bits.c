// SPDX-License-Identifier: Apache-2.0
// Weights in few bits: the inverse factor by what it is the inverse of, codes against a plain loop
// over inputs up to each row's first tie, squares of outputs against long double.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/few_bits.h"
#include "support.h"

// Inputs of a text of `rows` rows: fewer than n leave their second moment singular. One input in
// nine is always 0.
struct moment {
    double *h;        // the backend's: the diagonal and what is left of it; NaN elsewhere
    double *host;     // [n, n] whole
    int32_t *order;   // the backend's
    int32_t *ranking; // the host's
    int64_t n;
};

static struct moment moment_of(int64_t n, int64_t rows, bool sorted) {
    struct moment m = {.n = n, .host = host_new((size_t)(n * n) * sizeof(double))};
    double *half = host_new((size_t)(n * n) * sizeof *half);
    float *x = host_new((size_t)n * sizeof *x);
    m.ranking = host_new((size_t)n * sizeof *m.ranking);
    for (int64_t r = 0; r < rows; r++) {
        float common = random_value();
        for (int64_t i = 0; i < n; i++)
            x[i] = i % 9 == 4 ? 0 : random_value() + common;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                m.host[i * n + j] += (double)x[i] * (double)x[j];
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++)
            half[i * n + j] = j <= i ? m.host[i * n + j] : (double)NAN;
        m.ranking[i] = (int32_t)(sorted ? (i * 7 + 3) % n : i);
    }
    m.h = buffer_new(half, (size_t)(n * n) * sizeof *half);
    m.order = buffer_new(m.ranking, (size_t)n * sizeof *m.ranking);
    return m;
}

static double *factor_of(const struct moment *m, double added, bool *factored) {
    size_t bytes = (size_t)(m->n * m->n) * sizeof(double);
    double *u = buffer_new(NULL, bytes);
    struct kn_inverse_factor op = {.u = u,
                                   .scratch = buffer_new(NULL, bytes),
                                   .h = m->h,
                                   .order = m->order,
                                   .added = added,
                                   .n = m->n,
                                   .factored = factored};
    check_status(kn->ops->inverse_factor(kn, &op));
    return u;
}

// h' + added I at (i, j).
static double arranged(const struct moment *m, double added, int64_t i, int64_t j) {
    double value = m->host[m->ranking[i] * m->n + m->ranking[j]];
    return i != j ? value : (value > 0 ? value : 1) + added;
}

// (u^T u) (h' + added I) is the identity.
static void check_factor(int64_t n, int64_t rows) {
    struct moment m = moment_of(n, rows, n % 7 != 0);
    double added = 0.05 * (double)rows, *u = host_new((size_t)(n * n) * sizeof *u),
           *row = host_new((size_t)n * sizeof *row);
    bool factored = false;
    buffer_read(factor_of(&m, added, &factored), u, (size_t)(n * n) * sizeof *u);
    assert_true(factored);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < n; k++) {
            row[k] = 0;
            for (int64_t l = 0; l <= i && l <= k; l++)
                row[k] += u[l * n + i] * u[l * n + k];
            assert_true(k >= i || u[i * n + k] == 0);
        }
        for (int64_t j = 0; j<n; j += n> 60 ? 17 : 1) {
            double sum = i == j ? -1 : 0;
            for (int64_t k = 0; k < n; k++)
                sum += row[k] * arranged(&m, added, k, j);
            assert_true(fabs(sum) < 1e-9);
        }
    }
}

static void test_factor(void **state) {
    static const int64_t sizes[] = {1, 5, 63, 64, 65, 128, 131, 200};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(sizes); i++) {
        check_factor(sizes[i], sizes[i] / 2 + 2);
        buffers_free(state);
    }
}

static void test_not_positive(void **state) {
    (void)state;
    struct moment m = moment_of(70, 90, true);
    bool factored = true;
    factor_of(&m, -60, &factored);
    assert_false(factored);
}

static void test_diagonal(void **state) {
    (void)state;
    struct moment m = moment_of(300, 5, false);
    double *y = buffer_new(NULL, 300 * sizeof *y), got[300];
    struct kn_diagonal op = {y, m.h, 300};
    check_status(kn->ops->diagonal(kn, &op));
    buffer_read(y, got, sizeof got);
    for (int64_t i = 0; i < 300; i++)
        assert_true(got[i] == m.host[i * 300 + i]);
}

// ---- codes -------------------------------------------------------------------------------------

struct rounded {
    uint8_t *code, *zero;
    float *scale;
};

static struct rounded compensated(const struct moment *m, const double *u, const float *w,
                                  int64_t rows, struct kn_grid grid, enum kn_input_order order) {
    int64_t n = m->n, groups = kn_grid_groups(&grid, n);
    struct rounded got = {host_new((size_t)(rows * n)), host_new((size_t)(rows * groups)),
                          host_new((size_t)(rows * groups) * sizeof(float))};
    struct kn_compensation op = {.code = buffer_new(NULL, (size_t)(rows * n)),
                                 .zero = buffer_new(NULL, (size_t)(rows * groups)),
                                 .scale = buffer_new(NULL, (size_t)(rows * groups) * sizeof(float)),
                                 .w = buffer_new(w, (size_t)(rows * n) * sizeof *w),
                                 .rows = rows,
                                 .n = n,
                                 .u = u,
                                 .order = m->order,
                                 .grid = grid,
                                 .input_order = order};
    check_status(kn->ops->compensation(kn, &op));
    buffer_read(op.code, got.code, (size_t)(rows * n));
    buffer_read(op.zero, got.zero, (size_t)(rows * groups));
    buffer_read(op.scale, got.scale, (size_t)(rows * groups) * sizeof(float));
    return got;
}

// Follows one row, with the same rounding; false from its first tie on, where codes may part.
static bool follow_row(const struct moment *m, const double *u, const float *w,
                       const struct rounded *got, int64_t row, const struct kn_grid *grid,
                       enum kn_input_order order, double *wide /* [2 n] */) {
    int64_t n = m->n, size = kn_grid_group(grid, n), groups = kn_grid_groups(grid, n);
    bool along = order == KN_ORDER_GROUPS;
    for (int64_t i = 0; i < n; i++)
        wide[i] = (double)w[row * n + m->ranking[i]];
    for (int64_t i = 0; i < n; i++) {
        int64_t input = m->ranking[i], group = (along ? i : input) / size, first = group * size,
                count = n - first < size ? n - first : size, at = row * groups + group;
        if (order != KN_ORDER_FILE || i % size == 0) {
            double *values = wide + n;
            for (int64_t k = 0; k < count; k++)
                values[k] = order == KN_ORDER_FILE
                                ? wide[first + k]
                                : (double)w[row * n + (along ? m->ranking[first + k] : first + k)];
            struct kn_step_size step = kn_step_size_of(grid, values, count);
            if (step.scale != got->scale[at] || step.zero != got->zero[at])
                return false;
        }
        struct kn_step_size step = {got->scale[at], got->zero[at]};
        double place = wide[i] / (double)step.scale, over = place - floor(place);
        if (fabs(over - 0.5) < 1e-6)
            return false;
        int code = kn_code_of(grid, step, wide[i]);
        assert_int_equal(got->code[row * n + input], code);
        double error = (wide[i] - kn_value_of(step, code)) / u[i * n + i];
        for (int64_t j = i + 1; j < n; j++)
            wide[j] -= error * u[i * n + j];
    }
    return true;
}

static int64_t check_codes(int64_t n, int64_t rows, struct kn_grid grid,
                           enum kn_input_order order) {
    struct moment m = moment_of(n, n + 20, order != KN_ORDER_FILE);
    float *w = host_new((size_t)(rows * n) * sizeof *w);
    double *u = host_new((size_t)(n * n) * sizeof *u),
           *wide = host_new((size_t)(2 * n) * sizeof *wide);
    bool factored = false;
    for (int64_t i = 0; i < rows * n; i++)
        w[i] = i % 5 ? random_value() : 0.25F * random_value();
    double *there = factor_of(&m, 0.01 * (double)n, &factored);
    assert_true(factored);
    buffer_read(there, u, (size_t)(n * n) * sizeof *u);
    struct rounded got = compensated(&m, there, w, rows, grid, order);
    int64_t whole = 0;
    for (int64_t row = 0; row < rows; row++)
        whole += follow_row(&m, u, w, &got, row, &grid, order, wide);
    return whole;
}

static void test_codes(void **state) {
    static const struct {
        int64_t n, rows;
        struct kn_grid grid;
        enum kn_input_order order;
    } cases[] = {{1, 1, {4, true, false, 0, KN_F16}, KN_ORDER_FILE},
                 {40, 9, {4, true, false, 32, KN_F16}, KN_ORDER_STATIC},
                 {200, 35, {4, false, false, 32, KN_BF16}, KN_ORDER_FILE},
                 {130, 70, {8, true, false, 0, KN_F32}, KN_ORDER_FILE},
                 {300, 33, {4, false, false, 96, KN_F16}, KN_ORDER_GROUPS},
                 {420, 12, {4, true, false, 200, KN_BF16}, KN_ORDER_FILE},
                 {150, 5, {4, true, true, 48, KN_F16}, KN_ORDER_FILE},
                 {150, 5, {4, false, true, 128, KN_F16}, KN_ORDER_STATIC}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(cases); i++) {
        int64_t whole = check_codes(cases[i].n, cases[i].rows, cases[i].grid, cases[i].order);
        assert_true(whole >= cases[i].rows - cases[i].rows / 5 - 1 && whole > 0);
        buffers_free(state);
    }
}

// ---- squares of outputs ------------------------------------------------------------------------

static void check_squares(int64_t n, int64_t rows, bool less) {
    struct moment m = moment_of(n, 40, false);
    float *x, *y;
    const float *there = vector_random(&x, rows * n), *other = vector_random(&y, rows * n);
    double *got = host_new((size_t)rows * sizeof *got);
    struct kn_squared_outputs op = {.y = buffer_new(NULL, (size_t)rows * sizeof(double)),
                                    .x = there,
                                    .less = less ? other : NULL,
                                    .h = m.h,
                                    .rows = rows,
                                    .n = n};
    check_status(kn->ops->squared_outputs(kn, &op));
    buffer_read(op.y, got, (size_t)rows * sizeof *got);
    for (int64_t r = 0; r < rows; r++) {
        long double sum = 0, size = 0;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                long double a = (long double)x[r * n + i] - (less ? (long double)y[r * n + i] : 0),
                            b = (long double)x[r * n + j] - (less ? (long double)y[r * n + j] : 0),
                            term = a * b * (long double)m.host[i * n + j];
                sum += term;
                size += fabsl(term);
            }
        assert_true(fabsl((long double)got[r] - sum) <= 1e-12L * size);
    }
}

static void test_squares(void **state) {
    check_squares(1, 1, false);
    buffers_free(state);
    check_squares(70, 35, true);
    buffers_free(state);
    check_squares(530, 3, true);
    buffers_free(state);
    check_squares(530, 3, false);
}

static void test_refused(void **state) {
    (void)state;
    bool factored;
    struct moment m = moment_of(4, 9, false);
    struct kn_inverse_factor factor = {
        .u = m.h, .scratch = m.h, .h = m.h, .order = NULL, .n = 4, .factored = &factored};
    assert_int_equal(kn->ops->inverse_factor(kn, &factor), KN_ESHAPE);
    struct kn_compensation rounding = {.rows = 1, .n = 4, .u = m.h, .order = m.order, .grid = {5}};
    assert_int_equal(kn->ops->compensation(kn, &rounding), KN_ESHAPE);
    struct kn_squared_outputs squares = {.rows = 1, .n = 4};
    assert_int_equal(kn->ops->squared_outputs(kn, &squares), KN_ESHAPE);
    struct kn_diagonal diagonal = {.n = 4};
    assert_int_equal(kn->ops->diagonal(kn, &diagonal), KN_ESHAPE);
}

int test_few_bits(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_factor),   OPS_TEST(test_not_positive),
                                       OPS_TEST(test_diagonal), OPS_TEST(test_codes),
                                       OPS_TEST(test_squares),  OPS_TEST(test_refused)};
    return cmocka_run_group_tests_name("few bits", tests, NULL, NULL);
}
