// SPDX-License-Identifier: Apache-2.0
// Scales of figures: where values lie, which are written and how; and the colours that they get.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "colour.h"
#include "figures/layout.h"
#include "figures/scale.h"

static void near(double found, double expected) {
    if (!(fabs(found - expected) < 1e-9))
        fail_msg("%.17g is not %.17g", found, expected);
}

// ---- places ----------------------------------------------------------------------------------

static void test_scale_of(void **state) {
    (void)state;
    const double values[] = {NAN, 3, -1, 0, INFINITY, 0.25, 8};
    struct nx_scale linear = nx_scale_of(NX_LINEAR, values, 7);
    near(linear.low, -1);
    near(linear.high, 8);
    struct nx_scale logarithmic = nx_scale_of(NX_LOG, values, 7);
    near(logarithmic.low, 0.25);
    near(logarithmic.high, 8);
    struct nx_scale one = nx_scale_of(NX_LOG, values + 1, 1);
    assert_true(one.low > 0 && one.low < 3 && one.high > 3);
    struct nx_scale none = nx_scale_of(NX_LINEAR, values, 1);
    assert_true(none.low < none.high);
}

static void test_places(void **state) {
    (void)state;
    const struct nx_scale linear = {NX_LINEAR, 2, 6}, turned = {NX_LINEAR, 6, 2};
    near(nx_scale_place(&linear, 3), 0.25);
    near(nx_scale_place(&turned, 3), 0.75);
    const struct nx_scale decades = {NX_LOG, 1e-6, 1e-2};
    near(nx_scale_place(&decades, 1e-3), 0.75);
    assert_true(isnan(nx_scale_place(&decades, 0)) && isnan(nx_scale_place(&decades, -1)));
    const struct nx_scale signs = {NX_SIGNED_LOG, -1, 10}; // linear up to 0.01
    near(nx_scale_linear(&signs), 0.01);
    near(nx_scale_place(&signs, 0), 3 / 7.0);
    near(nx_scale_place(&signs, 0.005), 3.5 / 7);
    near(nx_scale_place(&signs, 1), 6 / 7.0);
    near(nx_scale_place(&signs, -0.1), 1 / 7.0);
    near(nx_scale_place(&signs, -1), 0);
    const struct nx_scale from_zero = {NX_LOG_ZERO, 1, 100};
    near(nx_scale_place(&from_zero, 0), 0);
    near(nx_scale_place(&from_zero, 1), NX_GAP_PERCENT / 100.0);
    near(nx_scale_place(&from_zero, 100), 1);
    assert_true(isnan(nx_scale_place(&linear, NAN)));
}

// ---- ticks -----------------------------------------------------------------------------------

// The texts of the ticks, a space after each.
static void expect_ticks(struct nx_scale scale, enum nx_number style, int room,
                         const char *expected) {
    struct nx_tick ticks[NX_TICKS_MAX];
    char found[NX_TICKS_MAX * NX_NUMBER_MAX] = "";
    int count = nx_scale_ticks(&scale, style, room, ticks);
    for (int i = 0; i < count; i++) {
        double place = nx_scale_place(&scale, ticks[i].value);
        assert_true(place > -1e-6 && place < 1 + 1e-6);
        if (ticks[i].text[0])
            strcat(strcat(found, ticks[i].text), " ");
    }
    assert_string_equal(found, expected);
}

static void test_ticks(void **state) {
    (void)state;
    expect_ticks((struct nx_scale){NX_SIGNED_LOG, 0, 2}, NX_PLAIN, 6, "0 0.01 0.1 1 ");
    expect_ticks((struct nx_scale){NX_SIGNED_LOG, -0.02, 5}, NX_PLAIN, 2, "0 1 ");
    expect_ticks((struct nx_scale){NX_LINEAR, 0, 1}, NX_PLAIN, 6, "0 0.2 0.4 0.6 0.8 1 ");
    expect_ticks((struct nx_scale){NX_LINEAR, -0.1, 0.1}, NX_PLAIN, 4,
                 "\xe2\x88\x92"
                 "0.1 \xe2\x88\x92"
                 "0.05 0 0.05 0.1 ");
    expect_ticks((struct nx_scale){NX_LINEAR, 1000, 1000.5}, NX_PLAIN, 5,
                 "1000 1000.1 1000.2 1000.3 1000.4 1000.5 ");
    expect_ticks((struct nx_scale){NX_LINEAR, 0, 4000}, NX_PLAIN, 4, "0 1000 2000 3000 4000 ");
    expect_ticks((struct nx_scale){NX_LINEAR, 0, 4e7}, NX_PLAIN, 4,
                 "0 1\xc3\x97"
                 "10^7 2\xc3\x97"
                 "10^7 3\xc3\x97"
                 "10^7 4\xc3\x97"
                 "10^7 ");
    expect_ticks((struct nx_scale){NX_LOG, 2e-4, 0.3}, NX_POWER, 9,
                 "10^\xe2\x88\x92"
                 "3 10^\xe2\x88\x92"
                 "2 10^\xe2\x88\x92"
                 "1 ");
    expect_ticks((struct nx_scale){NX_LOG, 1e-12, 1}, NX_POWER, 4,
                 "10^\xe2\x88\x92"
                 "12 10^\xe2\x88\x92"
                 "8 10^\xe2\x88\x92"
                 "4 10^0 ");
    expect_ticks((struct nx_scale){NX_LOG, 0.03, 0.4}, NX_POWER, 9, "0.05 0.1 0.2 ");
    expect_ticks((struct nx_scale){NX_LOG, 1.0, 1.2}, NX_POWER, 4, "1 1.05 1.1 1.15 1.2 ");
    expect_ticks((struct nx_scale){NX_LOG_ZERO, 2e6, 3e11}, NX_COUNT, 6, "0 10M 100M 1B 10B 100B ");
    expect_ticks((struct nx_scale){NX_LINEAR, 12.5, 0.5}, NX_RANK, 12,
                 "1 2 3 4 5 6 7 8 9 10 11 12 ");
    expect_ticks((struct nx_scale){NX_LINEAR, 12.5, 0.5}, NX_RANK, 7, "1 3 5 7 9 11 ");
}

