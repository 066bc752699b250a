// SPDX-License-Identifier: Apache-2.0
#include <math.h>

#include "divergence_run.h"

// A row of logits and its log-sum-exp.
static long double logits_of(const struct head *h, const struct matrix *x, int64_t row,
                             long double *z) {
    int64_t k = x->m.cols, vocabulary = h->w.m.rows;
    long double cap = (long double)h->softcap, largest = -INFINITY, sum = 0;
    for (int64_t id = 0; id < vocabulary; id++) {
        z[id] = h->host_bias ? (long double)h->host_bias[id] : 0;
        for (int64_t i = 0; i < k; i++)
            z[id] += (long double)x->values[row * k + i] * (long double)h->w.values[id * k + i];
        z[id] *= (long double)h->scale;
        z[id] = cap > 0 ? cap * tanhl(z[id] / cap) : z[id];
        largest = fmaxl(largest, z[id]);
    }
    for (int64_t id = 0; id < vocabulary; id++)
        sum += expl(z[id] - largest);
    return largest + logl(sum);
}

// KL(base || candidate) as its definition reads, beside the two log-sums it is a difference of.
static void divergence_truth(const struct head *h, const struct matrix *base,
                             const struct matrix *candidate, int64_t row, long double truth[3]) {
    size_t bytes = (size_t)h->w.m.rows * sizeof(long double);
    long double *z_base = host_new(bytes), *z = host_new(bytes);
    truth[1] = logits_of(h, base, row, z_base);
    truth[2] = logits_of(h, candidate, row, z);
    truth[0] = 0;
    for (int64_t id = 0; id < h->w.m.rows; id++)
        truth[0] += expl(z_base[id] - truth[1]) * (z_base[id] - truth[1] - z[id] + truth[2]);
}

static long double check_divergence(const struct head *h, const struct matrix *x,
                                    const struct numbers *got, int64_t stream, int64_t row) {
    long double truth[4] = {0, 0, 0, 1}; // the log-sums' own errors are of 1, however small they
    divergence_truth(h, &x[0], &x[stream], row, truth);
    const double all[4] = {divergence_of(got, stream, row), log_sum(got, 0, row),
                           log_sum(got, stream, row), 1};
    check_close_f64(OP_DIVERGENCE, kn->activation_type, all, truth, 4);
    return truth[0];
}

static double compared_of(const struct numbers *got, int64_t stream, int what, int64_t row) {
    return got->compared[((stream - 1) * KN_COMPARED + what) * got->rows + row];
}

// As the definitions read.
static void check_comparison(const struct head *h, const struct matrix *x,
                             const struct numbers *got, int64_t stream, int64_t row) {
    size_t bytes = (size_t)h->w.m.rows * sizeof(long double);
    long double *z_base = host_new(bytes), *z = host_new(bytes), truth[KN_COMPARED + 1] = {0};
    long double log_sum_base = logits_of(h, &x[0], row, z_base);
    long double own_log_sum = logits_of(h, &x[stream], row, z);
    for (int64_t id = 0; id < h->w.m.rows; id++) {
        long double p = expl(z_base[id] - log_sum_base), q = expl(z[id] - own_log_sum);
        truth[KN_JENSEN] -= (p * log1pl((q - p) / (2 * p)) + q * log1pl((p - q) / (2 * q))) / 2;
        truth[KN_DOT] += z_base[id] * z[id];
        truth[KN_SQUARE] += z[id] * z[id];
        truth[KN_BASE_SQUARE] += z_base[id] * z_base[id];
        truth[KN_DISTANCE] += (z_base[id] - z[id]) * (z_base[id] - z[id]);
        truth[KN_REVERSED] += (p + q) / 4 * (log1pl((q - p) / (2 * p)) + log1pl((p - q) / (2 * q)));
    }
    truth[KN_COMPARED] = 1; // logits' own errors are of 1
    double all[KN_COMPARED + 1] = {[KN_COMPARED] = 1};
    for (int i = 0; i < KN_COMPARED; i++)
        all[i] = compared_of(got, stream, i, row);
    check_close_f64(OP_DIVERGENCE, kn->activation_type, all, truth, KN_COMPARED + 1);
    assert_true(all[KN_JENSEN] >= 0 && all[KN_JENSEN] < 0.6931472);
}

