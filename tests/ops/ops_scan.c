// SPDX-License-Identifier: Apache-2.0
#include <math.h>

#include "support.h"

// ---- convolution -------------------------------------------------------------------------------

struct convolution {
    int64_t sequences, length, cols, taps;
    enum kn_activation activation;
    bool biased;
};

static void check_convolution(const struct convolution *s) {
    int64_t rows = s->sequences * s->length;
    struct matrix x = matrix_random(test_type, rows, s->cols, 3),
                  y = matrix_output(test_type, rows, s->cols, 2);
    float *weight, *bias, *on_device = vector_random(&weight, s->cols * s->taps),
                          *bias_on_device = vector_random(&bias, s->cols);
    struct kn_convolution op = {.y = y.m,
                                .x = x.m,
                                .weight = on_device,
                                .bias = s->biased ? bias_on_device : NULL,
                                .length = s->length,
                                .taps = s->taps,
                                .activation = s->activation};
    long double *truth = host_new((size_t)(rows * s->cols) * sizeof *truth);
    for (int64_t i = 0; i < rows * s->cols; i++) {
        int64_t r = i / s->cols, c = i % s->cols;
        long double sum = s->biased ? (long double)bias[c] : 0;
        for (int64_t t = 0; t < s->taps; t++)
            if (r % s->length - s->taps + 1 + t >= 0)
                sum += (long double)weight[c * s->taps + t] *
                       (long double)x.values[(r - s->taps + 1 + t) * s->cols + c];
        truth[i] = truth_activate(s->activation, sum);
    }
    check_status(kn->ops->convolution(kn, &op));
    matrix_read(&y);
    check_close(OP_CONVOLUTION, test_type, y.values, truth, rows * s->cols);
}

// Sequences shorter than the taps, of one row, and none; rows of another sequence are not seen.
static void test_convolution(void **state) {
    static const struct convolution shapes[] = {
        {1, 1, 1, 4, KN_SILU, true},    {3, 2, 5, 4, KN_SILU, false},
        {2, 9, 33, 4, KN_SILU, true},   {4, 16, 130, 3, KN_IDENTITY, true},
        {2, 130, 64, 1, KN_SILU, true}, {1, 40, 700, 7, KN_GELU_ERF, false},
        {0, 4, 8, 4, KN_SILU, true},
    };
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        check_convolution(&shapes[i]);
        buffers_free(state);
    }
}

static void test_convolution_refusals(void **state) {
    (void)state;
    struct matrix x = matrix_random(test_type, 6, 5, 0), y = matrix_output(test_type, 6, 5, 0);
    float *weight, *on_device = vector_random(&weight, 20);
    struct kn_convolution op = {.y = y.m, .x = x.m, .weight = on_device, .length = 3, .taps = 4};
    check_status(kn->ops->convolution(kn, &op));
    op.length = 4;
    assert_int_equal(kn->ops->convolution(kn, &op), KN_ESHAPE); // half a sequence
    op.length = 3;
    op.taps = 0;
    assert_int_equal(kn->ops->convolution(kn, &op), KN_ESHAPE);
    op.taps = 4;
    op.activation = KN_XIELU;
    assert_int_equal(kn->ops->convolution(kn, &op), KN_EUNSUPPORTED);
}

// ---- scan --------------------------------------------------------------------------------------

struct scan {
    int64_t sequences, length, heads, dim, groups, states;
    float low, high;
    bool in_place;
};

// What a scan's operands are, as the truth reads them: rows [x | b | c | dt].
struct scan_operands {
    const struct scan *shape;
    int64_t cols;
    const float *rows, *a_log, *d, *dt_bias;
};

static long double scan_step(const struct scan_operands *o, int64_t row, int64_t head) {
    int64_t at = o->cols - o->shape->heads + head;
    long double dt = (long double)o->rows[row * o->cols + at] + (long double)o->dt_bias[head];
    long double step = log1pl(expl(dt));
    step = fmaxl(step, (long double)o->shape->low);
    return fminl(step, (long double)o->shape->high);
}

// y of entry i of a head over one sequence.
static void scan_entry(const struct scan_operands *o, int64_t sequence, int64_t head, int64_t i,
                       long double *truth) {
    const struct scan *s = o->shape;
    int64_t width = s->heads * s->dim, column = head * s->dim + i;
    int64_t b = width + head / (s->heads / s->groups) * s->states, c = b + s->groups * s->states;
    long double state[512] = {0};
    for (int64_t r = sequence * s->length; r < (sequence + 1) * s->length; r++) {
        const float *row = o->rows + r * o->cols;
        long double step = scan_step(o, r, head), x = (long double)row[column];
        long double decay = expl(-expl((long double)o->a_log[head]) * step);
        long double sum = (long double)o->d[head] * x;
        for (int64_t n = 0; n < s->states; n++) {
            state[n] = decay * state[n] + step * x * (long double)row[b + n];
            sum += state[n] * (long double)row[c + n];
        }
        truth[r * width + column] = sum;
    }
}

static struct kn_heads heads_at(struct kn_matrix x, int64_t first, int64_t count, int64_t dim) {
    return (struct kn_heads){.x = x, .first_col = first, .count = count, .pitch = dim, .dim = dim};
}

