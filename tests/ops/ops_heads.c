// SPDX-License-Identifier: Apache-2.0
#include "support.h"

// positions: the host's copy of the op's.
static void rope_truth(const struct kn_rope *op, const int32_t *positions, const float *cosine,
                       const float *sine, int64_t row, long double *x) {
    bool half_split = op->kind == KN_ROPE_HALF_SPLIT;
    for (int64_t h = 0; h < op->heads.count; h++) {
        for (int64_t i = 0; i < op->pairs; i++) {
            long double *head = x + op->heads.first_col + h * op->heads.pitch;
            long double *a = head + (half_split ? i : 2 * i);
            long double *b = half_split ? head + i + op->pairs : a + 1;
            int64_t position =
                positions ? positions[row] : op->sequences.first + row % op->sequences.queries;
            int64_t angle = position * op->pairs + i;
            long double c = (long double)cosine[angle], s = (long double)sine[angle];
            long double turned = *a * c - *b * s;
            *b = *b * c + *a * s;
            *a = turned;
        }
    }
}

static void check_rope(const int64_t shape[5], int64_t first, enum kn_rope_kind kind, bool own) {
    const int64_t first_col = shape[0], count = shape[1], pitch = shape[2], dim = shape[3];
    const int64_t pairs = shape[4], rows = 14, cols = first_col + count * pitch + 5;
    struct matrix x = matrix_random(kn->activation_type, rows, cols, 3);
    float *cosine, *sine;
    const struct kn_sequences sequences = {7, 0, first};
    int32_t positions[14];
    for (int r = 0; r < 14; r++)
        positions[r] = (int32_t)((first + 6) * (13 - r) / 13);
    struct kn_rope op = {.heads = {x.m, first_col, count, pitch, dim},
                         .sequences = sequences,
                         .pairs = pairs,
                         .kind = kind,
                         .positions = own ? buffer_new(positions, sizeof positions) : NULL};
    op.cos = vector_random(&cosine, (first + 7) * pairs);
    op.sin = vector_random(&sine, (first + 7) * pairs);
    long double *truth = host_new((size_t)(rows * cols) * sizeof *truth);
    for (int64_t i = 0; i < rows * cols; i++)
        truth[i] = (long double)x.values[i];
    for (int64_t r = 0; r < rows; r++)
        rope_truth(&op, own ? positions : NULL, cosine, sine, r, truth + r * cols);
    check_status(kn->ops->rope(kn, &op));
    matrix_read(&x);
    check_close(OP_ROPE, x.m.type, x.values, truth, rows * cols);
}

static void test_rope(void **state) {
    static const int64_t cases[][5] = {// first column, count, pitch, dim, pairs
                                       {0, 1, 2, 2, 1},    {0, 3, 24, 24, 12},  {48, 2, 80, 80, 10},
                                       {5, 2, 64, 64, 32}, {0, 2, 7, 7, 3},     {0, 2, 8, 8, 0},
                                       {3, 0, 8, 8, 4},    {16, 4, 96, 96, 24}, {5, 3, 50, 20, 10}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(cases); i++) {
        for (int64_t first = 0; first < 30; first += 13) {
            check_rope(cases[i], first, KN_ROPE_HALF_SPLIT, false);
            check_rope(cases[i], first, KN_ROPE_INTERLEAVED, false);
            check_rope(cases[i], first, KN_ROPE_HALF_SPLIT, true);
            check_rope(cases[i], first, KN_ROPE_INTERLEAVED, true);
        }
        buffers_free(state);
    }
}

static void test_rope_errors(void **state) {
    (void)state;
    struct matrix x = matrix_random(kn->activation_type, 2, 20, 0);
    float *angles, *device = vector_random(&angles, 20);
    struct kn_rope op = {.heads = {x.m, 0, 2, 10, 10},
                         .sequences = kn_whole_sequences(2),
                         .pairs = 6,
                         .cos = device,
                         .sin = device,
                         .kind = KN_ROPE_INTERLEAVED};
    assert_int_equal(kn->ops->rope(kn, &op), KN_ESHAPE); // 12 entries of 10
    op.pairs = 5;
    op.heads.pitch = 0; // would turn the same columns twice
    assert_int_equal(kn->ops->rope(kn, &op), KN_ESHAPE);
    op.heads.pitch = 11;
    assert_int_equal(kn->ops->rope(kn, &op), KN_ESHAPE);
    op.heads.pitch = 10;
    op.sequences.first = -1;
    assert_int_equal(kn->ops->rope(kn, &op), KN_ESHAPE);
    op.sequences = kn_whole_sequences(0);
    assert_int_equal(kn->ops->rope(kn, &op), KN_ESHAPE);
    op.sequences = kn_whole_sequences(2);
    check_status(kn->ops->rope(kn, &op));
}

