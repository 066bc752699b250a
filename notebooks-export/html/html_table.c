// SPDX-License-Identifier: Apache-2.0
#include "html_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/rule.h"

static enum tr_status put_number(struct tr_string *out, const char *format, double value,
                                 struct tr_err *err) {
    if (!isfinite(value))
        return tr_string_format(out, err, "<td>\xe2\x80\x93</td>");
    TR_TRY(tr_string_format(out, err, "<td data-value=\"%.17g\">%s", value,
                            value < 0 ? "\xe2\x88\x92" : ""));
    char number[32];
    snprintf(number, sizeof number, format, fabs(value));
    return tr_string_format(out, err, "%s</td>", number);
}

// As the report prints it; nothing where nothing was resampled.
static enum tr_status put_probability(struct tr_string *out, double p,
                                      const struct an_result *result, struct tr_err *err) {
    char text[AN_PROBABILITY_MAX];
    if (result->method == AN_NO_INTERVAL || !isfinite(p))
        return put_number(out, "", NAN, err);
    return tr_string_format(out, err, "<td data-value=\"%.17g\">%s</td>", p,
                            an_probability_text(p, result->settings.resamples, text));
}

// What the rows of one table share.
struct table {
    const struct nx_page *page;
    const struct an_result *result;
    const struct an_group_result *group;
    int panel; // of the page's data, which has the module's importance
    bool told; // by a table before: how to read it
};

// The row of the shown layers that a layer is; -1 when it is not shown.
static int64_t shown_row(const struct nx_data *data, int64_t layer) {
    for (int64_t row = 0; row < data->layers; row++)
        if (data->number[row] == layer)
            return row;
    return -1;
}

static enum tr_status put_row(struct tr_string *out, const struct table *table, int64_t u,
                              struct tr_err *err) {
    const struct an_unit *unit = &table->group->unit[u];
    const struct an_estimate *mean = &unit->by[AN_MEAN], *worst = &unit->by[AN_WORST];
    int64_t row = shown_row(table->page->data, unit->layer);
    if (row < 0)
        return TR_OK;
    double inside =
        an_choice_probability(&table->group->set[AN_MEAN].choice, u, table->group->count);
    TR_TRY(tr_string_format(out, err, "<tr>"));
    TR_TRY(put_number(out, "%.0f", (double)unit->layer, err));
    const double cells[] = {mean->value, mean->low, mean->high, worst->value, worst->high};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        TR_TRY(put_number(out, "%.3g", cells[i], err));
    TR_TRY(put_number(out, "%.1f", unit->mean_rank, err));
    TR_TRY(put_number(out, "%.0f%%", 100 * unit->share, err));
    TR_TRY(put_probability(out, inside, table->result, err));
    if (!isnan(table->result->settings.below))
        TR_TRY(tr_string_format(out, err, "<td data-value=\"%d\">%s</td>", !unit->below,
                                unit->below ? "yes" : "no"));
    return tr_string_format(out, err, "<td data-panel=\"%d\" data-row=\"%lld\"></td></tr>\n",
                            table->panel, (long long)row);
}

#define BELOW_TAU                                                                                  \
    "; below tau: whether it surely is so at every checkpoint, at the false-discovery rate that "  \
    "the "                                                                                         \
    "confidence leaves"

static enum tr_status put_caption(struct tr_string *out, const struct table *table,
                                  struct tr_err *err) {
    const struct an_settings *settings = &table->result->settings;
    return tr_string_format(
        out, err,
        "<p class=\"caption\" id=\"caption-%s\">Ordered %s (%lld checkpoints); the first %lld are "
        "the set of the least "
        "important. "
        "%s "
        "Mean: over training, low to high its %.3g %% interval by %s over the sequences; worst: "
        "the highest at any checkpoint; bound: with %.3g %% confidence it is below this at every "
        "checkpoint; rank: mean, 1 is the lowest; in %lld: share of training among the %lld "
        "lowest; P: probability of being among the %lld lowest by the mean%s. As trace-analyze "
        "--resamples %lld says it.</p>\n",
        an_group_names[table->group->group], table->page->data->rule,
        (long long)table->result->series.claimed, (long long)table->group->count,
        an_criteria[settings->by].meaning, 100 * settings->level,
        an_method_name(table->result->method), 100 * settings->level,
        (long long)table->group->count, (long long)table->group->count,
        (long long)table->group->count, isnan(settings->below) ? "" : BELOW_TAU,
        (long long)settings->resamples);
}

