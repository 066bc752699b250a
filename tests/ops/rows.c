// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <math.h>

static void norm_truth(const struct kn_norm *op, const float *x, const float *addend,
                       const float *weight, const float *bias, long double *y) {
    int64_t cols = op->x.cols;
    long double mean = 0, squares = 0;
    for (int64_t c = 0; c < cols; c++) {
        y[c] = (long double)(addend ? x[c] + addend[c] : x[c]);
        mean += y[c] / (long double)cols;
    }
    mean = op->kind == KN_LAYER_NORM ? mean : 0;
    for (int64_t c = 0; c < cols; c++) {
        squares += (y[c] - mean) * (y[c] - mean) / (long double)cols;
    }
    for (int64_t c = 0; c < cols; c++) {
        long double v = (y[c] - mean) / sqrtl(squares + (long double)op->epsilon);
        y[c] = v * (weight ? (long double)weight[c] : 1) + (bias ? (long double)bias[c] : 0);
    }
}

static void check_norm(enum kn_norm_kind kind, int64_t rows, int64_t cols, bool with_addend,
                       bool with_weight, float special) {
    struct matrix x = matrix_random(KN_F32, rows, cols, 4);
    if (special != 0) {
        x.values[cols / 2] = special;
        x = matrix_of(x.values, KN_F32, rows, cols, 4);
    }
    struct matrix addend = matrix_random(KN_F32, rows, cols, 9);
    struct matrix y = matrix_output(kn->activation_type, rows, cols, 2);
    float *weight = NULL, *bias = NULL;
    struct kn_norm op = {y.m, x.m, {0}, kind, NULL, NULL, 1e-5F};
    if (with_addend) {
        op.addend = addend.m;
    }
    if (with_weight) {
        op.weight = vector_random(&weight, cols);
        op.bias = kind == KN_LAYER_NORM ? vector_random(&bias, cols) : NULL;
    }
    check_status(kn->ops->norm(kn, &op));
    matrix_read(&y);
    long double *truth = host_new((size_t)(rows * cols) * sizeof *truth);
    for (int64_t r = 0; r < rows; r++) {
        norm_truth(&op, x.values + r * cols, with_addend ? addend.values + r * cols : NULL, weight,
                   bias, truth + r * cols);
        check_close(OP_NORM, y.m.type, y.values + r * cols, truth + r * cols, cols);
    }
}

static void test_norm(void **state) {
    static const int64_t sizes[][2] = {{1, 1}, {3, 80}, {7, 33}, {2, 1000}, {65, 24}, {0, 8}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(sizes); i++) {
        for (int variant = 0; variant < 8; variant++) {
            check_norm(variant & 1 ? KN_LAYER_NORM : KN_RMS_NORM, sizes[i][0], sizes[i][1],
                       variant & 2, variant & 4, 0);
            buffers_free(state);
        }
    }
    for (int kind = KN_RMS_NORM; kind <= KN_LAYER_NORM; kind++) {
        check_norm((enum kn_norm_kind)kind, 3, 40, true, true, NAN);
        check_norm((enum kn_norm_kind)kind, 3, 40, false, true, 3e4F);
    }
}

// A large mean with a small spread: the variance must not drown in mean^2.
static void test_norm_offset(void **state) {
    (void)state;
    float values[512];
    for (int i = 0; i < 512; i++) {
        values[i] = 1000 + random_value();
    }
    struct matrix x = matrix_of(values, KN_F32, 1, 512, 0);
    struct matrix y = matrix_output(kn->activation_type, 1, 512, 0);
    struct kn_norm op = {y.m, x.m, {0}, KN_LAYER_NORM, NULL, NULL, 1e-5F};
    check_status(kn->ops->norm(kn, &op));
    matrix_read(&y);
    long double truth[512];
    norm_truth(&op, values, NULL, NULL, NULL, truth);
    for (int i = 0; i < 512; i++) { // the mean itself is rounded to f32: 3e-5 of the spread
        assert_true(fabsl((long double)y.values[i] - truth[i]) <
                    (y.m.type == KN_F32 ? 2e-4 : 0.02));
    }
}