static struct kn_scan scan_of(const struct scan *s, struct kn_matrix x, struct kn_matrix y) {
    int64_t width = s->heads * s->dim, states = s->groups * s->states;
    return (struct kn_scan){.y = heads_at(s->in_place ? x : y, 0, s->heads, s->dim),
                            .x = heads_at(x, 0, s->heads, s->dim),
                            .b = heads_at(x, width, s->groups, s->states),
                            .c = heads_at(x, width + states, s->groups, s->states),
                            .dt = heads_at(x, width + 2 * states, s->heads, 1),
                            .low = s->low,
                            .high = s->high,
                            .length = s->length};
}

static void check_scan(const struct scan *s) {
    int64_t rows = s->sequences * s->length, width = s->heads * s->dim;
    int64_t cols = width + 2 * s->groups * s->states + s->heads;
    struct matrix x = matrix_random(test_type, rows, cols, 3),
                  y = matrix_output(test_type, rows, width, 2);
    float *a_log, *d, *dt_bias;
    struct kn_scan op = scan_of(s, x.m, y.m);
    op.a_log = vector_random(&a_log, s->heads);
    op.d = vector_random(&d, s->heads);
    op.dt_bias = vector_random(&dt_bias, s->heads);
    float *values = host_new((size_t)(rows * cols) * sizeof *values); // x's, before it is y
    for (int64_t i = 0; i < rows * cols; i++)
        values[i] = x.values[i];
    struct scan_operands operands = {s, cols, values, a_log, d, dt_bias};
    long double *truth = host_new((size_t)(rows * width) * sizeof *truth);
    for (int64_t task = 0; task < s->sequences * width; task++)
        scan_entry(&operands, task / width, task % width / s->dim, task % s->dim, truth);
    check_status(kn->ops->scan(kn, &op));
    struct matrix *out = s->in_place ? &x : &y;
    matrix_read(out);
    float *got = host_new((size_t)(rows * width) * sizeof *got);
    for (int64_t i = 0; i < rows * width; i++)
        got[i] = out->values[i / width * (s->in_place ? cols : width) + i % width];
    check_close(OP_SCAN, test_type, got, truth, rows * width);
}

static void test_scan(void **state) {
    static const struct scan shapes[] = {
        {1, 1, 1, 1, 1, 1, 0, INFINITY, false},    {3, 7, 4, 5, 2, 33, 0, INFINITY, false},
        {2, 33, 6, 8, 1, 16, 0, INFINITY, true},   {1, 130, 2, 64, 2, 128, 0, INFINITY, true},
        {2, 20, 4, 16, 4, 256, 0.5F, 1.5F, false}, {1, 9, 3, 3, 1, 500, 0.9F, INFINITY, false},
        {0, 4, 2, 8, 1, 16, 0, INFINITY, false},
    };
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        check_scan(&shapes[i]);
        buffers_free(state);
    }
}

// What is not a number stays so, whatever bounds a step has, and stays in its sequence and head.
static void test_scan_nan(void **state) {
    (void)state;
    const struct scan s = {2, 3, 2, 1, 1, 1, 0, 1, false};
    float rows[6 * 6], zeros[2] = {0};
    for (int i = 0; i < 36; i++)
        rows[i] = i == 6 + 4 ? NAN : 1; // dt of head 0 at position 1 of the first sequence
    struct matrix x = matrix_of(rows, test_type, 6, 6, 0), y = matrix_output(test_type, 6, 2, 0);
    struct kn_scan op = scan_of(&s, x.m, y.m);
    op.a_log = op.d = op.dt_bias = buffer_new(zeros, sizeof zeros);
    check_status(kn->ops->scan(kn, &op));
    matrix_read(&y);
    for (int i = 0; i < 12; i++)
        assert_int_equal(isnan(y.values[i]) != 0, i == 2 || i == 4);
}

static void test_scan_refusals(void **state) {
    (void)state;
    const struct scan s = {2, 3, 4, 2, 2, 5, 0, 1, false};
    struct matrix x = matrix_random(test_type, 6, 32, 0), y = matrix_output(test_type, 6, 8, 0);
    float *a, *vector = vector_random(&a, 4);
    struct kn_scan op = scan_of(&s, x.m, y.m);
    op.a_log = op.d = op.dt_bias = vector;
    check_status(kn->ops->scan(kn, &op));
    op.length = 4;
    assert_int_equal(kn->ops->scan(kn, &op), KN_ESHAPE);
    op.length = 3;
    op.b.count = op.c.count = 3;
    assert_int_equal(kn->ops->scan(kn, &op), KN_ESHAPE); // four heads cannot share three
    op.b.count = op.c.count = 2;
    op.low = 2;
    assert_int_equal(kn->ops->scan(kn, &op), KN_ESHAPE);
}

int test_scans(void) {
    const struct CMUnitTest tests[] = {
        OPS_TEST(test_convolution), OPS_TEST(test_convolution_refusals), OPS_TEST(test_scan),
        OPS_TEST(test_scan_nan),    OPS_TEST(test_scan_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
