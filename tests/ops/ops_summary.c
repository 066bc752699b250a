// SPDX-License-Identifier: Apache-2.0
// What the statistics of residual adds sum up to.
#include <math.h>
#include <string.h>

#include "support.h"

enum { SEQUENCES = 3, MOST_TOKENS = 700, BINS = 9, MOST_POSITION_BINS = 12 };

static const double bin_starts[BINS] = {0, 1e-6, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1, 1.5};

struct statistics {
    int64_t seq_len, position_bins;
    double xx[SEQUENCES * MOST_TOKENS], xd[SEQUENCES * MOST_TOKENS], dd[SEQUENCES * MOST_TOKENS];
    int32_t position_bin[MOST_TOKENS];
};

// What one sequence should give.
struct truth {
    long double sums[KN_SUMS + MOST_POSITION_BINS], sizes[KN_SUMS + MOST_POSITION_BINS];
    uint32_t counts[KN_COUNTS + BINS + MOST_POSITION_BINS];
};

static void add(struct truth *truth, int64_t place, long double value) {
    truth->sums[place] += value;
    truth->sizes[place] += fabsl(value);
}

static int64_t bin_of(long double importance) {
    int64_t bin = 0;
    for (int64_t i = 1; i < BINS; i++)
        bin = importance >= (long double)bin_starts[i] ? i : bin;
    return bin;
}

// 1 - cos, NAN where there is no angle.
static long double importance_of(double xx, double xd, double dd) {
    long double a = (long double)xx, b = (long double)xd, e = (long double)dd;
    long double yy = a + 2 * b + e, cosine = (a + b) / sqrtl(a * yy);
    if (!isfinite(xx) || !isfinite(xd) || !isfinite(dd) || !(a > 0) || !(yy > 0))
        return (long double)NAN;
    return cosine >= 0 ? fmaxl(a * e - b * b, 0) / (a * yy) / (1 + cosine) : 1 - cosine;
}

static void add_token(struct truth *truth, const struct statistics *s, int64_t i) {
    long double a = (long double)s->xx[i], b = (long double)s->xd[i], e = (long double)s->dd[i];
    long double importance = importance_of(s->xx[i], s->xd[i], s->dd[i]);
    int64_t position = i % s->seq_len, place = s->position_bin[position];
    bool finite = isfinite(s->xx[i]) && isfinite(s->xd[i]) && isfinite(s->dd[i]);
    if (isnan(importance) && finite) {
        return; // no angle: in no count
    }
    if (isnan(importance)) {
        truth->counts[KN_COUNT_NONFINITE]++;
        truth->counts[KN_COUNT_FIRST] =
            (uint32_t)fminl((long double)position, (long double)truth->counts[KN_COUNT_FIRST]);
        return;
    }
    add(truth, KN_SUM_COS, (a + b) / sqrtl(a * (a + 2 * b + e)));
    add(truth, KN_SUM_IMPORTANCE, importance);
    add(truth, KN_SUM_RATIO, sqrtl(e / a));
    add(truth, KN_SUM_ALIGNMENT, e > 0 ? b / sqrtl(a * e) : 0);
    add(truth, KN_SUM_XX, a);
    add(truth, KN_SUM_XD, b);
    add(truth, KN_SUM_DD, e);
    add(truth, KN_SUM_NORM, sqrtl(a));
    add(truth, KN_SUMS + place, importance);
    truth->counts[KN_COUNT_FINITE]++;
    truth->counts[KN_COUNTS + bin_of(importance)]++;
    truth->counts[KN_COUNTS + BINS + place]++;
}

