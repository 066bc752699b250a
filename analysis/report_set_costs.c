// SPDX-License-Identifier: Apache-2.0
// What named sets cost, beside what the single costs of their sublayers add up to.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/printable.h"
#include "writer.h"

enum { NAME_WIDTH = 20 };

static const char *const cost_names[AN_COSTS] = {"loss", "KL"};

// A name out of a file, cut to the column between characters.
static enum tr_status write_name(struct an_writer *w, const char *name, struct tr_err *err) {
    struct tr_string *cell = &w->cell;
    size_t end = 0;
    int columns = 0;
    cell->size = 0;
    TR_TRY(tr_string_append(cell, name, strlen(name), err));
    cell->size = tr_printable(cell->data, cell->size, "");
    for (; end < cell->size; end++) {
        bool begins = (cell->data[end] & 0xc0) != 0x80; // no UTF-8 continuation byte
        if (begins && columns == NAME_WIDTH)
            break;
        columns += begins;
    }
    cell->data[end] = '\0';
    return an_page_cell(&w->page, cell->data, err);
}

static enum tr_status write_row(struct an_writer *w, const struct an_set_costs *costs, int cost,
                                struct tr_err *err) {
    const struct an_set_cost *last = &costs->at[costs->checkpoints - 1];
    struct an_sparkline line = {.values = &costs->at[0].cost[cost].value,
                                .count = costs->checkpoints,
                                .stride = (int64_t)(sizeof *last / sizeof(double)),
                                .utf8 = w->style.utf8,
                                .width = w->style.width > 82 ? w->style.width - 73 : 9};
    const double cells[] = {last->cost[cost].value, last->cost[cost].low, last->cost[cost].high,
                            last->sum[cost]};
    TR_TRY(write_name(w, cost ? "" : costs->name, err));
    TR_TRY(an_page_cell(&w->page, cost_names[cost], err));
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        TR_TRY(cost ? an_cell_divergence(w, cells[i], err) : an_cell_number(w, cells[i], err));
    return w->result->series.checkpoints > 1 ? an_cell_line(w, &line, err) : TR_OK;
}

// Where the single costs surely do not add up to the set's.
static enum tr_status write_excess(struct an_writer *w, const struct an_set_costs *costs,
                                   struct tr_err *err) {
    const struct an_set_cost *last = &costs->at[costs->checkpoints - 1];
    TR_TRY(tr_string_format(w->text, err,
                            "%s leaves out %s; at the last checkpoint the likeliest "
                            "token stays at %.1f %% of the positions.",
                            costs->name, *costs->drop ? costs->drop : "nothing",
                            100 * last->agree));
    for (int cost = 0; cost < AN_COSTS; cost++) {
        const struct an_estimate *excess = &last->excess[cost];
        if (!(excess->low > 0) && !(excess->high < 0))
            continue;
        TR_TRY(tr_string_format(w->text, err, " Together they cost %s in %s than one by one, by ",
                                excess->low > 0 ? "more" : "less", cost_names[cost]));
        TR_TRY(an_add_estimate(w, excess, err));
        TR_TRY(tr_string_format(w->text, err, "."));
    }
    return an_write_paragraph(w, err);
}

enum tr_status an_write_set_costs(struct an_writer *w, struct tr_err *err) {
    const struct an_result *result = w->result;
    static const struct an_column columns[] = {AN_WORDS("set", NAME_WIDTH),
                                               AN_COLUMN("cost", 5),
                                               AN_COLUMN("last", 10),
                                               AN_COLUMN("low", 10),
                                               AN_COLUMN("high", 10),
                                               AN_COLUMN("sum", 10),
                                               AN_DRAWN(9)};
    TR_TRY(an_page_heading(&w->page, 1, "Named sets", err));
    TR_TRY(an_page_table(&w->page, columns, result->series.checkpoints > 1 ? 7 : 6, err));
    for (int64_t i = 0; i < result->sets; i++)
        for (int cost = 0; cost < AN_COSTS; cost++)
            TR_TRY(write_row(w, &result->set[i], cost, err));
    TR_TRY(an_page_table_end(&w->page, err));
    TR_TRY(tr_string_format(
        w->text, err,
        "last: what leaving out the whole set costs at the last checkpoint, in nats, [low, high] "
        "its %.3g %% interval over the rows on which costs were measured (skewness-corrected t); "
        "sum: of the single costs of its sublayers; over time: each line on its own scale.",
        100.0 * result->settings.level));
    TR_TRY(an_end_legend(w, err));
    for (int64_t i = 0; i < result->sets; i++)
        TR_TRY(write_excess(w, &result->set[i], err));
    return TR_OK;
}
