// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/variables.h"

static void test_bin_edges(void **state) {
    (void)state;
    for (int bin = 1; bin < TR_BINS; bin++) {
        double start = tr_bin_start(bin);
        assert_true(fabs(start / pow(10, -12 + bin / 8.0) - 1) < 1e-14);
        assert_true(start > tr_bin_start(bin - 1));
    }
}

static void test_bin_ends(void **state) {
    (void)state;
    assert_true(tr_bin_start(0) == 0);
    assert_true(tr_bin_start(1) > 1e-12 && tr_bin_start(96) == 1);
}

static void test_position_bins(void **state) {
    (void)state;
    static const int64_t starts[] = {16, 18, 20, 21, 23, 25, 27, 30, 32,
                                     35, 39, 42, 46, 50, 54, 59, 64};
    for (int64_t bin = 0; bin < 16; bin++)
        assert_int_equal(tr_position_bin_start(bin), bin);
    for (int k = 0; k < 17; k++)
        assert_int_equal(tr_position_bin_start(16 + k), starts[k]);
    assert_int_equal(tr_position_bin_start(16 + 8 * 7), 2048);
    for (int64_t bin = 1; bin < 200; bin++) {
        int64_t start = tr_position_bin_start(bin);
        assert_true(start > tr_position_bin_start(bin - 1));
        assert_int_equal(tr_position_bin(start), bin);
        assert_int_equal(tr_position_bin(start - 1), bin - 1);
    }
    assert_int_equal(tr_position_bins(0), 0);
    assert_int_equal(tr_position_bins(1), 1);
    assert_int_equal(tr_position_bins(16), 16);
    assert_int_equal(tr_position_bins(17), 17);
    assert_int_equal(tr_position_bins(2048), 72);
    assert_int_equal(tr_position_bins(2049), 73);
}

// N tokens of T, ascending and each in its own stratum of T / N.
static void test_span_tokens(void **state) {
    (void)state;
    static const struct tr_layout layouts[] = {
        {.sequences = 16, .seq_len = 256, .span_tokens = 1024},
        {.sequences = 16, .seq_len = 256, .span_tokens = 4096},
        {.sequences = 256, .seq_len = 2048, .span_tokens = 1024},
        {.sequences = 7, .seq_len = 13, .span_tokens = 40},
        {.sequences = 1, .seq_len = 5, .span_tokens = 4},
    };
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
        int64_t count = layouts[l].span_tokens, total = layouts[l].sequences * layouts[l].seq_len;
        for (int64_t i = 0; i < count; i++) {
            int64_t token = tr_span_token(&layouts[l], i);
            assert_in_range(token, i * total / count, (i + 1) * total / count - 1);
            if (l < 2) // every fourth, and every one
                assert_int_equal(token, i * (total / count));
        }
    }
}

// However few tokens a row gives, first ones are rare among them.
static void test_span_positions(void **state) {
    (void)state;
    struct tr_layout layout = {.sequences = 256, .seq_len = 2048, .span_tokens = 1024};
    int quarter[4] = {0}, first = 0;
    for (int64_t i = 0; i < layout.span_tokens; i++) {
        int64_t position = tr_span_token(&layout, i) % layout.seq_len;
        quarter[position / 512]++;
        first += position < 16;
    }
    for (int q = 0; q < 4; q++)
        assert_int_equal(quarter[q], 256);
    assert_int_equal(first, 8); // as many as 16 of 2048 positions should give
}

// Probes are span tokens, each of its own stratum, of all parts of a row.
static void test_probes(void **state) {
    (void)state;
    struct tr_layout layout = {
        .sequences = 256, .seq_len = 2048, .span_tokens = 1024, .probes = 32};
    int quarter[4] = {0};
    for (int64_t j = 0; j < layout.probes; j++) {
        int64_t probe = tr_probe(&layout, j);
        assert_in_range(probe, j * 32, j * 32 + 31);
        quarter[tr_span_token(&layout, probe) % layout.seq_len / 512]++;
    }
    for (int q = 0; q < 4; q++)
        assert_int_equal(quarter[q], 8);
    layout.probes = layout.span_tokens;
    for (int64_t j = 0; j < layout.probes; j++)
        assert_int_equal(tr_probe(&layout, j), j);
}

static void test_table(void **state) {
    (void)state;
    struct tr_layout layout = {.layers = 3, .sequences = 5, .seq_len = 20};
    for (int id = 0; id < TR_VARIABLES; id++) {
        assert_int_equal(tr_variable_find(tr_variables[id].name), id);
        assert_int_equal(tr_variables[id].dims[0], TR_DIM_CHECKPOINT);
        assert_true((tr_variables[id].units == NULL) == (tr_variables[id].type == TR_VALUE_STRING));
    }
    assert_int_equal(tr_variable_find("no such"), -1);
    assert_string_equal(tr_variables[TR_V_DD_SEQ].name, "dd_seq");
    assert_int_equal(tr_variable_elements(TR_V_NAME, &layout), 1);
    assert_int_equal(tr_variable_elements(TR_V_IMPORTANCE, &layout), 9);
    assert_int_equal(tr_variable_elements(TR_V_XX_SEQ, &layout), 45);
    assert_int_equal(tr_variable_elements(TR_V_IMPORTANCE_HIST, &layout), 900);
    assert_int_equal(tr_variable_elements(TR_V_IMPORTANCE_POS, &layout), 9 * 18);
    assert_int_equal(tr_variable_elements(TR_V_IMPORTANCE_TOKEN, &layout), 900);
    assert_false(tr_variable_present(TR_V_NLL, &layout));
    assert_false(tr_variable_present(TR_V_IMPORTANCE_TOKEN, &layout));
    layout.nll = layout.per_token = true;
    assert_true(tr_variable_present(TR_V_NLL, &layout));
    assert_true(tr_variable_present(TR_V_IMPORTANCE_TOKEN, &layout));
    assert_false(tr_variable_present(TR_V_CKA, &layout));
    assert_false(tr_dim_present(TR_DIM_CHANNEL, &layout));
    layout.span_tokens = 50;
    layout.probes = 7;
    layout.channels = 11;
    assert_true(tr_dim_present(TR_DIM_CHANNEL, &layout));
    assert_int_equal(tr_variable_elements(TR_V_CKA, &layout), 16);
    assert_int_equal(tr_variable_elements(TR_V_STREAM_SAMPLE, &layout), 4 * 7 * 11);
}

// Whole micro-batches, spread evenly; the last one of the calibration may be shorter.
static void test_cost_sequences(void **state) {
    (void)state;
    struct tr_layout spread = {.sequences = 20, .cost_sequences = 8, .cost_batch = 4};
    static const int64_t expected[] = {0, 1, 2, 3, 8, 9, 10, 11};
    for (int64_t i = 0; i < 8; i++)
        assert_int_equal(tr_cost_sequence(&spread, i), expected[i]);
    struct tr_layout all = {.sequences = 7, .cost_sequences = 7, .cost_batch = 3};
    for (int64_t i = 0; i < 7; i++)
        assert_int_equal(tr_cost_sequence(&all, i), i);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bin_edges),      cmocka_unit_test(test_bin_ends),
        cmocka_unit_test(test_position_bins),  cmocka_unit_test(test_span_tokens),
        cmocka_unit_test(test_span_positions), cmocka_unit_test(test_probes),
        cmocka_unit_test(test_table),          cmocka_unit_test(test_cost_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
