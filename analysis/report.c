// SPDX-License-Identifier: Apache-2.0
#include "analysis/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "writer.h"

enum { FAULTS_SHOWN = 5 }; // of a kind
enum { GAPS_SHOWN = 8 };   // checkpoints

static const char *const titles[AN_GROUPS] = {
    [AN_ATTN] = "Attention",
    [AN_MLP] = "MLP",
    [AN_BLOCK] = "Blocks",
    [AN_JOINT] = "Attention and MLP ranked together",
};

// ---- the head --------------------------------------------------------------------------------

// Names the checkpoints on which no claim rests, because layers have no value there.
static enum tr_status add_gaps(struct an_writer *w, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    int64_t left = series->checkpoints - series->first - series->claimed, said = 0;
    if (left == 0)
        return TR_OK;
    TR_TRY(tr_string_format(w->text, err, " Left out of all claims %s", left == 1 ? "is" : "are"));
    for (int64_t c = series->first, k = 0; c < series->checkpoints; c++) {
        if (k < series->claimed && series->claim[k] == c)
            k++;
        else if (said++ < GAPS_SHOWN)
            TR_TRY(tr_string_format(w->text, err, "%s %s", said > 1 ? "," : "", an_label(w, c)));
    }
    if (left > GAPS_SHOWN)
        TR_TRY(tr_string_format(w->text, err, " and %lld more", (long long)(left - GAPS_SHOWN)));
    return tr_string_format(w->text, err,
                            ": some layers have no value there. Means, ranks and worst cases are "
                            "of the other %lld for all layers.",
                            (long long)series->claimed);
}

// Whether steps, or tokens, are known of all checkpoints.
static bool knows_time(const struct an_series *series) {
    int64_t steps = 0, tokens = 0;
    for (int64_t c = 0; c < series->checkpoints; c++) {
        steps += series->checkpoint[c].step >= 0;
        tokens += !isnan(series->checkpoint[c].tokens);
    }
    return steps == series->checkpoints || tokens == series->checkpoints;
}

static enum tr_status add_claimed(struct an_writer *w, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    int64_t claimed = series->claimed;
    if (series->first > 0)
        TR_TRY(tr_string_format(w->text, err, " Claims rest on the %lld from %s on.",
                                (long long)(series->checkpoints - series->first),
                                an_label(w, series->first)));
    TR_TRY(add_gaps(w, err));
    if (series->checkpoints == 1)
        return tr_string_format(w->text, err, " One checkpoint has no history to tell of.");
    if (claimed < 2)
        return TR_OK;
    if (series->axis == AN_AXIS_INDEX)
        return tr_string_format(w->text, err,
                                " Means over training count every checkpoint once: %s.",
                                knows_time(series) ? "steps or tokens are known of all, but do not "
                                                     "rise from each to the next"
                                                   : "neither tokens nor steps are known of all");
    return tr_string_format(w->text, err,
                            " Means over training weigh a checkpoint by the %ss it stands for.",
                            an_axis_names[series->axis]);
}

static enum tr_status write_series(struct an_writer *w, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    int64_t last = series->checkpoints - 1;
    TR_TRY(tr_string_format(w->text, err, "%s: %lld complete checkpoint%s, %s", series->path,
                            (long long)series->checkpoints, an_plural(series->checkpoints),
                            an_label(w, 0)));
    if (last > 0)
        TR_TRY(tr_string_format(w->text, err, " to %s", an_label(w, last)));
    TR_TRY(tr_string_format(w->text, err, "; %lld layer%s; %lld sequence%s of %lld tokens.",
                            (long long)series->layers, an_plural(series->layers),
                            (long long)series->sequences, an_plural(series->sequences),
                            (long long)series->seq_len));
    TR_TRY(add_claimed(w, err));
    TR_TRY(an_page_paragraph(&w->page, 0, err));
    if (!series->unfinished)
        return TR_OK;
    TR_TRY(tr_string_format(w->text, err,
                            "%s.parts lies beside it: the run is not finished. This is about the "
                            "checkpoints that are published.",
                            series->path));
    return an_page_paragraph(&w->page, 0, err);
}

