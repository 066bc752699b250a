// SPDX-License-Identifier: Apache-2.0
// What a step of decoding is made of: products of few rows, alone and with their gate, keys and
// values into a cache, the next tokens, and graphs.
#include <math.h>
#include <string.h>

#include "support.h"

static const enum kn_activation activations[] = {KN_IDENTITY, KN_SILU, KN_GELU_ERF,
                                                 KN_RELU_SQUARED};

// y[n, m] of rows, weights and bias, in long double.
static long double *truth_of(const struct matrix *x, const struct matrix *w, const float *bias) {
    int64_t n = x->m.rows, m = w->m.rows, k = x->m.cols;
    long double *truth = host_new((size_t)(n * m) * sizeof *truth);
    for (int64_t i = 0; i < n * m; i++) {
        truth[i] = bias ? (long double)bias[i % m] : 0;
        for (int64_t c = 0; c < k; c++)
            truth[i] +=
                (long double)x->values[i / m * k + c] * (long double)w->values[i % m * k + c];
    }
    return truth;
}

// As OP_PRODUCT allows up to 512 terms. Errors of rounded sums grow as the root of the number of
// terms, those of units for 16-bit products, which cut the last bits off, as their number.
static void check_sums(const struct matrix *y, const long double *truth, int64_t k) {
    long double largest = 0, factor = k > 512 ? (long double)k / 512 : 1;
    struct tolerance bound = tolerances[OP_PRODUCT][KN_F32];
    int64_t count = y->m.rows * y->m.cols;
    factor = kn->activation_type == KN_F32 ? sqrtl(factor) : factor;
    for (int64_t i = 0; i < count; i++)
        largest = fmaxl(largest, fabsl(truth[i]));
    for (int64_t i = 0; i < count; i++) {
        long double most = factor * ((long double)bound.relative * fabsl(truth[i]) +
                                     (long double)bound.scaled * largest);
        assert_true(fabsl((long double)y->values[i] - truth[i]) <= most);
    }
}

// The sums by themselves, then what the activation makes of them: of a square of a long sum, most
// of the error is the sum's.
static void check_few(int64_t n, int64_t m, int64_t k, enum kn_type y_type,
                      enum kn_activation activation, bool with_bias) {
    struct matrix x = matrix_random(kn->activation_type, n, k, 8);
    struct matrix w = matrix_weights(kn->activation_type, m, k, 16);
    struct matrix sums = matrix_output(KN_F32, n, m, 0), y = matrix_output(y_type, n, m, 3);
    float *host = NULL, *bias = with_bias ? vector_representable(&host, m, y.m.type) : NULL;
    struct kn_product op = {sums.m, x.m, w.m, bias, KN_IDENTITY, NULL};
    check_status(kn->ops->product(kn, &op));
    matrix_read(&sums);
    check_sums(&sums, truth_of(&x, &w, host), k);
    op.y = y.m;
    op.activation = activation;
    check_status(kn->ops->product(kn, &op));
    matrix_read(&y);
    const struct matrix seen = matrix_of(sums.values, y_type, n, m, 0); // rounded as y is
    long double *truth = host_new((size_t)(n * m) * sizeof *truth);
    for (int64_t i = 0; i < n * m; i++)
        truth[i] = truth_activate(activation, (long double)seen.values[i]);
    check_close(activation == KN_IDENTITY ? OP_PRODUCT : OP_ACTIVATED, y.m.type, y.values, truth,
                n * m);
}

static void test_few_rows(void **state) {
    static const int64_t rows[] = {1, 2, 7, 8, 9, 16, 17};
    static const int64_t shapes[][2] = {{1, 8},    {16, 64},  {17, 72},
                                        {40, 520}, {9, 1096}, {70, 2056}};
    for (size_t r = 0; r < TEST_ARRAY_SIZE(rows); r++)
        for (size_t s = 0; s < TEST_ARRAY_SIZE(shapes); s++) {
            enum kn_type y_type = (r + s) % 2 ? KN_F32 : kn->activation_type;
            check_few(rows[r], shapes[s][0], shapes[s][1], y_type, activations[(r + s) % 4], s % 2);
            buffers_free(state);
        }
    for (int64_t n = 1; n <= 16; n += 15) { // as many columns as a vocabulary, and a block, has
        check_few(n, 16401, 72, KN_F32, KN_IDENTITY, false);
        buffers_free(state);
        check_few(n, 5000, 72, kn->activation_type, KN_IDENTITY, true);
        buffers_free(state);
    }
}

