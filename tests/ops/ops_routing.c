// SPDX-License-Identifier: Apache-2.0
// Routing to experts. Logits lie on a grid, so that equal ones are many and others far apart.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

struct shape {
    int64_t rows, experts, used, groups, groups_used;
    bool sigmoid, normalise, correction, shared;
};

// A route's operands and what it writes.
struct route {
    struct kn_route op;
    float *logits, *correction, *gates; // the host's
    int32_t *rows, *positions;
    float *weights, *shared;
    int64_t *first;
};

static float grid_value(void) {
    return roundf(random_value() * 256) / 64;
}

static struct route route_new(const struct shape *s) {
    int64_t entries = s->rows * s->used;
    struct route r = {0};
    struct matrix logits = matrix_output(KN_F32, s->rows, s->experts, 3);
    float *values = host_new((size_t)(s->rows * s->experts) * sizeof *values + 4);
    for (int64_t i = 0; i < s->rows * s->experts; i++)
        values[i] = grid_value();
    if (s->rows > 2)
        values[2 * s->experts + s->experts / 2] = NAN;
    logits = matrix_of(values, KN_F32, s->rows, s->experts, 3);
    r.logits = logits.values;
    r.op = (struct kn_route){.rows = buffer_new(NULL, (size_t)entries * 4 + 4),
                             .positions = buffer_new(NULL, (size_t)entries * 4 + 4),
                             .weights = buffer_new(NULL, (size_t)entries * 4 + 4),
                             .first = buffer_new(NULL, (size_t)(s->experts + 1) * 8),
                             .logits = logits.m,
                             .used = s->used,
                             .groups = s->groups,
                             .groups_used = s->groups_used,
                             .sigmoid = s->sigmoid,
                             .normalise = s->normalise,
                             .scale = 2.5F};
    if (s->correction)
        r.op.correction = vector_random(&r.correction, s->experts);
    if (s->shared) {
        r.op.shared_weights = buffer_new(NULL, (size_t)s->rows * 4 + 4);
        r.op.shared_gates = s->normalise ? vector_random(&r.gates, s->rows) : NULL;
    }
    return r;
}

static void *read_new(const void *buffer, size_t bytes) {
    void *host = host_new(bytes + 8);
    if (bytes)
        buffer_read(buffer, host, bytes);
    return host;
}

static void route_read(struct route *r, const struct shape *s) {
    size_t bytes = (size_t)(s->rows * s->used) * 4;
    r->rows = read_new(r->op.rows, bytes);
    r->positions = read_new(r->op.positions, bytes);
    r->weights = read_new(r->op.weights, bytes);
    r->first = read_new(r->op.first, (size_t)(s->experts + 1) * 8);
    if (s->shared)
        r->shared = read_new(r->op.shared_weights, (size_t)s->rows * 4);
}

// ---- the truth ---------------------------------------------------------------------------------

static bool is_before(float a, int64_t i, float b, int64_t j) {
    if (isnan(a) || isnan(b))
        return isnan(a) && (!isnan(b) || i < j);
    return a > b || (a == b && i < j);
}

// How many stand before the i-th.
static int64_t rank_of(const float *values, int64_t count, int64_t i) {
    int64_t rank = 0;
    for (int64_t j = 0; j < count; j++)
        rank += is_before(values[j], j, values[i], i);
    return rank;
}

static void probabilities(const struct shape *s, const float *logits, long double *p) {
    long double total = 0;
    for (int64_t e = 0; e < s->experts; e++)
        total += p[e] = expl((long double)logits[e]);
    for (int64_t e = 0; e < s->experts; e++)
        p[e] = s->sigmoid ? 1 / (1 + expl(-(long double)logits[e])) : p[e] / total;
}

// Scores of experts that are not in the best groups: `never`.
static void keep_groups(const struct shape *s, float *scores, float never) {
    int64_t size = s->experts / s->groups;
    float *sums = host_new((size_t)s->groups * sizeof *sums);
    for (int64_t g = 0; g < s->groups; g++)
        for (int64_t i = 0; i < size; i++)
            if (rank_of(scores + g * size, size, i) < (s->sigmoid ? 2 : 1))
                sums[g] += scores[g * size + i];
    for (int64_t g = 0; g < s->groups; g++)
        for (int64_t i = 0; i < size && rank_of(sums, s->groups, g) >= s->groups_used; i++)
            scores[g * size + i] = never;
}

