// SPDX-License-Identifier: Apache-2.0
#ifndef SUPPORT_H
#define SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/measure.h"
#include "tolerance.h"

extern enum kn_kind test_kind; // the backend under test, chosen on the command line
extern enum kn_type test_type; // of its activations
extern struct kn_backend *kn;  // it, open with two threads

// Memory of the backend between two guard bands, with a copy of host data (NULL: sentinels).
// Freed, and the bands checked, by buffers_free, the teardown of every test.
void *buffer_new(const void *host, size_t bytes);
void buffer_read(const void *buffer, void *host, size_t bytes);
int buffers_free(void **state);

// A matrix in the backend and its elements as f32, dense, as the truth reads them. `pad` elements
// after each row hold a sentinel that must survive.
struct matrix {
    struct kn_matrix m;
    float *values; // [rows, cols]
};
struct matrix matrix_random(enum kn_type type, int64_t rows, int64_t cols, int64_t pad);
// Values that all types hold exactly: a product may convert its weights to the activation type.
struct matrix matrix_weights(enum kn_type type, int64_t rows, int64_t cols, int64_t pad);
struct matrix matrix_of(const float *values, enum kn_type type, int64_t rows, int64_t cols,
                        int64_t pad);
struct matrix matrix_output(enum kn_type type, int64_t rows, int64_t cols, int64_t pad);
void matrix_read(struct matrix *matrix); // values = what the backend wrote; checks the padding

// A vector of the backend with random f32 values; *host_p is freed with the buffers.
float *vector_random(float **host_p, int64_t count);
// The same with values that `type` represents: f32 still.
float *vector_representable(float **host_p, int64_t count, enum kn_type type);

void *host_new(size_t bytes); // zeroed, freed with the buffers
float random_value(void);     // in (-1, 1]

void check_close(enum test_op op, enum kn_type type, const float *got, const long double *truth,
                 int64_t count);
void check_close_f64(enum test_op op, enum kn_type type, const double *got,
                     const long double *truth, int64_t count);
void check_status(enum kn_status status);

extern const float xielu_parameters[4]; // KN_XIELU's in all tests
long double truth_activate(enum kn_activation activation, long double v);

#define TEST_ARRAY_SIZE(array) (sizeof(array) / sizeof(array)[0])
#define OPS_TEST(function) cmocka_unit_test_teardown(function, buffers_free)

// The groups, each from its own file; they return the number of failed tests.
int test_products(void);
int test_attention(void);
int test_cached_attention(void);
int test_norms(void);
int test_heads(void);
int test_scans(void);
int test_elementwise(void);
int test_routing(void);
int test_moves(void);
int test_statistics(void);
int test_second_moments(void);
int test_few_bits(void);
int test_block_ends(void);
int test_summary(void);
int test_loss(void);
int test_divergence(void);
int test_steps(void);
int test_memory(void);
int test_threads(void);

#endif
