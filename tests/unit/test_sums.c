// SPDX-License-Identifier: Apache-2.0
// Sums: what is derived from a token's three statistics, what is left out, and that ranges of
// sequences join to the same bytes however they were cut.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/measures.h"

enum { LAYERS = 2, SEQUENCES = 7, SEQ_LEN = 20, TOKENS = SEQUENCES * SEQ_LEN };

static const struct tr_layout layout = {
    .layers = LAYERS, .sequences = SEQUENCES, .seq_len = SEQ_LEN, .nll = true, .per_token = true};

// Statistics of token i of a module, fixed pseudo-random.
static double noise(int64_t i, int which) {
    uint64_t x = (uint64_t)(i * 4 + which + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 32;
    return (double)(x >> 11) * 0x1p-53;
}

struct data {
    double xx[TOKENS], xd[TOKENS], dd[TOKENS], loss[TOKENS];
};

static void fill(struct data *data, int salt) {
    for (int64_t i = 0; i < TOKENS; i++) {
        data->xx[i] = 1 + noise(i + 1000 * salt, 0);
        data->dd[i] = noise(i + 1000 * salt, 1);
        data->xd[i] = (2 * noise(i + 1000 * salt, 2) - 1) * sqrt(data->xx[i] * data->dd[i]);
        data->loss[i] = noise(i + 1000 * salt, 3);
    }
}

// What the kernels make of sequences [s, s + n) of a layer's modules.
struct summary {
    double *sums;
    uint32_t *counts;
    float *importance;
};

static void summarise(struct kn_backend *kn, struct data *data, int64_t s, int64_t n,
                      const struct summary *to) {
    double starts[TR_BINS];
    int32_t positions[SEQ_LEN];
    int64_t bins = tr_position_bins(SEQ_LEN);
    for (int bin = 0; bin < TR_BINS; bin++)
        starts[bin] = tr_bin_start(bin);
    for (int i = 0; i < SEQ_LEN; i++)
        positions[i] = (int32_t)tr_position_bin(i);
    for (int m = 0; m < TR_MODULES; m++) {
        struct kn_summary op = {.sums = to->sums + m * n * (KN_SUMS + bins),
                                .counts = to->counts + m * n * (KN_COUNTS + TR_BINS + bins),
                                .importance = to->importance + m * n * SEQ_LEN,
                                .xx = data[m].xx + s * SEQ_LEN,
                                .xd = data[m].xd + s * SEQ_LEN,
                                .dd = data[m].dd + s * SEQ_LEN,
                                .sequences = n,
                                .seq_len = SEQ_LEN,
                                .bin_starts = starts,
                                .position_bin = positions,
                                .bins = TR_BINS,
                                .position_bins = bins};
        assert_int_equal(kn->ops->summary(kn, &op), KN_OK);
    }
}

// Feeds sequences [begin, end) of every layer in steps of `step` sequences.
static void *sums_of(struct data *data, int64_t begin, int64_t end, int64_t step) {
    struct kn_backend *kn;
    void *sums;
    static double sum_values[TR_MODULES * SEQUENCES * (KN_SUMS + SEQ_LEN)];
    static uint32_t counts[TR_MODULES * SEQUENCES * (KN_COUNTS + TR_BINS + SEQ_LEN)];
    static float importance[TR_MODULES * TOKENS];
    const struct summary summary = {sum_values, counts, importance};
    assert_int_equal(kn_open(&kn, KN_REFERENCE, NULL), KN_OK);
    assert_int_equal(tr_measure_sums.new(&sums, &layout, begin, end, NULL), TR_OK);
    for (int layer = 0; layer < LAYERS; layer++)
        for (int64_t s = begin; s < end; s += step) {
            int64_t n = end - s < step ? end - s : step;
            summarise(kn, data + layer * TR_MODULES, s, n, &summary);
            struct tr_tap tap = {.layer = layer,
                                 .has = {true, true, true},
                                 .first_sequence = s,
                                 .sequences = n,
                                 .seq_len = SEQ_LEN,
                                 .sums = sum_values,
                                 .counts = counts,
                                 .importance = importance};
            tr_measure_sums.tap(sums, &tap);
            struct tr_loss_tap loss = {s, n, SEQ_LEN, data[0].loss + s * SEQ_LEN, NULL, NULL};
            if (layer == 0)
                tr_measure_sums.loss(sums, &loss);
        }
    kn->ops->close(kn);
    return sums;
}

static struct tr_row row_of(void *sums) {
    struct tr_row row;
    assert_int_equal(tr_row_new(&row, &layout, NULL), TR_OK);
    assert_int_equal(tr_measure_sums.finish(sums, 1, &row, NULL), TR_OK);
    return row;
}

static void assert_same_rows(const struct tr_row *a, const struct tr_row *b) {
    for (int v = TR_V_SIMILARITY; v < TR_VARIABLES; v++)
        if (tr_variable_present((enum tr_variable_id)v, &layout))
            assert_memory_equal(a->data[v], b->data[v],
                                (size_t)tr_variable_elements((enum tr_variable_id)v, &layout) *
                                    tr_value_size(tr_variables[v].type));
}

static struct data *new_data(void) {
    struct data *data = calloc(LAYERS * TR_MODULES, sizeof *data);
    assert_non_null(data);
    for (int cell = 0; cell < LAYERS * TR_MODULES; cell++)
        fill(&data[cell], cell);
    return data;
}

static void means_are_those_of_the_tokens(void **state) {
    (void)state;
    struct data *data = new_data();
    void *sums = sums_of(data, 0, SEQUENCES, 3);
    struct tr_row row = row_of(sums);
    int cell = 1 * TR_MODULES + TR_MLP;
    long double importance = 0, ratio = 0;
    for (int i = 0; i < TOKENS; i++) {
        long double a = data[cell].xx[i], b = data[cell].xd[i], e = data[cell].dd[i];
        importance += 1 - (a + b) / sqrtl(a * (a + 2 * b + e));
        ratio += sqrtl(e / a);
    }
    assert_true(fabsl(tr_row_f64(&row, TR_V_IMPORTANCE)[cell] - importance / TOKENS) < 1e-14L);
    assert_true(fabsl(tr_row_f64(&row, TR_V_UPDATE_RATIO)[cell] - ratio / TOKENS) < 1e-14L);
    assert_true(fabs(tr_row_f64(&row, TR_V_IMPORTANCE)[cell] +
                     tr_row_f64(&row, TR_V_SIMILARITY)[cell] - 1) < 1e-14);
    uint32_t binned = 0;
    for (int bin = 0; bin < TR_BINS; bin++)
        binned += tr_row_u32(&row, TR_V_IMPORTANCE_HIST)[cell * TR_BINS + bin];
    assert_int_equal(binned, TOKENS);
    double loss = 0;
    for (int i = 0; i < SEQ_LEN - 1; i++)
        loss += data[0].loss[2 * SEQ_LEN + i];
    assert_true(fabs(tr_row_f64(&row, TR_V_NLL)[2] - loss / (SEQ_LEN - 1)) < 1e-15);
    tr_row_free(&row);
    tr_measure_sums.free(sums);
    free(data);
}

static void cuts_leave_no_trace(void **state) {
    (void)state;
    struct data *data = new_data();
    data[4].xx[2 * SEQ_LEN + 3] = NAN; // a left-out token in the middle piece
    void *whole = sums_of(data, 0, SEQUENCES, 2);
    struct tr_row expected = row_of(whole);
    static const int64_t cuts[] = {0, 2, 6, SEQUENCES};
    void *joined;
    assert_int_equal(tr_measure_sums.new(&joined, &layout, 0, SEQUENCES, NULL), TR_OK);
    for (int piece = 2; piece >= 0; piece--) { // pieces arrive in any order
        void *part = sums_of(data, cuts[piece], cuts[piece + 1], 2);
        const void *bytes;
        size_t size;
        tr_measure_sums.bytes(part, &bytes, &size);
        assert_int_equal(
            tr_measure_sums.join(joined, cuts[piece], cuts[piece + 1], bytes, size, NULL), TR_OK);
        tr_measure_sums.free(part);
    }
    struct tr_row found = row_of(joined);
    assert_same_rows(&expected, &found);
    struct tr_err err;
    assert_int_equal(tr_measure_sums.join(joined, 0, 2, "short", 5, &err), TR_EFORMAT);
    tr_row_free(&found);
    tr_row_free(&expected);
    tr_measure_sums.free(joined);
    tr_measure_sums.free(whole);
    free(data);
}

static void what_has_no_angle_is_counted_and_left_out(void **state) {
    (void)state;
    struct data *data = new_data();
    struct data *d = &data[0];
    int64_t at = 3 * SEQ_LEN;
    d->xx[at + 5] = NAN;
    d->dd[at + 6] = INFINITY;
    d->xx[at + 7] = d->xd[at + 7] = 0; // x = 0
    d->xx[at + 8] = d->dd[at + 8] = 1; // x + delta = 0
    d->xd[at + 8] = -1;
    d->dd[at + 9] = d->xd[at + 9] = 0; // delta = 0: importance and alignment 0
    void *sums = sums_of(data, 0, SEQUENCES, SEQUENCES);
    struct tr_row row = row_of(sums);
    assert_int_equal(tr_row_u32(&row, TR_V_NONFINITE)[0], 2);
    assert_int_equal(tr_row_i64(&row, TR_V_NONFINITE_FIRST)[0], at + 5);
    assert_int_equal(tr_row_u32(&row, TR_V_TOKEN_COUNT)[3], SEQ_LEN - 4);
    assert_true(isfinite(tr_row_f64(&row, TR_V_IMPORTANCE)[0]));
    assert_true(isnan(tr_row_f32(&row, TR_V_IMPORTANCE_TOKEN)[at + 5]));
    assert_true(tr_row_f32(&row, TR_V_IMPORTANCE_TOKEN)[at + 9] == 0);
    assert_int_equal(tr_row_i64(&row, TR_V_NONFINITE_FIRST)[1], -1);
    tr_row_free(&row);
    tr_measure_sums.free(sums);
    free(data);
}

static void a_sequence_without_tokens_is_nan(void **state) {
    (void)state;
    struct data *data = new_data();
    for (int i = 0; i < SEQ_LEN; i++)
        data[0].xx[i] = NAN;
    void *sums = sums_of(data, 0, SEQUENCES, 1);
    struct tr_row row = row_of(sums);
    assert_true(isnan(tr_row_f64(&row, TR_V_IMPORTANCE_SEQ)[0]));
    assert_true(isfinite(tr_row_f64(&row, TR_V_IMPORTANCE_SEQ)[1]));
    assert_int_equal(tr_row_u32(&row, TR_V_TOKEN_COUNT)[0], 0);
    tr_row_free(&row);
    tr_measure_sums.free(sums);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_are_those_of_the_tokens),
        cmocka_unit_test(cuts_leave_no_trace),
        cmocka_unit_test(what_has_no_angle_is_counted_and_left_out),
        cmocka_unit_test(a_sequence_without_tokens_is_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
