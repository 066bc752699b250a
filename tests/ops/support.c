// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 256, BUFFERS = 256, SENTINEL = 0xA5 };

enum kn_kind test_kind;
enum kn_type test_type;
struct kn_backend *kn;

static struct buffer {
    char *memory;
    size_t bytes;
} buffers[BUFFERS];
static int buffer_count;
static void *host_blocks[4 * BUFFERS];
static int host_count;
static uint32_t random_state = 12345;

void check_status(enum kn_status status) {
    if (status != KN_OK)
        fail_msg("%s: %s %s", kn->ops->name, kn_status_text(status), kn->error);
}

void *host_new(size_t bytes) {
    assert_true(host_count < (int)TEST_ARRAY_SIZE(host_blocks));
    void *block = calloc(1, bytes ? bytes : 1);
    assert_non_null(block);
    host_blocks[host_count++] = block;
    return block;
}

static float uniform(void) {
    random_state = random_state * 1664525 + 1013904223; // Numerical Recipes' generator
    return (float)(random_state >> 8) * 0x1p-23F - 1;
}

// A product of two, so that all bits and many exponents occur, as in real data.
float random_value(void) {
    float value = uniform();
    return value * uniform();
}

void *buffer_new(const void *host, size_t bytes) {
    assert_true(buffer_count < BUFFERS);
    struct buffer *buffer = &buffers[buffer_count];
    void *memory;
    check_status(kn->ops->alloc(kn, &memory, bytes + 2 * GUARD));
    *buffer = (struct buffer){memory, bytes};
    buffer_count++;
    char *image = host_new(bytes + 2 * GUARD);
    memset(image, SENTINEL, bytes + 2 * GUARD);
    if (host)
        memcpy(image + GUARD, host, bytes);
    check_status(kn->ops->upload(kn, memory, image, bytes + 2 * GUARD));
    check_status(kn->ops->sync(kn));
    return buffer->memory + GUARD;
}

void buffer_read(const void *buffer, void *host, size_t bytes) {
    check_status(kn->ops->download(kn, host, buffer, bytes));
    check_status(kn->ops->sync(kn));
}

static bool is_intact(const struct buffer *buffer) {
    unsigned char band[2 * GUARD];
    buffer_read(buffer->memory, band, GUARD);
    buffer_read(buffer->memory + GUARD + buffer->bytes, band + GUARD, GUARD);
    for (int i = 0; i < 2 * GUARD; i++)
        if (band[i] != SENTINEL)
            return false;
    return true;
}

int buffers_free(void **state) {
    (void)state;
    int broken = 0;
    for (int i = 0; i < buffer_count; i++) {
        broken += !is_intact(&buffers[i]);
        kn->ops->free(kn, buffers[i].memory);
    }
    for (int i = 0; i < host_count; i++)
        free(host_blocks[i]);
    buffer_count = host_count = 0;
    if (broken)
        print_error("%d buffers were written outside their bounds\n", broken);
    return broken;
}

static size_t matrix_bytes(const struct kn_matrix *m) {
    return (size_t)(m->rows * m->stride) * kn_type_size(m->type);
}

static char *element(const struct kn_matrix *m, char *host, int64_t row) {
    return host + (size_t)(row * m->stride) * kn_type_size(m->type);
}

struct matrix matrix_of(const float *values, enum kn_type type, int64_t rows, int64_t cols,
                        int64_t pad) {
    struct matrix matrix = {{NULL, type, rows, cols, cols + pad}, NULL};
    matrix.values = host_new((size_t)(rows * cols) * sizeof(float));
    char *host = host_new(matrix_bytes(&matrix.m));
    memset(host, SENTINEL, matrix_bytes(&matrix.m));
    for (int64_t r = 0; r < rows; r++) {
        char *row = element(&matrix.m, host, r);
        kn_convert(row, type, values + r * cols, KN_F32, cols);
        kn_convert(matrix.values + r * cols, KN_F32, row, type, cols);
    }
    matrix.m.data = buffer_new(host, matrix_bytes(&matrix.m));
    return matrix;
}

struct matrix matrix_random(enum kn_type type, int64_t rows, int64_t cols, int64_t pad) {
    float *values = host_new((size_t)(rows * cols) * sizeof(float));
    for (int64_t i = 0; i < rows * cols; i++)
        values[i] = random_value();
    return matrix_of(values, type, rows, cols, pad);
}

struct matrix matrix_weights(enum kn_type type, int64_t rows, int64_t cols, int64_t pad) {
    struct matrix exact = matrix_random(KN_BF16, rows, cols, 0);
    exact = matrix_of(exact.values, KN_F16, rows, cols, 0);
    return matrix_of(exact.values, type, rows, cols, pad);
}