// y_heads: first column, count, pitch, dim; x_heads the same.
static void check_copy_heads(enum kn_type type, const int64_t y_heads[4], const int64_t x_heads[4],
                             int64_t cols, int64_t pad) {
    const int64_t rows = 5;
    struct matrix x = matrix_random(type, rows, cols, pad + pad / 2);
    struct matrix y = matrix_random(type, rows, cols, pad);
    struct kn_copy_heads op = {.y = {y.m, y_heads[0], y_heads[1], y_heads[2], y_heads[3]},
                               .x = {x.m, x_heads[0], x_heads[1], x_heads[2], x_heads[3]}};
    long double *truth = host_new((size_t)(rows * cols) * sizeof *truth);
    for (int64_t i = 0; i < rows * cols; i++) {
        int64_t at = i % cols - op.y.first_col;
        int64_t head = at >= 0 && op.y.pitch ? at / op.y.pitch : 0, c = at - head * op.y.pitch;
        bool is_copied = at >= 0 && head < op.y.count && c < op.y.dim;
        int64_t from = op.x.first_col + (op.x.count == 1 ? 0 : head) * op.x.pitch + c;
        truth[i] = (long double)(is_copied ? x.values[i / cols * cols + from] : y.values[i]);
    }
    check_status(kn->ops->copy_heads(kn, &op));
    matrix_read(&y);
    check_close(OP_COPY, type, y.values, truth, rows * cols);
}

// Rows that go elsewhere, and two that go nowhere.
static void test_copy_heads_rows(void **state) {
    (void)state;
    static const int32_t rows[] = {6, -1, 0, 3, -1};
    struct matrix x = matrix_random(kn->activation_type, 5, 24, 3);
    struct matrix y = matrix_random(kn->activation_type, 8, 20, 2);
    struct kn_copy_heads op = {
        .y = {y.m, 2, 3, 6, 4}, .x = {x.m, 1, 3, 8, 4}, .rows = buffer_new(rows, sizeof rows)};
    long double truth[8 * 20];
    for (int i = 0; i < 8 * 20; i++)
        truth[i] = (long double)y.values[i];
    for (int r = 0; r < 5; r++)
        for (int c = 0; rows[r] >= 0 && c < 12; c++)
            truth[rows[r] * 20 + 2 + c / 4 * 6 + c % 4] =
                (long double)x.values[r * 24 + 1 + c / 4 * 8 + c % 4];
    check_status(kn->ops->copy_heads(kn, &op));
    matrix_read(&y);
    check_close(OP_COPY, y.m.type, y.values, truth, 8 * 20);
}

static void test_copy_heads(void **state) {
    static const int64_t heads[][2][4] = {
        {{0, 3, 20, 12}, {5, 3, 12, 12}}, // spread
        {{12, 4, 14, 6}, {63, 1, 6, 6}},  // one head for all
        {{12, 4, 14, 6}, {0, 1, 0, 6}},   // the same
        {{0, 2, 30, 30}, {8, 2, 0, 30}},  // the same columns twice
        {{69, 1, 0, 1}, {0, 1, 1, 1}},    {{0, 0, 8, 8}, {0, 1, 8, 8}},
    };
    for (size_t i = 0; i < TEST_ARRAY_SIZE(heads); i++) {
        check_copy_heads(kn->activation_type, heads[i][0], heads[i][1], 70, 2);
        check_copy_heads(KN_F32, heads[i][0], heads[i][1], 70, 2);
        buffers_free(state);
    }
    // Multiples of 16 bytes, and all of a matrix at once.
    static const int64_t packs[][2][4] = {{{8, 3, 24, 16}, {16, 3, 16, 16}},
                                          {{0, 4, 24, 24}, {8, 1, 24, 24}},
                                          {{0, 4, 24, 24}, {0, 4, 24, 24}}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(packs); i++)
        for (int64_t pad = 0; pad <= 16; pad += 16) {
            check_copy_heads(kn->activation_type, packs[i][0], packs[i][1], 96, pad);
            check_copy_heads(KN_F32, packs[i][0], packs[i][1], 96, pad);
            buffers_free(state);
        }
}

