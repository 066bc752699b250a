// SPDX-License-Identifier: Apache-2.0
// The order of layers by mean importance, and the heat map of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "heatmap.h"
#include "ranks.h"

static struct an_ranking rank(const double *values, int64_t checkpoints, int64_t layers,
                              int64_t count) {
    struct an_ranking ranking;
    struct tr_err err;
    assert_int_equal(an_rank(&ranking, values, checkpoints, layers, count, &err), TR_OK);
    assert_int_equal(ranking.checkpoints, checkpoints);
    assert_int_equal(ranking.layers, layers);
    return ranking;
}

static void assert_order(const struct an_ranking *ranking, const int64_t *layers) {
    for (int64_t i = 0; i < ranking->layers; i++)
        assert_int_equal(ranking->places[i].layer, layers[i]);
}

static void assert_place(const struct an_place *place, double mean, double lowest, double highest,
                         int64_t among, int64_t measured) {
    assert_true(place->mean == mean);
    assert_true(place->lowest == lowest);
    assert_true(place->highest == highest);
    assert_int_equal(place->among, among);
    assert_int_equal(place->measured, measured);
}

static void test_order(void **state) {
    (void)state;
    static const double values[] = {0.5, 0.25, 1.0, 2.0, // 1, 0 are the lowest
                                    4.0, 0.25, 3.0, 1.0, // 1, 3
                                    0.5, 0.25, 2.0, 3.0, // 1, 0
                                    1.0, 0.75, 2.0, 4.0};
    struct an_ranking ranking = rank(values, 4, 4, 2);
    assert_order(&ranking, (int64_t[]){1, 0, 2, 3});
    assert_place(&ranking.places[0], 0.375, 0.25, 0.75, 4, 4);
    assert_place(&ranking.places[1], 1.5, 0.5, 4.0, 3, 4);
    assert_place(&ranking.places[2], 2.0, 1.0, 3.0, 0, 4);
    assert_place(&ranking.places[3], 2.5, 1.0, 4.0, 1, 4);
    assert_int_equal(ranking.together, 3);
    assert_int_equal(ranking.since, 2);
    an_ranking_free(&ranking);
}

static void test_not_at_the_last(void **state) {
    (void)state;
    static const double values[] = {1.0, 5.0, 1.0, 5.0, 3.0, 2.0};
    struct an_ranking ranking = rank(values, 3, 2, 1);
    assert_order(&ranking, (int64_t[]){0, 1});
    assert_int_equal(ranking.together, 2);
    assert_int_equal(ranking.since, 3);
    an_ranking_free(&ranking);
}

static void test_ties_go_to_the_lower_layer(void **state) {
    (void)state;
    static const double values[] = {2.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0};
    struct an_ranking ranking = rank(values, 2, 4, 2);
    assert_order(&ranking, (int64_t[]){1, 2, 3, 0});
    assert_int_equal(ranking.places[0].among, 2);
    assert_int_equal(ranking.places[1].among, 2);
    assert_int_equal(ranking.places[2].among, 0);
    assert_int_equal(ranking.together, 2);
    assert_int_equal(ranking.since, 0);
    an_ranking_free(&ranking);
}

static void test_absent(void **state) {
    (void)state;
    static const double values[] = {NAN, 3.0, NAN,      1.0, NAN, // layers 0 and 4 never,
                                    NAN, 1.0, INFINITY, 2.0, NAN, // layer 2 once
                                    NAN, 2.0, 0.5,      3.0, NAN};
    struct an_ranking ranking = rank(values, 3, 5, 2);
    assert_order(&ranking, (int64_t[]){2, 1, 3, 0, 4});
    assert_int_equal(ranking.present, 3);
    assert_place(&ranking.places[0], 0.5, 0.5, 0.5, 1, 1);
    assert_place(&ranking.places[1], 2.0, 1.0, 3.0, 3, 3);
    assert_place(&ranking.places[2], 2.0, 1.0, 3.0, 2, 3);
    assert_int_equal(ranking.places[3].measured, 0);
    assert_true(isnan(ranking.places[3].mean) && isnan(ranking.places[3].lowest));
    assert_int_equal(ranking.places[3].among, 0);
    assert_int_equal(ranking.together, 1);
    assert_int_equal(ranking.since, 2);
    an_ranking_free(&ranking);
}

