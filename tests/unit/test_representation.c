// SPDX-License-Identifier: Apache-2.0
// Cosines and centred kernel alignment between representations, against their definitions in long
// double: kernel matrices over tokens for CKA, and for the debiased one U-centred kernels, another
// form of the same estimate.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "representation.h"

// MANY tokens are more than one block of a kernel.
enum { COUNT = 4, TOKENS = 300, MANY = 521, CHANNELS = 24, PAIRS = COUNT * COUNT };

struct found {
    float similarity[PAIRS], cka[PAIRS], cka_debiased[PAIRS];
};

static double noise(uint64_t i) {
    uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 32;
    return (double)(x >> 11) * 0x1p-53 - 0.5;
}

// Representations that drift away from the first, with a mean and one channel of its own size; each
// sixtieth token is `outlier` times as large, as first tokens are in trained models.
static float *representations(int64_t tokens, double outlier) {
    float *rows = malloc(COUNT * (size_t)tokens * CHANNELS * sizeof *rows);
    assert_non_null(rows);
    for (int64_t i = 0; i < COUNT; i++)
        for (int64_t t = 0; t < tokens; t++)
            for (int64_t c = 0; c < CHANNELS; c++) {
                uint64_t at = (uint64_t)(t * CHANNELS + c);
                double value = noise(at) + 0.3 * (double)i * noise(at + 100000 * (uint64_t)i) +
                               (c == 5 ? 2 : 0.1);
                rows[(i * tokens + t) * CHANNELS + c] =
                    (float)(t % 60 == 7 ? value * outlier : value);
            }
    return rows;
}

static struct found align(const float *rows, int64_t tokens, int threads) {
    struct found found;
    struct tr_alignment alignment = {found.similarity, found.cka, found.cka_debiased};
    size_t bytes = COUNT * (size_t)tokens * CHANNELS * sizeof *rows;
    float *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, rows, bytes);
    assert_int_equal(tr_align(&alignment, threads, copy, COUNT, tokens, CHANNELS, NULL), TR_OK);
    free(copy);
    return found;
}

// ---- the definitions ---------------------------------------------------------------------------

static long double row_dot(const float *x, const float *y) {
    long double total = 0;
    for (int64_t c = 0; c < CHANNELS; c++)
        total += (long double)x[c] * (long double)y[c];
    return total;
}

static long double mean_cosine(const float *x, const float *y, int64_t tokens) {
    long double total = 0;
    for (int64_t t = 0; t < tokens; t++, x += CHANNELS, y += CHANNELS)
        total += row_dot(x, y) / sqrtl(row_dot(x, x) * row_dot(y, y));
    return total / (long double)tokens;
}

// K less the means of its rows and columns. Plain: over all entries. U-centred (Szekely & Rizzo
// 2014): over the others than the diagonal, which is then zero.
static long double *centred_kernel(const float *x, int64_t n, bool u_centred) {
    long double *k = malloc((size_t)(n * n) * sizeof *k), *sums = calloc((size_t)n, sizeof *sums);
    long double all = 0;
    assert_true(k && sums);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            k[i * n + j] = u_centred && i == j ? 0 : row_dot(x + i * CHANNELS, x + j * CHANNELS);
            sums[i] += k[i * n + j];
            all += k[i * n + j];
        }
    long double each = (long double)(u_centred ? n - 2 : n);
    long double both = u_centred ? (long double)((n - 1) * (n - 2)) : (long double)(n * n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            k[i * n + j] = u_centred && i == j
                               ? 0
                               : k[i * n + j] - sums[i] / each - sums[j] / each + all / both;
    free(sums);
    return k;
}

static long double inner(const long double *k, const long double *l, int64_t n) {
    long double total = 0;
    for (int64_t i = 0; i < n * n; i++)
        total += k[i] * l[i];
    return total;
}

