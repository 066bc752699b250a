// SPDX-License-Identifier: Apache-2.0
// Streams of span tokens: which ones a range of sequences collects, that ranges join to the same
// bytes however they were cut, and what of them a row keeps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "measure/measures.h"

enum { LAYERS = 2, SEQUENCES = 7, SEQ_LEN = 20, CHANNELS = 6 };

static const struct tr_layout layout = {.layers = LAYERS,
                                        .sequences = SEQUENCES,
                                        .seq_len = SEQ_LEN,
                                        .span_tokens = 45,
                                        .probes = 5,
                                        .channels = CHANNELS};

// The stream of a token of the calibration at a boundary.
static float value_of(int64_t boundary, int64_t token, int64_t channel) {
    return (float)sin((double)(token * 31 + channel * 7) + 0.4 * (double)boundary);
}

// The spans of sequences [begin, end), as a run hands their streams out.
static void *spans_of(int64_t begin, int64_t end) {
    void *spans;
    int64_t count;
    assert_int_equal(tr_measure_spans.new(&spans, &layout, begin, end, NULL), TR_OK);
    const int64_t *tokens = tr_measure_spans.tokens(spans, &count);
    for (int64_t boundary = 0; boundary <= LAYERS; boundary++)
        for (int64_t i = 0; i < count; i++)
            for (int64_t c = 0; c < CHANNELS; c++)
                tr_measure_spans.boundary(spans, boundary, i)[c] = value_of(boundary, tokens[i], c);
    return spans;
}

static void ranges_have_the_span_tokens_among_them(void **state) {
    (void)state;
    int64_t all = 0;
    for (int64_t sequence = 0; sequence < SEQUENCES; sequence++) {
        int64_t count;
        void *spans = spans_of(sequence, sequence + 1);
        const int64_t *tokens = tr_measure_spans.tokens(spans, &count);
        for (int64_t i = 0; i < count; i++, all++) {
            assert_int_equal(tokens[i], tr_span_token(&layout, all));
            assert_int_equal(tokens[i] / SEQ_LEN, sequence);
        }
        tr_measure_spans.free(spans);
    }
    assert_int_equal(all, layout.span_tokens);
}

static struct tr_row row_of(void *spans) {
    struct tr_row row;
    assert_int_equal(tr_row_new(&row, &layout, NULL), TR_OK);
    assert_int_equal(tr_measure_spans.finish(spans, 2, &row, NULL), TR_OK);
    return row;
}

static void assert_same(const struct tr_row *a, const struct tr_row *b) {
    for (enum tr_variable_id id = TR_V_SPAN_SIMILARITY; id <= TR_V_STREAM_SAMPLE; id++)
        assert_memory_equal(a->data[id], b->data[id],
                            (size_t)tr_variable_elements(id, &layout) * sizeof(float));
}

static void cuts_leave_no_trace(void **state) {
    (void)state;
    static const int64_t cuts[] = {0, 2, 6, SEQUENCES};
    void *whole = spans_of(0, SEQUENCES), *joined;
    assert_int_equal(tr_measure_spans.new(&joined, &layout, 0, SEQUENCES, NULL), TR_OK);
    for (int piece = 2; piece >= 0; piece--) { // pieces arrive in any order
        void *part = spans_of(cuts[piece], cuts[piece + 1]);
        const void *bytes;
        size_t size;
        tr_measure_spans.bytes(part, &bytes, &size);
        assert_int_equal(
            tr_measure_spans.join(joined, cuts[piece], cuts[piece + 1], bytes, size, NULL), TR_OK);
        tr_measure_spans.free(part);
    }
    struct tr_row expected = row_of(whole), found = row_of(joined);
    assert_same(&expected, &found);
    assert_true(isfinite(tr_row_f32(&found, TR_V_CKA_DEBIASED)[1]));
    struct tr_err err;
    assert_int_equal(tr_measure_spans.join(joined, 0, 2, "short", 5, &err), TR_EFORMAT);
    tr_row_free(&found);
    tr_row_free(&expected);
    tr_measure_spans.free(joined);
    tr_measure_spans.free(whole);
}

static void the_sample_is_the_probes_stream(void **state) {
    (void)state;
    void *spans = spans_of(0, SEQUENCES);
    struct tr_row row = row_of(spans);
    const float *sample = tr_row_f32(&row, TR_V_STREAM_SAMPLE);
    for (int64_t boundary = 0; boundary <= LAYERS; boundary++)
        for (int64_t i = 0; i < layout.probes; i++)
            for (int64_t c = 0; c < CHANNELS; c++, sample++)
                assert_true(*sample ==
                            value_of(boundary, tr_span_token(&layout, tr_probe(&layout, i)), c));
    tr_row_free(&row);
    tr_measure_spans.free(spans);
}

// Nothing is collected or sent, and a row has no place for it.
static void a_layout_without_spans_has_none(void **state) {
    (void)state;
    struct tr_layout plain = layout;
    plain.span_tokens = plain.probes = plain.channels = 0;
    struct tr_measured measured;
    struct tr_row row;
    int64_t count = 1;
    assert_false(tr_measure_spans.wanted(&plain));
    assert_int_equal(tr_measured_new(&measured, &plain, 0, SEQUENCES, NULL), TR_OK);
    assert_null(tr_measured_tokens(&measured, &count));
    assert_int_equal(count, 0);
    assert_int_equal(tr_row_new(&row, &plain, NULL), TR_OK);
    assert_int_equal(tr_measured_finish(&measured, 1, &row, NULL), TR_OK);
    assert_null(row.data[TR_V_CKA]);
    double sums = tr_measure_sums.room(&plain, 4);
    assert_true(tr_measured_room(&plain, 4) == sums);
    tr_row_free(&row);
    tr_measured_free(&measured);
}

// All measures travel together: what is sent of a range has the size that each says, in their
// order, and anything longer or shorter is refused.
static void measures_travel_together(void **state) {
    (void)state;
    struct tr_measured part, whole;
    struct tr_string bytes = {0};
    struct tr_err err;
    size_t sums = tr_measure_sums.size(&layout, 1, 3), spans = tr_measure_spans.size(&layout, 1, 3);
    assert_int_equal(tr_measured_new(&part, &layout, 1, 3, NULL), TR_OK);
    assert_int_equal(tr_measured_new(&whole, &layout, 0, SEQUENCES, NULL), TR_OK);
    assert_int_equal(tr_measured_append(&part, &bytes, NULL), TR_OK);
    assert_int_equal(bytes.size, sums + spans);
    assert_int_equal(tr_measured_join(&whole, &layout, 1, 3, bytes.data, bytes.size, &err), TR_OK);
    assert_int_equal(tr_measured_join(&whole, &layout, 1, 3, bytes.data, bytes.size - 1, &err),
                     TR_EFORMAT);
    assert_int_equal(tr_string_append(&bytes, "x", 1, NULL), TR_OK);
    assert_int_equal(tr_measured_join(&whole, &layout, 1, 3, bytes.data, bytes.size, &err),
                     TR_EFORMAT);
    tr_string_free(&bytes);
    tr_measured_free(&part);
    tr_measured_free(&whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_have_the_span_tokens_among_them),
        cmocka_unit_test(cuts_leave_no_trace),
        cmocka_unit_test(the_sample_is_the_probes_stream),
        cmocka_unit_test(a_layout_without_spans_has_none),
        cmocka_unit_test(measures_travel_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
