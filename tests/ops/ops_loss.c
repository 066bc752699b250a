// SPDX-License-Identifier: Apache-2.0
#include <math.h>

#include "support.h"

struct logits {
    float scale, softcap;
};
static const struct logits plain = {1, 0};

// The loss of every row over `panels` pieces of the vocabulary; targets[r] < 0: log-sum-exp alone.
static double *run(const struct matrix *x, const struct matrix *w, const float *bias,
                   const struct logits *logits, const int32_t *targets, int64_t panels) {
    int64_t n = x->m.rows, vocabulary = w->m.rows;
    size_t bytes = (size_t)n * sizeof(double);
    double *maximum = host_new(bytes), *sum = host_new(bytes), *target = host_new(bytes);
    struct kn_loss op = {.maximum = buffer_new(NULL, bytes),
                         .sum = buffer_new(NULL, bytes),
                         .target = buffer_new(NULL, bytes),
                         .x = x->m,
                         .w = w->m,
                         .targets = buffer_new(targets, (size_t)n * sizeof *targets),
                         .scale = logits->scale,
                         .softcap = logits->softcap};
    check_status(kn_loss_begin(kn, &op));
    for (int64_t p = 0; p < panels; p++) {
        int64_t first = vocabulary * p / panels, end = vocabulary * (p + 1) / panels;
        op.first_id = first;
        op.w.rows = end - first;
        op.w.data = (char *)w->m.data + (size_t)(first * w->m.stride) * kn_type_size(w->m.type);
        op.bias = bias ? bias + first : NULL;
        check_status(kn->ops->loss(kn, &op));
    }
    buffer_read(op.maximum, maximum, bytes);
    buffer_read(op.sum, sum, bytes);
    buffer_read(op.target, target, bytes);
    for (int64_t r = 0; r < n; r++)
        maximum[r] += log(sum[r]) - target[r];
    return maximum;
}

static long double logit(const struct matrix *x, const struct matrix *w, const float *bias,
                         const struct logits *logits, int64_t row, int64_t id) {
    int64_t k = x->m.cols;
    long double sum = bias ? (long double)bias[id] : 0, softcap = (long double)logits->softcap;
    for (int64_t i = 0; i < k; i++)
        sum += (long double)x->values[row * k + i] * (long double)w->values[id * k + i];
    sum *= (long double)logits->scale;
    return softcap > 0 ? softcap * tanhl(sum / softcap) : sum;
}

static long double loss_truth(const struct matrix *x, const struct matrix *w, const float *bias,
                              const struct logits *logits, int64_t row, int32_t target) {
    int64_t vocabulary = w->m.rows;
    long double *z = host_new((size_t)vocabulary * sizeof *z), largest = -INFINITY, sum = 0;
    for (int64_t id = 0; id < vocabulary; id++) {
        z[id] = logit(x, w, bias, logits, row, id);
        largest = fmaxl(largest, z[id]);
    }
    for (int64_t id = 0; id < vocabulary; id++)
        sum += expl(z[id] - largest);
    return largest + logl(sum) - (target >= 0 ? z[target] : 0);
}

static void check_loss(const int64_t shape[4], enum kn_type type, bool with_bias,
                       const struct logits *logits) {
    int64_t n = shape[0], vocabulary = shape[1], k = shape[2], panels = shape[3];
    struct matrix x = matrix_random(kn->activation_type, n, k, 3);
    struct matrix w = matrix_weights(type, vocabulary, k, 1);
    float *host = NULL, *bias = with_bias ? vector_random(&host, vocabulary) : NULL;
    int32_t *targets = host_new((size_t)n * sizeof *targets);
    for (int64_t r = 0; r < n; r++)
        targets[r] = r % 5 == 3 ? -1 : (int32_t)(r * 37 % vocabulary);
    double *got = run(&x, &w, bias, logits, targets, panels);
    for (int64_t r = 0; r < n; r += 1 + n / 40) {
        long double truth = loss_truth(&x, &w, host, logits, r, targets[r]);
        check_close_f64(OP_LOSS, kn->activation_type, &got[r], &truth, 1);
    }
}

static void test_shapes(void **state) {
    static const int64_t shapes[][4] = {// rows, vocabulary, k, panels
                                        {1, 1, 1, 1},     {5, 17, 80, 1},  {33, 1000, 24, 3},
                                        {600, 130, 8, 2}, {2, 3001, 9, 7}, {0, 10, 4, 1}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        for (int type = KN_F32; type <= KN_BF16; type++) {
            check_loss(shapes[i], (enum kn_type)type, type != KN_F16, &plain);
            buffers_free(state);
        }
    }
}

static void test_scale_and_cap(void **state) {
    static const struct logits logits[] = {{0.125F, 0}, {1, 0.5F}, {6.F, 3.F}, {-2.F, 30.F}};
    static const int64_t shapes[][4] = {{9, 400, 24, 3}, {2, 17, 5, 1}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(logits); i++) {
        check_loss(shapes[0], KN_F32, true, &logits[i]);
        check_loss(shapes[1], KN_BF16, false, &logits[i]);
        buffers_free(state);
    }
}

// Logits of some thousand, the largest in the first, a middle and the last panel.
static void test_large_logits(void **state) {
    (void)state;
    float values[900];
    const int32_t targets[] = {0, 450, 899};
    struct matrix x = matrix_of((float[]){3, -2, 1}, kn->activation_type, 3, 1, 0);
    for (int i = 0; i < 900; i++)
        values[i] = (float)((i * 389) % 900) * 8 - 3600;
    struct matrix w = matrix_of(values, kn->activation_type, 900, 1, 0);
    double *got = run(&x, &w, NULL, &plain, targets, 4);
    for (int r = 0; r < 3; r++) {
        long double truth = loss_truth(&x, &w, NULL, &plain, r, targets[r]);
        check_close_f64(OP_LOSS, kn->activation_type, &got[r], &truth, 1);
    }
}

static void test_nonfinite(void **state) {
    (void)state;
    const int32_t targets[] = {0, 1, 2};
    struct matrix x = matrix_of((float[]){1, NAN, INFINITY}, kn->activation_type, 3, 1, 0);
    struct matrix w = matrix_weights(KN_F32, 40, 1, 0);
    double *got = run(&x, &w, NULL, &plain, targets, 2);
    assert_true(isfinite(got[0]) && isnan(got[1]) && isnan(got[2]));
}

int test_loss(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_shapes), OPS_TEST(test_scale_and_cap),
                                       OPS_TEST(test_large_logits), OPS_TEST(test_nonfinite)};
    return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