// A stream near the base: every value off by up to `amount`.
static struct matrix near(const struct matrix *base, float amount, int64_t pad) {
    int64_t count = base->m.rows * base->m.cols;
    float *values = host_new((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = base->values[i] + (amount > 0 ? amount * random_value() : 0);
    return matrix_of(values, kn->activation_type, base->m.rows, base->m.cols, pad);
}

static void check_head(const struct head *h, int64_t n, int64_t k) {
    struct matrix x[4] = {matrix_random(kn->activation_type, n, k, 3)};
    x[1] = near(&x[0], 0.05F, 0);
    x[2] = matrix_random(kn->activation_type, n, k, 1);
    x[3] = near(&x[0], 0, 3); // lies as the base does
    struct numbers got = run_divergence(h, x, 3);
    for (int64_t r = 0; r < n; r++) {
        assert_true(divergence_of(&got, 3, r) == 0 && sums_of(&got, 3, CROSS)[r] == 0);
        assert_int_equal(got.best[3 * n + r], got.best[r]);
    }
    for (int64_t r = 0; r < n; r += 1 + n / 20)
        for (int64_t stream = 1; stream <= 3; stream++)
            check_divergence(h, x, &got, stream, r);
    run_comparison(h, x, 3, &got);
    for (int64_t r = 0; r < n; r++) {
        assert_true(compared_of(&got, 3, KN_JENSEN, r) == 0);
        assert_true(compared_of(&got, 3, KN_REVERSED, r) == 0);
        assert_true(compared_of(&got, 3, KN_DISTANCE, r) == 0);
        assert_true(compared_of(&got, 3, KN_DOT, r) == compared_of(&got, 3, KN_SQUARE, r));
    }
    for (int64_t r = 0; r < n; r += 1 + n / 20)
        for (int64_t stream = 1; stream <= 3; stream++)
            check_comparison(h, x, &got, stream, r);
}

static const int64_t shapes[][4] = { // rows, vocabulary, k, panels
    {1, 1, 1, 1},     {5, 17, 80, 1},  {33, 1000, 24, 3},
    {600, 130, 8, 2}, {2, 3001, 9, 7}, {0, 10, 4, 1}};

static void test_shapes(void **state) {
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        for (int type = KN_F32; type <= KN_BF16; type++) {
            struct head h = head_random((enum kn_type)type, shapes[i], type != KN_F16);
            check_head(&h, shapes[i][0], shapes[i][2]);
            buffers_free(state);
        }
    }
}

static void test_scale_and_cap(void **state) {
    static const float options[][2] = {{0.3F, 0}, {1, 0.7F}, {6.1F, 3.3F}, {-2.F, 30.F}};
    static const int64_t shape[] = {9, 700, 24, 3};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(options); i++) {
        struct head h = head_random(i % 2 ? KN_BF16 : KN_F32, shape, true);
        h.scale = options[i][0];
        h.softcap = options[i][1];
        check_head(&h, shape[0], shape[2]);
        buffers_free(state);
    }
}

// From 1e-10 nats to 50: candidates that leave the base along one direction, by 2^-15 to 2^6.
static void test_sizes(void **state) {
    static const int64_t shape[] = {4, 1500, 24, 3};
    struct head h = head_random(KN_F32, shape, false);
    struct matrix x[1 + MOST] = {matrix_random(kn->activation_type, 4, 24, 0)};
    (void)state;
    for (int i = 0; i <= MOST; i++) {
        for (int r = 0; r < 4; r++)
            x[0].values[r * 24 + 23] = i ? ldexpf(1, 3 * i - 18) : 0;
        x[i] = matrix_of(x[0].values, kn->activation_type, 4, 24, i);
    }
    for (int r = 0; r < 4; r++)
        x[0].values[r * 24 + 23] = 0;
    struct numbers got = run_divergence(&h, x, MOST);
    for (int r = 0; r < 4; r++) {
        assert_true(check_divergence(&h, x, &got, 1, r) < 2e-10L);
        for (int i = 2; i < MOST; i++)
            check_divergence(&h, x, &got, i, r);
        assert_true(check_divergence(&h, x, &got, MOST, r) > 40);
    }
}