static void test_nothing_measured(void **state) {
    (void)state;
    static const double values[] = {NAN, NAN};
    struct an_ranking ranking = rank(values, 1, 2, 0);
    assert_int_equal(ranking.present, 0);
    assert_int_equal(ranking.count, 0);
    an_ranking_free(&ranking);
}

static void test_count(void **state) {
    (void)state;
    static const struct {
        int64_t layers, wanted, count;
    } cases[] = {{1, 0, 1}, {4, 0, 1}, {8, 0, 2}, {10, 0, 3}, {32, 0, 8}, {3, 5, 3}, {3, 2, 2}};
    double values[32];
    for (int i = 0; i < 32; i++)
        values[i] = i;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct an_ranking ranking = rank(values, 1, cases[i].layers, cases[i].wanted);
        assert_int_equal(ranking.count, cases[i].count);
        an_ranking_free(&ranking);
    }
}

// ---- the heat map ----------------------------------------------------------------------------

static void assert_map(const double *values, int64_t checkpoints, int64_t layers,
                       char *const *column, struct an_style style, const char *expected) {
    struct tr_string out = {0};
    struct tr_err err;
    assert_int_equal(an_heatmap(&out, values, checkpoints, layers, column, &style, &err), TR_OK);
    assert_string_equal(out.data, expected);
    tr_string_free(&out);
}

static char *steps[] = {"0",   "10",  "200", "3000", "40k",  "50k",
                        "60k", "70k", "80k", "90k",  "100k", "110k"};

static void test_map_scale(void **state) {
    (void)state;
    static const double values[] = {1e-4, 0.0, 1.0, 1e-2, NAN, 0.999};
    assert_map(values, 2, 3, steps, (struct an_style){.width = 24},
               "  step  0     10\n"
               "     0        ++++++\n"
               "     1        xxxxxx\n"
               "     2  @@@@@@@@@@@@\n"
               "        0.0001 [ .:-=+*#%@] 1  1 - cos, log scale; x = not measured\n");
    assert_map(values, 2, 3, steps, (struct an_style){.width = 19, .utf8 = true},
               "  step  0    10\n"
               "     0       ▒▒▒▒▒\n"
               "     1       xxxxx\n"
               "     2  ██████████\n"
               "        0.0001 [ ░▒▓█] 1  1 - cos, log scale; x = not measured\n");
}

static void test_map_of_equal_values(void **state) {
    (void)state;
    static const double values[] = {0.25};
    assert_map(values, 1, 1, steps, (struct an_style){.width = 30, .utf8 = true},
               "  step  0\n"
               "     0        \n"
               "        all the same: no scale\n");
}

static void test_map_sampled(void **state) {
    (void)state;
    static const double values[] = {1.0, 0.9, 0.1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.01};
    assert_map(values, 12, 1, steps, (struct an_style){.width = 20},
               "  step  0 200 60k\n"
               "     0  @@+@@@@@@@ \n"
               "        0.01 [ .:-=+*#%@] 1  1 - cos, log scale\n"
               "        11 of 12 checkpoints shown, evenly spaced\n");
}

static void test_map_in_colour(void **state) {
    (void)state;
    static const double values[] = {0.1, 1.0};
    struct tr_string out = {0};
    struct tr_err err;
    struct an_style style = {.width = 20, .utf8 = true, .colour = true};
    assert_int_equal(an_heatmap(&out, values, 2, 1, steps, &style, &err), TR_OK);
    assert_non_null(strstr(out.data, "\033[48;5;53m \033[0m\033[48;5;53m \033[0m"));
    assert_non_null(strstr(out.data, "\033[48;5;227m \033[0m\n"));
    tr_string_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_not_at_the_last),
        cmocka_unit_test(test_ties_go_to_the_lower_layer),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_nothing_measured),
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_map_scale),
        cmocka_unit_test(test_map_of_equal_values),
        cmocka_unit_test(test_map_sampled),
        cmocka_unit_test(test_map_in_colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
