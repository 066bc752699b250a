// SPDX-License-Identifier: Apache-2.0
// What a report draws: heat maps and sparklines.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "analysis/heatmap.h"
#include "sparkline.h"

// ---- the heat map ----------------------------------------------------------------------------

static void assert_drawn(const struct an_map *map, struct an_style style, const char *expected) {
    struct tr_string out = {0};
    struct tr_err err;
    assert_int_equal(an_heatmap(&out, map, &style, &err), TR_OK);
    assert_string_equal(out.data, expected);
    tr_string_free(&out);
}

static void assert_map(const double *values, int64_t checkpoints, int64_t layers,
                       char *const *column, struct an_style style, const char *expected) {
    const struct an_map map = {values, checkpoints, layers, column, "1 - cos", true};
    assert_drawn(&map, style, expected);
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
               "        0.0001 [ .:-=+*#%@] 1  1 - cos, log scale\n"
               "        x = not measured\n");
    assert_map(values, 2, 3, steps, (struct an_style){.width = 19, .utf8 = true},
               "  step  0    10\n"
               "     0       ▒▒▒▒▒\n"
               "     1       xxxxx\n"
               "     2  ██████████\n"
               "        0.0001 [ ░▒▓█] 1  1 - cos, log scale\n"
               "        x = not measured\n");
}

static void test_map_of_equal_values(void **state) {
    (void)state;
    static const double values[] = {0.25};
    assert_map(values, 1, 1, steps, (struct an_style){.width = 30, .utf8 = true},
               "  step  0\n"
               "     0        \n"
               "        all the same: no scale\n");
}

// A linear scale begins at 0 where values are below it.
static void test_map_of_signed_values(void **state) {
    (void)state;
    static const double values[] = {-0.5, 0.0, 1.0, 0.55, NAN, 2.0}, above[] = {1.0, 3.0};
    const struct an_map map = {values, 2, 3, steps, "nats", false};
    const struct an_map high = {above, 2, 1, steps, "nats", false};
    assert_drawn(&map, (struct an_style){.width = 24},
                 "  step  0     10\n"
                 "     0  <<<<<<::::::\n"
                 "     1        xxxxxx\n"
                 "     2  ++++++@@@@@@\n"
                 "        0 [ .:-=+*#%@] 2  nats, linear scale\n"
                 "        < = below 0\n"
                 "        x = not measured\n");
    assert_drawn(&high, (struct an_style){.width = 24},
                 "  step  0     10\n"
                 "     0        @@@@@@\n"
                 "        1 [ .:-=+*#%@] 3  nats, linear scale\n");
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
    const struct an_map map = {values, 2, 1, steps, "1 - cos", true};
    assert_int_equal(an_heatmap(&out, &map, &style, &err), TR_OK);
    assert_non_null(strstr(out.data, "\033[48;5;53m \033[0m\033[48;5;53m \033[0m"));
    assert_non_null(strstr(out.data, "\033[48;5;227m \033[0m\n"));
    tr_string_free(&out);
}

// ---- the sparkline ---------------------------------------------------------------------------

static void assert_line(const struct an_sparkline *line, const char *expected) {
    struct tr_string out = {0};
    struct tr_err err;
    assert_int_equal(an_sparkline(&out, line, &err), TR_OK);
    assert_string_equal(out.data, expected);
    tr_string_free(&out);
}

static void test_sparkline(void **state) {
    (void)state;
    static const double values[] = {0.0, 1.0, NAN, 3.0, 4.0, 8.0};
    struct an_sparkline line = {.values = values, .count = 6, .stride = 1, .width = 10};
    assert_line(&line, "_.x-=#");
    line.utf8 = true;
    assert_line(&line, "▁▂x▄▅█");
    line.logarithmic = true;
    assert_line(&line, "▁▁x▅▆█");
    line.logarithmic = false;
    line.stride = 2;
    line.count = 3;
    assert_line(&line, "▁x█");
}

static void test_sparkline_sampled(void **state) {
    (void)state;
    static const double values[] = {1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0};
    struct an_sparkline line = {.values = values, .count = 9, .stride = 1, .width = 3};
    assert_line(&line, "_#_");
    line.count = 3;
    assert_line(&line, "===");
    line.width = 1;
    assert_line(&line, "=");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_scale),
        cmocka_unit_test(test_map_of_equal_values),
        cmocka_unit_test(test_map_of_signed_values),
        cmocka_unit_test(test_map_sampled),
        cmocka_unit_test(test_map_in_colour),
        cmocka_unit_test(test_sparkline),
        cmocka_unit_test(test_sparkline_sampled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
