// SPDX-License-Identifier: Apache-2.0
// Figures of one line or one matrix: loss, spans.
#include <math.h>
#include <stdio.h>

#include "build.h"

static int64_t without_loss(const struct nx_data *data) {
    int64_t count = 0;
    for (int64_t c = 0; c < data->checkpoints; c++)
        count += !isfinite(data->nll[c]);
    return count;
}

// From the lowest end of an interval to the highest.
static struct nx_scale loss_scale(const struct nx_data *data) {
    struct nx_scale scale = nx_scale_of(NX_LINEAR, data->nll, data->checkpoints);
    for (int64_t c = 0; c < data->checkpoints; c++)
        if (isfinite(data->nll_low[c]) && isfinite(data->nll_high[c])) {
            scale.low = fmin(scale.low, data->nll_low[c]);
            scale.high = fmax(scale.high, data->nll_high[c]);
        }
    return nx_scale_round(scale);
}

enum tr_status nx_build_loss(struct nx_figure *figure, const struct nx_data *data,
                             struct tr_err *err) {
    struct nx_panel *panel;
    TR_TRY(nx_panel_begin(&panel, figure, "", 1, data->checkpoints, err));
    panel->marks = data->checkpoints <= 48 ? NX_POINTS : NX_LINES;
    panel->values = data->nll;
    panel->height = 100;
    panel->low = data->nll_low;
    panel->high = data->nll_high;
    panel->row[0] = nx_criterion_row(AN_BY_COST_NLL);
    panel->row[0].named = false;
    snprintf(panel->row[0].name, sizeof panel->row[0].name, "loss");
    snprintf(panel->quantity, sizeof panel->quantity, "nats per token");
    nx_checkpoint_places(panel, data);
    panel->y = (struct nx_axis){.scale = loss_scale(data), .label = "Loss (nats per token)"};
    TR_TRY(tr_string_format(&figure->caption, err,
                            "Mean negative log-likelihood of the next token over the calibration "
                            "text; the band is 1.96 standard errors of the mean over its "
                            "sequences."));
    int64_t without = without_loss(data);
    if (without == 0)
        return TR_OK;
    return tr_string_format(&figure->caption, err,
                            " Not drawn: %lld checkpoint%s whose loss is not finite in every "
                            "sequence.",
                            (long long)without, without == 1 ? "" : "s");
}

enum tr_status nx_build_spans(struct nx_figure *figure, const struct nx_data *data,
                              struct tr_err *err) {
    struct nx_panel *panel;
    int64_t boundaries = data->boundaries;
    TR_TRY(nx_panel_begin(&panel, figure, "", boundaries, boundaries, err));
    panel->marks = NX_CELLS;
    panel->values = data->spans;
    panel->height = 200;
    for (int64_t row = 0; row < boundaries; row++)
        snprintf(panel->row[row].name, sizeof panel->row[row].name, "boundary %lld",
                 (long long)row);
    snprintf(panel->quantity, sizeof panel->quantity, "cos");
    panel->x = (struct nx_axis){.scale = {NX_BANDS, 0, (double)boundaries},
                                .label = "Boundary (0: before the first layer)"};
    panel->y = (struct nx_axis){.scale = panel->x.scale, .label = "Boundary"};
    figure->has_bar = true;
    figure->bar =
        (struct nx_axis){.scale = nx_scale_of(NX_LINEAR, data->spans, boundaries * boundaries),
                         .label = "Mean cosine of the residual stream (no unit)"};
    return tr_string_format(&figure->caption, err,
                            "Similarity of the residual stream at any two boundaries between "
                            "layers, at %s: a light cell far from the diagonal is a window of "
                            "blocks that hardly changes the stream.",
                            data->spans_label);
}
