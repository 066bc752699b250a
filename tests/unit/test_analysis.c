// SPDX-License-Identifier: Apache-2.0
// What is made of a store: faults, order, sets, onset, plans; on stores written here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/compare.h"
#include "analysis/drop_plan.h"
#include "analysis/result.h"
#include "made_store.h"

// ---- published similarities ------------------------------------------------------------------

// Mistral-7B-v0.1 over 256 x 2048 tokens of C4: mean cosines as logged by an independent run of the
// published code, and the lists that its authors give.
static const double mistral_attention[32] = {
    0.75588620, 0.85682893, 0.91179383, 0.92424661, 0.94169247, 0.94425559, 0.94979471, 0.94050932,
    0.94699997, 0.95228636, 0.94012207, 0.94451660, 0.95155245, 0.95569170, 0.95624006, 0.95716435,
    0.96625632, 0.96893889, 0.97121096, 0.97712785, 0.98658210, 0.98980957, 0.99351084, 0.99193090,
    0.99424261, 0.99527830, 0.99482679, 0.99305338, 0.99231905, 0.98295677, 0.98633975, 0.96754092};
static const double mistral_block[32] = {
    0.6019,     0.7624,     0.8133,     0.8430,     0.8443,     0.8421,     0.8468,     0.8498,
    0.8616,     0.8750,     0.8786,     0.8864,     0.8953,     0.8992,     0.8920,     0.8946,
    0.8960,     0.8990,     0.8983,     0.9085,     0.9292,     0.94096059, 0.95286506, 0.95534688,
    0.96060008, 0.96255606, 0.96303052, 0.96047443, 0.95111793, 0.9396,     0.9402,     0.8312};

static double mistral(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    (void)checkpoint;
    (void)sequence;
    return 1.0 - (module == TR_BLOCK ? mistral_block : mistral_attention)[layer];
}

static void assert_plan(enum an_group group, const char *drop, const char *attention,
                        const char *mlp) {
    const int64_t step[] = {1000};
    const struct made made = {
        .checkpoints = 1, .layers = 32, .sequences = 1, .step = step, .value = mistral};
    struct an_settings settings = settings_of(group, 8);
    struct an_result result = analyze(&made, &settings);
    json_t *plan;
    ok(an_drop_plan(&plan, &result, &err));
    char *attention_list = json_dumps(json_object_get(plan, "drop_attn_list"), JSON_COMPACT);
    char *mlp_list = json_dumps(json_object_get(plan, "drop_mlp_list"), JSON_COMPACT);
    assert_string_equal(json_string_value(json_object_get(plan, "drop")), drop);
    assert_string_equal(attention_list, attention);
    assert_string_equal(mlp_list, mlp);
    assert_true(json_is_null(json_object_get(plan, "probability")));
    free(attention_list);
    free(mlp_list);
    json_decref(plan);
    an_result_free(&result);
}

static void test_published_lists(void **state) {
    (void)state;
    assert_plan(AN_ATTN, "attn:25,26,24,22,27,28,23,21", "[21,22,23,24,25,26,27,28]", "[]");
    assert_plan(AN_BLOCK, "block:26,25,24,27,23,22,28,21", "[21,22,23,24,25,26,27,28]",
                "[21,22,23,24,25,26,27,28]");
}

// ---- sets ------------------------------------------------------------------------------------

enum { SEQUENCES = 24 };

// Layer 0 far below all others; 1 and 2 alike but for noise that differs by sequence; 3 above.
static double alike(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    static const double level[] = {0.01, 0.0501, 0.05, 0.2};
    double noise = (double)((sequence * 7 + layer * 5 + checkpoint * 3 + module) % 11 - 5);
    return level[layer] + 0.001 * noise;
}

static const int64_t four_steps[] = {0, 1000, 2000, 3000};
static const struct made made_alike = {
    .checkpoints = 4, .layers = 4, .sequences = SEQUENCES, .step = four_steps, .value = alike};

