// SPDX-License-Identifier: Apache-2.0
// What rows say of themselves, and that the analysis, the figure and the page say the same of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/result_json.h"
#include "base/file.h"
#include "export/export.h"
#include "figures/data.h"
#include "folder.h"
#include "html_data.h"
#include "sample.h"

enum { ROWS = 4, SEQUENCES = 3 };
static struct tr_err err;

static void ok(enum tr_status status) {
    if (status != TR_OK)
        fail_msg("%s", err.text);
}

// ---- stores ----------------------------------------------------------------------------------

struct row {
    const char *stage;
    int64_t step;
    double tokens;
    double nll[SEQUENCES];
};

static void commit(const char *path, const struct tr_run_info *info, int64_t at,
                   const struct row *made) {
    struct tr_row row;
    char name[32];
    snprintf(name, sizeof name, "checkpoint-%lld", (long long)at);
    ok(sample_row(&row, at, at, &info->layout, &err));
    ok(tr_row_set_string(&row, TR_V_NAME, name, &err));
    ok(tr_row_set_string(&row, TR_V_STAGE, made->stage, &err));
    ok(tr_row_set_string(&row, TR_V_WEIGHTS_DIGEST, name, &err));
    *tr_row_i64(&row, TR_V_STEP) = made->step;
    *tr_row_f64(&row, TR_V_TOKENS_SEEN) = made->tokens;
    memcpy(tr_row_f64(&row, TR_V_NLL), made->nll, sizeof made->nll);
    ok(tr_store_commit(path, info, &row, &err));
    tr_row_free(&row);
}

// The rows come back in the store's order: by stage and step.
static struct tr_trace *write_store(const char *path, const struct row rows[ROWS]) {
    const struct tr_layout layout = {
        .layers = 2, .sequences = SEQUENCES, .seq_len = 8, .nll = true};
    struct tr_run_info info;
    struct tr_store *store;
    struct tr_trace *trace;
    char *warnings;
    ok(sample_info(&info, &layout, &err));
    ok(tr_store_open(&store, path, &info, true, &warnings, &err));
    for (int64_t i = 0; i < ROWS; i++)
        commit(path, &info, i, &rows[i]);
    ok(tr_store_publish(store, NULL, &err));
    tr_store_close(store);
    tr_run_info_free(&info);
    ok(tr_trace_open(&trace, path, &err));
    return trace;
}

// ---- places and labels -----------------------------------------------------------------------

static void test_places(void **state) {
    (void)state;
    static const struct {
        struct row row[ROWS];
        enum an_axis axis;
        double at[ROWS];
        const char *label[ROWS], *column[ROWS];
    } cases[] = {
        {{{"", 0, 0, {0}}, {"", 512, 1e6, {0}}, {"", 10000, 2e6, {0}}, {"", 2000000, 3e6, {0}}},
         AN_AXIS_TOKENS,
         {0, 1e6, 2e6, 3e6},
         {"step 0", "step 512", "step 10000", "step 2000000"},
         {"0", "512", "10k", "2M"}},
        {{{"", 1, NAN, {0}}, {"", 2, 1, {0}}, {"", 3, 2, {0}}, {"", 10500, 3, {0}}},
         AN_AXIS_STEP,
         {1, 2, 3, 10500},
         {"step 1", "step 2", "step 3", "step 10500"},
         {"1", "2", "3", "10500"}},
        {{{"", 5, 7, {0}}, {"", 6, 7, {0}}, {"two", 1, 1, {0}}, {"two", 2, 2, {0}}},
         AN_AXIS_INDEX,
         {0, 1, 2, 3},
         {"step 5", "step 6", "two step 1", "two step 2"},
         {"5", "6", "1", "2"}},
        {{{"", 3, NAN, {0}}, {"", 4, NAN, {0}}, {"", 5, NAN, {0}}, {"", -1, NAN, {0}}},
         AN_AXIS_INDEX,
         {0, 1, 2, 3},
         {"step 3", "step 4", "step 5", "checkpoint-3"},
         {"3", "4", "5", "?"}},
    };
    const int64_t all[ROWS] = {0, 1, 2, 3};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tr_trace *trace = write_store(in_folder("places.h5"), cases[i].row);
        struct an_checkpoint *checkpoint;
        enum an_axis axis;
        ok(an_timeline_load(&checkpoint, &axis, trace, all, ROWS, &err));
        assert_int_equal(axis, cases[i].axis);
        for (int64_t c = 0; c < ROWS; c++) {
            assert_true(checkpoint[c].at == cases[i].at[c]);
            assert_string_equal(checkpoint[c].label, cases[i].label[c]);
            assert_string_equal(checkpoint[c].column, cases[i].column[c]);
        }
        an_timeline_free(checkpoint, ROWS);
        tr_trace_close(trace);
    }
}