// A row's bits do not depend on the others: what a text is does not depend on its batch.
static void test_row_alone(void **state) {
    (void)state;
    enum { ROWS = 16, M = 37, K = 584 };
    if (test_kind != KN_CUDA || kn->activation_type == KN_F32)
        return; // other libraries choose by the number of rows
    struct matrix x = matrix_random(kn->activation_type, ROWS, K, 0);
    struct matrix w = matrix_weights(kn->activation_type, M, K, 0);
    struct matrix all = matrix_output(KN_F32, ROWS, M, 0), one = matrix_output(KN_F32, 1, M, 0);
    struct kn_product op = {.y = all.m, .x = x.m, .w = w.m};
    check_status(kn->ops->product(kn, &op));
    matrix_read(&all);
    for (int64_t r = 0; r < ROWS; r++) {
        op.y = one.m;
        op.x = kn_matrix((char *)x.m.data + (size_t)(r * K) * 2, x.m.type, 1, K);
        check_status(kn->ops->product(kn, &op));
        matrix_read(&one);
        assert_memory_equal(one.values, all.values + r * M, M * sizeof *one.values);
    }
}

static void check_gated(int64_t n, int64_t m, int64_t k, int64_t pad) {
    enum kn_type type = kn->activation_type;
    struct matrix x = matrix_random(type, n, k, pad), w = matrix_weights(type, 2 * m, k, pad);
    struct matrix y = matrix_output(type, n, m, 3), wide = matrix_output(type, n, 2 * m, 0);
    struct kn_grouped_product op = {
        .product = {.y = wide.m, .x = x.m, .w = w.m}, .groups = 1, .gated = y.m, .gate = KN_SILU};
    check_status(kn->ops->grouped_product(kn, &op));
    matrix_read(&y);
    const long double *both = truth_of(&x, &w, NULL);
    long double *truth = host_new((size_t)(n * m) * sizeof *truth);
    for (int64_t i = 0; i < n * m; i++)
        truth[i] =
            truth_activate(KN_SILU, both[i / m * 2 * m + i % m]) * both[i / m * 2 * m + m + i % m];
    check_close(OP_GATED, type, y.values, truth, n * m);
}

static void test_gated(void **state) {
    static const int64_t shapes[][3] = {{1, 8, 64},   {3, 21, 136},   {8, 40, 1032},
                                        {16, 24, 72}, {11, 5, 200},   {20, 9, 64},
                                        {2, 7, 9},    {16, 2200, 72}, {3, 8300, 72}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        check_gated(shapes[i][0], shapes[i][1], shapes[i][2], 8);
        buffers_free(state);
        check_gated(shapes[i][0], shapes[i][1], shapes[i][2], 3);
        buffers_free(state);
    }
}

// ---- the cache ---------------------------------------------------------------------------------

enum { KEPT = 3, SLOTS = 5, TABLE = 9 };

struct kept {
    struct matrix qkv, keys, values;
};

static struct kept kept_of(const struct matrix *qkv, const struct matrix *cache) {
    enum kn_type type = kn->activation_type;
    return (struct kept){matrix_of(qkv->values, type, KEPT, qkv->m.cols, 8),
                         matrix_of(cache->values, type, SLOTS, cache->m.cols, 0),
                         matrix_of(cache->values, type, SLOTS, cache->m.cols, 0)};
}

// Two kernels may round a turn's two products differently, by one place of its type.
static void check_same(const struct matrix *a, const struct matrix *b) {
    static const float unit[] = {[KN_F32] = 0, [KN_F16] = 1e-3F, [KN_BF16] = 8e-3F};
    for (int64_t i = 0; i < a->m.rows * a->m.cols; i++)
        assert_true(fabsf(a->values[i] - b->values[i]) <=
                    unit[a->m.type] * (fabsf(b->values[i]) + 1e-2F));
}

