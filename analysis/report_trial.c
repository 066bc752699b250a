// SPDX-License-Identifier: Apache-2.0
// The chapter that holds proxies against what leaving sublayers out costs.
#include <math.h>
#include <stdlib.h>

#include "writer.h"

static const char *const cost_names[AN_COSTS] = {"loss", "KL"};

// What a verdict is asked for.
static const double *spearman_of(const struct an_verdict *verdict) {
    return &verdict->spearman.value;
}

static const double *regret_of(const struct an_verdict *verdict) {
    return &verdict->regret.value;
}

static bool is_one(const struct an_trial *trial) {
    return trial->checkpoints == 1;
}

static enum tr_status write_intro(struct an_writer *w, struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    TR_TRY(tr_string_format(
        w->text, err,
        "Proxies against costs on the %lld rows of text on which costs were measured, at %lld "
        "checkpoint%s. The lowest are the least important; of alignment that is what lies most "
        "along the residual stream.",
        (long long)trial->rows, (long long)trial->checkpoints, an_plural(trial->checkpoints)));
    return an_write_paragraph(w, err);
}

// ---- the two tables --------------------------------------------------------------------------

static enum tr_status write_name(struct an_writer *w, int proxy, int cost, struct tr_err *err) {
    TR_TRY(an_page_cell(&w->page, cost_names[cost], err));
    return an_page_cell(&w->page, an_by_names[proxy], err);
}

// A sparkline over the trial's checkpoints, unless there is one.
static enum tr_status write_time(struct an_writer *w, int proxy, int cost, int used,
                                 const double *(*of)(const struct an_verdict *),
                                 struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    struct an_sparkline line = {.values = of(an_verdict_of(trial, 0, proxy, cost)),
                                .count = trial->checkpoints,
                                .stride = AN_PROXIES * AN_COSTS *
                                          (int64_t)(sizeof *trial->verdict / sizeof(double)),
                                .utf8 = w->style.utf8,
                                .width = w->style.width - used};
    return is_one(trial) ? TR_OK : an_cell_line(w, &line, err);
}

static enum tr_status write_small(struct an_writer *w, double value, struct tr_err *err) {
    return isnan(value) ? an_page_cell(&w->page, "-", err) : an_cell(w, err, "%.2f", value);
}

static enum tr_status write_correlation(struct an_writer *w, int proxy, int cost,
                                        struct tr_err *err) {
    const struct an_verdict *v = an_verdict_of(w->group->trial, -1, proxy, cost);
    const double cells[] = {v->spearman.value, v->spearman.low, v->spearman.high, v->ceiling,
                            v->tau.value,      v->tau.low,      v->tau.high};
    TR_TRY(write_name(w, proxy, cost, err));
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        TR_TRY(write_small(w, cells[i], err));
    return write_time(w, proxy, cost, 71, spearman_of, err);
}

static enum tr_status write_choice(struct an_writer *w, int proxy, int cost, struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    const struct an_verdict *v = an_verdict_of(trial, -1, proxy, cost);
    const double cells[] = {v->regret.value, v->regret.low, v->regret.high};
    TR_TRY(write_name(w, proxy, cost, err));
    TR_TRY(an_cell(w, err, "%.0f of %lld", v->found.value * (double)trial->count,
                   (long long)trial->count));
    TR_TRY(write_small(w, v->found.low, err));
    TR_TRY(write_small(w, v->found.high, err));
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        TR_TRY(an_cell_number(w, cells[i], err));
    return write_time(w, proxy, cost, 74, regret_of, err);
}

static enum tr_status write_rows(struct an_writer *w,
                                 enum tr_status (*write)(struct an_writer *, int, int,
                                                         struct tr_err *),
                                 struct tr_err *err) {
    for (int cost = 0; cost < AN_COSTS; cost++)
        for (int proxy = 0; proxy < AN_PROXIES; proxy++)
            TR_TRY(write(w, proxy, cost, err));
    return TR_OK;
}