static void rope_truth(const struct kn_rope *op, const float *cosine, const float *sine,
                       int64_t row, long double *x) {
    bool half_split = op->kind == KN_ROPE_HALF_SPLIT;
    for (int64_t h = 0; h < op->heads; h++) {
        for (int64_t i = 0; i < op->pairs; i++) {
            long double *head = x + op->first_col + h * op->head_dim;
            long double *a = head + (half_split ? i : 2 * i);
            long double *b = half_split ? head + i + op->pairs : a + 1;
            int64_t angle = row % op->seq_len * op->pairs + i;
            long double c = (long double)cosine[angle], s = (long double)sine[angle];
            long double turned = *a * c - *b * s;
            *b = *b * c + *a * s;
            *a = turned;
        }
    }
}

static void check_rope(int64_t first_col, int64_t heads, int64_t head_dim, int64_t pairs,
                       enum kn_rope_kind kind) {
    const int64_t seq_len = 7, rows = 14, cols = first_col + heads * head_dim + 5;
    struct matrix x = matrix_random(kn->activation_type, rows, cols, 3);
    float *cosine, *sine;
    struct kn_rope op = {x.m, first_col, heads, head_dim, pairs, seq_len, NULL, NULL, kind};
    op.cos = vector_random(&cosine, seq_len * pairs);
    op.sin = vector_random(&sine, seq_len * pairs);
    long double *truth = host_new((size_t)(rows * cols) * sizeof *truth);
    for (int64_t i = 0; i < rows * cols; i++) {
        truth[i] = (long double)x.values[i];
    }
    for (int64_t r = 0; r < rows; r++) {
        rope_truth(&op, cosine, sine, r, truth + r * cols);
    }
    check_status(kn->ops->rope(kn, &op));
    matrix_read(&x);
    check_close(OP_ROPE, x.m.type, x.values, truth, rows * cols);
}

static void test_rope(void **state) {
    static const int64_t cases[][4] = {{0, 1, 2, 1},   {0, 3, 24, 12}, {48, 2, 80, 10},
                                       {5, 2, 64, 32}, {0, 2, 7, 3},   {0, 2, 8, 0},
                                       {3, 0, 8, 4},   {16, 4, 96, 24}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(cases); i++) {
        const int64_t *c = cases[i];
        check_rope(c[0], c[1], c[2], c[3], KN_ROPE_HALF_SPLIT);
        check_rope(c[0], c[1], c[2], c[3], KN_ROPE_INTERLEAVED);
        buffers_free(state);
    }
}

// From the far negative tail over zero to where the gate is the identity, and the non-finite.
static void test_gate(void **state) {
    (void)state;
    const int64_t cols = 4001;
    struct matrix x = matrix_random(kn->activation_type, 3, 2 * cols, 1);
    for (int64_t i = 0; i < cols; i++) {
        x.values[i] = (float)(i - 2000) * 0.0045F; // -9 ... 9
    }
    const float special[] = {NAN, INFINITY, -INFINITY, 0, -1e30F, 1e30F, -1e-30F, 40, -14};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(special); i++) {
        x.values[2 * cols + (int64_t)i] = special[i];
    }
    x = matrix_of(x.values, kn->activation_type, 3, 2 * cols, 1);
    struct matrix y = matrix_output(kn->activation_type, 3, cols, 6);
    long double *truth = host_new((size_t)(3 * cols) * sizeof *truth);
    for (int kind = KN_IDENTITY; kind <= KN_RELU; kind++) {
        struct kn_gate op = {y.m, x.m, (enum kn_activation)kind};
        check_status(kn->ops->gate(kn, &op));
        matrix_read(&y);
        for (int64_t i = 0; i < 3 * cols; i++) {
            const float *row = x.values + i / cols * 2 * cols + i % cols;
            truth[i] = truth_activate(op.activation, (long double)*row) * (long double)row[cols];
        }
        check_close(OP_GATE, y.m.type, y.values, truth, 3 * cols);
    }
}