static void test_numbers(void **state) {
    (void)state;
    char text[NX_NUMBER_MAX];
    assert_string_equal(nx_number_text(NX_COUNT, 12582912, 3, text), "12.6M");
    assert_string_equal(nx_number_text(NX_COUNT, 999.6, 3, text), "1k");
    assert_string_equal(nx_number_text(NX_COUNT, 3e15, 4, text), "3000T");
    assert_string_equal(nx_number_text(NX_PLAIN, -1.5e-7, 3, text), "\xe2\x88\x92"
                                                                    "1.5\xc3\x97"
                                                                    "10^\xe2\x88\x92"
                                                                    "7");
    assert_string_equal(nx_number_text(NX_POWER, 0.001, 3, text), "10^\xe2\x88\x92"
                                                                  "3");
    assert_int_equal(nx_band_stride(80, 16), 5);
    assert_int_equal(nx_band_stride(10, 10), 1);
    assert_int_equal(nx_band_stride(10, 0), 10);
}

static void test_spread(void **state) {
    (void)state;
    double places[] = {1, 1.5, 2, 30};
    nx_spread(places, 4, 6, 0, 40);
    near(places[1], 7);
    near(places[2], 13);
    near(places[3], 30);
    double crowded[] = {38, 39, 40};
    nx_spread(crowded, 3, 6, 0, 40);
    near(crowded[0], 28);
    near(crowded[2], 40);
}

// ---- colours ---------------------------------------------------------------------------------

static double linear_light(uint32_t channel) {
    double value = channel / 255.0;
    return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4);
}

struct lab {
    double l, a, b;
};

// The other way round than the library: sRGB to OKLab (Ottosson 2020).
static struct lab oklab(uint32_t colour) {
    double r = linear_light(colour >> 16), g = linear_light(colour >> 8 & 255),
           b = linear_light(colour & 255);
    double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    return (struct lab){0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
                        1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
                        0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s};
}

// What an eye without red (or green) cones makes of a colour: Vienot, Brettel & Mollon (1999).
static uint32_t seen_without(bool red, uint32_t colour) {
    double r = linear_light(colour >> 16), g = linear_light(colour >> 8 & 255),
           b = linear_light(colour & 255);
    double yellow = red ? 0.11238 * r + 0.88762 * g : 0.29275 * r + 0.70725 * g;
    double blue = red ? 0.00401 * r - 0.00401 * g + b : -0.02234 * r + 0.02234 * g + b;
    uint32_t out = 0;
    const double light[] = {yellow, yellow, fmin(fmax(blue, 0), 1)};
    for (int i = 0; i < 3; i++) {
        double value =
            light[i] <= 0.0031308 ? 12.92 * light[i] : 1.055 * pow(light[i], 1 / 2.4) - 0.055;
        out = out << 8 | (uint32_t)lround(255 * value);
    }
    return out;
}

static double distance(struct lab x, struct lab y) {
    return hypot(hypot(x.l - y.l, x.a - y.a), x.b - y.b);
}

static void check_map(uint32_t (*map)(double)) {
    enum { STEPS = 8 };
    double least = INFINITY, most = 0;
    for (int i = 0; i < STEPS; i++) {
        uint32_t a = map((double)i / STEPS), b = map((i + 1.0) / STEPS);
        double step = distance(oklab(a), oklab(b));
        least = fmin(least, step);
        most = fmax(most, step);
        assert_true(oklab(b).l > oklab(a).l + 0.02);
        for (int red = 0; red < 2; red++)
            assert_true(oklab(seen_without(red, b)).l > oklab(seen_without(red, a)).l + 0.02);
    }
    if (most > 1.05 * least) // 8-bit channels alone make 4 %
        fail_msg("steps of the map go from %g to %g", least, most);
    assert_int_equal(map(-1), map(0));
    assert_int_equal(map(2), map(1));
}

static void test_maps(void **state) {
    (void)state;
    check_map(nx_sequential);
    check_map(nx_depth);
}

static void test_distinct(void **state) {
    (void)state;
    for (int i = 0; i < NX_DISTINCT; i++)
        for (int j = 0; j < i; j++)
            for (int eye = 0; eye < 2; eye++)
                assert_true(distance(oklab(seen_without(eye, nx_distinct(i))),
                                     oklab(seen_without(eye, nx_distinct(j)))) > 0.05);
    assert_int_equal(nx_distinct(NX_DISTINCT), nx_distinct(0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scale_of), cmocka_unit_test(test_places),
        cmocka_unit_test(test_ticks),    cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_spread),   cmocka_unit_test(test_maps),
        cmocka_unit_test(test_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