static enum tr_status write_correlations(struct an_writer *w, struct tr_err *err) {
    static const struct an_column columns[] = {AN_COLUMN("cost", 6),   AN_WORDS("proxy", 12),
                                               AN_COLUMN("Spear.", 7), AN_COLUMN("low", 7),
                                               AN_COLUMN("high", 7),   AN_COLUMN("ceil.", 7),
                                               AN_COLUMN("tau-b", 7),  AN_COLUMN("low", 7),
                                               AN_COLUMN("high", 7),   AN_DRAWN(9)};
    bool one = is_one(w->group->trial);
    TR_TRY(an_page_table(&w->page, columns, one ? 9 : 10, err));
    TR_TRY(write_rows(w, write_correlation, err));
    TR_TRY(an_page_table_end(&w->page, err));
    TR_TRY(tr_string_format(
        w->text, err,
        "Spear.: Spearman's correlation over the layers of %s; ceil.: what it could be for the "
        "noise of the rows, from half of them against the other half; tau-b: Kendall's. [low, "
        "high] hold, with at least %.3g %% confidence, what they are without that noise: they are "
        "over all orders that the pairs allow whose order is sure.",
        one ? "the one checkpoint" : "the means over training", 100.0 * w->result->settings.level));
    return an_end_legend(w, err);
}

static enum tr_status write_choices(struct an_writer *w, struct tr_err *err) {
    static const struct an_column columns[] = {
        AN_COLUMN("cost", 6), AN_WORDS("proxy", 12), AN_COLUMN("found", 8),
        AN_COLUMN("low", 7),  AN_COLUMN("high", 7),  AN_COLUMN("regret", 10),
        AN_COLUMN("low", 10), AN_COLUMN("high", 10), AN_DRAWN(9)};
    const struct an_trial *trial = w->group->trial;
    TR_TRY(an_page_table(&w->page, columns, is_one(trial) ? 8 : 9, err));
    TR_TRY(write_rows(w, write_choice, err));
    TR_TRY(an_page_table_end(&w->page, err));
    TR_TRY(tr_string_format(
        w->text, err,
        "found: how many of the N cheapest are the N lowest of the proxy, [low, high] the share "
        "that it truly is; regret: what these cost together more than the "
        "cheapest, in nats, both chosen on some rows and paid for on the others; it may be below "
        "0, [low, high] is its %.3g %% interval.",
        100.0 * w->result->settings.level));
    TR_TRY(an_end_legend(w, err));
    TR_TRY(tr_string_format(w->text, err, "Chance finds %.2g of %lld.",
                            (double)trial->count * trial->chance, (long long)trial->count));
    return an_write_paragraph(w, err);
}

static enum tr_status write_settled(struct an_writer *w, struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    TR_TRY(tr_string_format(
        w->text, err,
        "Spearman's correlation is and stays at least %.0f %% of its ceiling:", 100.0 * AN_MOST));
    for (int i = 0; i < AN_PROXIES * AN_COSTS; i++) {
        const struct an_settled *settled = &trial->settled[i];
        int cost = (int)settled->cost - AN_PROXIES;
        if (cost == 0)
            TR_TRY(tr_string_format(w->text, err, " %s", an_by_names[settled->proxy]));
        TR_TRY(tr_string_format(w->text, err, "%s with %s ", cost ? "," : "", cost_names[cost]));
        if (settled->from < 0)
            TR_TRY(tr_string_format(w->text, err, "not at the end"));
        else if (settled->from == trial->checkpoint[0])
            TR_TRY(tr_string_format(w->text, err, "at every checkpoint"));
        else
            TR_TRY(tr_string_format(w->text, err, "from %s on", an_label(w, settled->from)));
        TR_TRY(tr_string_format(w->text, err, "%s",
                                !cost                           ? ""
                                : i + 1 < AN_PROXIES * AN_COSTS ? ";"
                                                                : "."));
    }
    return an_write_paragraph(w, err);
}

// ---- misjudged -------------------------------------------------------------------------------

// By which costs: a bit each.
enum { BY_LOSS = 1, BY_KL = 2, BY_BOTH = 3 };