// By one op what four make of the same rows: 4 heads of queries, 2 of keys and of values.
static void check_keep(int64_t dim, int64_t pairs, enum kn_rope_kind kind) {
    static const int32_t positions[] = {8, 0, 3}, rows[] = {4, -1, 0};
    struct matrix qkv = matrix_random(kn->activation_type, KEPT, 8 * dim, 0);
    struct matrix cache = matrix_random(kn->activation_type, SLOTS, 2 * dim, 0);
    struct kept one = kept_of(&qkv, &cache), four = kept_of(&qkv, &cache);
    float *host;
    const float *cosine = vector_random(&host, TABLE * pairs);
    const float *sine = vector_random(&host, TABLE * pairs);
    const int32_t *at = buffer_new(positions, sizeof positions),
                  *to = buffer_new(rows, sizeof rows);
    struct kn_keep ops[2];
    for (int i = 0; i < 2; i++) {
        struct kept *k = i ? &four : &one;
        struct kn_rope q = {
            {k->qkv.m, 0, 4, dim, dim}, kn_whole_sequences(1), pairs, cosine, sine, kind, at};
        ops[i] = (struct kn_keep){.q = q, .k = q};
        ops[i].k.heads = (struct kn_heads){k->qkv.m, 4 * dim, 2, dim, dim};
        struct kn_heads values = {k->qkv.m, 6 * dim, 2, dim, dim};
        ops[i].keys = (struct kn_copy_heads){{k->keys.m, 0, 2, dim, dim}, ops[i].k.heads, to};
        ops[i].values = (struct kn_copy_heads){{k->values.m, 0, 2, dim, dim}, values, to};
    }
    check_status(kn->ops->keep(kn, &ops[0]));
    check_status(kn->ops->rope(kn, &ops[1].q));
    check_status(kn->ops->rope(kn, &ops[1].k));
    check_status(kn->ops->copy_heads(kn, &ops[1].keys));
    check_status(kn->ops->copy_heads(kn, &ops[1].values));
    struct matrix *all[] = {&one.qkv, &one.keys, &one.values, &four.qkv, &four.keys, &four.values};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(all); i++)
        matrix_read(all[i]);
    for (size_t i = 0; i < 3; i++)
        check_same(all[i], all[i + 3]);
    ops[0].keys.x.first_col++;
    assert_int_equal(kn->ops->keep(kn, &ops[0]), KN_ESHAPE); // other keys than those that turn
}

static void test_keep(void **state) {
    static const int64_t shapes[][2] = {{64, 32}, {64, 8}, {80, 40}, {7, 3}, {128, 64}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        check_keep(shapes[i][0], shapes[i][1], KN_ROPE_HALF_SPLIT);
        buffers_free(state);
        check_keep(shapes[i][0], shapes[i][1], KN_ROPE_INTERLEAVED);
        buffers_free(state);
    }
}

// ---- the next tokens, and graphs ---------------------------------------------------------------

enum { TEXTS = 3, AHEAD = 2, FIELDS = 9 };

// Fields of int32, [TEXTS] each, in the order of the struct; chosen is [AHEAD, TEXTS].
struct advanced {
    int32_t *field[FIELDS], *step;
    double *state[4];
    struct kn_advance op;
};

static struct advanced advanced_new(void) {
    static const int32_t best[] = {7, -1, 5}, positions[] = {2, 10, 0}, sequences[] = {1, 0, 4};
    static const int32_t nothing[AHEAD * TEXTS] = {0};
    static const double random[] = {0.3, -4, 9};
    struct advanced a = {.step = buffer_new(nothing, sizeof *nothing)};
    const int32_t *from[FIELDS] = {nothing,   positions, positions, nothing, nothing,
                                   sequences, nothing,   best,      nothing};
    for (int i = 0; i < FIELDS; i++)
        a.field[i] = buffer_new(from[i], (i == 6 ? AHEAD : 1) * TEXTS * sizeof **from);
    for (int i = 0; i < 4; i++)
        a.state[i] = buffer_new(random, sizeof random);
    a.op = (struct kn_advance){.ids = a.field[0],
                               .positions = a.field[1],
                               .table_rows = a.field[2],
                               .cache_rows = {a.field[3], a.field[4]},
                               .sequences = a.field[5],
                               .rows = TEXTS,
                               .slots = {20, 4},
                               .chosen = a.field[6],
                               .step = a.step,
                               .ahead = AHEAD,
                               .best = a.field[7],
                               .best_logit = a.state[0],
                               .maximum = a.state[1],
                               .sum = a.state[2],
                               .target = a.state[3]};
    return a;
}

static void check_field(const struct advanced *a, int field, const int32_t expected[TEXTS]) {
    int32_t got[TEXTS];
    buffer_read(a->field[field], got, sizeof got);
    assert_memory_equal(got, expected, sizeof got);
}

