// SPDX-License-Identifier: Apache-2.0
// The chapter on how early the cheapest at the end could be told.
#include <math.h>
#include <stdio.h>

#include "writer.h"

static const char *const cost_names[AN_COSTS] = {"loss", "KL"};

static const struct an_forecast *forecast_of(const struct an_trial *trial, int64_t at, int by,
                                             int cost) {
    return &trial->forecast[(at * AN_TRIED + by) * AN_COSTS + cost];
}

static int64_t place_of(const struct an_trial *trial, int64_t checkpoint) {
    int64_t at = 0;
    while (trial->checkpoint[at] != checkpoint)
        at++;
    return at;
}

// The share of training behind a checkpoint; of its checkpoints where no time is known.
static double fraction_of(const struct an_writer *w, int64_t checkpoint) {
    const struct an_trial *trial = w->group->trial;
    const struct an_checkpoint *all = w->result->series.checkpoint;
    double last = all[trial->checkpoint[trial->checkpoints - 1]].at;
    return last > 0.0 ? all[checkpoint].at / last : 1.0;
}

static enum tr_status write_told(struct an_writer *w, int by, int cost, struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    const struct an_told *told = &trial->told[by * AN_COSTS + cost];
    int64_t at = told->from < 0 ? trial->checkpoints - 1 : place_of(trial, told->from);
    const struct an_forecast *there = forecast_of(trial, at, by, cost);
    const double shares[] = {there->found.value, there->found.low, there->found.high};
    const double nats[] = {there->regret.value, there->regret.low, there->regret.high};
    struct an_sparkline line = {.values = &forecast_of(trial, 0, by, cost)->found.value,
                                .count = trial->checkpoints,
                                .stride =
                                    AN_TRIED * AN_COSTS * (int64_t)(sizeof *there / sizeof(double)),
                                .utf8 = w->style.utf8,
                                .width = w->style.width > 90 ? w->style.width - 81 : 9};
    TR_TRY(an_page_cell(&w->page, cost_names[cost], err));
    TR_TRY(an_page_cell(&w->page, an_by_names[by], err));
    TR_TRY(told->from < 0 ? an_page_cell(&w->page, "-", err)
                          : an_cell(w, err, "%.1f%%", 100.0 * fraction_of(w, told->from)));
    for (int i = 0; i < 3; i++)
        TR_TRY(an_cell(w, err, "%.2f", shares[i]));
    for (int i = 0; i < 3; i++)
        TR_TRY(an_cell(w, err, "%.2g", nats[i]));
    return an_cell_line(w, &line, err);
}

static enum tr_status write_legend(struct an_writer *w, struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    TR_TRY(tr_string_format(
        w->text, err,
        "from: the fraction of training from which on and to the end the N lowest find at least "
        "%.0f %% of what the cheapest at the end find of themselves, on other rows; -: never, and "
        "the columns beside it are of the last checkpoint, else of that one; found: share of the "
        "cheapest on one half of the rows that "
        "is told on the other, [low, high] what it truly is; regret: what those told cost together "
        "more at the end than the cheapest, in nats, with its %.3g %% interval; found over time.",
        100.0 * AN_MOST, 100.0 * w->result->settings.level));
    TR_TRY(an_end_legend(w, err));
    TR_TRY(tr_string_format(w->text, err,
                            "The %lld cheapest at the end find of themselves, on other rows, %.2f "
                            "by loss and %.2f by KL; chance finds %.2f.",
                            (long long)trial->count, trial->told[0].itself, trial->told[1].itself,
                            trial->chance));
    TR_TRY(an_write_paragraph(w, err));
    TR_TRY(tr_string_format(w->text, err,
                            "Intervals are over texts. This is one run of training, which tells "
                            "nothing of what another run would do."));
    return an_write_paragraph(w, err);
}

enum tr_status an_write_forecast(struct an_writer *w, struct tr_err *err) {
    static const struct an_column columns[] = {AN_COLUMN("cost", 6),   AN_WORDS("told by", 12),
                                               AN_COLUMN("from", 8),   AN_COLUMN("found", 6),
                                               AN_COLUMN("low", 6),    AN_COLUMN("high", 6),
                                               AN_COLUMN("regret", 9), AN_COLUMN("low", 9),
                                               AN_COLUMN("high", 9),   AN_DRAWN(9)};
    const struct an_trial *trial = w->group->trial;
    if (!trial || trial->checkpoints < 2 || trial->count == trial->units)
        return TR_OK;
    TR_TRY(an_write_heading(w, "How early could the cheapest at the end be told?", err));
    TR_TRY(an_page_table(&w->page, columns, sizeof columns / sizeof *columns, err));
    for (int cost = 0; cost < AN_COSTS; cost++)
        for (int by = 0; by < AN_TRIED; by++)
            TR_TRY(write_told(w, by, cost, err));
    TR_TRY(an_page_table_end(&w->page, err));
    return write_legend(w, err);
}
