// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <stdio.h>
#include <stdlib.h>

#include "alloc.h"
#include "page.h"
#include "ranks.h"

enum { FAILURES_SHOWN = 5 };

static const struct {
    const char *title, *one, *many;
} words[TR_MODULES] = {
    [TR_ATTN] = {"Attention", "Attention layer", "Attention layers"},
    [TR_MLP] = {"MLP", "MLP layer", "MLP layers"},
    [TR_BLOCK] = {"Blocks", "Block", "Blocks"},
};

struct writer {
    const struct an_report *report;
    const struct an_series *series;
    struct an_page page;
    struct tr_string *text; // page.text
    struct tr_string *out;  // page.out
    int64_t *layers;        // [series->layers] scratch
};

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

// ---- the heading and the faults --------------------------------------------------------------

static enum tr_status write_heading(struct writer *w, struct tr_err *err) {
    const struct an_series *series = w->series;
    TR_TRY(tr_string_format(w->text, err, "%s: %lld complete checkpoint%s, %s", w->report->path,
                            (long long)series->checkpoints, plural(series->checkpoints),
                            series->label[0]));
    if (series->checkpoints > 1)
        TR_TRY(tr_string_format(w->text, err, " to %s", series->label[series->checkpoints - 1]));
    TR_TRY(tr_string_format(w->text, err, "; %lld layer%s; %lld sequence%s of %lld tokens.",
                            (long long)series->layers, plural(series->layers),
                            (long long)series->sequences, plural(series->sequences),
                            (long long)series->seq_len));
    if (series->earlier > 0)
        TR_TRY(tr_string_format(w->text, err, " %lld earlier left out by --from.",
                                (long long)series->earlier));
    TR_TRY(an_page_paragraph(&w->page, 0, err));
    TR_TRY(tr_string_format(w->text, err,
                            "Importance is 1 - cos (no unit), the mean over tokens: how far a "
                            "layer turns the residual stream. Near 0, it hardly does."));
    return an_page_paragraph(&w->page, 0, err);
}

static enum tr_status write_failures(struct writer *w, struct tr_err *err) {
    const struct an_series *series = w->series;
    if (series->failed == 0)
        return TR_OK;
    TR_TRY(tr_string_format(w->out, err, "\n%lld checkpoint%s failed, left out:\n",
                            (long long)series->failed, plural(series->failed)));
    for (int64_t i = 0; i < series->failed && i < FAILURES_SHOWN; i++) {
        TR_TRY(tr_string_format(w->text, err, "- %s", series->failure[i]));
        TR_TRY(an_page_paragraph(&w->page, 2, err));
    }
    if (series->failed > FAILURES_SHOWN)
        TR_TRY(tr_string_format(w->out, err, "- and %lld more\n",
                                (long long)(series->failed - FAILURES_SHOWN)));
    return TR_OK;
}

static enum tr_status write_nonfinite(struct writer *w, struct tr_err *err) {
    const struct an_series *series = w->series;
    int64_t means = 0, worst = 0;
    int worst_module = 0;
    uint32_t most = 0;
    for (int module = 0; module < TR_MODULES; module++)
        for (int64_t i = 0; w->report->wanted[module] && i < series->checkpoints * series->layers;
             i++) {
            uint32_t tokens = series->nonfinite[module][i];
            means += tokens > 0;
            if (tokens > most) {
                most = tokens;
                worst = i;
                worst_module = module;
            }
        }
    if (means == 0)
        return TR_OK;
    TR_TRY(tr_string_append(w->out, "\n", 1, err));
    TR_TRY(tr_string_format(w->text, err,
                            "Tokens with non-finite values are left out of %lld mean%s, most at "
                            "%s (%s %lld): %lu token%s.",
                            (long long)means, plural(means), series->label[worst / series->layers],
                            words[worst_module].one, (long long)(worst % series->layers),
                            (unsigned long)most, plural(most)));
    return an_page_paragraph(&w->page, 0, err);
}

// ---- one module ------------------------------------------------------------------------------

static enum tr_status write_table(struct writer *w, const struct an_ranking *ranking, int module,
                                  struct tr_err *err) {
    TR_TRY(tr_string_format(w->out, err,
                            "\n%s, least important first\n\n"
                            "   layer       mean     lowest    highest   among the %lld lowest\n",
                            words[module].title, (long long)ranking->count));
    for (int64_t i = 0; i < ranking->present; i++) {
        const struct an_place *place = &ranking->places[i];
        TR_TRY(tr_string_format(w->out, err, "  %6lld  %9.3g  %9.3g  %9.3g   at %lld of %lld\n",
                                (long long)place->layer, place->mean, place->lowest, place->highest,
                                (long long)place->among, (long long)ranking->checkpoints));
    }
    return tr_string_append(w->out, "\n", 1, err);
}

// The layers that are absent everywhere, or (`partly`) at some checkpoints.
static enum tr_status write_absent(struct writer *w, const struct an_ranking *ranking, bool partly,
                                   struct tr_err *err) {
    int64_t count = 0;
    for (int64_t i = 0; i < ranking->layers; i++) {
        int64_t measured = ranking->places[i].measured;
        if (measured < ranking->checkpoints && (measured > 0) == partly)
            w->layers[count++] = ranking->places[i].layer;
    }
    if (count == 0)
        return TR_OK;
    TR_TRY(tr_string_format(w->text, err, "Without a value at %s: layer%s ",
                            partly ? "some checkpoints, ranked by the others"
                                   : "any checkpoint, left out",
                            plural(count)));
    TR_TRY(an_page_numbers(&w->page, w->layers, count, err));
    TR_TRY(tr_string_append(w->text, ".", 1, err));
    return an_page_paragraph(&w->page, 0, err);
}

