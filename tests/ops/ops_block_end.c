// SPDX-License-Identifier: Apache-2.0
// The end of a block, against its adds one by one and with operands that are absent.
#include <math.h>
#include <string.h>

#include "support.h"

struct streams {
    struct matrix x, attention, mlp;
};

static struct streams streams_new(int64_t rows, int64_t cols) {
    return (struct streams){matrix_random(KN_F32, rows, cols, 4),
                            matrix_random(KN_F32, rows, cols, 0),
                            matrix_random(KN_F32, rows, cols, 7)};
}

struct ended {
    double *sums; // [3][KN_RESIDUAL_ADDS][rows]: xx, xd, dd
    float *x;
};

// Without statistics the stream has the same bits.
static void check_adds_alone(const struct kn_block_end *op, const float *x, const float *truth) {
    int64_t rows = op->x.rows, cols = op->x.cols;
    struct matrix stream = matrix_of(x, KN_F32, rows, cols, 4);
    struct kn_block_end alone = *op;
    alone.x = stream.m;
    alone.xx = alone.xd = alone.dd = NULL;
    check_status(kn->ops->block_end(kn, &alone));
    matrix_read(&stream);
    assert_memory_equal(stream.values, truth, (size_t)(rows * cols) * sizeof *truth);
}

static struct ended end_block(const float *x, struct kn_matrix attention, struct kn_matrix mlp,
                              int64_t rows, int64_t cols, bool parallel) {
    size_t bytes = (size_t)(3 * KN_RESIDUAL_ADDS * rows) * sizeof(double);
    struct matrix stream = matrix_of(x, KN_F32, rows, cols, 4);
    double *sums = buffer_new(NULL, bytes);
    struct kn_block_end op = {.xx = sums,
                              .xd = sums + KN_RESIDUAL_ADDS * rows,
                              .dd = sums + 2 * KN_RESIDUAL_ADDS * rows,
                              .x = stream.m,
                              .attention = attention,
                              .mlp = mlp,
                              .parallel = parallel};
    check_status(kn->ops->block_end(kn, &op));
    struct ended ended = {.sums = host_new(bytes), .x = stream.values};
    buffer_read(sums, ended.sums, bytes);
    matrix_read(&stream);
    check_adds_alone(&op, x, ended.x);
    return ended;
}

static const float *sum_of(const float *x, const float *addend, int64_t count) {
    float *sum = host_new((size_t)count * sizeof *sum);
    for (int64_t i = 0; i < count; i++)
        sum[i] = x[i] + addend[i];
    return sum;
}

// One add, as a block without an MLP, against row `add` of the block that has both.
static void check_apart(const struct ended *got, const float *x, const float *delta, int64_t add,
                        int64_t rows, int64_t cols) {
    struct matrix e = matrix_of(delta, KN_F32, rows, cols, 1);
    struct ended apart = end_block(x, e.m, (struct kn_matrix){0}, rows, cols, false);
    for (int64_t k = 0; k < 3; k++)
        assert_memory_equal(got->sums + (k * KN_RESIDUAL_ADDS + add) * rows,
                            apart.sums + k * KN_RESIDUAL_ADDS * rows,
                            (size_t)rows * sizeof *apart.sums);
    if (add == KN_ADD_BLOCK)
        assert_memory_equal(got->x, apart.x, (size_t)(rows * cols) * sizeof *apart.x);
}

// The three adds in one pass have the bits that they have one by one, of sums rounded to f32.
static void check_block_end(int64_t rows, int64_t cols, bool parallel) {
    struct streams s = streams_new(rows, cols);
    const float *x = s.x.values, *attention = s.attention.values, *mlp = s.mlp.values;
    int64_t count = rows * cols;
    struct ended got = end_block(x, s.attention.m, s.mlp.m, rows, cols, parallel);
    check_apart(&got, x, attention, KN_ADD_ATTENTION, rows, cols);
    check_apart(&got, parallel ? x : sum_of(x, attention, count), mlp, KN_ADD_MLP, rows, cols);
    check_apart(&got, x, sum_of(attention, mlp, count), KN_ADD_BLOCK, rows, cols);
}

static void test_block_end(void **state) {
    static const int64_t sizes[][2] = {{1, 1}, {5, 80}, {3, 33}, {2, 4096}, {129, 24}, {0, 8}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(sizes); i++) {
        check_block_end(sizes[i][0], sizes[i][1], false);
        check_block_end(sizes[i][0], sizes[i][1], true);
        buffers_free(state);
    }
    struct streams s = streams_new(3, 8);
    double *sums = buffer_new(NULL, sizeof(double[3 * 3 * KN_RESIDUAL_ADDS]));
    struct kn_block_end op = {sums, sums + 9, sums + 18, s.x.m, s.attention.m, s.mlp.m, false};
    op.mlp.rows = 2;
    assert_int_equal(kn->ops->block_end(kn, &op), KN_ESHAPE);
}

// What an absent operand leaves: all that a matrix of zeros does, but for the adds of which nothing
// is there, which have no statistics.
static void check_absent(int64_t rows, int64_t cols, bool parallel, bool attention, bool mlp) {
    struct streams s = streams_new(rows, cols);
    float *nothing = host_new((size_t)(rows * cols) * sizeof *nothing);
    struct matrix zeros = matrix_of(nothing, KN_F32, rows, cols, 2);
    const struct kn_matrix none = {0};
    struct ended got = end_block(s.x.values, attention ? s.attention.m : none, mlp ? s.mlp.m : none,
                                 rows, cols, parallel);
    struct ended truth = end_block(s.x.values, attention ? s.attention.m : zeros.m,
                                   mlp ? s.mlp.m : zeros.m, rows, cols, parallel);
    const bool is_there[KN_RESIDUAL_ADDS] = {attention, mlp, attention || mlp};
    assert_memory_equal(got.x, truth.x, (size_t)(rows * cols) * sizeof *got.x);
    for (int64_t i = 0; i < 3 * KN_RESIDUAL_ADDS * rows; i++)
        if (is_there[i / rows % KN_RESIDUAL_ADDS])
            assert_true(got.sums[i] == truth.sums[i]);
        else
            assert_true(isnan(got.sums[i]));
}

static void test_absent(void **state) {
    static const int64_t sizes[][2] = {{1, 1}, {5, 80}, {3, 33}, {2, 4096}, {129, 24}, {0, 8}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(sizes); i++) {
        for (int variant = 0; variant < 6; variant++) { // the third: both are absent
            check_absent(sizes[i][0], sizes[i][1], variant & 1, variant / 2 == 0, variant / 2 == 1);
            buffers_free(state);
        }
    }
}

int test_block_ends(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_block_end), OPS_TEST(test_absent)};
    return cmocka_run_group_tests_name("ends of blocks", tests, NULL, NULL);
}
