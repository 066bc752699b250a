// SPDX-License-Identifier: Apache-2.0
// The plan that keeps to a budget, and what other budgets would cost.
#include "writer.h"

enum { USUAL_ROWS = 12 };

static const char *const over_words[AN_AGGREGATES] = {
    [AN_MEAN] = "its mean over training",
    [AN_WORST] = "its highest at any checkpoint",
    [AN_LAST] = "its value at the last checkpoint",
};

static enum tr_status write_chosen(struct an_writer *w, const struct an_budget *budget,
                                   struct tr_err *err) {
    const struct an_budget_point *chosen = &budget->chosen;
    char allowed[AN_AMOUNT_MAX], left[AN_AMOUNT_MAX];
    TR_TRY(tr_string_format(w->text, err, "Under the budget of %s",
                            an_amount_text(budget->resource, budget->allowed, allowed)));
    if (budget->resource == AN_CACHE || budget->resource == AN_FLOPS)
        TR_TRY(
            tr_string_format(w->text, err, " (texts of %lld tokens)", (long long)budget->context));
    TR_TRY(tr_string_format(w->text, err,
                            ": leave out %s, which leaves %s (%.1f %%). The %s of its members adds "
                            "up to %.3g, by the very rows that chose it; what the set costs as a "
                            "whole --drop-sets measures.",
                            chosen->count ? chosen->drop : "nothing",
                            an_amount_text(budget->resource, chosen->left, left),
                            100 * chosen->share, an_criterion_of(w)->noun, chosen->sum));
    return an_write_paragraph(w, err);
}

static enum tr_status write_row(struct an_writer *w, const struct an_budget_point *point,
                                struct tr_err *err) {
    TR_TRY(an_cell(w, err, "%.1f", 100 * point->share));
    TR_TRY(an_cell(w, err, "%lld", (long long)point->count));
    TR_TRY(an_cell_number(w, point->sum, err));
    return an_page_cell(&w->page, point->count ? point->drop : "nothing", err);
}

enum tr_status an_write_budget(struct an_writer *w, struct tr_err *err) {
    static const struct an_column columns[] = {AN_COLUMN("left %", 8), AN_COLUMN("count", 7),
                                               AN_COLUMN("sum", 10), AN_WORDS("set", 30)};
    const struct an_budget *budget = w->result->budget;
    TR_TRY(an_page_gap(&w->page, err));
    TR_TRY(write_chosen(w, budget, err));
    if (w->how->sections == AN_BRIEF)
        return TR_OK;
    int64_t rows = w->how->whole || budget->points < USUAL_ROWS ? budget->points : USUAL_ROWS;
    TR_TRY(an_page_heading(&w->page, 1, "What other budgets would cost", err));
    TR_TRY(an_page_table(&w->page, columns, 4, err));
    for (int64_t i = 0; i < rows; i++)
        TR_TRY(write_row(w, &budget->point[rows > 1 ? i * (budget->points - 1) / (rows - 1) : 0],
                         err));
    TR_TRY(an_page_table_end(&w->page, err));
    TR_TRY(tr_string_format(
        w->text, err,
        "left %%: of what the whole model takes; sum: of the %s of each member, %s; no other set "
        "leaves less at a lower sum.",
        an_criterion_of(w)->noun, over_words[w->result->settings.over]));
    return an_end_legend(w, err);
}