// " at 6 of 8 checkpoints (at every one from step 512 on)."
static enum tr_status add_when(struct writer *w, const struct an_ranking *ranking,
                               struct tr_err *err) {
    int64_t last = ranking->checkpoints - 1;
    char **label = w->series->label;
    if (last == 0)
        return tr_string_format(w->text, err, " at the only checkpoint, %s.", label[0]);
    if (ranking->together == ranking->checkpoints)
        return tr_string_format(w->text, err, " at all %lld checkpoints.",
                                (long long)ranking->checkpoints);
    TR_TRY(tr_string_format(w->text, err, " at %lld of %lld checkpoints",
                            (long long)ranking->together, (long long)ranking->checkpoints));
    if (ranking->since < last)
        return tr_string_format(w->text, err, " (at every one from %s on).", label[ranking->since]);
    return tr_string_format(w->text, err, " (%s the last, %s).",
                            ranking->since == last ? "also at" : "not at", label[last]);
}

// " Among the 3 lowest at every checkpoint: layers 5 and 7."
static enum tr_status add_constant(struct writer *w, const struct an_ranking *ranking,
                                   struct tr_err *err) {
    int64_t count = 0;
    for (int64_t i = 0; i < ranking->present; i++)
        if (ranking->places[i].among == ranking->checkpoints)
            w->layers[count++] = ranking->places[i].layer;
    if (count == 0)
        return tr_string_format(w->text, err, " No layer is among the %lld lowest at every one.",
                                (long long)ranking->count);
    TR_TRY(tr_string_format(w->text, err, " Among the %lld lowest at every one: layer%s ",
                            (long long)ranking->count, plural(count)));
    TR_TRY(an_page_numbers(&w->page, w->layers, count, err));
    return tr_string_append(w->text, ".", 1, err);
}

// What is true of the chosen layers, which the sentence has named.
static enum tr_status add_claim(struct writer *w, const struct an_ranking *ranking,
                                struct tr_err *err) {
    bool one = ranking->count == 1;
    char lowest[48] = "the least important";
    if (!one)
        snprintf(lowest, sizeof lowest, "the %lld least important", (long long)ranking->count);
    if (ranking->count == ranking->present)
        return tr_string_format(w->text, err, " %s all there %s: there is nothing to choose.",
                                one ? "is" : "are", one ? "is" : "are");
    if (ranking->together > 0) {
        TR_TRY(tr_string_format(w->text, err, " %s %s", one ? "is" : "are", lowest));
        TR_TRY(add_when(w, ranking, err));
    } else {
        TR_TRY(tr_string_format(w->text, err, " %s, but %s %s at no checkpoint.",
                                one ? "has the lowest mean" : "have the lowest means",
                                one ? "is" : "are together", lowest));
    }
    return one || ranking->together == ranking->checkpoints ? TR_OK : add_constant(w, ranking, err);
}

static enum tr_status write_answer(struct writer *w, const struct an_ranking *ranking, int module,
                                   struct tr_err *err) {
    for (int64_t i = 0; i < ranking->count; i++)
        w->layers[i] = ranking->places[i].layer;
    TR_TRY(tr_string_format(w->text, err, "%s ",
                            ranking->count == 1 ? words[module].one : words[module].many));
    TR_TRY(an_page_numbers(&w->page, w->layers, ranking->count, err));
    TR_TRY(add_claim(w, ranking, err));
    return an_page_paragraph(&w->page, 0, err);
}

static enum tr_status write_ranking(struct writer *w, const struct an_ranking *ranking, int module,
                                    struct tr_err *err) {
    const struct an_series *series = w->series;
    if (ranking->present == 0)
        return tr_string_format(w->out, err, "\n%s: no layer has a value at any checkpoint.\n",
                                words[module].title);
    TR_TRY(write_table(w, ranking, module, err));
    TR_TRY(an_heatmap(w->out, series->importance[module], series->checkpoints, series->layers,
                      series->column, &w->report->style, err));
    TR_TRY(tr_string_append(w->out, "\n", 1, err));
    TR_TRY(write_absent(w, ranking, false, err));
    TR_TRY(write_absent(w, ranking, true, err));
    return write_answer(w, ranking, module, err);
}

static enum tr_status write_module(struct writer *w, int module, struct tr_err *err) {
    const struct an_series *series = w->series;
    struct an_ranking ranking;
    TR_TRY(an_rank(&ranking, series->importance[module], series->checkpoints, series->layers,
                   w->report->count, err));
    enum tr_status status = write_ranking(w, &ranking, module, err);
    an_ranking_free(&ranking);
    return status;
}

static enum tr_status write_all(struct writer *w, struct tr_err *err) {
    TR_TRY(write_heading(w, err));
    TR_TRY(write_failures(w, err));
    TR_TRY(write_nonfinite(w, err));
    for (int module = 0; module < TR_MODULES; module++)
        if (w->report->wanted[module])
            TR_TRY(write_module(w, module, err));
    return tr_string_format(w->out, err, "\nTies go to the lower layer.\n");
}

enum tr_status an_report_write(const struct an_report *report, const struct an_series *series,
                               struct tr_string *out, struct tr_err *err) {
    struct writer w = {.report = report,
                       .series = series,
                       .page = {.out = out, .width = report->style.width},
                       .out = out};
    w.text = &w.page.text;
    TR_TRY(TR_NEW(&w.layers, series->layers, "the report", err));
    enum tr_status status = write_all(&w, err);
    an_page_free(&w.page);
    free(w.layers);
    return status;
}