static void test_sets(void **state) {
    (void)state;
    struct an_settings settings = settings_of(AN_ATTN, 2);
    struct an_result result = analyze(&made_alike, &settings);
    const struct an_group_result *group = result.group[AN_ATTN];
    assert_int_equal(result.method, AN_BOOTSTRAP_T);
    assert_null(result.group[AN_MLP]);
    for (int which = 0; which < AN_AGGREGATES; which++) {
        const struct an_set *set = &group->set[which];
        int64_t doubtful = set->choice.order[1];
        assert_int_equal(set->choice.order[0], 0);
        assert_true(doubtful == 1 || doubtful == 2);
        assert_int_equal(set->choice.order[3], 3);
        assert_true(an_choice_probability(&set->choice, 0, 2) == 1.0);
        assert_true(an_choice_probability(&set->choice, 3, 2) == 0.0);
        assert_true(an_choice_probability(&set->choice, doubtful, 2) < 1.0);
        assert_int_equal(set->ties, 1);
        assert_int_equal(set->tie[0].inside, doubtful);
        assert_int_equal(set->tie[0].outside, 3 - doubtful);
        assert_false(set->cut[1].clean);
        assert_int_equal(set->clean_below, 1);
        assert_int_equal(set->clean_above, 3);
    }
    an_result_free(&result);
}

static void test_below(void **state) {
    (void)state;
    struct an_settings settings = settings_of(AN_JOINT, 0);
    settings.below = 0.04;
    struct an_result result = analyze(&made_alike, &settings);
    const struct an_group_result *group = result.group[AN_JOINT];
    json_t *plan;
    assert_int_equal(group->units, 8);
    assert_int_equal(group->below, 2);
    assert_true(group->unit[0].below && group->unit[4].below && !group->unit[1].below);
    assert_true(group->unit[0].by[AN_WORST].high < 0.04);
    ok(an_drop_plan(&plan, &result, &err));
    const char *drop = json_string_value(json_object_get(plan, "drop"));
    assert_string_equal(drop, "attn:0 mlp:0");
    assert_true(json_real_value(json_object_get(plan, "tau")) == 0.04);
    assert_true(json_real_value(json_object_get(plan, "level")) == settings.level);
    assert_int_equal(json_integer_value(json_object_get(plan, "resamples")), settings.resamples);
    assert_int_equal(json_integer_value(json_object_get(plan, "seed")), settings.seed);
    json_decref(plan);
    an_result_free(&result);
    settings.below = 0.001;
    result = analyze(&made_alike, &settings);
    assert_int_equal(result.group[AN_JOINT]->below, 0);
    ok(an_drop_plan(&plan, &result, &err));
    assert_string_equal(json_string_value(json_object_get(plan, "drop")), "");
    assert_int_equal(json_array_size(json_object_get(plan, "drop_attn_list")), 0);
    assert_int_equal(json_integer_value(json_object_get(plan, "count")), 0);
    json_decref(plan);
    an_result_free(&result);
}

// ---- what is ranked by -----------------------------------------------------------------------

// Layer 1 is better left out; the first checkpoint has no costs.
static double signed_cost(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    static const double level[] = {0.05, -0.2, 0.1, 0.4};
    if (checkpoint == 0)
        return NAN;
    return level[layer] + 0.1 * module + 0.01 * (double)((sequence * 5 + layer) % 7 - 3);
}

static const struct made made_cost = {.checkpoints = 4,
                                      .layers = 4,
                                      .sequences = SEQUENCES,
                                      .step = four_steps,
                                      .value = alike,
                                      .cost = signed_cost};

static double mean_cost(int64_t layer) {
    double sum = 0.0;
    for (int64_t s = 0; s < SEQUENCES / 2; s++)
        sum += signed_cost(1, layer, TR_ATTN, s);
    return sum / (SEQUENCES / 2);
}

