// SPDX-License-Identifier: Apache-2.0
// Runs of consecutive blocks and the stream's drift, of stores traced with spans.
#include <math.h>

#include "sparkline.h"
#include "writer.h"

static enum tr_status write_runs(struct an_writer *w, struct tr_err *err) {
    const struct an_spans *spans = w->result->spans;
    TR_TRY(tr_string_format(
        w->out, err,
        "\n  blocks      run         mean     worst      last   best for   the last's\n"));
    for (int64_t i = 0; i < spans->lengths; i++) {
        const struct an_span *span = &spans->span[i];
        TR_TRY(tr_string_format(w->out, err, "%8lld %5lld .. %-5lld", (long long)span->length,
                                (long long)span->start,
                                (long long)(span->start + span->length - 1)));
        TR_TRY(an_write_cell(w, span->importance, err));
        TR_TRY(an_write_cell(w, span->worst, err));
        TR_TRY(an_write_cell(w, span->last, err));
        TR_TRY(tr_string_format(w->out, err, "      %3.0f%%   %5lld .. %lld\n", 100.0 * span->share,
                                (long long)span->last_start,
                                (long long)(span->last_start + span->length - 1)));
    }
    TR_TRY(tr_string_format(w->text, err,
                            "run: the consecutive blocks that turn the stream least, by 1 - cos "
                            "(no unit) of their two ends, mean over training; best for: share of "
                            "training at which that run is the best of its length. A span is one "
                            "mean over its tokens, so that there are no intervals."));
    return an_page_paragraph(&w->page, 0, err);
}

static enum tr_status write_drift(struct an_writer *w, struct tr_err *err) {
    const struct an_spans *spans = w->result->spans;
    int64_t checkpoints = w->result->series.checkpoints, boundaries = spans->boundaries;
    int room = w->style.width - 49;
    TR_TRY(tr_string_format(w->out, err,
                            "\nThe stream of the same tokens at every checkpoint against the last\n"
                            "\nboundary   cos at the first [low, high]    CKA    cos over time\n"));
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
    TR_TRY(
        tr_string_format(w->text, err,
                         "cos: token-wise, mean over the probe tokens (intervals over them); CKA: "
                         "linear, debiased; both without unit. Against the checkpoint before: "
                         "see --json."));
    return an_page_paragraph(&w->page, 0, err);
}

enum tr_status an_write_spans(struct an_writer *w, struct tr_err *err) {
    TR_TRY(tr_string_format(w->out, err, "\n== Consecutive blocks ==\n"));
    TR_TRY(write_runs(w, err));
    return w->result->spans->last ? write_drift(w, err) : TR_OK;
}
