// SPDX-License-Identifier: Apache-2.0
// What removal costs: means over a sequence, and that pieces join to the same row whoever measured
// which candidates on which sequences.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/measures.h"

enum { LAYERS = 2, ROWS = 4, LENGTH = 3, SETS = 2 };
// In the place of a module.
enum { NOTHING = TR_MODULES, SET };

static const struct tr_layout layout = {.layers = LAYERS,
                                        .sequences = 8,
                                        .seq_len = LENGTH,
                                        .nll = true,
                                        .cost_sequences = ROWS,
                                        .drop_sets = SETS,
                                        .set_distances = true,
                                        .cost_batch = 2};
static struct tr_err err;

#define OK(call) assert_int_equal((call), TR_OK)

static double value(int module, int layer, int64_t at) {
    return 1 + module + 10 * layer + 0.125 * (double)at;
}

// What a pass over rows [first, first + count) says of a sublayer.
static void measure(struct tr_measured *to, int module, int layer, int64_t first, int64_t count) {
    double loss[ROWS * LENGTH], divergence[ROWS * LENGTH];
    int32_t agrees[ROWS * LENGTH];
    for (int64_t i = 0; i < count * LENGTH; i++) {
        int64_t at = first * LENGTH + i;
        loss[i] = i % LENGTH == LENGTH - 1 ? NAN : value(module, layer, at);
        divergence[i] = 2 * value(module, layer, at);
        agrees[i] = at % 2 == 0;
    }
    struct tr_removal removal = {.what = module == NOTHING ? TR_REMOVED_NOTHING
                                         : module == SET   ? TR_REMOVED_SET
                                                           : TR_REMOVED_SUBLAYER,
                                 .module = (enum tr_module)module,
                                 .layer = layer,
                                 .set = layer,
                                 .first = first,
                                 .sequences = count,
                                 .seq_len = LENGTH,
                                 .loss = loss,
                                 .divergence = divergence,
                                 .agrees = agrees};
    tr_measured_removal(to, &removal);
}

static void measure_all(struct tr_measured *to, int64_t first, int64_t count) {
    measure(to, NOTHING, 0, first, count);
    for (int layer = 0; layer < LAYERS; layer++)
        for (int module = TR_ATTN; module <= TR_MLP; module++)
            measure(to, module, layer, first, count);
    for (int set = 0; set < SETS; set++)
        measure(to, SET, set, first, count);
}

static void finish(struct tr_measured *from, struct tr_row *row) {
    OK(tr_row_new(row, &layout, &err));
    OK(tr_measured_finish(from, 1, row, &err));
    tr_measured_free(from);
}

static void means_of_a_sequence(void **state) {
    (void)state;
    struct tr_measured measured;
    struct tr_row row;
    OK(tr_measured_new_additions(&measured, &layout, &err));
    measure_all(&measured, 0, ROWS);
    finish(&measured, &row);
    int64_t at = (1 * TR_MODULES + TR_MLP) * ROWS + 2; // of layer 1, row 2: tokens 6, 7, 8
    double first = value(TR_MLP, 1, 6);
    assert_true(tr_row_f64(&row, TR_V_DROP_NLL)[at] == first + 0.0625);
    assert_true(tr_row_f64(&row, TR_V_DROP_KL)[at] == 2 * (first + 0.125));
    assert_true(tr_row_f64(&row, TR_V_DROP_AGREE)[at] == 2 / 3.0);
    assert_true(tr_row_f64(&row, TR_V_BASE_NLL)[2] == value(NOTHING, 0, 6) + 0.0625);
    assert_true(tr_row_f64(&row, TR_V_SET_KL)[ROWS + 2] == 2 * (value(SET, 1, 6) + 0.125));
    assert_true(isnan(tr_row_f64(&row, TR_V_DROP_KL)[TR_BLOCK * ROWS])); // nobody measured it
    tr_row_free(&row);
}

static void join(struct tr_measured *whole, struct tr_measured *part) {
    struct tr_string bytes = {0};
    OK(tr_measured_append(part, &bytes, &err));
    OK(tr_measured_join(whole, &layout, 0, layout.sequences, bytes.data, bytes.size, &err));
    assert_int_equal(
        tr_measured_join(whole, &layout, 0, layout.sequences, bytes.data, bytes.size - 1, &err),
        TR_EFORMAT);
    tr_string_free(&bytes);
    tr_measured_free(part);
}

// One piece has half of the rows whole, one some candidates of the others, one the rest.
static void pieces_join(void **state) {
    (void)state;
    struct tr_measured all, whole, part[3];
    struct tr_row expected, joined;
    OK(tr_measured_new_additions(&all, &layout, &err));
    OK(tr_measured_new_additions(&whole, &layout, &err));
    for (int i = 0; i < 3; i++)
        OK(tr_measured_new_additions(&part[i], &layout, &err));
    measure_all(&all, 0, ROWS);
    measure_all(&part[0], 0, 2);
    measure(&part[1], NOTHING, 0, 2, 2);
    measure(&part[1], TR_ATTN, 0, 2, 2);
    measure(&part[2], NOTHING, 0, 2, 2);
    measure(&part[2], TR_MLP, 0, 2, 2);
    measure(&part[2], TR_ATTN, 1, 2, 2);
    measure(&part[2], TR_MLP, 1, 2, 2);
    measure(&part[2], SET, 1, 2, 2);
    measure(&part[1], SET, 0, 2, 2);
    for (int i = 2; i >= 0; i--)
        join(&whole, &part[i]);
    finish(&all, &expected);
    finish(&whole, &joined);
    for (enum tr_variable_id id = TR_V_BASE_NLL; id <= TR_V_SET_ANGLE; id++)
        assert_memory_equal(expected.data[id], joined.data[id],
                            (size_t)tr_variable_elements(id, &layout) * sizeof(double));
    tr_row_free(&expected);
    tr_row_free(&joined);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_of_a_sequence),
        cmocka_unit_test(pieces_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