static void test_advance(void **state) {
    (void)state;
    static const int32_t none[] = {-1, -1, -1}, again[] = {4, 4, 6};
    struct advanced a = advanced_new();
    double numbers[TEXTS];
    int32_t step;
    check_status(kn->ops->advance(kn, &a.op));
    check_field(&a, 0, (int32_t[]){7, -1, 5});
    check_field(&a, 1, (int32_t[]){3, 11, 1});
    check_field(&a, 2, (int32_t[]){3, 11, 1});
    check_field(&a, 3, (int32_t[]){23, 11, 81});
    check_field(&a, 4, (int32_t[]){7, 3, 17});
    check_field(&a, 6, (int32_t[]){7, -1, 5});
    check_field(&a, 7, none);
    for (int i = 0; i < 4; i++) {
        buffer_read(a.state[i], numbers, sizeof numbers);
        for (int r = 0; r < TEXTS; r++)
            assert_true(numbers[r] == (i < 2 ? -INFINITY : 0));
    }
    for (int i = 0; i < 2; i++) { // the third choice takes the first one's place
        check_status(kn->ops->upload(kn, a.field[7], again, sizeof again));
        check_status(kn->ops->advance(kn, &a.op));
    }
    check_field(&a, 6, again);
    buffer_read(a.step, &step, sizeof step);
    assert_int_equal(step, 3);
    a.op.slots[1] = 0;
    check_status(kn->ops->advance(kn, &a.op));
    check_field(&a, 4, none);
}

// A product whose op makes the weights narrow first, in scratch.
struct narrowed {
    struct matrix w, y;
    struct kn_product op;
};

static struct narrowed narrowed_of(const struct matrix *x) {
    struct matrix w = matrix_weights(kn->activation_type, 20, x->m.cols, 0);
    struct narrowed n = {.w = matrix_of(w.values, KN_F32, 20, x->m.cols, 0),
                         .y = matrix_output(kn->activation_type, x->m.rows, 20, 0)};
    n.op = (struct kn_product){.y = n.y.m, .x = x->m, .w = n.w.m};
    return n;
}

static void check_narrowed(struct narrowed *n, const struct matrix *x) {
    matrix_read(&n->y);
    check_close(OP_PRODUCT, n->y.m.type, n->y.values, truth_of(x, &n->w, NULL), x->m.rows * 20);
}

// A graph does what its ops do, as often as it is run.
static void test_graph(void **state) {
    (void)state;
    struct advanced a = advanced_new();
    struct matrix x = matrix_random(kn->activation_type, 3, 64, 0);
    struct matrix w = matrix_weights(kn->activation_type, 20, 64, 0);
    struct matrix y = matrix_output(kn->activation_type, 3, 20, 0);
    struct kn_product op = {.y = y.m, .x = x.m, .w = w.m};
    struct narrowed narrowed[2] = {narrowed_of(&x),
                                   narrowed_of(&x)}; // one's scratch is the other's
    struct kn_graph *graph = NULL;
    int32_t step;
    check_status(kn->ops->product(kn, &op)); // what it needs is ready then
    check_status(kn->ops->product(kn, &narrowed[0].op));
    enum kn_status status = kn->ops->graph_begin(kn);
    if (status == KN_EUNSUPPORTED)
        return;
    check_status(status);
    check_status(kn->ops->product(kn, &op));
    for (int i = 0; i < 2; i++)
        check_status(kn->ops->product(kn, &narrowed[i].op));
    check_status(kn->ops->advance(kn, &a.op));
    check_status(kn->ops->graph_end(kn, &graph));
    buffer_read(a.step, &step, sizeof step);
    assert_int_equal(step, 0);
    for (int i = 0; i < 3; i++)
        check_status(kn->ops->graph_run(kn, graph));
    buffer_read(a.step, &step, sizeof step);
    assert_int_equal(step, 3);
    matrix_read(&y);
    check_close(OP_PRODUCT, y.m.type, y.values, truth_of(&x, &w, NULL), 3 * 20);
    for (int i = 0; i < 2; i++)
        check_narrowed(&narrowed[i], &x);
    kn->ops->graph_free(kn, graph);
}

int test_steps(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_few_rows), OPS_TEST(test_row_alone),
                                       OPS_TEST(test_gated),    OPS_TEST(test_keep),
                                       OPS_TEST(test_advance),  OPS_TEST(test_graph)};
    return cmocka_run_group_tests_name("steps of decoding", tests, NULL, NULL);
}