// Deltas of many sizes, along and across x; cosines on both sides of zero.
static void fill(struct statistics *s, int64_t seq_len) {
    *s = (struct statistics){.seq_len = seq_len};
    for (int64_t i = 0; i < SEQUENCES * seq_len; i++) {
        double size = pow(10, 3 * (double)random_value() - 1);
        s->xx[i] = 0.5 + fabs((double)random_value());
        s->dd[i] = s->xx[i] * size * size;
        s->xd[i] = 0.99 * (double)random_value() * sqrt(s->xx[i] * s->dd[i]);
    }
    for (int64_t p = 0; p < seq_len; p++) {
        s->position_bin[p] = p < 5 ? (int32_t)p : (int32_t)(5 + p / 128);
        s->position_bins = s->position_bin[p] + 1;
    }
}

// The last sequence has tokens without an angle, and two at the ends of importance.
static void add_special(struct statistics *s) {
    int64_t at = (SEQUENCES - 1) * s->seq_len;
    s->xx[at + 1] = s->xd[at + 1] = 0;                     // x = 0
    s->xx[at + 2] = s->dd[at + 2] = 1, s->xd[at + 2] = -1; // y = 0
    s->dd[at + 3] = INFINITY;
    s->xd[at + 4] = (double)NAN;
    s->dd[at + 5] = s->xd[at + 5] = 0;                        // no delta: importance 0
    s->xx[at + 6] = 1, s->xd[at + 6] = -2, s->dd[at + 6] = 4; // y = -x: importance 2
}

struct summary {
    double sums[SEQUENCES][KN_SUMS + MOST_POSITION_BINS];
    uint32_t counts[SEQUENCES][KN_COUNTS + BINS + MOST_POSITION_BINS];
    float importance[SEQUENCES * MOST_TOKENS];
};

static void run(const struct statistics *s, bool per_token, struct summary *out) {
    size_t tokens = (size_t)(SEQUENCES * s->seq_len), row = (size_t)(KN_SUMS + s->position_bins);
    size_t count_row = (size_t)(KN_COUNTS + BINS + s->position_bins);
    double *sums = buffer_new(NULL, SEQUENCES * row * sizeof(double));
    uint32_t *counts = buffer_new(NULL, SEQUENCES * count_row * sizeof(uint32_t));
    float *importance = per_token ? buffer_new(NULL, tokens * sizeof(float)) : NULL;
    struct kn_summary op = {.sums = sums,
                            .counts = counts,
                            .importance = importance,
                            .xx = buffer_new(s->xx, tokens * sizeof(double)),
                            .xd = buffer_new(s->xd, tokens * sizeof(double)),
                            .dd = buffer_new(s->dd, tokens * sizeof(double)),
                            .sequences = SEQUENCES,
                            .seq_len = s->seq_len,
                            .bin_starts = buffer_new(bin_starts, sizeof bin_starts),
                            .position_bin = buffer_new(s->position_bin, (size_t)s->seq_len * 4),
                            .bins = BINS,
                            .position_bins = s->position_bins};
    check_status(kn->ops->summary(kn, &op));
    for (size_t i = 0; i < SEQUENCES; i++) {
        buffer_read(sums + i * row, out->sums[i], row * sizeof(double));
        buffer_read(counts + i * count_row, out->counts[i], count_row * sizeof(uint32_t));
    }
    if (per_token)
        buffer_read(importance, out->importance, tokens * sizeof(float));
    op.bins = 0;
    assert_int_equal(kn->ops->summary(kn, &op), KN_ESHAPE);
}

static void check_sequence(const struct statistics *s, const struct summary *got, int64_t which) {
    struct truth truth = {.counts[KN_COUNT_FIRST] = (uint32_t)s->seq_len};
    for (int64_t i = 0; i < s->seq_len; i++)
        add_token(&truth, s, which * s->seq_len + i);
    for (int64_t i = 0; i < KN_SUMS + s->position_bins; i++) { // long sums: by their terms' sizes
        long double value = (long double)got->sums[which][i];
        long double bound = tolerances[OP_SUMMARY][KN_F32].relative * truth.sizes[i];
        if (!(fabsl(value - truth.sums[i]) <= bound))
            fail_msg("sum %lld of sequence %lld: %.17Lg, the truth is %.17Lg", (long long)i,
                     (long long)which, value, truth.sums[i]);
    }
    assert_memory_equal(got->counts[which], truth.counts,
                        (size_t)(KN_COUNTS + BINS + s->position_bins) * sizeof(uint32_t));
}

