// SPDX-License-Identifier: Apache-2.0
// What searches found, for people.
#include <math.h>
#include <stdio.h>

#include "analysis/search_result.h"
#include "writer.h"

static enum tr_status cell(struct an_page *page, struct tr_err *err, const char *format,
                           double value) {
    char text[48] = "-";
    if (isfinite(value))
        snprintf(text, sizeof text, format, value);
    return an_page_cell(page, text, err);
}

static enum tr_status whole_cell(struct an_page *page, int64_t value, struct tr_err *err) {
    return cell(page, err, "%.0f", (double)value);
}

static const char *text_of(const struct tr_drop *drop, char text[32]) {
    snprintf(text, 32, "%s %d", tr_module_names[drop->module], drop->layer);
    return text;
}

static enum tr_status write_round(struct an_page *page, const struct an_search *search,
                                  const struct an_searched *at, int64_t index, struct tr_err *err) {
    const struct an_round *round = &at->round[index];
    char text[32];
    TR_TRY(whole_cell(page, index + 1, err));
    TR_TRY(an_page_cell(page, text_of(&search->candidate[round->candidate], text), err));
    TR_TRY(cell(page, err, "%.4g", round->value));
    TR_TRY(cell(page, err, "%+.4f", round->loss));
    TR_TRY(cell(page, err, "%.4g", round->kl));
    TR_TRY(cell(page, err, "%.0f %%", 100 * round->attention));
    TR_TRY(cell(page, err, "%.2f", round->depth));
    TR_TRY(whole_cell(page, round->runs, err));
    return whole_cell(page, round->longest, err);
}

static enum tr_status write_rounds(struct an_page *page, const struct an_search *search,
                                   struct tr_err *err) {
    const struct an_searched *last = &search->at[search->checkpoints - 1];
    const struct an_column columns[] = {
        AN_COLUMN("round", 5), AN_WORDS("left out", 10), AN_COLUMN(search->by, 10),
        AN_COLUMN("loss", 9),  AN_COLUMN("KL", 10),      AN_COLUMN("attn", 8),
        AN_COLUMN("depth", 7), AN_COLUMN("runs", 6),     AN_COLUMN("longest", 9)};
    TR_TRY(an_page_table(page, columns, sizeof columns / sizeof *columns, err));
    for (int64_t i = 0; i < last->rounds; i++)
        TR_TRY(write_round(page, search, last, i, err));
    return an_page_table_end(page, err);
}

static enum tr_status write_orders(struct an_page *page, const struct an_search *search,
                                   struct tr_err *err) {
    char text[32];
    TR_TRY(an_page_gap(page, err));
    for (int64_t c = 0; c < search->checkpoints; c++) {
        const struct an_searched *at = &search->at[c];
        TR_TRY(tr_string_format(&page->text, err, "%s (%lld of %lld as the last", at->name,
                                (long long)at->shared, (long long)at->rounds));
        if (isfinite(at->alike))
            TR_TRY(tr_string_format(&page->text, err, ", rank correlation %.2f", at->alike));
        TR_TRY(tr_string_format(&page->text, err, "):"));
        for (int64_t i = 0; i < at->rounds; i++)
            TR_TRY(tr_string_format(&page->text, err, "%s %s", i ? "," : "",
                                    text_of(&search->candidate[at->round[i].candidate], text)));
        TR_TRY(an_page_paragraph(page, 2, err));
    }
    return TR_OK;
}

static enum tr_status add_legend(struct tr_string *text, const struct an_search *search,
                                 struct tr_err *err) {
    return tr_string_format(
        text, err,
        "Each round leaves out one more of %lld candidates, the one without which %s is lowest. "
        "loss: added next-token loss, and KL from the whole model, of all that is left out so far, "
        "in nats, on the very rows that chose it: others pay more (trace-eval). attn: share of "
        "attention among "
        "what is left out; depth: its mean layer, 0 the first and 1 the last; runs: stretches of "
        "neighbouring layers that lack the same module, and the longest of them.",
        (long long)search->candidates, search->by);
}

static enum tr_status write_tables(struct an_page *page, const struct an_search *search,
                                   struct tr_err *err) {
    const struct an_searched *last = &search->at[search->checkpoints - 1];
    TR_TRY(tr_string_format(&page->text, err, "%s, %s: %lld of %lld rounds", last->name,
                            search->settings, (long long)last->rounds, (long long)search->rounds));
    TR_TRY(an_page_paragraph(page, 0, err));
    TR_TRY(an_page_gap(page, err));
    TR_TRY(write_rounds(page, search, err));
    return search->checkpoints > 1 ? write_orders(page, search, err) : TR_OK;
}

static enum tr_status write_all(struct an_page *page, const struct an_search *search,
                                struct tr_err *err) {
    if (!search->checkpoints)
        return TR_OK;
    TR_TRY(write_tables(page, search, err));
    TR_TRY(an_page_gap(page, err));
    TR_TRY(add_legend(&page->text, search, err));
    return an_page_paragraph(page, 0, err);
}

enum tr_status an_write_search(struct an_writer *w, struct tr_err *err) {
    TR_TRY(an_page_heading(&w->page, 1, "Greedy search", err));
    TR_TRY(write_tables(&w->page, w->result->search, err));
    TR_TRY(add_legend(w->text, w->result->search, err));
    return an_end_legend(w, err);
}

enum tr_status an_search_write(const struct an_search *search, enum an_format format, int width,
                               struct tr_string *out, struct tr_err *err) {
    struct an_page page = {.out = out, .format = format, .width = width};
    enum tr_status status = write_all(&page, search, err);
    an_page_free(&page);
    return status;
}