static void test_costs(void **state) {
    (void)state;
    static const int64_t by_loss[] = {1, 0, 2, 3}, by_divergence[] = {0, 2, 1, 3};
    for (int by = AN_BY_COST_NLL; by < AN_CRITERIA; by++) {
        struct an_settings settings = settings_of(AN_ATTN, 1);
        settings.by = by;
        struct an_result result = analyze(&made_cost, &settings);
        const struct an_group_result *group = result.group[AN_ATTN];
        const struct an_estimate *mean = &group->unit[3].by[AN_MEAN];
        assert_int_equal(result.series.sampled, SEQUENCES / 2);
        assert_int_equal(result.series.claimed, 3);
        assert_true(isnan(group->value[0]));
        assert_true(fabs(mean->value - mean_cost(3)) < 1e-12);
        assert_true(mean->low < mean->value && mean->value < mean->high);
        assert_true(isnan(group->unit[3].orthogonal.value));
        assert_true(isnan(group->unit[3].whole.delta.value));
        assert_false(isnan(group->unit[3].whole.total.low));
        for (int64_t place = 0; place < 4; place++)
            assert_int_equal(group->set[AN_MEAN].choice.order[place],
                             by == AN_BY_COST_NLL ? by_loss[place] : by_divergence[place]);
        an_result_free(&result);
    }
}

// ---- proxies on trial ------------------------------------------------------------------------

enum { TRIED_LAYERS = 8 };

static double rising(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    double noise = (double)((sequence * 7 + layer * 5 + checkpoint * 3 + module) % 11 - 5);
    return 0.01 * (double)(layer + 1) + 0.0002 * noise;
}

static double cost_as(int64_t as, int64_t sequence) {
    return 0.1 * (double)as - 0.05 + 0.004 * (double)((sequence * 5 + as) % 7 - 3);
}

static double cost_right(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    (void)checkpoint;
    (void)module;
    return cost_as(layer, sequence);
}

static double cost_wrong(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    (void)checkpoint;
    (void)module;
    return cost_as(layer == 1 ? 6 : layer == 6 ? 1 : layer, sequence);
}

static double cost_late(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    (void)module;
    return cost_as(checkpoint < 2 ? TRIED_LAYERS - 1 - layer : layer, sequence);
}

static struct an_result try_costs(double (*cost)(int64_t, int64_t, int, int64_t)) {
    const struct made made = {.checkpoints = 4,
                              .layers = TRIED_LAYERS,
                              .sequences = 2 * SEQUENCES,
                              .step = four_steps,
                              .value = rising,
                              .cost = cost};
    struct an_settings settings = settings_of(AN_ATTN, 2);
    return analyze(&made, &settings);
}

static void test_right_proxy(void **state) {
    (void)state;
    struct an_result result = try_costs(cost_right);
    const struct an_trial *trial = result.group[AN_ATTN]->trial;
    const struct an_verdict *over = an_verdict_of(trial, -1, AN_BY_IMPORTANCE, 0);
    assert_int_equal(trial->rows, SEQUENCES);
    assert_int_equal(trial->units, TRIED_LAYERS);
    assert_int_equal(trial->checkpoints, 4);
    assert_true(over->spearman.value == 1.0 && over->spearman.low > 0.8);
    assert_true(over->tau.value == 1.0 && over->tau.high == 1.0);
    assert_true(over->found.value == 1.0);
    assert_true(over->regret.low == 0.0 && over->regret.high == 0.0);
    assert_int_equal(trial->settled[0].from, 0);
    assert_int_equal(trial->told[0].from, 0);
    for (int64_t u = 0; u < trial->units; u++)
        assert_false(an_misjudges(trial, over, u));
    assert_true(trial->cost[0].value < 0.0 && trial->cost[0].high < 0.0);
    an_result_free(&result);
}

static void test_proxy_wrong_for_two(void **state) {
    (void)state;
    struct an_result result = try_costs(cost_wrong);
    const struct an_trial *trial = result.group[AN_ATTN]->trial;
    const struct an_verdict *over = an_verdict_of(trial, -1, AN_BY_IMPORTANCE, 0);
    for (int64_t u = 0; u < trial->units; u++)
        assert_int_equal(an_misjudges(trial, over, u), u == 1 || u == 6);
    assert_true(over->shift[1] >= 4 && over->shift[6] <= -4);
    assert_true(over->found.value == 0.5 && over->found.high < 1.0);
    assert_true(over->regret.low > 0.4 && over->regret.high < 0.6);
    assert_true(over->spearman.high < 0.8);
    assert_int_equal(trial->settled[0].from, -1);
    assert_true(trial->told[AN_BY_IMPORTANCE * AN_COSTS].from == -1);
    an_result_free(&result);
}