static int misjudged_by(const struct an_trial *trial, int64_t at, int proxy, int64_t unit) {
    int by = 0;
    for (int cost = 0; cost < AN_COSTS; cost++)
        by |= an_misjudges(trial, an_verdict_of(trial, at, proxy, cost), unit) << cost;
    return by;
}

// "layer 5 costs more than it looks, by 3 and 0 places: loss 0.48 [0.42, 0.54], KL 0.4 [..]"
static enum tr_status add_misjudged(struct an_writer *w, int64_t at, int proxy, int64_t u, int by,
                                    struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    const struct an_estimate *cost = trial->cost + ((at < 0 ? 0 : trial->units) + u) * AN_COSTS;
    int which = by & BY_LOSS ? 0 : 1;
    int64_t shift = an_verdict_of(trial, at, proxy, which)->shift[u];
    TR_TRY(an_add_unit(w, trial->unit[u], err));
    TR_TRY(tr_string_format(w->text, err, " costs %s than it looks, by %lld place%s",
                            shift > 0 ? "more" : "less", (long long)llabs(shift),
                            an_plural(llabs(shift))));
    for (int k = 0; k < AN_COSTS; k++) {
        TR_TRY(tr_string_format(w->text, err, "%s%s ", k ? ", " : " (", cost_names[k]));
        TR_TRY(k == BY_KL - 1 ? an_add_divergence(w, &cost[k], err)
                              : an_add_estimate(w, &cost[k], err));
    }
    return tr_string_append(w->text, ")", 1, err);
}

static enum tr_status add_kind(struct an_writer *w, int64_t at, int proxy, int by, bool *said,
                               struct tr_err *err) {
    static const char *const words[] = {[BY_LOSS] = "by loss and not by KL",
                                        [BY_KL] = "by KL and not by loss",
                                        [BY_BOTH] = "by loss and by KL"};
    const struct an_trial *trial = w->group->trial;
    int64_t count = 0;
    for (int64_t u = 0; u < trial->units; u++) {
        if (misjudged_by(trial, at, proxy, u) != by)
            continue;
        TR_TRY(count++ == 0
                   ? tr_string_format(w->text, err, "%s%s: ", *said ? ". " : " ", words[by])
                   : tr_string_format(w->text, err, "; "));
        TR_TRY(add_misjudged(w, at, proxy, u, by, err));
        *said = true;
    }
    return TR_OK;
}

static enum tr_status write_misjudged(struct an_writer *w, int64_t at, int proxy,
                                      struct tr_err *err) {
    bool said = false;
    TR_TRY(
        tr_string_format(w->text, err, "Misjudged by %s, %s:", an_by_names[proxy],
                         at < 0 ? "over training" : an_label(w, w->group->trial->checkpoint[at])));
    for (int by = BY_BOTH; by > 0; by--)
        TR_TRY(add_kind(w, at, proxy, by, &said, err));
    TR_TRY(tr_string_format(w->text, err, said ? "." : " none."));
    return an_write_paragraph(w, err);
}

static enum tr_status write_all_misjudged(struct an_writer *w, struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    for (int proxy = 0; proxy < AN_PROXIES; proxy++) {
        if (!is_one(trial))
            TR_TRY(write_misjudged(w, -1, proxy, err));
        TR_TRY(write_misjudged(w, trial->checkpoints - 1, proxy, err));
    }
    TR_TRY(tr_string_format(w->text, err,
                            "Misjudged: %lld places off or more, counting layers that proxy and "
                            "cost surely put on different sides of it; costs in nats.",
                            (long long)trial->least));
    return an_end_legend(w, err);
}

enum tr_status an_write_trial(struct an_writer *w, struct tr_err *err) {
    if (!w->group->trial)
        return TR_OK;
    TR_TRY(an_write_heading(w, "Do proxies tell what leaving a layer out costs?", err));
    TR_TRY(write_intro(w, err));
    TR_TRY(write_correlations(w, err));
    TR_TRY(write_choices(w, err));
    TR_TRY(write_settled(w, err));
    return write_all_misjudged(w, err);
}