// The row's experts, ascending, and their weights.
static void check_row(const struct shape *s, const struct route *r, int64_t row) {
    long double *p = host_new((size_t)s->experts * sizeof *p);
    long double *truth = host_new((size_t)s->used * sizeof *truth), total = 0;
    float *scores = host_new((size_t)s->experts * sizeof *scores);
    int64_t k = 0;
    probabilities(s, r->logits + row * s->experts, p);
    for (int64_t e = 0; e < s->experts; e++)
        scores[e] = (float)p[e] + (r->correction ? r->correction[e] : 0);
    if (s->groups > 1)
        keep_groups(s, scores, s->sigmoid ? -INFINITY : 0);
    for (int64_t e = 0; e < s->experts && s->groups > 1 && !s->sigmoid; e++)
        p[e] = scores[e] == 0 ? 0 : p[e];
    for (int64_t e = 0; e < s->experts; e++) {
        if (rank_of(scores, s->experts, e) >= s->used)
            continue;
        int32_t at = r->positions[row * s->used + k];
        assert_in_range(at, (uint64_t)r->first[e], (uint64_t)r->first[e + 1] - 1);
        assert_int_equal(r->rows[at], row);
        truth[k++] = p[e];
        total += p[e];
    }
    assert_int_equal(k, s->used);
    for (k = 0; k < s->used; k++) {
        float weight = r->weights[row * s->used + k];
        truth[k] *= 2.5L / (s->normalise ? total : 1);
        if (isnan((double)truth[k]))
            assert_true(isnan(weight));
        else
            check_close(OP_ROUTE, KN_F32, &weight, &truth[k], 1);
    }
}

static void check_route(const struct shape *s) {
    struct route r = route_new(s);
    check_status(kn->ops->route(kn, &r.op));
    route_read(&r, s);
    assert_int_equal(r.first[0], 0);
    assert_int_equal(r.first[s->experts], s->rows * s->used);
    for (int64_t e = 0; e < s->experts; e++) {
        assert_true(r.first[e] <= r.first[e + 1]);
        for (int64_t i = r.first[e] + 1; i < r.first[e + 1]; i++)
            assert_true(r.rows[i - 1] < r.rows[i]);
    }
    for (int64_t row = 0; row < s->rows; row++)
        check_row(s, &r, row);
    for (int64_t row = 0; row < s->rows && s->shared; row++) {
        long double truth = r.gates ? 1 / (1 + expl(-(long double)r.gates[row])) : 1;
        check_close(OP_ROUTE, KN_F32, r.shared + row, &truth, 1);
    }
}

static void test_routes(void **state) {
    static const struct shape shapes[] = {
        {1, 1, 1, 0, 0, false, false, false, false},   {5, 8, 2, 1, 1, false, true, false, true},
        {200, 64, 8, 0, 0, false, false, false, true}, {67, 60, 6, 6, 2, false, true, false, false},
        {65, 16, 8, 8, 2, false, false, false, false}, {64, 8, 3, 0, 0, true, true, true, true},
        {33, 96, 4, 8, 3, true, true, true, false},    {9, 12, 2, 12, 5, true, false, false, false},
        {129, 40, 1, 0, 0, true, false, true, true},   {0, 8, 2, 0, 0, false, true, false, false},
        {130, 40, 3, 0, 0, false, true, true, true},   {3, 513, 9, 0, 0, false, true, false, false},
        {70, 33, 33, 0, 0, false, true, false, true}};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        check_route(&shapes[i]);
        buffers_free(state);
    }
}

static void test_route_refusals(void **state) {
    (void)state;
    const struct shape shape = {4, 12, 2, 3, 2, false, false, false, false};
    const struct route r = route_new(&shape);
    struct kn_route bad[] = {r.op, r.op, r.op, r.op, r.op, r.op, r.op};
    bad[0].used = 13;
    bad[1].used = 0;
    bad[2].groups = 5;
    bad[3].groups_used = 4;
    bad[4].logits.type = KN_F16;
    bad[5].first = NULL;
    bad[6].correction = r.op.weights;
    for (size_t i = 0; i < TEST_ARRAY_SIZE(bad); i++)
        assert_int_equal(kn->ops->route(kn, &bad[i]), KN_ESHAPE);
    struct matrix many = matrix_output(KN_F32, 1, KN_MAX_EXPERTS + 1, 0);
    struct kn_route large = r.op;
    large.logits = many.m;
    large.groups = 1;
    assert_int_equal(kn->ops->route(kn, &large), KN_EUNSUPPORTED);
}

int test_routing(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_routes), OPS_TEST(test_route_refusals)};
    return cmocka_run_group_tests_name("routing", tests, NULL, NULL);
}