static void test_proxy_right_late(void **state) {
    (void)state;
    struct an_result result = try_costs(cost_late);
    const struct an_trial *trial = result.group[AN_ATTN]->trial;
    assert_true(an_verdict_of(trial, 1, AN_BY_IMPORTANCE, 0)->spearman.high < -0.5);
    assert_true(an_verdict_of(trial, 2, AN_BY_IMPORTANCE, 0)->spearman.low > 0.5);
    assert_int_equal(trial->settled[0].from, 2);
    assert_int_equal(trial->told[AN_BY_IMPORTANCE * AN_COSTS].from, 0);
    assert_int_equal(trial->told[AN_BY_COST_NLL * AN_COSTS].from, 2);
    an_result_free(&result);
}

// Of blocks no costs were measured, so there is nothing to rank; of other stores none at all.
static void test_no_costs(void **state) {
    (void)state;
    struct an_settings settings = settings_of(AN_BLOCK, 1);
    struct an_result result;
    settings.by = AN_BY_COST_KL;
    result = analyze(&made_cost, &settings);
    assert_null(result.group[AN_BLOCK]);
    an_result_free(&result);
    struct tr_trace *trace = write_store(&made_alike);
    assert_int_equal(an_analyze(&result, trace, "made.h5", &settings, &err), TR_EUSAGE);
    assert_string_equal(err.text, "made.h5 cannot be ranked by cost-kl: it holds no costs of "
                                  "leaving sublayers out");
    tr_trace_close(trace);
}

static void test_criteria(void **state) {
    (void)state;
    for (int by = 0; by < AN_CRITERIA; by++) {
        assert_string_equal(an_criteria[by].name, an_by_names[by]);
        assert_int_equal(an_criterion_find(an_by_names[by]), by);
        assert_false(an_criteria[by].is_signed && an_criteria[by].logarithmic);
    }
    assert_int_equal(an_criterion_find("cost"), AN_BY_COST_NLL);
    assert_int_equal(an_criterion_find("costs"), AN_CRITERIA);
}

// ---- when ------------------------------------------------------------------------------------

// Layer 1 sinks below layer 0 at checkpoint 2 and stays; claims from there on.
static double crossing(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    double level = layer == 1 ? (checkpoint < 2 ? 0.5 : 0.05) : 0.1 * (double)(layer + 1);
    return level * (1.0 + 0.01 * (double)((sequence * 5 + layer + module) % 7));
}

static void test_onset(void **state) {
    (void)state;
    const struct made made = {.checkpoints = 4,
                              .layers = 4,
                              .sequences = SEQUENCES,
                              .step = four_steps,
                              .value = crossing};
    struct an_settings settings = settings_of(AN_MLP, 1);
    settings.from = 1500;
    struct an_result result = analyze(&made, &settings);
    const struct an_group_result *group = result.group[AN_MLP];
    assert_int_equal(result.series.first, 2);
    assert_int_equal(result.series.untrained, 0);
    assert_int_equal(group->unit[1].onset, 2);
    assert_int_equal(group->unit[0].onset, -1);
    assert_int_equal(group->stability.onset_all, 2);
    assert_true(group->unit[1].share == 1.0 && group->unit[0].share == 0.0);
    assert_true(group->unit[1].untrained.high < 0.0);
    assert_true(fabs(group->unit[1].untrained.value / (0.05 - 0.5) - 1.0) < 0.05);
    assert_true(isnan(group->stability.concordance.p));
    an_result_free(&result);
}

// ---- gaps ------------------------------------------------------------------------------------

// All sink; layer 3, which would be the lowest where it has a value, has none at the first
// checkpoint, at which all are high, and layer 1 has one there only.
static double gappy(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    if ((layer == 3 && checkpoint == 0) || (layer == 1 && checkpoint > 0))
        return NAN;
    double level = layer == 3 ? 0.15 : 0.1 * (double)(layer + 1);
    return level * (checkpoint == 0 ? 5.0 : 1.0) *
           (1.0 + 0.01 * (double)((sequence * 3 + module) % 5));
}