// A part of the rows is placed by what is known of that part.
static void test_part(void **state) {
    (void)state;
    const struct row rows[ROWS] = {
        {"", 3, NAN, {0}}, {"", 4, NAN, {0}}, {"", 5, NAN, {0}}, {"", -1, NAN, {0}}};
    const int64_t part[] = {0, 2};
    struct tr_trace *trace = write_store(in_folder("part.h5"), rows);
    struct an_checkpoint *checkpoint;
    enum an_axis axis;
    ok(an_timeline_load(&checkpoint, &axis, trace, part, 2, &err));
    assert_int_equal(axis, AN_AXIS_STEP);
    assert_true(checkpoint[0].at == 3 && checkpoint[1].at == 5);
    assert_int_equal(checkpoint[1].row, 2);
    an_timeline_free(checkpoint, 2);
    tr_trace_close(trace);
}

// ---- a loss that is not finite ---------------------------------------------------------------

// The means are 2.5 and 3.5 where they are known.
static const struct row losses[ROWS] = {{"", 1, 10, {NAN, 1, 3}},
                                        {"", 2, 20, {1.5, 2.5, 3.5}},
                                        {"", 3, 30, {1, INFINITY, -INFINITY}},
                                        {"", 4, 40, {2.5, 3.5, 4.5}}};

static void check_json(const struct tr_trace *trace, const char *path) {
    const struct an_settings settings = {
        .wanted = {true}, .below = NAN, .from = INT64_MIN, .resamples = 100, .level = 0.95};
    struct an_result result;
    json_t *value;
    ok(an_analyze(&result, trace, path, &settings, &err));
    ok(an_result_json(&value, &result, NULL, &err));
    const json_t *list = json_object_get(json_object_get(value, "series"), "checkpoints");
    const json_t *nll[ROWS];
    for (size_t c = 0; c < ROWS; c++)
        nll[c] = json_object_get(json_array_get(list, c), "nll");
    assert_true(json_is_null(nll[0]) && json_is_null(nll[2]));
    assert_true(json_real_value(nll[1]) == 2.5 && json_real_value(nll[3]) == 3.5);
    json_decref(value);
    static const char *const sentences[] = {
        "step 1 has no loss: it is not finite in 1 of 3 sequences",
        "step 3 has no loss: it is not finite in 2 of 3 sequences"};
    int64_t found = 0;
    for (int64_t i = 0; i < result.faults; i++)
        if (result.fault[i].kind == AN_FAULT_LOSS)
            assert_string_equal(result.fault[i].text, sentences[found++]);
    assert_int_equal(found, 2);
    an_result_free(&result);
}

static void check_figure(const struct tr_trace *trace) {
    struct tr_excerpt excerpt;
    struct nx_data data;
    ok(tr_excerpt_whole(&excerpt, trace, &err));
    ok(nx_data_load(&data, trace, &excerpt, &err));
    assert_true(isnan(data.nll[0]) && isnan(data.nll[2]));
    assert_true(data.nll[1] == 2.5 && data.nll[3] == 3.5);
    assert_true(isnan(data.nll_low[0]));
    assert_true(fabs(data.nll_low[1] - (2.5 - 1.96 / sqrt(3))) < 1e-12); // s is 1
    nx_data_free(&data);
    tr_excerpt_free(&excerpt);
}

// The file that trace-export writes, as text.
static char *exported(const char *store, const char *to, const char *figure) {
    char *path = in_folder("exported"), *written, *text;
    const struct nx_options options = {
        .store = store, .to = to, .figure = figure, .out = path, .force = true};
    struct tr_string notes = {0};
    size_t size;
    ok(nx_export(&options, &notes, &written, &err));
    ok(tr_file_load(path, 1 << 24, &text, &size, &err));
    tr_string_free(&notes);
    free(written);
    return text;
}

static int count(const char *text, const char *part) {
    int found = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        found++;
    return found;
}

static const char left_out[] =
    "Not drawn: 2 checkpoints whose loss is not finite in every sequence.";

// Two dots, and a caption that says why they are not four.
static void check_svg(const char *store) {
    char *svg = exported(store, "svg", "loss");
    assert_int_equal(count(svg, "h1"), 2);
    assert_non_null(strstr(svg, left_out));
    free(svg);
}

static void check_page(const char *store) {
    const float values[ROWS] = {NAN, 2.5, NAN, 3.5};
    unsigned char bytes[18] = {0};
    char row[25] = "";
    char *page = exported(store, "html", NULL);
    memcpy(bytes, values, sizeof values);
    for (int at = 0; at < 18; at += 3)
        nx_base64(bytes + at, at < 15 ? 3 : 1, row + at / 3 * 4);
    assert_non_null(strstr(page, row));
    assert_non_null(strstr(page, left_out));
    free(page);
}

static void test_loss(void **state) {
    (void)state;
    char *path = in_folder("loss.h5");
    struct tr_trace *trace = write_store(path, losses);
    check_json(trace, path);
    check_figure(trace);
    tr_trace_close(trace);
    check_svg(path);
    check_page(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_part),
        cmocka_unit_test(test_loss),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