static long double alignment_of(const float *x, const float *y, int64_t n, bool u_centred) {
    long double *k = centred_kernel(x, n, u_centred), *l = centred_kernel(y, n, u_centred);
    long double ratio = inner(k, l, n) / sqrtl(inner(k, k, n) * inner(l, l, n));
    free(k);
    free(l);
    return ratio;
}

static void assert_near(float found, long double expected, double tolerance, const char *what) {
    if (!(fabsl((long double)found - expected) <= (long double)tolerance))
        fail_msg("%s: %.9g, expected %.12Lg", what, (double)found, expected);
}

static void compare(int64_t tokens, double outlier, double tolerance) {
    float *rows = representations(tokens, outlier);
    struct found found = align(rows, tokens, 2);
    for (int64_t i = 0; i < COUNT; i++)
        for (int64_t j = 0; j < COUNT; j++) {
            const float *x = rows + i * tokens * CHANNELS, *y = rows + j * tokens * CHANNELS;
            int64_t at = i * COUNT + j;
            assert_near(found.similarity[at], mean_cosine(x, y, tokens), 1e-7, "similarity");
            assert_near(found.cka[at], alignment_of(x, y, tokens, false), tolerance, "cka");
            assert_near(found.cka_debiased[at], alignment_of(x, y, tokens, true), tolerance,
                        "debiased cka");
        }
    free(rows);
}

static void are_what_they_are_defined_as(void **state) {
    (void)state;
    compare(TOKENS, 1, 1e-6);
    compare(MANY, 1, 1e-6);
    compare(5, 1, 1e-6);
}

// A few tokens whose squared kernel entries are 1e12 times those of the others.
static void outliers_cost_no_digits(void **state) {
    (void)state;
    compare(TOKENS, 1000, 1e-6);
}

static void threads_leave_no_trace(void **state) {
    (void)state;
    float *rows = representations(MANY, 1);
    struct found one = align(rows, MANY, 1), three = align(rows, MANY, 3);
    assert_memory_equal(&one, &three, sizeof one);
    free(rows);
}

// As if the tokens without a direction somewhere had not been among them.
static void tokens_without_direction_are_left_out(void **state) {
    (void)state;
    float *rows = representations(TOKENS, 1), *fewer = malloc(COUNT * TOKENS * CHANNELS * 4);
    assert_non_null(fewer);
    memset(rows + (1 * TOKENS + 20) * CHANNELS, 0, CHANNELS * sizeof *rows);
    rows[(2 * TOKENS + 100) * CHANNELS + 3] = NAN;
    rows[(3 * TOKENS + 299) * CHANNELS] = INFINITY;
    int64_t at = 0;
    for (int64_t i = 0; i < COUNT * TOKENS; i++)
        if (i % TOKENS != 20 && i % TOKENS != 100 && i % TOKENS != 299)
            memcpy(fewer + at++ * CHANNELS, rows + i * CHANNELS, CHANNELS * sizeof *rows);
    struct found found = align(rows, TOKENS, 1), expected = align(fewer, TOKENS - 3, 1);
    assert_memory_equal(&found, &expected, sizeof found);
    assert_true(isfinite(found.cka_debiased[1]));
    free(fewer);
    free(rows);
}

static void too_few_tokens_are_no_answer(void **state) {
    (void)state;
    float *rows = representations(4, 1);
    struct found found = align(rows, 3, 1);
    assert_true(isfinite(found.similarity[1]));
    assert_true(isfinite(found.cka[1]));
    assert_true(isnan(found.cka_debiased[1]));
    memset(rows, 0, COUNT * 4 * CHANNELS * sizeof *rows);
    found = align(rows, 4, 1);
    assert_true(isnan(found.similarity[1]) && isnan(found.cka[1]) && isnan(found.cka_debiased[1]));
    free(rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_what_they_are_defined_as),
        cmocka_unit_test(outliers_cost_no_digits),
        cmocka_unit_test(threads_leave_no_trace),
        cmocka_unit_test(tokens_without_direction_are_left_out),
        cmocka_unit_test(too_few_tokens_are_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
