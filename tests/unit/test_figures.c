// SPDX-License-Identifier: Apache-2.0
// Figures from made-up data: what each shows, that nothing leaves its place, and what SVG makes of
// hostile text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "figures/figures.h"
#include "figures/layout.h"
#include "figures/svg.h"

static struct tr_err err;

static void ok(enum tr_status status) {
    if (status != TR_OK)
        fail_msg("%s", err.text);
}

static char *text(const char *format, int64_t number) {
    struct tr_string string = {0};
    ok(tr_string_format(&string, &err, "%s%lld", format, (long long)number));
    return string.data;
}

// Layer l's importance grows with l, and at checkpoint c layer c % layers is absent.
static struct nx_data make_data(int64_t checkpoints, int64_t layers) {
    struct nx_data data = {
        .checkpoints = checkpoints, .layers = layers, .shown = {true, false, true}, .tau = NAN};
    ok(TR_NEW(&data.at, checkpoints, "test", &err));
    ok(TR_NEW(&data.nll, checkpoints, "test", &err));
    ok(TR_NEW(&data.nll_low, checkpoints, "test", &err));
    ok(TR_NEW(&data.nll_high, checkpoints, "test", &err));
    ok(TR_NEW(&data.column, checkpoints, "test", &err));
    ok(TR_NEW(&data.label, checkpoints, "test", &err));
    ok(TR_NEW(&data.layer, layers, "test", &err));
    ok(TR_NEW(&data.number, layers, "test", &err));
    for (int64_t c = 0; c < checkpoints; c++) {
        data.at[c] = (double)c * 1e6;
        data.nll[c] = 3 - 0.01 * (double)c;
        data.nll_low[c] = c % 3 == 2 ? NAN : data.nll[c] - 0.2;
        data.nll_high[c] = data.nll[c] + 0.2;
        data.column[c] = text("", c);
        data.label[c] = text("step ", c);
    }
    for (int64_t l = 0; l < layers; l++) {
        data.number[l] = l;
        data.layer[l] = text("", l);
    }
    for (int module = 0; module < TR_MODULES; module++) {
        if (!data.shown[module])
            continue;
        ok(TR_NEW(&data.importance[module], layers * checkpoints, "test", &err));
        for (int64_t i = 0; i < layers * checkpoints; i++)
            data.importance[module][i] = i % checkpoints % layers == i / checkpoints && layers > 1
                                             ? NAN
                                             : 1e-3 * (double)(1 + i / checkpoints);
    }
    return data;
}

static void add_spans(struct nx_data *data) {
    data->boundaries = data->layers + 1;
    data->spans_label = "step <&\"'>";
    ok(TR_NEW(&data->spans, data->boundaries * data->boundaries, "test", &err));
    for (int64_t i = 0; i < data->boundaries * data->boundaries; i++)
        data->spans[i] = 1.0 / (1.0 + (double)llabs(i / data->boundaries - i % data->boundaries));
}

static void add_trial(struct nx_data *data) {
    struct nx_trial *trial = &data->trial[TR_BLOCK];
    int64_t ranked = AN_COSTS * AN_PROXIES * data->checkpoints;
    int64_t told = AN_COSTS * AN_TRIED * data->checkpoints;
    ok(TR_NEW(&trial->spearman, ranked, "test", &err));
    ok(TR_NEW(&trial->spearman_low, ranked, "test", &err));
    ok(TR_NEW(&trial->spearman_high, ranked, "test", &err));
    ok(TR_NEW(&trial->told, told, "test", &err));
    for (int64_t i = 0; i < ranked; i++)
        trial->spearman[i] = i % 5 == 1 ? NAN : 1.0 - 0.01 * (double)(i % 200);
    for (int64_t i = 0; i < ranked; i++) {
        trial->spearman_low[i] = trial->spearman[i] - 0.1;
        trial->spearman_high[i] = i % 7 == 2 ? NAN : trial->spearman[i] + 0.1;
    }
    for (int64_t i = 0; i < told; i++)
        trial->told[i] = (double)(i % 4) / 3.0;
    for (int cost = 0; cost < AN_COSTS; cost++) {
        double **const values[] = {&trial->low[cost], &trial->cost[cost], &trial->high[cost]};
        for (int which = 0; which < 3; which++) {
            ok(TR_NEW(values[which], data->layers * data->checkpoints, "test", &err));
            for (int64_t i = 0; i < data->layers * data->checkpoints; i++)
                (*values[which])[i] =
                    i % 7 == 3 ? NAN : 0.1 * which + 0.4 - 0.01 * (double)(i % 80);
        }
    }
    trial->itself[0] = 0.9;
    trial->itself[1] = 1.0;
    trial->chance = 0.25;
}

static struct nx_figure build(const struct nx_data *data, const char *name) {
    struct nx_figure figure;
    const struct nx_figure_row *row = nx_figure_find(name);
    assert_non_null(row);
    assert_true(!row->possible || row->possible(data));
    ok(nx_figure_build(&figure, row, data, &err));
    return figure;
}

