// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "variables.h"

static void test_bin_edges(void **state) {
    (void)state;
    for (int bin = 1; bin < TR_BINS; bin++) {
        double start = tr_bin_start(bin);
        assert_true(fabs(start / pow(10, -12 + bin / 8.0) - 1) < 1e-14);
        assert_true(start > tr_bin_start(bin - 1));
        assert_int_equal(tr_bin(start), bin);
        assert_int_equal(tr_bin(nextafter(start, 0)), bin - 1);
    }
}

static void test_bin_ends(void **state) {
    (void)state;
    assert_true(tr_bin_start(0) == 0);
    assert_int_equal(tr_bin(0), 0);
    assert_int_equal(tr_bin(-1e-17), 0);
    assert_int_equal(tr_bin(5e-324), 0);
    assert_int_equal(tr_bin(1e-12), 0);
    assert_int_equal(tr_bin(1), 96);
    assert_int_equal(tr_bin(2), 98);
    assert_int_equal(tr_bin(1e300), TR_BINS - 1);
    assert_int_equal(tr_bin(INFINITY), TR_BINS - 1);
    assert_int_equal(tr_bin(NAN), 0);
}

static void test_bin_monotone(void **state) {
    (void)state;
    int before = 0;
    for (double x = 1e-14; x < 10; x *= 1.0007) {
        int bin = tr_bin(x);
        assert_true(bin == before || bin == before + 1);
        assert_true(tr_bin_start(bin) <= x);
        before = bin;
    }
    assert_int_equal(before, TR_BINS - 1);
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
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bin_edges),    cmocka_unit_test(test_bin_ends),
        cmocka_unit_test(test_bin_monotone), cmocka_unit_test(test_position_bins),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
