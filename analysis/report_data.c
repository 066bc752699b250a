// SPDX-License-Identifier: Apache-2.0
// What the data is, how it is looked at, and what is wrong with it.
#include <math.h>

#include "writer.h"

enum { FAULTS_SHOWN = 5 }; // of a kind
enum { GAPS_SHOWN = 8 };   // checkpoints

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
    if (series->scans[0])
        TR_TRY(tr_string_format(w->text, err,
                                " attn is attention but for %s, where it is the scan of a state "
                                "space.",
                                series->scans));
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

static enum tr_status write_intervals(struct an_writer *w, struct tr_err *err) {
    const struct an_result *result = w->result;
    int64_t rows = result->series.sampled;
    TR_TRY(tr_string_format(
        w->text, err,
        "[Intervals] are %.3g %%, by %s over the %lld sequences (%lld resamples, seed %llu; "
        "the same for all layers and checkpoints, so that differences are paired); those of "
        "worst cases, of changes and against chance by skewness-corrected t.",
        100.0 * result->settings.level, an_method_name(result->method), (long long)rows,
        (long long)result->settings.resamples, (unsigned long long)result->settings.seed));
    if (rows < AN_ROWS_LEAST)
        TR_TRY(tr_string_format(w->text, err,
                                " With fewer than %d rows of text they are wide: shorter rows are "
                                "better than few.",
                                AN_ROWS_LEAST));
    return an_page_paragraph(&w->page, 0, err);
}

static enum tr_status write_methods(struct an_writer *w, struct tr_err *err) {
    const struct an_result *result = w->result;
    TR_TRY(tr_string_format(w->text, err, "%s", an_criterion_of(w)->meaning));
    TR_TRY(an_page_paragraph(&w->page, 0, err));
    if (result->method != AN_NO_INTERVAL)
        return write_intervals(w, err);
    if (result->series.sampled < 2)
        TR_TRY(tr_string_format(w->text, err, "The store holds one sample of each mean, "));
    else
        TR_TRY(tr_string_format(w->text, err,
                                "Fewer than %d rows of text, here %lld, tell nothing of others, ",
                                AN_INTERVAL_LEAST, (long long)result->series.sampled));
    TR_TRY(tr_string_format(w->text, err,
                            "so that there are no intervals and no probabilities: order is all "
                            "that is shown."));
    return an_page_paragraph(&w->page, 0, err);
}

static enum tr_status write_faults(struct an_writer *w, struct tr_err *err) {
    const struct an_result *result = w->result;
    int64_t seen[AN_FAULT_KINDS] = {0}, hidden = 0;
    TR_TRY(an_page_gap(&w->page, err));
    TR_TRY(tr_string_format(
        w->text, err, result->faults ? "Faults of the data:" : "No faults found in the data."));
    TR_TRY(an_write_paragraph(w, err));
    if (result->faults && w->page.format != AN_TEXT)
        TR_TRY(an_page_gap(&w->page, err));
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
    if (hidden == 0)
        return TR_OK;
    TR_TRY(tr_string_format(w->text, err, "- and %lld more", (long long)hidden));
    return an_write_paragraph(w, err);
}

enum tr_status an_write_data(struct an_writer *w, struct tr_err *err) {
    TR_TRY(an_page_gap(&w->page, err));
    TR_TRY(write_series(w, err));
    TR_TRY(write_methods(w, err));
    return write_faults(w, err);
}