struct matrix matrix_output(enum kn_type type, int64_t rows, int64_t cols, int64_t pad) {
    struct matrix matrix = {{NULL, type, rows, cols, cols + pad}, NULL};
    matrix.values = host_new((size_t)(rows * cols) * sizeof(float));
    matrix.m.data = buffer_new(NULL, matrix_bytes(&matrix.m));
    return matrix;
}

void matrix_read(struct matrix *matrix) {
    const struct kn_matrix *m = &matrix->m;
    size_t size = kn_type_size(m->type), pad = (size_t)(m->stride - m->cols) * size;
    char *host = host_new(matrix_bytes(m));
    buffer_read(m->data, host, matrix_bytes(m));
    for (int64_t r = 0; r < m->rows; r++) {
        char *row = element(m, host, r);
        kn_convert(matrix->values + r * m->cols, KN_F32, row, m->type, m->cols);
        for (size_t i = 0; i < pad; i++)
            assert_int_equal((unsigned char)row[(size_t)m->cols * size + i], SENTINEL);
    }
}

static float represented_value(enum kn_type type) {
    float value = random_value();
    char stored[sizeof(float)];
    kn_convert(stored, type, &value, KN_F32, 1);
    kn_convert(&value, KN_F32, stored, type, 1);
    return value;
}

float *vector_representable(float **host_p, int64_t count, enum kn_type type) {
    *host_p = host_new((size_t)count * sizeof(float));
    for (int64_t i = 0; i < count; i++)
        (*host_p)[i] = represented_value(type);
    return buffer_new(*host_p, (size_t)count * sizeof(float));
}

float *vector_random(float **host_p, int64_t count) {
    return vector_representable(host_p, count, KN_F32);
}

// Infinities and NaN must come out as such.
static bool is_close(long double got, long double truth, long double bound) {
    if (isfinite(truth))
        return fabsl(got - truth) <= bound; // false for NaN
    return isnan(truth) ? isnan(got) : got == truth;
}

static void check_element(enum test_op op, struct tolerance t, long double got, long double truth,
                          long double largest, int64_t i) {
    long double bound = t.relative * fabsl(truth) + t.scaled * largest;
    if (!is_close(got, truth, bound))
        fail_msg("op %d, element %lld: %.9Lg, the truth is %.9Lg, at most %.3Lg apart", (int)op,
                 (long long)i, got, truth, bound);
}

static long double largest_of(const long double *truth, int64_t count) {
    long double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = isfinite(truth[i]) && fabsl(truth[i]) > largest ? fabsl(truth[i]) : largest;
    return largest;
}

void check_close(enum test_op op, enum kn_type type, const float *got, const long double *truth,
                 int64_t count) {
    long double largest = largest_of(truth, count);
    for (int64_t i = 0; i < count; i++)
        check_element(op, tolerances[op][type], (long double)got[i], truth[i], largest, i);
}

void check_close_f64(enum test_op op, enum kn_type type, const double *got,
                     const long double *truth, int64_t count) {
    long double largest = largest_of(truth, count);
    for (int64_t i = 0; i < count; i++)
        check_element(op, tolerances[op][type], (long double)got[i], truth[i], largest, i);
}

const float xielu_parameters[4] = {0.75F, 0.875F, 0.5F, -1e-6F};

static long double xielu_truth(const float *p, long double v) {
    long double beta = (long double)p[2], eps = (long double)p[3];
    if (v > 0)
        return (long double)p[0] * v * v + beta * v;
    return (expm1l(v > eps ? eps : v) - v) * (beta + (long double)p[1]) + beta * v;
}

long double truth_activate(enum kn_activation activation, long double v) {
    switch (activation) {
    case KN_SILU:
        return v / (1 + expl(-v));
    case KN_GELU_ERF:
        return v * erfcl(-v / sqrtl(2)) / 2;
    case KN_GELU_TANH: // the negative tail without cancellation: 1 + tanh z = 2 / (1 + exp(-2 z))
        return v / (1 + expl(-2 * sqrtl(2 / acosl(-1)) * (v + 0.044715L * v * v * v)));
    case KN_RELU:
        return isnan(v) || v > 0 ? v : 0;
    case KN_RELU_SQUARED:
        return isnan(v) || v > 0 ? v * v : 0;
    case KN_XIELU:
        return xielu_truth(xielu_parameters, v);
    case KN_IDENTITY:
        break;
    }
    return v;
}