// The layer that lacks three of four values is left out, then the checkpoint that lacks one.
static void test_gaps(void **state) {
    (void)state;
    const struct made made = {
        .checkpoints = 4, .layers = 5, .sequences = SEQUENCES, .step = four_steps, .value = gappy};
    struct an_settings settings = settings_of(AN_MLP, 1);
    struct an_result result = analyze(&made, &settings);
    const struct an_group_result *group = result.group[AN_MLP];
    assert_int_equal(result.series.claimed, 3);
    assert_int_equal(result.series.claim[0], 1);
    assert_true(result.series.checkpoint[0].weight == 0.0);
    assert_true(result.series.gappy[1 * TR_MODULES + TR_MLP]);
    assert_int_equal(group->gappy, 1);
    assert_int_equal(group->absent, 0);
    assert_int_equal(group->units, 4);
    assert_int_equal(group->unit[2].layer, 3);
    assert_true(group->unit[0].by[AN_MEAN].value < 0.11);
    assert_true(group->unit[0].by[AN_WORST].value < 0.11);
    assert_true(group->unit[0].mean_rank == 1.0 && group->unit[0].share == 1.0);
    assert_true(group->unit[2].mean_rank == 2.0);
    assert_int_equal(group->stability.concordance.units, 4);
    assert_int_equal(group->stability.concordance.checkpoints, 3);
    assert_true(isnan(group->stability.last[0].spearman));
    assert_true(group->stability.last[1].spearman == 1.0);
    assert_int_equal(group->unit[0].onset, 1);
    an_result_free(&result);
}

// ---- faults ----------------------------------------------------------------------------------

enum { MANY = 12 };

// A steady decline; checkpoint 5 is ten times too high, 9 repeats 8.
static double faulty(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    int64_t at = checkpoint == 9 ? 8 : checkpoint;
    double wiggle = 0.01 * (double)((at * 7 + layer * 3 + module) % 5);
    double value = exp(-0.02 * (double)at + wiggle) * 0.01 * (double)(layer + 1);
    return (at == 5 ? 10.0 : 1.0) * value * (1.0 + 0.01 * (double)(sequence % 3));
}

static void test_faults(void **state) {
    (void)state;
    static const int64_t step[MANY] = {100, 200, 300,  400,  600,  700,
                                       800, 900, 1000, 1100, 1200, 1300};
    static const char *const digest[MANY] = {"a", "b", "c", "d", "e", "f",
                                             "g", "c", "i", "j", "k", "l"};
    static const struct {
        enum an_fault_kind kind;
        int64_t checkpoint, other;
        const char *text;
    } expected[] = {
        {AN_FAULT_NONFINITE, 1, -1,
         "step 200: tokens with non-finite values are left out of 1 mean, most in attn 0: 5"},
        {AN_FAULT_ANGLELESS, 1, -1,
         "step 200: tokens without an angle (a stream of zeros) are left out of 1 mean, most in "
         "mlp "
         "0: 3"},
        {AN_FAULT_DUPLICATE, 7, 2, "step 300 and step 900 have the same weights"},
        {AN_FAULT_IDENTICAL, 9, 8, "step 1000 and step 1100 have the same values throughout"},
        {AN_FAULT_OUTLIER, 5, -1, NULL},
        {AN_FAULT_MISSING, 3, 4,
         "between step 400 and step 600 1 checkpoint of a regular progression is missing"},
    };
    const struct made made = {.checkpoints = MANY,
                              .layers = 3,
                              .sequences = 4,
                              .step = step,
                              .digest = digest,
                              .value = faulty,
                              .nonfinite_at_1 = 5,
                              .angleless_at_1 = 3};
    struct an_settings settings = settings_of(AN_BLOCK, 1);
    struct an_result result = analyze(&made, &settings);
    size_t count = sizeof expected / sizeof expected[0];
    assert_int_equal(result.faults, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(result.fault[i].kind, expected[i].kind);
        assert_int_equal(result.fault[i].checkpoint, expected[i].checkpoint);
        assert_int_equal(result.fault[i].other, expected[i].other);
        if (expected[i].text)
            assert_string_equal(result.fault[i].text, expected[i].text);
    }
    an_result_free(&result);
}

// ---- two runs --------------------------------------------------------------------------------