static void test_gate_in_place(void **state) {
    (void)state;
    struct matrix x = matrix_random(kn->activation_type, 5, 66, 3);
    struct matrix y = {x.m, NULL};
    y.m.cols = 33;
    struct kn_gate op = {y.m, x.m, KN_SILU};
    long double truth[5 * 66];
    for (int i = 0; i < 5 * 66; i++) {
        long double v = (long double)x.values[i];
        truth[i] = i % 66 < 33 ? truth_activate(KN_SILU, v) * (long double)x.values[i + 33] : v;
    }
    check_status(kn->ops->gate(kn, &op));
    matrix_read(&x);
    check_close(OP_GATE, x.m.type, x.values, truth, 5 * 66);
}

static void check_add(int64_t rows, int64_t cols, bool with_addend) {
    struct matrix x = matrix_random(KN_F32, rows, cols, 2),
                  delta = matrix_random(KN_F32, rows, cols, 1);
    struct matrix addend = matrix_random(KN_F32, rows, cols, 3);
    long double *truth = host_new((size_t)(rows * cols) * sizeof *truth);
    for (int64_t i = 0; i < rows * cols; i++) {
        float sum = with_addend ? delta.values[i] + addend.values[i] : delta.values[i];
        truth[i] = (long double)x.values[i] + (long double)sum;
    }
    struct kn_add op = {x.m, delta.m, with_addend ? addend.m : (struct kn_matrix){0}};
    check_status(kn->ops->add(kn, &op));
    matrix_read(&x);
    check_close(OP_ADD, KN_F32, x.values, truth, rows * cols);
}

static void test_add(void **state) {
    for (int64_t cols = 1; cols < 90; cols += 11) {
        check_add(cols / 3, cols, false);
        check_add(5, cols, true);
        buffers_free(state);
    }
}

static void check_embed(enum kn_type type, int64_t cols) {
    const int64_t rows = 6, vocabulary = 11, first_panel = 4;
    const int32_t ids[] = {10, 0, 3, 4, 0, 7};
    struct matrix table = matrix_random(type, vocabulary, cols, 3);
    struct matrix y = matrix_output(KN_F32, rows, cols, 2);
    int32_t *device_ids = buffer_new(ids, sizeof ids);
    struct kn_embed op = {y.m, table.m, device_ids, 0};
    op.table.rows = first_panel; // ids 0 ... 3, then the rest
    check_status(kn->ops->embed(kn, &op));
    op.first_id = first_panel;
    op.table.rows = vocabulary - first_panel;
    op.table.data =
        (char *)table.m.data + (size_t)(first_panel * table.m.stride) * kn_type_size(type);
    check_status(kn->ops->embed(kn, &op));
    matrix_read(&y);
    long double *truth = host_new((size_t)(rows * cols) * sizeof *truth);
    for (int64_t i = 0; i < rows * cols; i++) {
        truth[i] = (long double)table.values[ids[i / cols] * cols + i % cols];
    }
    check_close(OP_EMBED, KN_F32, y.values, truth, rows * cols);
}

static void test_embed(void **state) {
    (void)state;
    for (int type = KN_F32; type <= KN_BF16; type++) {
        check_embed((enum kn_type)type, 80);
        check_embed((enum kn_type)type, 1);
    }
}

// An id of no panel leaves its row as it was.
static void test_embed_foreign(void **state) {
    (void)state;
    const int32_t ids[] = {5, -1, 2};
    struct matrix table = matrix_random(KN_F32, 4, 8, 0), y = matrix_random(KN_F32, 3, 8, 0);
    struct kn_embed op = {y.m, table.m, buffer_new(ids, sizeof ids), 0};
    long double truth[24];
    for (int i = 0; i < 24; i++) {
        truth[i] = (long double)(i < 16 ? y.values[i] : table.values[i]);
    }
    check_status(kn->ops->embed(kn, &op));
    matrix_read(&y);
    check_close(OP_EMBED, KN_F32, y.values, truth, 24);
}

int test_rows(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_norm),          OPS_TEST(test_norm_offset),
                                       OPS_TEST(test_rope),          OPS_TEST(test_gate),
                                       OPS_TEST(test_gate_in_place), OPS_TEST(test_add),
                                       OPS_TEST(test_embed),         OPS_TEST(test_embed_foreign)};
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
