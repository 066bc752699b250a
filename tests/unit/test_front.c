// SPDX-License-Identifier: Apache-2.0
// Plans under a budget against every subset; what sublayers take against sums written out here.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/sizes.h"
#include "front.h"

#define NEAR(value, expected) assert_true(fabs((value) - (expected)) < 1e-9)

static struct tr_err err;

static double uniform(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

// ---- the front ---------------------------------------------------------------------------------

enum { ITEMS = 12, SUBSETS = 1 << ITEMS };

struct items {
    double saved[ITEMS], cost[ITEMS];
};

static double sum_of(const double *values, unsigned subset) {
    double sum = 0;
    for (int i = 0; i < ITEMS; i++)
        sum += subset >> i & 1 ? values[i] : 0;
    return sum;
}

// The lowest cost of all subsets that save enough; NaN: none does.
static double cheapest(const struct items *items, double need) {
    double best = NAN;
    for (unsigned subset = 0; subset < SUBSETS; subset++)
        if (sum_of(items->saved, subset) >= need && !(sum_of(items->cost, subset) >= best))
            best = sum_of(items->cost, subset);
    return best;
}

static void check_point(const struct an_front *front, const struct items *items, int64_t at) {
    bool chosen[ITEMS];
    unsigned subset = 0;
    const struct an_front_state *state = &front->state[front->point[at]];
    an_front_items(front, at, chosen, ITEMS);
    for (int i = 0; i < ITEMS; i++)
        subset |= (unsigned)chosen[i] << i;
    assert_true(state->saved == sum_of(items->saved, subset));
    NEAR(state->cost, sum_of(items->cost, subset));
    if (at > 0) {
        const struct an_front_state *before = &front->state[front->point[at - 1]];
        assert_true(state->saved > before->saved && state->cost > before->cost);
    }
}

static void check_budgets(const struct items *items) {
    struct an_front front;
    assert_int_equal(an_front_make(&front, items->saved, items->cost, ITEMS, AN_FRONT_MOST, &err),
                     TR_OK);
    for (int64_t at = 0; at < front.points; at++)
        check_point(&front, items, at);
    double most = sum_of(items->saved, SUBSETS - 1);
    for (int step = -1; step <= 41; step++) {
        double need = most * step / 40, best = cheapest(items, need);
        int64_t at = an_front_find(&front, need);
        assert_true((at < 0) == isnan(best));
        if (at >= 0)
            NEAR(front.state[front.point[at]].cost, best);
    }
    an_front_free(&front);
}

// Two, three or all different sizes, none among them, and costs of both signs, some of them equal.
static void every_budget(void **state) {
    uint64_t random = 1;
    (void)state;
    for (int round = 0; round < 30; round++) {
        struct items items;
        for (int i = 0; i < ITEMS; i++) {
            int kinds = 2 + round % 3;
            double size = (double)((int)(uniform(&random) * kinds) * 7);
            items.saved[i] = round % 5 == 4 ? floor(uniform(&random) * 1000) : size;
            items.cost[i] = floor(uniform(&random) * 20 - (round % 2 ? 4 : 0)) / 8;
        }
        check_budgets(&items);
    }
}

static void nothing_to_drop(void **state) {
    struct an_front front;
    (void)state;
    assert_int_equal(an_front_make(&front, NULL, NULL, 0, AN_FRONT_MOST, &err), TR_OK);
    assert_int_equal(front.points, 1);
    assert_int_equal(an_front_find(&front, 0), 0);
    assert_int_equal(an_front_find(&front, 1), -1);
    an_front_free(&front);
}

static void too_many_sets(void **state) {
    enum { MANY = 64 };
    double saved[MANY], cost[MANY];
    struct an_front front;
    (void)state;
    for (int i = 0; i < MANY; i++)
        saved[i] = cost[i] = ldexp(1, i % 50);
    assert_int_equal(an_front_make(&front, saved, cost, MANY, AN_FRONT_MOST, &err),
                     TR_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "too different for an exact plan"));
}

