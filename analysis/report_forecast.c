// SPDX-License-Identifier: Apache-2.0
// The chapter on how early the cheapest at the end could be told.
#include <math.h>
#include <stdio.h>

#include "sparkline.h"
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
                                .width = w->style.width > 90 ? w->style.width - 80 : 10};
    TR_TRY(tr_string_format(w->out, err, "%6s  %-12s", cost_names[cost], an_by_names[by]));
    if (told->from < 0)
        TR_TRY(tr_string_format(w->out, err, "%8s", "-"));
    else
        TR_TRY(tr_string_format(w->out, err, " %6.1f%%", 100.0 * fraction_of(w, told->from)));
    for (int i = 0; i < 3; i++)
        TR_TRY(tr_string_format(w->out, err, " %5.2f", shares[i]));
    for (int i = 0; i < 3; i++)
        TR_TRY(tr_string_format(w->out, err, " %8.2g", nats[i]));
    TR_TRY(tr_string_append(w->out, " ", 1, err));
    TR_TRY(an_sparkline(w->out, &line, err));
    return tr_string_append(w->out, "\n", 1, err);
}

static enum tr_status write_legend(struct an_writer *w, struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    TR_TRY(tr_string_format(
        w->text, err,
        "from: the fraction of training from which on and to the end the %lld lowest find at least "
        "%.0f %% of what the cheapest at the end find of themselves, on other rows (%.2f by loss, "
        "%.2f by KL; by chance %.2f); -: never, and the columns beside it are of the last "
        "checkpoint, else of that one. found: share of the cheapest on one half of the rows that "
        "is told on the other, [low, high] what it truly is; regret: what those told cost together "
        "more at the end than the cheapest, in nats, with its %.3g %% interval; found over time.",
        (long long)trial->count, 100.0 * AN_MOST, trial->told[0].itself, trial->told[1].itself,
        trial->chance, 100.0 * w->result->settings.level));
    TR_TRY(an_page_paragraph(&w->page, 0, err));
    TR_TRY(tr_string_format(w->text, err,
                            "Intervals are over texts. This is one run of training, which tells "
                            "nothing of what another run would do."));
    return an_page_paragraph(&w->page, 0, err);
}

enum tr_status an_write_forecast(struct an_writer *w, struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    if (!trial || trial->checkpoints < 2 || trial->count == trial->units)
        return TR_OK;
    TR_TRY(an_write_heading(w, "How early could the cheapest at the end be told?", err));
    TR_TRY(tr_string_format(w->out, err, "%6s  %-12s%8s%6s%6s%6s%9s%9s%9s\n", "cost", "told by",
                            "from", "found", "low", "high", "regret", "low", "high"));
    for (int cost = 0; cost < AN_COSTS; cost++)
        for (int by = 0; by < AN_TRIED; by++)
            TR_TRY(write_told(w, by, cost, err));
    return write_legend(w, err);
}