// What a table says of its own, where another one has said how to read it.
static enum tr_status put_own_caption(struct tr_string *out, const struct table *table,
                                      struct tr_err *err) {
    return tr_string_format(out, err,
                            "<p class=\"caption\" id=\"caption-%s\">Ordered in the same way; the "
                            "first %lld are the set of the least important.</p>\n",
                            an_group_names[table->group->group], (long long)table->group->count);
}

static enum tr_status put_head(struct tr_string *out, const struct table *table,
                               struct tr_err *err) {
    static const char *const names[] = {"layer", "mean", "low", "high", "worst", "bound", "rank"};
    TR_TRY(tr_string_format(out, err, "<thead><tr>"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        TR_TRY(tr_string_format(
            out, err, "<th scope=\"col\"%s><button type=\"button\">%s</button></th>",
            strcmp(names[i], "mean") == 0 ? " aria-sort=\"ascending\"" : "", names[i]));
    TR_TRY(tr_string_format(out, err,
                            "<th scope=\"col\"><button type=\"button\">in %lld</button></th>"
                            "<th scope=\"col\"><button type=\"button\">P</button></th>",
                            (long long)table->group->count));
    double tau = table->result->settings.below;
    if (!isnan(tau))
        TR_TRY(tr_string_format(
            out, err, "<th scope=\"col\"><button type=\"button\">below %g</button></th>", tau));
    return tr_string_format(
        out, err,
        "<th scope=\"col\"><button type=\"button\">at the checkpoint</button></th></tr></thead>\n");
}

static enum tr_status put_table(struct tr_string *out, const struct table *table, int module,
                                struct tr_err *err) {
    const int64_t *order = table->group->set[AN_MEAN].choice.order;
    TR_TRY(tr_string_format(out, err,
                            "<section aria-labelledby=\"table-%s\">\n"
                            "<h2 id=\"table-%s\">%s, least important first</h2>\n",
                            tr_module_names[module], tr_module_names[module],
                            nx_module_titles[module]));
    TR_TRY(table->told ? put_own_caption(out, table, err) : put_caption(out, table, err));
    TR_TRY(tr_string_format(out, err,
                            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
                            "aria-labelledby=\"table-%s\">\n<table aria-labelledby=\"table-%s\" "
                            "aria-describedby=\"caption-%s\">\n",
                            tr_module_names[module], tr_module_names[module],
                            tr_module_names[module]));
    TR_TRY(put_head(out, table, err));
    TR_TRY(tr_string_format(out, err, "<tbody>\n"));
    for (int64_t i = 0; i < table->group->units; i++)
        TR_TRY(put_row(out, table, order[i], err));
    return tr_string_format(out, err, "</tbody>\n</table>\n</div>\n</section>\n");
}

enum tr_status nx_html_tables(struct tr_string *out, const struct nx_page *page,
                              struct tr_err *err) {
    // The heat map is the first figure: its panels are the shown modules.
    struct table table = {.page = page, .result = page->result};
    for (int module = 0; module < TR_MODULES && page->result; module++) {
        if (!page->data->shown[module])
            continue;
        table.group = page->result->group[module];
        if (table.group)
            TR_TRY(put_table(out, &table, module, err));
        table.told |= table.group != NULL;
        table.panel++;
    }
    return TR_OK;
}