static void test_copy_heads_errors(void **state) {
    (void)state;
    struct matrix x = matrix_random(KN_F32, 2, 20, 0), y = matrix_random(KN_F32, 2, 20, 0);
    const struct kn_copy_heads good = {.y = {y.m, 0, 4, 5, 5}, .x = {x.m, 0, 4, 5, 5}};
    struct kn_copy_heads bad[5] = {good, good, good, good, good};
    bad[0].x.count = 2;
    bad[1].x.dim = 4;
    bad[2].y.pitch = 0;
    bad[3].x.x.rows = 1;
    bad[4].y.first_col = 1;
    for (size_t i = 0; i < TEST_ARRAY_SIZE(bad); i++)
        assert_int_equal(kn->ops->copy_heads(kn, &bad[i]), KN_ESHAPE);
    check_status(kn->ops->copy_heads(kn, &good));
}

// Heads of `from` entries become heads of `to`, each by `from` or, transposed, `to` rows of w, of
// which some lie before, between and behind.
struct head_shape {
    int64_t rows, heads, from, to;
    bool transposed;
};

static void check_head_product(const struct head_shape *s, enum kn_type type) {
    int64_t own = s->transposed ? s->to : s->from, cols = s->transposed ? s->from : s->to;
    int64_t pitch = own + 3, first = 2;
    struct matrix x = matrix_random(kn->activation_type, s->rows, 4 + s->heads * (s->from + 1), 3);
    struct matrix w = matrix_weights(type, first + s->heads * pitch, cols, 5);
    struct matrix y = matrix_output(kn->activation_type, s->rows, s->heads * s->to, 2);
    struct kn_head_product op = {.y = {y.m, 0, s->heads, s->to, s->to},
                                 .x = {x.m, 4, s->heads, s->from + 1, s->from},
                                 .w = w.m,
                                 .first_row = first,
                                 .row_pitch = pitch,
                                 .transposed = s->transposed};
    int64_t count = s->rows * s->heads * s->to;
    long double *truth = host_new((size_t)count * sizeof *truth);
    for (int64_t i = 0; i < count; i++) {
        int64_t r = i / (s->heads * s->to), h = i / s->to % s->heads, j = i % s->to;
        const float *from = x.values + r * x.m.cols + 4 + h * (s->from + 1);
        for (int64_t k = 0; k < s->from; k++) {
            int64_t row = first + h * pitch + (s->transposed ? j : k);
            truth[i] +=
                (long double)from[k] * (long double)w.values[row * cols + (s->transposed ? k : j)];
        }
    }
    check_status(kn->ops->head_product(kn, &op));
    matrix_read(&y);
    check_close(OP_PRODUCT, y.m.type, y.values, truth, count);
}

static void test_head_product(void **state) {
    static const struct head_shape shapes[] = {
        {1, 1, 1, 1, false},   {1, 1, 1, 1, true},       {7, 3, 24, 130, false},
        {7, 3, 130, 24, true}, {1, 16, 128, 512, false}, {1, 16, 512, 128, true},
        {9, 2, 33, 65, false}, {17, 2, 65, 67, true},    {0, 2, 4, 4, false},
        {3, 0, 4, 4, true},
    };
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++)
        for (int type = KN_F32; type <= KN_BF16; type++) {
            check_head_product(&shapes[i], (enum kn_type)type);
            buffers_free(state);
        }
}

static void test_head_product_errors(void **state) {
    (void)state;
    struct matrix x = matrix_random(kn->activation_type, 2, 12, 0);
    struct matrix y = matrix_output(kn->activation_type, 2, 10, 0);
    struct matrix w = matrix_weights(KN_F32, 7, 5, 0);
    const struct kn_head_product good = {
        .y = {y.m, 0, 2, 5, 5}, .x = {x.m, 0, 2, 6, 3}, .w = w.m, .first_row = 1, .row_pitch = 3};
    struct kn_head_product bad[8] = {good, good, good, good, good, good, good, good};
    bad[0].first_row = 2; // the second head's rows would be 5 to 7
    bad[1].row_pitch = 4;
    bad[2].transposed = true;
    bad[3].y.count = 1;
    bad[4].y.pitch = 0;
    bad[5].x.x.rows = 1;
    bad[6].first_row = -1;
    bad[7].y.dim = 4;
    for (size_t i = 0; i < TEST_ARRAY_SIZE(bad); i++)
        assert_int_equal(kn->ops->head_product(kn, &bad[i]), KN_ESHAPE);
    check_status(kn->ops->head_product(kn, &good));
}

int test_heads(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_rope),
                                       OPS_TEST(test_rope_errors),
                                       OPS_TEST(test_copy_heads),
                                       OPS_TEST(test_copy_heads_rows),
                                       OPS_TEST(test_copy_heads_errors),
                                       OPS_TEST(test_head_product),
                                       OPS_TEST(test_head_product_errors)};
    return cmocka_run_group_tests_name("heads", tests, NULL, NULL);
}