static enum tr_status write_methods(struct an_writer *w, struct tr_err *err) {
    const struct an_result *result = w->result;
    TR_TRY(tr_string_format(w->text, err, "%s", an_criterion_of(w)->meaning));
    TR_TRY(an_page_paragraph(&w->page, 0, err));
    if (result->method == AN_NO_INTERVAL)
        TR_TRY(tr_string_format(w->text, err,
                                "The store holds one sample of each mean, so that there are no "
                                "intervals and no probabilities: order is all that is shown."));
    else
        TR_TRY(tr_string_format(
            w->text, err,
            "[Intervals] are %.3g %%, by %s over the %lld sequences (%lld resamples, seed %llu; "
            "the same for all layers and checkpoints, so that differences are paired); those of "
            "worst cases, of changes and against chance by skewness-corrected t.",
            100.0 * result->settings.level, an_method_name(result->method),
            (long long)result->series.sampled, (long long)result->settings.resamples,
            (unsigned long long)result->settings.seed));
    return an_page_paragraph(&w->page, 0, err);
}

static enum tr_status write_faults(struct an_writer *w, struct tr_err *err) {
    const struct an_result *result = w->result;
    int64_t seen[AN_FAULT_KINDS] = {0}, hidden = 0;
    if (result->faults == 0)
        return tr_string_format(w->out, err, "\nNo faults found in the data.\n");
    TR_TRY(tr_string_format(w->out, err, "\nFaults of the data:\n"));
    for (int64_t i = 0; i < result->faults; i++) {
        const struct an_fault *fault = &result->fault[i];
        if (seen[fault->kind]++ >= FAULTS_SHOWN) {
            hidden++;
            continue;
        }
        TR_TRY(tr_string_format(w->text, err, "- %s%s", fault->text,
                                fault->kind == AN_FAULT_FAILED ? " (left out)" : ""));
        TR_TRY(an_write_paragraph(w, err));
    }
    return hidden == 0 ? TR_OK
                       : tr_string_format(w->out, err, "- and %lld more\n", (long long)hidden);
}

// ---- all -------------------------------------------------------------------------------------

// Says why a group has no chapter.
static enum tr_status write_none(struct an_writer *w, enum an_group group, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    bool gaps = false;
    for (int64_t u = 0; u < series->layers * TR_MODULES; u++)
        gaps |= series->gappy[u] && an_group_holds(group, (int)(u % TR_MODULES));
    TR_TRY(tr_string_append(w->out, "\n", 1, err));
    TR_TRY(tr_string_format(w->text, err, "%s: ", titles[group]));
    if (gaps)
        TR_TRY(tr_string_format(w->text, err,
                                "left out, with values at some checkpoints only. With --module %s "
                                "claims rest on those.",
                                an_group_names[group]));
    else
        TR_TRY(tr_string_format(w->text, err, "no layer has a value at any checkpoint."));
    return an_write_paragraph(w, err);
}

static enum tr_status write_group(struct an_writer *w, enum an_group group, struct tr_err *err) {
    w->group = w->result->group[group];
    if (!w->group)
        return write_none(w, group, err);
    if (w->group->count == 1)
        snprintf(w->lowest, sizeof w->lowest, "lowest");
    else
        snprintf(w->lowest, sizeof w->lowest, "%lld lowest", (long long)w->group->count);
    TR_TRY(tr_string_format(w->out, err, "\n== %s ==\n", titles[group]));
    TR_TRY(an_write_table(w, err));
    TR_TRY(an_write_sets(w, err));
    TR_TRY(an_write_stability(w, err));
    TR_TRY(an_write_history(w, err));
    TR_TRY(an_write_chance(w, err));
    TR_TRY(an_write_trial(w, err));
    return an_write_forecast(w, err);
}

static enum tr_status write_all(struct an_writer *w, struct tr_err *err) {
    TR_TRY(write_series(w, err));
    TR_TRY(write_methods(w, err));
    TR_TRY(write_faults(w, err));
    for (int group = 0; group < AN_GROUPS; group++)
        if (w->result->settings.wanted[group])
            TR_TRY(write_group(w, group, err));
    if (w->result->sets)
        TR_TRY(an_write_set_costs(w, err));
    return w->result->spans ? an_write_spans(w, err) : TR_OK;
}

enum tr_status an_report_write(const struct an_result *result, const struct an_style *style,
                               struct tr_string *out, struct tr_err *err) {
    struct an_writer w = {
        .result = result, .style = *style, .page = {.out = out, .width = style->width}, .out = out};
    w.text = &w.page.text;
    TR_TRY(TR_NEW(&w.list, 2 * result->series.layers, "the report", err));
    enum tr_status status = write_all(&w, err);
    an_page_free(&w.page);
    free(w.list);
    return status;
}
