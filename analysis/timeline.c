// SPDX-License-Identifier: Apache-2.0
#include "analysis/timeline.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"

const char *const an_axis_names[AN_AXES] = {"token", "step", "checkpoint"};

// ---- what a row says -------------------------------------------------------------------------

static bool has_stages(const struct tr_trace *trace, const int64_t *rows, int64_t count) {
    for (int64_t i = 1; i < count; i++)
        if (strcmp(tr_trace_string(trace, TR_V_STAGE, rows[i]),
                   tr_trace_string(trace, TR_V_STAGE, rows[0])) != 0)
            return true;
    return false;
}

static enum tr_status make_column(char **column_p, int64_t step, struct tr_err *err) {
    char number[32] = "?";
    if (step >= 1000000 && step % 1000000 == 0)
        snprintf(number, sizeof number, "%lldM", (long long)(step / 1000000));
    else if (step >= 10000 && step % 1000 == 0)
        snprintf(number, sizeof number, "%lldk", (long long)(step / 1000));
    else if (step >= 0)
        snprintf(number, sizeof number, "%lld", (long long)step);
    return tr_strdup(column_p, number, err);
}

static enum tr_status make_label(char **label_p, const struct an_checkpoint *checkpoint,
                                 bool stages, struct tr_err *err) {
    struct tr_string label = {0};
    enum tr_status status = TR_OK;
    if (stages && checkpoint->stage[0])
        status = tr_string_format(&label, err, "%s ", checkpoint->stage);
    if (status == TR_OK && checkpoint->step >= 0)
        status = tr_string_format(&label, err, "step %lld", (long long)checkpoint->step);
    else if (status == TR_OK)
        status = tr_string_format(&label, err, "%s", checkpoint->name);
    if (status == TR_OK)
        *label_p = label.data;
    else
        tr_string_free(&label);
    return status;
}

static enum tr_status describe(struct an_checkpoint *checkpoint, const struct tr_trace *trace,
                               int64_t row, bool stages, struct tr_err *err) {
    *checkpoint = (struct an_checkpoint){.row = row, .nll = NAN, .nll_error = NAN};
    TR_TRY(tr_trace_read(trace, TR_V_STEP, row, 1, &checkpoint->step, err));
    TR_TRY(tr_trace_read(trace, TR_V_TOKENS_SEEN, row, 1, &checkpoint->tokens, err));
    TR_TRY(tr_strdup(&checkpoint->name, tr_trace_string(trace, TR_V_NAME, row), err));
    TR_TRY(tr_strdup(&checkpoint->stage, tr_trace_string(trace, TR_V_STAGE, row), err));
    TR_TRY(tr_strdup(&checkpoint->digest, tr_trace_string(trace, TR_V_WEIGHTS_DIGEST, row), err));
    TR_TRY(make_column(&checkpoint->column, checkpoint->step, err));
    return make_label(&checkpoint->label, checkpoint, stages, err);
}

// ---- its loss --------------------------------------------------------------------------------

// s / sqrt(count) with s^2 the sum of squares about the mean over count - 1.
static double standard_error(const double *values, int64_t count, double mean) {
    double squares = 0.0;
    for (int64_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return count > 1 ? sqrt(squares / (double)(count - 1) / (double)count) : NAN;
}

static void set_loss(struct an_checkpoint *checkpoint, const double *nll, int64_t sequences) {
    double sum = 0.0;
    for (int64_t s = 0; s < sequences; s++) {
        sum += nll[s];
        checkpoint->no_loss += !isfinite(nll[s]);
    }
    checkpoint->nll = checkpoint->no_loss ? NAN : sum / (double)sequences;
    checkpoint->nll_error = standard_error(nll, sequences, checkpoint->nll);
}

static enum tr_status read_losses(struct an_checkpoint *checkpoint, const struct tr_trace *trace,
                                  int64_t count, struct tr_err *err) {
    int64_t sequences = tr_trace_info(trace)->layout.sequences;
    double *nll;
    TR_TRY(TR_NEW(&nll, sequences, "the loss", err));
    enum tr_status status = TR_OK;
    for (int64_t c = 0; c < count && status == TR_OK; c++) {
        status = tr_trace_read(trace, TR_V_NLL, checkpoint[c].row, 1, nll, err);
        if (status == TR_OK)
            set_loss(&checkpoint[c], nll, sequences);
    }
    free(nll);
    return status;
}

// ---- its place -------------------------------------------------------------------------------

static double on_axis(const struct an_checkpoint *checkpoint, enum an_axis axis, int64_t index) {
    const double places[AN_AXES] = {[AN_AXIS_TOKENS] = checkpoint->tokens,
                                    [AN_AXIS_STEP] = (double)checkpoint->step,
                                    [AN_AXIS_INDEX] = (double)index};
    return places[axis];
}

// Whether all places are known (none is negative) and grow.
static bool increases(const struct an_checkpoint *checkpoint, int64_t count, enum an_axis axis) {
    double before = -1.0;
    for (int64_t c = 0; c < count; c++) {
        double at = on_axis(&checkpoint[c], axis, c);
        if (!isfinite(at) || at < 0.0 || at <= before)
            return false;
        before = at;
    }
    return true;
}

static enum an_axis place_in_time(struct an_checkpoint *checkpoint, int64_t count) {
    enum an_axis axis = AN_AXIS_TOKENS;
    while (axis < AN_AXIS_INDEX && !increases(checkpoint, count, axis))
        axis++;
    for (int64_t c = 0; c < count; c++)
        checkpoint[c].at = on_axis(&checkpoint[c], axis, c);
    return axis;
}

// ---- all rows --------------------------------------------------------------------------------

enum tr_status an_timeline_load(struct an_checkpoint **checkpoint_p, enum an_axis *axis_p,
                                const struct tr_trace *trace, const int64_t *rows, int64_t count,
                                struct tr_err *err) {
    struct an_checkpoint *checkpoint;
    bool stages = has_stages(trace, rows, count);
    enum tr_status status = TR_OK;
    TR_TRY(TR_NEW(&checkpoint, count, "checkpoints", err));
    for (int64_t c = 0; c < count && status == TR_OK; c++)
        status = describe(&checkpoint[c], trace, rows[c], stages, err);
    if (status == TR_OK && tr_trace_has(trace, TR_V_NLL))
        status = read_losses(checkpoint, trace, count, err);
    if (status != TR_OK) {
        an_timeline_free(checkpoint, count);
        return status;
    }
    *axis_p = place_in_time(checkpoint, count);
    *checkpoint_p = checkpoint;
    return TR_OK;
}

void an_timeline_free(struct an_checkpoint *checkpoint, int64_t count) {
    for (int64_t c = 0; checkpoint && c < count; c++) {
        free(checkpoint[c].label);
        free(checkpoint[c].column);
        free(checkpoint[c].name);
        free(checkpoint[c].stage);
        free(checkpoint[c].digest);
    }
    free(checkpoint);
}
