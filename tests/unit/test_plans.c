// SPDX-License-Identifier: Apache-2.0
// Plans of runs of blocks against every run, and plans of sets that somebody else chose.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/drop_plan.h"
#include "made_store.h"
#include "statistics/random.h"

enum { LAYERS = 7, CHECKPOINTS = 3, BOUNDARIES = LAYERS + 1 };

static const int64_t steps[] = {0, 1000, 4000};
static float similarities[CHECKPOINTS][BOUNDARIES][BOUNDARIES];

static float similarity(int64_t checkpoint, int64_t from, int64_t to) {
    return similarities[checkpoint][from][to];
}

static double value(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    return 0.125 * (double)(layer * 5 % LAYERS) + 0.03125 * (double)(module + checkpoint) +
           0.0078125 * (double)sequence;
}

static const struct made made = {.checkpoints = CHECKPOINTS,
                                 .layers = LAYERS,
                                 .sequences = 2,
                                 .step = steps,
                                 .value = value,
                                 .similarity = similarity};

static json_t *plan_of(const struct an_settings *settings) {
    struct an_result result = analyze(&made, settings);
    json_t *plan;
    ok(an_drop_plan(&plan, &result, &err));
    an_result_free(&result);
    return plan;
}

static const char *text(const json_t *plan, const char *key) {
    return json_string_value(json_object_get(plan, key));
}

// ---- runs of blocks ----------------------------------------------------------------------------

// Few values, so that runs tie.
static void make_similarities(struct an_random *random) {
    for (int c = 0; c < CHECKPOINTS; c++)
        for (int from = 0; from < BOUNDARIES; from++)
            for (int to = from + 1; to < BOUNDARIES; to++)
                similarities[c][from][to] = (float)an_random_below(random, 17) / 16.0F;
}

// What a run does to the stream, over training, at worst or in the end; steps are a quarter and
// three quarters of training apart.
static double run_importance(const struct an_series *series, enum an_aggregate over, int64_t first,
                             int64_t length) {
    double mean = 0, worst = 0, last = 0;
    for (int64_t c = 0; c < CHECKPOINTS; c++) {
        last = 1.0 - (double)similarities[c][first][first + length];
        mean += series->checkpoint[c].weight * last;
        worst = fmax(worst, last);
    }
    return over == AN_MEAN ? mean : over == AN_WORST ? worst : last;
}

static int64_t first_of(const json_t *plan) {
    return json_integer_value(json_array_get(json_object_get(plan, "drop_attn_list"), 0));
}

static void check_run(const struct tr_trace *trace, enum an_aggregate over, int64_t length,
                      bool protect_first, bool protect_last) {
    struct an_settings settings = settings_of(AN_BLOCK, length);
    settings.over = over;
    settings.consecutive = true;
    settings.resamples = 100;
    settings.protect_first = protect_first;
    settings.protect_last = protect_last;
    struct an_result result;
    ok(an_analyze(&result, trace, "made.h5", &settings, &err));
    int64_t end = LAYERS - protect_last, found = 0;
    json_t *plan = NULL;
    enum tr_status status = an_drop_plan(&plan, &result, &err);
    for (int64_t first = protect_first; first + length <= end; first++) {
        ok(status);
        double other = run_importance(&result.series, over, first, length);
        double chosen = json_real_value(json_object_get(plan, "sum"));
        bool is_chosen = first_of(plan) == first;
        found += is_chosen;
        assert_true(is_chosen ? fabs(other - chosen) < 1e-12 : other >= chosen - 1e-12);
    }
    if (status == TR_OK) {
        assert_int_equal(found, 1);
        assert_int_equal(json_array_size(json_object_get(plan, "drop_mlp_list")), length);
        assert_string_equal(text(plan, "chosen_by"), "consecutive");
    } else {
        assert_true(protect_first + length > end);
        assert_non_null(strstr(err.text, "no run of"));
    }
    json_decref(plan);
    an_result_free(&result);
}

static void test_every_run(void **state) {
    (void)state;
    struct an_random random = {0};
    an_random_seed(&random, 7);
    for (int round = 0; round < 24; round += 8) {
        make_similarities(&random);
        struct tr_trace *trace = write_store(&made);
        for (int i = round; i < round + 8; i++)
            check_run(trace, (enum an_aggregate)(i % AN_AGGREGATES), 1 + i % (LAYERS - 1),
                      i / 2 % 2, i / 4 % 2);
        tr_trace_close(trace);
    }
}

// ---- sets that were given ----------------------------------------------------------------------

static void test_given(void **state) {
    (void)state;
    struct tr_drop_set set;
    struct an_settings settings = settings_of(AN_JOINT, 0);
    ok(tr_drop_set_parse(&set, "attn:2,1 mlp:6", &err));
    settings.given = &set;
    json_t *plan = plan_of(&settings);
    assert_string_equal(text(plan, "chosen_by"), "given");
    assert_int_equal(json_integer_value(json_object_get(plan, "count")), 3);
    double sum = 0;
    const int64_t cell[][2] = {{2, TR_ATTN}, {1, TR_ATTN}, {6, TR_MLP}};
    struct an_result result = analyze(&made, &settings);
    for (int i = 0; i < 3; i++)
        for (int64_t c = 0; c < CHECKPOINTS; c++)
            for (int64_t s = 0; s < 2; s++)
                sum += result.series.checkpoint[c].weight / 2 *
                       value(c, cell[i][0], (int)cell[i][1], s);
    an_result_free(&result);
    assert_true(fabs(json_real_value(json_object_get(plan, "sum")) - sum) < 1e-12);
    json_decref(plan);
    tr_drop_set_free(&set);
}

static void test_given_of_another_kind(void **state) {
    (void)state;
    static const struct {
        const char *set, *why;
        enum an_group group;
    } cases[] = {{"attn:1 mlp:2", "of the 2 sublayers", AN_ATTN},
                 {"attn:1", "0 are of --module block", AN_BLOCK},
                 {"mlp:7", "names mlp 7", AN_MLP}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_drop_set set;
        struct an_settings settings = settings_of(cases[i].group, 0);
        json_t *plan;
        ok(tr_drop_set_parse(&set, cases[i].set, &err));
        settings.given = &set;
        struct an_result result = analyze(&made, &settings);
        assert_int_equal(an_drop_plan(&plan, &result, &err), TR_EUSAGE);
        assert_non_null(strstr(err.text, cases[i].why));
        an_result_free(&result);
        tr_drop_set_free(&set);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_run),
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_given_of_another_kind),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