// ---- what is shown ---------------------------------------------------------------------------

static void test_values(void **state) {
    (void)state;
    struct nx_data data = make_data(5, 3);
    struct nx_figure map = build(&data, "heat-map");
    assert_int_equal(map.count, 2); // MLP is not shown
    assert_string_equal(map.panels[1].title, "Block");
    assert_ptr_equal(map.panels[0].values, data.importance[TR_ATTN]);
    assert_true(map.bar.scale.low == 1e-3 && map.bar.scale.high == 3e-3);
    struct nx_figure ranks = build(&data, "ranks");
    const double *rank = ranks.panels[0].values; // [layers, checkpoints]
    assert_true(isnan(rank[0]));                 // layer 0 is absent at checkpoint 0
    assert_true(rank[5] == 1 && rank[10] == 2);
    assert_true(rank[1] == 1 && isnan(rank[6]) && rank[11] == 2);
    nx_figure_free(&map);
    nx_figure_free(&ranks);
    nx_data_free(&data);
}

static void test_agreement(void **state) {
    (void)state;
    struct nx_data data = make_data(4, 8);
    for (int64_t l = 0; l < 8; l++)
        for (int64_t c = 0; c < 4; c++)
            data.importance[TR_ATTN][l * 4 + c] = c == 0 ? (double)(8 - l) : (double)(l + 1);
    struct nx_figure figure = build(&data, "agreement");
    const double *jaccard = figure.panels[0].values, *w = jaccard + 4, *level = w + 4;
    assert_int_equal(figure.count, 2); // attention and blocks
    assert_true(jaccard[0] == 0 && jaccard[1] == 1 && jaccard[3] == 1);
    assert_true(fabs(w[0] - 0.25) < 1e-12); // three in one order, one reversed
    assert_true(w[1] == 1 && w[2] == 1 && isnan(w[3]));
    assert_true(level[0] > 0 && level[0] < 0.5 && level[3] == level[0]);
    nx_figure_free(&figure);
    nx_data_free(&data);
}

static void test_trial(void **state) {
    (void)state;
    struct nx_data data = make_data(4, 8);
    add_trial(&data);
    struct nx_figure proxies = build(&data, "proxies"), told = build(&data, "told");
    assert_int_equal(proxies.count, AN_COSTS);
    assert_string_equal(told.panels[1].title, "Block, by KL");
    assert_int_equal(proxies.panels[0].rows, AN_PROXIES);
    assert_true(isnan(proxies.panels[0].values[1]));
    assert_true(proxies.panels[1].values[0] == data.trial[TR_BLOCK].spearman[AN_PROXIES * 4]);
    assert_int_equal(told.panels[0].rows, AN_TRIED + 2);
    assert_true(told.panels[1].values[0] == data.trial[TR_BLOCK].told[AN_TRIED * 4]);
    assert_true(told.panels[0].values[AN_TRIED * 4] == 0.9); // themselves
    assert_true(told.panels[1].values[(AN_TRIED + 1) * 4 + 3] == 0.25);
    struct nx_figure map = build(&data, "cost-map");
    assert_int_equal(map.count, 1);
    assert_true(map.bar.diverging && map.bar.scale.high == 0.5 && map.bar.scale.low == -0.5);
    struct nx_figure cost = build(&data, "cost");
    assert_int_equal(cost.count, AN_COSTS);
    assert_ptr_equal(cost.panels[1].values, data.trial[TR_BLOCK].cost[1]);
    assert_ptr_equal(cost.panels[1].across, data.importance[TR_BLOCK]);
    assert_int_equal(cost.panels[0].shown, 3); // the last checkpoint, which has costs
    assert_true(cost.panels[0].y.scale.low <= 0 && cost.panels[0].y.scale.high >= 0.6);
    nx_figure_free(&cost);
    nx_figure_free(&map);
    nx_figure_free(&proxies);
    nx_figure_free(&told);
    nx_data_free(&data);
}

// Two prices of three points: of attention to 0.6 of the parameters, of blocks to 0.2.
static void test_prices(void **state) {
    (void)state;
    double share[] = {1, 0.8, 0.6}, sum[] = {0, 1, 4}, less[] = {1, 0.5, 0.2}, more[] = {0, 3, 9};
    struct an_price price[] = {{AN_ATTN, AN_PARAMETERS, 256, 100, 3, share, sum},
                               {AN_BLOCK, AN_PARAMETERS, 256, 100, 3, less, more}};
    struct an_result result = {.prices = 2, .price = price};
    struct nx_data data = make_data(2, 4);
    assert_false(nx_figure_find("prices")->possible(&data));
    result.settings.below = NAN;
    assert_int_equal(nx_data_choose(&data, &result, &err), TR_OK);
    struct nx_figure figure = build(&data, "prices");
    const struct nx_panel *panel = &figure.panels[0];
    assert_int_equal(figure.count, 1);
    assert_int_equal(panel->rows, 2);
    assert_string_equal(panel->row[0].name, "blocks");
    assert_string_equal(panel->row[1].name, "attention");
    const double *blocks = panel->values, *attention = blocks + NX_PRICE_STEPS;
    assert_true(panel->at[0] == 0 && fabs(panel->at[50] - 40) < 1e-9);
    assert_true(blocks[0] == 0 && attention[0] == 0);
    assert_true(attention[24] == 1 && attention[26] == 4); // 19.2 and 20.8 % saved
    assert_true(isnan(attention[51]) && blocks[51] == 3);  // 40.8 %
    assert_true(blocks[NX_PRICE_STEPS - 1] == 9);
    assert_string_equal(panel->column_names[50], "40.0 % saved");
    nx_figure_free(&figure);
    nx_data_free(&data);
}