static void check_loss_bits(const struct head *h, const struct matrix *x, const struct numbers *got,
                            int64_t stream) {
    size_t bytes = (size_t)x->m.rows * sizeof(double);
    double *host = host_new(bytes);
    struct kn_loss state = {buffer_new(NULL, bytes), buffer_new(NULL, bytes),
                            buffer_new(NULL, bytes), .x = x->m};
    check_status(kn_loss_begin(kn, &state));
    for (int64_t p = 0; p < h->panels; p++) {
        struct kn_loss loss = panel_of(h, p);
        set_state(&loss, &state);
        check_status(kn->ops->loss(kn, &loss));
    }
    const double *const sums[] = {state.maximum, state.sum, state.target};
    for (int what = MAXIMUM; what <= TARGET; what++) {
        buffer_read(sums[what], host, bytes);
        assert_memory_equal(host, sums_of(got, stream, what), bytes);
    }
}

// Each stream's loss is the loss op's, and a candidate's numbers are those it has alone.
static void test_company(void **state) {
    static const int64_t cases[][4] = {{70, 1700, 33, 3}, {520, 401, 16, 2}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(cases); i++) {
        int64_t n = cases[i][0], k = cases[i][2];
        struct head h = head_random(KN_BF16, cases[i], true);
        h.scale = 0.7F;
        h.softcap = i ? 5.3F : 0;
        struct matrix x[6] = {matrix_random(kn->activation_type, n, k, 0)};
        for (int c = 1; c < 6; c++)
            x[c] = near(&x[0], 0.01F * (float)(c * c), c);
        struct numbers all = run_divergence(&h, x, 5);
        for (int c = 0; c < 6; c++)
            check_loss_bits(&h, &x[c], &all, c);
        for (int c = 1; c < 6; c++) {
            struct numbers one = run_divergence(&h, (struct matrix[]){x[0], x[c]}, 1);
            size_t each = (size_t)n * sizeof *all.best;
            assert_memory_equal(one.sums, all.sums, (size_t)(SUMS * n) * 8);
            assert_memory_equal(one.sums + SUMS * n, sums_of(&all, c, 0), (size_t)(SUMS * n) * 8);
            assert_memory_equal(one.best + n, all.best + c * n, each);
        }
        buffers_free(state);
    }
}

// Whole numbers, so that logits are equal where they should be: 100 values in 900 logits.
static void test_ties(void **state) {
    (void)state;
    float values[900];
    const int32_t targets[4] = {0, 1, 2, 3};
    for (int i = 0; i < 900; i++)
        values[i] = (float)(i * 389 % 100);
    struct head h = {.w = matrix_of(values, kn->activation_type, 900, 1, 0), .scale = 1};
    h.targets = buffer_new(targets, sizeof targets);
    const float x[2][4] = {{3, -2, 0, 1}, {-1, -1, 4, 0}};
    const struct matrix both[] = {matrix_of(x[0], kn->activation_type, 4, 1, 0),
                                  matrix_of(x[1], kn->activation_type, 4, 1, 0)};
    for (h.panels = 1; h.panels <= 7; h.panels += 3) {
        struct numbers got = run_divergence(&h, both, 1);
        for (int i = 0; i < 8; i++) {
            int first = 0;
            for (int id = 1; id < 900; id++)
                if (x[i / 4][i % 4] * values[id] > x[i / 4][i % 4] * values[first])
                    first = id;
            assert_int_equal(got.best[i], first);
            assert_true(sums_of(&got, i / 4, BEST_LOGIT)[i % 4] ==
                        (double)(x[i / 4][i % 4] * values[first]));
        }
    }
}

