// SPDX-License-Identifier: Apache-2.0
// Whether the ranking holds over training.
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "writer.h"

static enum tr_status add_test(struct an_writer *w, struct tr_err *err) {
    const struct an_concordance *c = &w->group->stability.concordance;
    if (!isnan(c->p))
        return tr_string_format(
            w->text, err,
            " If checkpoints had nothing to do with each other, so much would have p = %.2g (%lld "
            "relabellings of %lld blocks of %lld checkpoint%s, %lld left out between; correlation "
            "time %.2g checkpoints).",
            c->p, (long long)c->relabellings, (long long)c->blocks, (long long)c->block,
            an_plural(c->block), (long long)c->gap, c->correlation_time);
    if (c->checkpoints < AN_CHECKPOINTS_LEAST)
        return tr_string_format(w->text, err,
                                " No p-value: a test needs %d checkpoints, and there are %lld.",
                                AN_CHECKPOINTS_LEAST, (long long)c->checkpoints);
    if (!isfinite(c->correlation_time))
        return tr_string_format(w->text, err,
                                " No p-value: ranks change too slowly for %lld checkpoints to tell "
                                "their correlation time.",
                                (long long)c->checkpoints);
    return tr_string_format(
        w->text, err,
        " No p-value: the ranks' correlation time may be %.2g checkpoints "
        "(estimated %.2g), so that there is room for %lld of the %d independent "
        "blocks that a test needs.",
        c->block_time, c->correlation_time, (long long)c->blocks, AN_BLOCKS_LEAST);
}

static enum tr_status write_concordance(struct an_writer *w, struct tr_err *err) {
    const struct an_concordance *c = &w->group->stability.concordance;
    if (c->checkpoints < 2 || isnan(c->w)) {
        TR_TRY(tr_string_format(w->text, err, "No Kendall's W: %s.",
                                c->checkpoints < 2 ? "claims rest on one checkpoint"
                                : c->units < 2     ? "fewer than two layers have a value everywhere"
                                                   : "all layers are alike"));
        return an_write_paragraph(w, err);
    }
    TR_TRY(tr_string_format(w->text, err,
                            "Kendall's W of the %lld checkpoints is %.3g (mean Spearman "
                            "correlation of two %.3g).",
                            (long long)c->checkpoints, c->w, c->mean_spearman));
    TR_TRY(add_test(w, err));
    return an_write_paragraph(w, err);
}

// The curves that are shown, as members of an_agreement.
static const struct {
    const char *name;
    size_t offset;
} curves[] = {
    {"Spearman", offsetof(struct an_agreement, spearman)},
    {"Kendall tau-b", offsetof(struct an_agreement, tau)},
    {"Jaccard", offsetof(struct an_agreement, jaccard)},
    {"RBO", offsetof(struct an_agreement, rbo)},
};
enum {
    CURVES = sizeof curves / sizeof curves[0],
    CURVE_AT = 50,
    STRIDE = sizeof(struct an_agreement) / sizeof(double)
};

// For the agreement with the last checkpoint, only those before it count.
static enum tr_status write_curve(struct an_writer *w, int curve, bool with_last,
                                  struct tr_err *err) {
    const struct an_stability *stability = &w->group->stability;
    int64_t first = with_last ? 0 : 1;
    int64_t count = with_last ? w->group->last : w->result->series.checkpoints - 1;
    const double chance[CURVES] = {0.0, 0.0, stability->jaccard_chance, stability->rbo_chance};
    const struct an_agreement *agreement = with_last ? stability->last : stability->previous;
    const double *values =
        (const double *)((const char *)(agreement + first) + curves[curve].offset);
    double low = NAN;
    for (int64_t i = 0; i < count; i++)
        low = fmin(low, values[i * STRIDE]);
    int room = w->style.width - CURVE_AT;
    struct an_sparkline line = {.values = values,
                                .count = count,
                                .stride = STRIDE,
                                .utf8 = w->style.utf8,
                                .width = room > 10 ? room : 10};
    const double cells[] = {chance[curve], low, values[(count - 1) * STRIDE]};
    TR_TRY(an_page_cell(&w->page, curves[curve].name, err));
    for (int i = 0; i < 3; i++)
        TR_TRY(isnan(cells[i]) ? an_page_cell(&w->page, "-", err)
                               : an_cell(w, err, "%.2f", cells[i]));
    return an_cell_line(w, &line, err);
}

static enum tr_status write_curves(struct an_writer *w, bool with_last, struct tr_err *err) {
    const struct an_column columns[] = {
        AN_WORDS(with_last ? "with the last" : "with the previous", 17), AN_COLUMN("chance", 9),
        AN_COLUMN("lowest", 9), AN_COLUMN("latest", 9), AN_DRAWN(10)};
    TR_TRY(an_page_table(&w->page, columns, sizeof columns / sizeof *columns, err));
    for (int curve = 0; curve < CURVES; curve++)
        TR_TRY(write_curve(w, curve, with_last, err));
    return an_page_table_end(&w->page, err);
}

enum tr_status an_write_stability(struct an_writer *w, struct tr_err *err) {
    if (w->result->series.checkpoints < 2)
        return TR_OK;
    TR_TRY(an_write_heading(w, "Does the ranking hold over training?", err));
    TR_TRY(write_concordance(w, err));
    if (w->group->units < 2)
        return TR_OK;
    TR_TRY(tr_string_format(w->text, err, "Agreement of all %lld checkpoints:",
                            (long long)w->result->series.checkpoints));
    TR_TRY(an_write_paragraph(w, err));
    TR_TRY(tr_string_format(w->text, err,
                            "W: Kendall's, 0 without agreement, 1 with the same order throughout; "
                            "chance: of two random rankings; Spearman, tau-b: correlations; "
                            "Jaccard: index of the N lowest; RBO: rank-biased overlap with "
                            "persistence %.2g.",
                            AN_PERSISTENCE));
    TR_TRY(an_end_legend(w, err));
    if (w->group->last > 0)
        TR_TRY(write_curves(w, true, err));
    return write_curves(w, false, err);
}
