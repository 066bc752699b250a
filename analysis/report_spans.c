// SPDX-License-Identifier: Apache-2.0
// Runs of consecutive blocks and the stream's drift, of stores traced with spans.
#include <math.h>
#include <stdio.h>

#include "writer.h"

// Writes "3..5", or a dash where there is no span.
static void name_run(char *name, size_t size, int64_t start, int64_t length) {
    if (start < 0)
        snprintf(name, size, "-");
    else
        snprintf(name, size, "%lld..%lld", (long long)start, (long long)(start + length - 1));
}

static enum tr_status write_runs(struct an_writer *w, struct tr_err *err) {
    static const struct an_column columns[] = {AN_COLUMN("blocks", 6), AN_COLUMN("run", 9),
                                               AN_COLUMN("mean", 10),  AN_COLUMN("worst", 10),
                                               AN_COLUMN("last", 10),  AN_COLUMN("share", 7),
                                               AN_COLUMN("at last", 8)};
    const struct an_spans *spans = w->result->spans;
    TR_TRY(an_page_table(&w->page, columns, sizeof columns / sizeof *columns, err));
    for (int64_t i = 0; i < spans->lengths; i++) {
        const struct an_span *span = &spans->span[i];
        char run[48], last_run[48];
        name_run(run, sizeof run, span->start, span->length);
        name_run(last_run, sizeof last_run, span->last_start, span->length);
        TR_TRY(an_cell(w, err, "%lld", (long long)span->length));
        TR_TRY(an_page_cell(&w->page, run, err));
        TR_TRY(an_cell_number(w, span->importance, err));
        TR_TRY(an_cell_number(w, span->worst, err));
        TR_TRY(an_cell_number(w, span->last, err));
        TR_TRY(an_cell(w, err, "%.0f%%", 100.0 * span->share));
        TR_TRY(an_page_cell(&w->page, last_run, err));
    }
    TR_TRY(an_page_table_end(&w->page, err));
    TR_TRY(tr_string_format(
        w->text, err,
        "run: the consecutive blocks that turn the stream least, by 1 - cos "
        "(no unit) of their two ends, mean over training; share: of training at which "
        "that run is the best of its length; at last: the best run of the last "
        "checkpoint. A span is one mean over its tokens, so that there are no intervals."));
    return an_end_legend(w, err);
}

static enum tr_status write_drift(struct an_writer *w, struct tr_err *err) {
    static const struct an_column columns[] = {AN_COLUMN("boundary", 8), AN_COLUMN("cos first", 10),
                                               AN_COLUMN("low", 10),     AN_COLUMN("high", 10),
                                               AN_COLUMN("CKA", 10),     AN_DRAWN(10)};
    const struct an_spans *spans = w->result->spans;
    int64_t checkpoints = w->result->series.checkpoints, boundaries = spans->boundaries;
    int room = w->style.width - 50;
    TR_TRY(an_write_heading(w, "How far does the stream of the same tokens move?", err));
    TR_TRY(an_page_table(&w->page, columns, sizeof columns / sizeof *columns, err));
    for (int64_t b = 0; b < boundaries; b++) {
        const struct an_drift *first = &spans->last[b];
        struct an_sparkline line = {.values = &first->cosine.value,
                                    .count = checkpoints,
                                    .stride =
                                        boundaries * (int64_t)(sizeof *first / sizeof(double)),
                                    .utf8 = w->style.utf8,
                                    .width = room > 10 ? room : 10};
        TR_TRY(an_cell(w, err, "%lld", (long long)b));
        TR_TRY(an_cell_number(w, first->cosine.value, err));
        TR_TRY(an_cell_number(w, first->cosine.low, err));
        TR_TRY(an_cell_number(w, first->cosine.high, err));
        TR_TRY(an_cell_number(w, first->cka, err));
        TR_TRY(an_cell_line(w, &line, err));
    }
    TR_TRY(an_page_table_end(&w->page, err));
    TR_TRY(tr_string_format(
        w->text, err,
        "cos first: of the stream at the first checkpoint with that at the last, token-wise, mean "
        "over the probe tokens (intervals over them); CKA: linear, debiased; both without unit. "
        "Against the checkpoint before: see --json."));
    return an_end_legend(w, err);
}

enum tr_status an_write_spans(struct an_writer *w, struct tr_err *err) {
    TR_TRY(an_page_heading(&w->page, 1, "Consecutive blocks", err));
    TR_TRY(write_runs(w, err));
    return w->result->spans->last ? write_drift(w, err) : TR_OK;
}
