// SPDX-License-Identifier: Apache-2.0
// Runs of consecutive blocks and the stream's drift, of stores traced with spans.
#include <math.h>
#include <stdio.h>

#include "sparkline.h"
#include "writer.h"

// Writes "3..5", or a dash where there is no span.
static void name_run(char *name, size_t size, int64_t start, int64_t length) {
    if (start < 0)
        snprintf(name, size, "-");
    else
        snprintf(name, size, "%lld..%lld", (long long)start, (long long)(start + length - 1));
}

static enum tr_status write_runs(struct an_writer *w, struct tr_err *err) {
    const struct an_spans *spans = w->result->spans;
    TR_TRY(tr_string_format(w->out, err, "\nblocks %8s %9s %9s %9s %6s %7s\n", "run", "mean",
                            "worst", "last", "share", "at last"));
    for (int64_t i = 0; i < spans->lengths; i++) {
        const struct an_span *span = &spans->span[i];
        char run[48], last_run[48];
        name_run(run, sizeof run, span->start, span->length);
        name_run(last_run, sizeof last_run, span->last_start, span->length);
        TR_TRY(tr_string_format(w->out, err, "%6lld %8s", (long long)span->length, run));
        TR_TRY(an_write_cell(w, span->importance, err));
        TR_TRY(an_write_cell(w, span->worst, err));
        TR_TRY(an_write_cell(w, span->last, err));
        TR_TRY(tr_string_format(w->out, err, " %5.0f%% %7s\n", 100.0 * span->share, last_run));
    }
    TR_TRY(tr_string_format(
        w->text, err,
        "run: the consecutive blocks that turn the stream least, by 1 - cos "
        "(no unit) of their two ends, mean over training; share: of training at which "
        "that run is the best of its length; at last: the best run of the last "
        "checkpoint. A span is one mean over its tokens, so that there are no intervals."));
    return an_page_paragraph(&w->page, 0, err);
}

static enum tr_status write_drift(struct an_writer *w, struct tr_err *err) {
    const struct an_spans *spans = w->result->spans;
    int64_t checkpoints = w->result->series.checkpoints, boundaries = spans->boundaries;
    int room = w->style.width - 50;
    TR_TRY(an_write_heading(w, "How far does the stream of the same tokens move?", err));
    TR_TRY(tr_string_format(w->out, err,
                            "boundary  cos at the first [low, high]       CKA  over time\n"));
    for (int64_t b = 0; b < boundaries; b++) {
        const struct an_drift *first = &spans->last[b];
        struct an_sparkline line = {.values = &first->cosine.value,
                                    .count = checkpoints,
                                    .stride =
                                        boundaries * (int64_t)(sizeof *first / sizeof(double)),
                                    .utf8 = w->style.utf8,
                                    .width = room > 10 ? room : 10};
        TR_TRY(tr_string_format(w->out, err, "%8lld", (long long)b));
        TR_TRY(an_write_cell(w, first->cosine.value, err));
        TR_TRY(an_write_cell(w, first->cosine.low, err));
        TR_TRY(an_write_cell(w, first->cosine.high, err));
        TR_TRY(an_write_cell(w, first->cka, err));
        TR_TRY(tr_string_format(w->out, err, "  "));
        TR_TRY(an_sparkline(w->out, &line, err));
        TR_TRY(tr_string_append(w->out, "\n", 1, err));
    }
    TR_TRY(tr_string_format(
        w->text, err,
        "cos: of a checkpoint with the last, token-wise, mean over the probe tokens "
        "(intervals over them); CKA: linear, debiased; both without unit. Against the checkpoint "
        "before: "
        "see --json."));
    return an_page_paragraph(&w->page, 0, err);
}

enum tr_status an_write_spans(struct an_writer *w, struct tr_err *err) {
    TR_TRY(tr_string_format(w->out, err, "\n== Consecutive blocks ==\n"));
    TR_TRY(write_runs(w, err));
    return w->result->spans->last ? write_drift(w, err) : TR_OK;
}