static void test_possible(void **state) {
    (void)state;
    struct nx_data data = make_data(2, 1);
    assert_false(nx_figure_find("ranks")->possible(&data));
    assert_false(nx_figure_find("spans")->possible(&data));
    assert_false(nx_figure_find("cost")->possible(&data));
    assert_false(nx_figure_find("proxies")->possible(&data));
    assert_false(nx_figure_find("told")->possible(&data));
    assert_true(nx_figure_find("loss")->possible(&data));
    assert_null(nx_figure_find("pie"));
    nx_data_free(&data);
}

// ---- how it is drawn -------------------------------------------------------------------------

// Panels lie within the figure, below each other, and have room for their texts.
static void check_layout(const struct nx_figure *figure) {
    struct nx_layout layout;
    nx_layout_figure(&layout, figure);
    double below = 0;
    for (int i = 0; i < figure->count; i++) {
        const struct nx_box *box = &layout.panels[i];
        assert_true(box->y >= below && box->x > 0);
        assert_true(box->width > 120 && box->x + box->width <= layout.width);
        assert_true(nx_text_width(figure->panels[i].y.label, NX_FONT) < box->height + 10);
        assert_true(nx_text_width(figure->panels[i].x.label, NX_FONT) < box->width + 20);
        below = box->y + box->height;
    }
    assert_true(below < layout.height);
}

// Numbers of attributes are finite, and brackets are balanced.
static void check_svg(const struct nx_figure *figure) {
    struct tr_string out = {0};
    int depth = 0;
    ok(nx_svg_document(&out, figure, "a<b>&\"c\".h5\x01", &err));
    assert_null(strstr(out.data, "nan"));
    assert_null(strstr(out.data, "inf"));
    assert_non_null(strstr(out.data, "a&lt;b&gt;&amp;&quot;c&quot;.h5\xef\xbf\xbd</metadata>"));
    assert_true(tr_utf8_valid(out.data, out.size));
    for (const char *at = strchr(out.data + 2, '<'); at; at = strchr(at + 1, '<')) {
        const char *end = strchr(at, '>');
        assert_non_null(end);
        depth += at[1] == '/' ? -1 : end[-1] == '/' ? 0 : 1;
        assert_true(depth >= 0);
    }
    assert_int_equal(depth, 0);
    tr_string_free(&out);
}

static void test_all_figures(void **state) {
    (void)state;
    static const int64_t shapes[][2] = {{1, 1}, {1, 2}, {2, 1}, {8, 10}, {20, 10}, {154, 80}};
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        struct nx_data data = make_data(shapes[shape][0], shapes[shape][1]);
        add_spans(&data);
        add_trial(&data);
        for (int i = 0; i < nx_figure_count; i++) {
            if (nx_figures[i].possible && !nx_figures[i].possible(&data))
                continue;
            struct nx_figure figure = build(&data, nx_figures[i].name);
            check_layout(&figure);
            check_svg(&figure);
            nx_figure_free(&figure);
        }
        nx_data_free(&data);
    }
}

static void test_nothing_finite(void **state) {
    (void)state;
    struct nx_data data = make_data(3, 2);
    for (int64_t i = 0; i < 6; i++)
        data.importance[TR_ATTN][i] = data.importance[TR_BLOCK][i] = i % 2 ? NAN : 0;
    for (int64_t c = 0; c < 3; c++)
        data.nll[c] = INFINITY;
    for (int i = 0; i < nx_figure_count; i++) {
        if (nx_figures[i].possible && !nx_figures[i].possible(&data))
            continue;
        struct nx_figure figure = build(&data, nx_figures[i].name);
        check_svg(&figure);
        nx_figure_free(&figure);
    }
    nx_data_free(&data);
}

static void test_escape(void **state) {
    (void)state;
    struct tr_string out = {0};
    ok(nx_escape(&out, "<script>'\"&\x02\x7f\xff\xc3\xa9\xed\xa0\x80\xe2\x88", &err));
    assert_string_equal(out.data, "&lt;script&gt;&#39;&quot;&amp;\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
                                  "\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                                  "\xef\xbf\xbd");
    tr_string_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),         cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_trial),          cmocka_unit_test(test_possible),
        cmocka_unit_test(test_prices),         cmocka_unit_test(test_all_figures),
        cmocka_unit_test(test_nothing_finite), cmocka_unit_test(test_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