static void check_summary(int64_t seq_len, bool special, bool per_token) {
    struct statistics *s = host_new(sizeof *s);
    struct summary *got = host_new(sizeof *got);
    fill(s, seq_len);
    if (special)
        add_special(s);
    run(s, per_token, got);
    for (int64_t which = 0; which < SEQUENCES; which++)
        check_sequence(s, got, which);
    for (int64_t i = 0; per_token && i < SEQUENCES * seq_len; i++) {
        long double truth = importance_of(s->xx[i], s->xd[i], s->dd[i]);
        check_close(OP_SCALE, KN_F32, &got->importance[i], &truth, 1); // rounded to f32, no more
    }
}

static void test_summary_sums(void **state) {
    static const int64_t lengths[] = {1, 7, 130, MOST_TOKENS};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(lengths); i++) {
        check_summary(lengths[i], false, i % 2);
        check_summary(lengths[i], lengths[i] >= 7, true);
        buffers_free(state);
    }
}

// The adds of which nothing is there have no finite token, and no importance.
static void test_absent_summary(void **state) {
    (void)state;
    enum { SEQ_LEN = 7, ROWS = SEQUENCES * SEQ_LEN };
    struct matrix x = matrix_random(KN_F32, ROWS, 24, 0), a = matrix_random(KN_F32, ROWS, 24, 0);
    double sums[3][KN_RESIDUAL_ADDS][ROWS], *device = buffer_new(NULL, sizeof sums);
    struct kn_block_end op = {.xx = device,
                              .xd = device + KN_RESIDUAL_ADDS * ROWS,
                              .dd = device + 2 * KN_RESIDUAL_ADDS * ROWS,
                              .x = x.m,
                              .attention = a.m};
    check_status(kn->ops->block_end(kn, &op));
    buffer_read(device, sums, sizeof sums);
    struct statistics *statistics = host_new(sizeof *statistics);
    struct summary *got = host_new(sizeof *got);
    for (int add = 0; add < KN_RESIDUAL_ADDS; add++) {
        bool is_there = add != KN_ADD_MLP;
        fill(statistics, SEQ_LEN);
        memcpy(statistics->xx, sums[0][add], sizeof sums[0][add]);
        memcpy(statistics->xd, sums[1][add], sizeof sums[1][add]);
        memcpy(statistics->dd, sums[2][add], sizeof sums[2][add]);
        run(statistics, true, got);
        for (int which = 0; which < SEQUENCES; which++) {
            assert_int_equal(got->counts[which][KN_COUNT_FINITE], is_there ? SEQ_LEN : 0);
            assert_int_equal(got->counts[which][KN_COUNT_NONFINITE], is_there ? 0 : SEQ_LEN);
        }
        for (int i = 0; i < ROWS; i++)
            assert_true(isnan(got->importance[i]) == !is_there);
    }
}

// A value on the edge of a bin belongs to it.
static void test_bin_edges(void **state) {
    (void)state;
    struct statistics *s = host_new(sizeof *s);
    struct summary *got = host_new(sizeof *got);
    fill(s, 1);
    for (int64_t i = 0; i < SEQUENCES; i++) { // y = 0 x + delta, across: cos 0, importance 1
        s->xx[i] = 1;
        s->xd[i] = -1;
        s->dd[i] = 2;
    }
    run(s, false, got);
    assert_int_equal(got->counts[0][KN_COUNTS + 7], 1); // [1, 1.5)
    assert_true(got->sums[0][KN_SUM_IMPORTANCE] == 1 && got->sums[0][KN_SUM_COS] == 0);
}

int test_summary(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_summary_sums), OPS_TEST(test_absent_summary),
                                       OPS_TEST(test_bin_edges)};
    return cmocka_run_group_tests_name("summary", tests, NULL, NULL);
}