// ---- sizes -------------------------------------------------------------------------------------

static const char good[] =
    "{\"weight_bytes\":2,\"elsewhere\":1000,\"head\":2000,\"sublayers\":["
    "{\"module\":\"attn\",\"first\":0,\"last\":0,\"parameters\":100,\"met\":100,\"kept\":8,"
    "\"key\":64,\"window\":0},"
    "{\"module\":\"attn\",\"first\":2,\"last\":2,\"parameters\":100,\"met\":100,\"kept\":8,"
    "\"key\":64,\"window\":4},"
    "{\"module\":\"mlp\",\"first\":0,\"last\":2,\"parameters\":300,\"met\":50,\"kept\":0,"
    "\"key\":0,\"window\":0}]}";

static enum tr_status read(struct an_sizes *sizes, const char *text) {
    struct tr_run_info info = {.layout = {.layers = 3}};
    if (text)
        assert_int_equal(tr_run_info_text(&info, TR_GAINED, "sizes", text, &err), TR_OK);
    enum tr_status status = an_sizes_read(sizes, &info, "t.h5", &err);
    tr_run_info_free(&info);
    return status;
}

static void sizes_by_hand(void **state) {
    struct an_sizes sizes;
    (void)state;
    assert_int_equal(read(&sizes, good), TR_OK);
    assert_true(an_size_of(&sizes, AN_PARAMETERS, 10, TR_BLOCK, 0) == 400);
    assert_true(an_size_of(&sizes, AN_PARAMETERS, 10, TR_ATTN, 1) == 0);
    assert_true(an_size_whole(&sizes, AN_PARAMETERS, 10) == 1000 + 2 * 100 + 3 * 300);
    assert_true(an_size_whole(&sizes, AN_BYTES, 10) == 2 * 2100);
    assert_true(an_size_of(&sizes, AN_CACHE, 10, TR_ATTN, 0) == 2 * 8 * 10);
    assert_true(an_size_of(&sizes, AN_CACHE, 10, TR_ATTN, 2) == 2 * 8 * 4);
    assert_true(an_size_whole(&sizes, AN_CACHE, 10) == 2 * 8 * 14);
    // Of ten tokens the first sees 1 key, the last 10; within a window of 4: 1, 2, 3, 4, 4 ...
    NEAR(an_size_of(&sizes, AN_FLOPS, 10, TR_ATTN, 0), 200 + 64 * 5.5);
    NEAR(an_size_of(&sizes, AN_FLOPS, 10, TR_ATTN, 2), 200 + 64 * 3.4);
    NEAR(an_size_of(&sizes, AN_FLOPS, 10, TR_MLP, 1), 100);
    an_sizes_free(&sizes);
    assert_int_equal(read(&sizes, NULL), TR_OK);
    assert_null(sizes.of);
}

// Each part of the good text, changed.
static void hostile_sizes(void **state) {
    static const char *const changes[][2] = {
        {"\"last\":2", "\"last\":3"},
        {"\"first\":2", "\"first\":-1"},
        {"\"module\":\"mlp\"", "\"module\":\"block\""},
        {"\"kept\":8", "\"kept\":-8"},
        {"\"met\":50", "\"met\":1e300"},
        {"\"head\":2000", "\"head\":\"x\""},
        {"\"window\":4", "\"window\":true"},
        {"\"sublayers\":[", "\"sublayers\":3,\"more\":["},
        {"\"elsewhere\":1000,", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char text[1024];
        struct an_sizes sizes;
        const char *at = strstr(good, changes[i][0]);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, changes[i][1],
                 at + strlen(changes[i][0]));
        assert_int_equal(read(&sizes, text), TR_EFORMAT);
        assert_non_null(strstr(err.text, "t.h5: its attribute sizes"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_budget),  cmocka_unit_test(nothing_to_drop),
        cmocka_unit_test(too_many_sets), cmocka_unit_test(sizes_by_hand),
        cmocka_unit_test(hostile_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