// Rows with a logit that is not finite, of one stream or both, have no KL; the others keep theirs.
static void test_nonfinite(void **state) {
    (void)state;
    static const int64_t shape[] = {5, 40, 1, 2};
    struct head h = head_random(KN_F32, shape, true);
    enum kn_type type = kn->activation_type;
    const struct matrix x[] = {matrix_of((float[]){1, NAN, 1, INFINITY, 1}, type, 5, 1, 0),
                               matrix_of((float[]){1, 1, NAN, 1, -INFINITY}, type, 5, 1, 0),
                               matrix_of((float[]){2, NAN, 1, INFINITY, -1}, type, 5, 1, 0)};
    static const bool finite[3][5] = {{1, 0, 1, 0, 1}, {1, 1, 0, 1, 0}, {1, 0, 1, 0, 1}};
    struct numbers got = run_divergence(&h, x, 2);
    for (int i = 0; i < 15; i++) {
        int stream = i / 5, r = i % 5;
        assert_true((got.best[i] >= 0) == finite[stream][r]);
        assert_true(isnan(sums_of(&got, stream, BEST_LOGIT)[r]) == !finite[stream][r]);
        if (stream)
            assert_true(isfinite(divergence_of(&got, stream, r)) ==
                        (finite[0][r] && finite[stream][r]));
    }
    h.host_bias[7] = -INFINITY; // a token that the model never says
    h.bias = buffer_new(h.host_bias, 40 * sizeof(float));
    got = run_divergence(&h, x, 2);
    assert_true(isfinite(log_sum(&got, 0, 0)) && got.best[0] >= 0);
    assert_true(isnan(divergence_of(&got, 1, 0)) && isnan(divergence_of(&got, 2, 0)));
}

// A candidate's logit of -infinity where the base's is finite: NaN, not an infinite KL.
static void test_overflow(void **state) {
    (void)state;
    static const int64_t shape[] = {1, 2, 1, 1};
    struct head h = head_random(KN_F32, shape, false);
    h.w = matrix_of((float[]){0.25F, 1}, kn->activation_type, 2, 1, 0);
    h.scale = 4;
    const struct matrix x[] = {matrix_of((float[]){1}, kn->activation_type, 1, 1, 0),
                               matrix_of((float[]){-3e38F}, kn->activation_type, 1, 1, 0)};
    struct numbers got = run_divergence(&h, x, 1);
    assert_int_equal(got.best[0], 1);
    if (test_kind != KN_REFERENCE) // whose logits are f64 and do not overflow
        assert_true(isnan(sums_of(&got, 1, CROSS)[0]) && isnan(divergence_of(&got, 1, 0)));
}

static void test_shapes_refused(void **state) {
    (void)state;
    static const int64_t shape[] = {3, 20, 4, 1};
    struct head h = head_random(KN_F32, shape, false);
    struct matrix x = matrix_random(kn->activation_type, 3, 4, 0);
    struct kn_head_candidate candidate = {.x = x.m};
    struct kn_divergence op = {.base = panel_of(&h, 0), .candidates = 1, .candidate = &candidate};
    op.base.x = x.m;
    candidate.x.rows = 2;
    assert_int_equal(kn->ops->divergence(kn, &op), KN_ESHAPE);
    candidate.x = x.m;
    candidate.x.cols = 3;
    assert_int_equal(kn->ops->divergence(kn, &op), KN_ESHAPE);
    candidate.x = x.m;
    candidate.x.type = x.m.type == KN_F32 ? KN_F16 : KN_F32;
    assert_int_equal(kn->ops->divergence(kn, &op), KN_ESHAPE);
    candidate.x = x.m;
    op.candidates = -1;
    assert_int_equal(kn->ops->divergence(kn, &op), KN_ESHAPE);
    op.candidates = 1;
    op.candidate = NULL;
    assert_int_equal(kn->ops->divergence(kn, &op), KN_ESHAPE);
}

int test_divergence(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_shapes),   OPS_TEST(test_scale_and_cap),
                                       OPS_TEST(test_sizes),    OPS_TEST(test_company),
                                       OPS_TEST(test_ties),     OPS_TEST(test_nonfinite),
                                       OPS_TEST(test_overflow), OPS_TEST(test_shapes_refused)};
    return cmocka_run_group_tests_name("divergence", tests, NULL, NULL);
}