// Linear in relative depth, so that interpolation is exact; the 8-layer run lies 0.1 above.
static double by_depth_of_4(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    (void)checkpoint;
    return ((double)layer + 0.5) / 4.0 + module + 0.01 * (double)(sequence % 5 - 2);
}

static double by_depth_of_8(int64_t checkpoint, int64_t layer, int module, int64_t sequence) {
    (void)checkpoint;
    return 0.1 + ((double)layer + 0.5) / 8.0 + module + 0.01 * (double)(sequence % 5 - 2);
}

static void test_compare(void **state) {
    (void)state;
    static const int64_t steps_a[] = {0, 1000, 2000, 4000}, steps_b[] = {0, 1050, 2600, 3000, 4100};
    const struct made a = {.checkpoints = 4,
                           .layers = 4,
                           .sequences = 20,
                           .step = steps_a,
                           .value = by_depth_of_4},
                      b = {.checkpoints = 5,
                           .layers = 8,
                           .sequences = 30,
                           .step = steps_b,
                           .value = by_depth_of_8};
    struct an_settings settings = settings_of(AN_ATTN, 2);
    struct an_result first = analyze(&a, &settings), second = analyze(&b, &settings);
    struct an_comparison comparison;
    ok(an_compare(&comparison, &first, &second, &err));
    assert_int_equal(comparison.axis, AN_AXIS_STEP);
    assert_int_equal(comparison.layers, 4);
    assert_false(comparison.paired);
    assert_int_equal(comparison.pairs, 3);
    assert_int_equal(comparison.pair[1].second, 1);
    assert_int_equal(comparison.pair[2].first, 3);
    assert_int_equal(comparison.pair[2].second, 4);
    const struct an_compared_group *group = &comparison.group[0];
    assert_int_equal(comparison.groups, 1);
    assert_int_equal(group->units, 4);
    assert_true(group->jaccard.value == 1.0 && group->spearman.value == 1.0);
    for (int64_t layer = 0; layer < 4; layer++) {
        const struct an_compared_unit *unit = &group->unit[layer];
        double error = sqrt(2e-4 / 19.0 + 2e-4 / 29.0);
        assert_true(fabs(unit->first.value - ((double)layer + 0.5) / 4.0) < 1e-12);
        assert_true(fabs(unit->difference.value - 0.1) < 1e-12);
        assert_true(unit->difference.low > 0.1 - 2.3 * error);
        assert_true(unit->difference.low < 0.1 - 1.8 * error);
        assert_true(unit->difference.high > 0.1 + 1.8 * error);
        assert_true(unit->difference.high < 0.1 + 2.3 * error);
    }
    an_comparison_free(&comparison);
    an_result_free(&first);
    an_result_free(&second);
}

// ---- little data -----------------------------------------------------------------------------

static void test_one_of_everything(void **state) {
    (void)state;
    const int64_t step[] = {7};
    const struct made made = {
        .checkpoints = 1, .layers = 1, .sequences = 1, .step = step, .value = alike};
    struct an_settings settings = settings_of(AN_ATTN, 0);
    struct an_result result = analyze(&made, &settings);
    const struct an_group_result *group = result.group[AN_ATTN];
    assert_int_equal(result.method, AN_NO_INTERVAL);
    assert_int_equal(group->count, 1);
    assert_true(fabs(group->unit[0].by[AN_MEAN].value - 0.005) < 1e-12);
    assert_true(isnan(group->unit[0].by[AN_MEAN].low) && isnan(group->unit[0].by[AN_WORST].high));
    assert_true(isnan(group->stability.concordance.w));
    assert_true(isnan(group->unit[0].whole.total.value));
    an_result_free(&result);
}

static void test_default_count(void **state) {
    (void)state;
    static const int64_t cases[][2] = {{1, 1}, {4, 1}, {8, 2}, {10, 3}, {32, 8}, {80, 20}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(an_default_count(cases[i][0]), cases[i][1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_lists),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_no_costs),
        cmocka_unit_test(test_criteria),
        cmocka_unit_test(test_right_proxy),
        cmocka_unit_test(test_proxy_wrong_for_two),
        cmocka_unit_test(test_proxy_right_late),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_onset),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_one_of_everything),
        cmocka_unit_test(test_default_count),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
