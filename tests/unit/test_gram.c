// SPDX-License-Identifier: Apache-2.0
// Inner products of a set of vectors with itself, against long double, of every remainder that a
// tile can leave; and that nothing else is written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "kernels/measure.h"

enum { MAX_VECTORS = 40, MAX_LENGTH = 70 };
static const double untouched = -12345;

static enum kn_kind kind;
static struct kn_backend *kn;
static float vectors[MAX_VECTORS * MAX_LENGTH];

static int set_up(void **state) {
    (void)state;
    uint32_t seed = 7;
    for (int i = 0; i < MAX_VECTORS * MAX_LENGTH; i++) {
        seed = seed * 1664525 + 1013904223; // Numerical Recipes' generator
        vectors[i] = (float)(seed >> 8) * 0x1p-23F - 1;
    }
    return kn_open(&kn, kind, &(struct kn_options){.threads = 1}) != KN_OK;
}

static int tear_down(void **state) {
    (void)state;
    kn->ops->close(kn);
    return 0;
}

static void assert_product(double found, int64_t i, int64_t j, int64_t pitch, int64_t length,
                           long double tolerance) {
    long double expected = 0, size = 0;
    for (int64_t k = 0; k < length; k++) {
        long double term =
            (long double)vectors[i * pitch + k] * (long double)vectors[j * pitch + k];
        expected += term;
        size += fabsl(term);
    }
    if (!(fabsl((long double)found - expected) <= tolerance * size))
        fail_msg("%g of vectors %lld and %lld of length %lld, expected %Lg", found, (long long)i,
                 (long long)j, (long long)length, expected);
}

static void check_inner_products(int64_t count, int64_t pitch, int64_t length) {
    double y[MAX_VECTORS * MAX_VECTORS];
    for (int64_t k = 0; k < MAX_VECTORS * MAX_VECTORS; k++)
        y[k] = untouched;
    struct kn_inner_products op = {y, vectors, count, pitch, length};
    assert_int_equal(kn->ops->inner_products(kn, &op), KN_OK);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < count; j++)
            if (j <= i)
                assert_product(y[i * count + j], i, j, pitch, length, 1e-15L);
            else
                assert_true(y[i * count + j] == untouched);
    for (int64_t k = count * count; k < MAX_VECTORS * MAX_VECTORS; k++)
        assert_true(y[k] == untouched);
}

static void inner_products_of_any_number(void **state) {
    (void)state;
    static const int64_t lengths[] = {0, 1, 3, 4, 7, 64, 69};
    for (int64_t count = 1; count <= 14; count++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
            check_inner_products(count, MAX_LENGTH, lengths[i]);
    check_inner_products(5, 3, 8); // vectors that overlap
}

static void check_block(int64_t cols, int64_t row, int64_t rows, int64_t col, int64_t width) {
    float y[MAX_VECTORS * MAX_VECTORS];
    for (int64_t k = 0; k < MAX_VECTORS * MAX_VECTORS; k++)
        y[k] = (float)untouched;
    struct kn_gram op = {y, vectors, cols, row, rows, col, width};
    assert_int_equal(kn->ops->gram(kn, &op), KN_OK);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < width; j++)
            if (row != col || j <= i)
                assert_product((double)y[i * width + j], row + i, col + j, cols, cols, 1e-6L);
            else
                assert_true(y[i * width + j] == (float)untouched);
    for (int64_t k = rows * width; k < MAX_VECTORS * MAX_VECTORS; k++)
        assert_true(y[k] == (float)untouched);
}

static void blocks_of_a_gram_matrix(void **state) {
    (void)state;
    check_block(MAX_LENGTH, 0, MAX_VECTORS, 0, MAX_VECTORS);
    check_block(MAX_LENGTH, 7, 19, 7, 19);
    check_block(MAX_LENGTH, 33, 7, 0, 33);
    check_block(11, 4, 1, 4, 1);
}

static void sizes_below_zero(void **state) {
    (void)state;
    float y;
    double z;
    struct kn_gram gram = {&y, vectors, 1, 0, -1, 0, 1};
    assert_int_equal(kn->ops->gram(kn, &gram), KN_ESHAPE);
    struct kn_inner_products products = {&z, vectors, 1, 1, -1};
    assert_int_equal(kn->ops->inner_products(kn, &products), KN_ESHAPE);
}

// On the backends that compute on hosts.
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inner_products_of_any_number),
        cmocka_unit_test(blocks_of_a_gram_matrix),
        cmocka_unit_test(sizes_below_zero),
    };
    int failed = 0;
    for (kind = KN_REFERENCE; kind <= KN_CPU; kind++)
        failed += cmocka_run_group_tests(tests, set_up, tear_down);
    return failed;
}
