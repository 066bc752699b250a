// SPDX-License-Identifier: Apache-2.0
#include "cost_rows.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "statistics/panel.h"

static enum tr_status allocate(struct an_cost_rows *rows, struct tr_err *err) {
    uint64_t cells, values;
    if (!tr_mul((uint64_t)rows->checkpoints, (uint64_t)rows->units, &cells) ||
        !tr_mul(cells, (uint64_t)rows->rows, &values))
        return tr_fail(err, TR_ENOMEM, "out of memory for the rows of costs");
    for (int by = 0; by < AN_TRIED; by++) {
        TR_TRY(TR_NEW(&rows->of[by], values, "the rows of costs", err));
        TR_TRY(TR_NEW(&rows->mean[by], cells, "the rows of costs", err));
    }
    return TR_OK;
}

// Copies the columns of `all`[units, sequences] that are rows of costs.
static void pick_rows(double *picked, const double *all, const struct an_cost_rows *rows,
                      const struct tr_layout *layout) {
    for (int64_t u = 0; u < rows->units; u++)
        for (int64_t s = 0; s < rows->rows; s++)
            picked[u * rows->rows + s] = all[u * layout->sequences + tr_cost_sequence(layout, s)];
}

static enum tr_status read(struct an_cost_rows *rows, const struct an_series *series,
                           const struct tr_trace *trace, double *all, struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    for (int64_t c = 0; c < rows->checkpoints; c++)
        for (int by = 0; by < AN_TRIED; by++) {
            double *values = rows->of[by] + c * rows->units * rows->rows;
            const struct an_criterion *criterion = &an_criteria[by];
            TR_TRY(an_criterion_read(criterion->of_cost ? values : all, criterion, trace,
                                     series->checkpoint[c].row, err));
            if (!criterion->of_cost)
                pick_rows(values, all, rows, layout);
        }
    for (int by = 0; by < AN_TRIED; by++) {
        const struct an_panel panel = {rows->checkpoints, rows->units, rows->rows, rows->of[by],
                                       NULL};
        an_checkpoint_means(rows->mean[by], &panel);
    }
    return TR_OK;
}

enum tr_status an_cost_rows_load(struct an_cost_rows *rows, const struct an_series *series,
                                 const struct tr_trace *trace, struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    double *all = NULL;
    *rows = (struct an_cost_rows){.checkpoints = series->checkpoints,
                                  .units = series->layers * TR_MODULES,
                                  .rows = layout->cost_sequences};
    if (rows->rows == 0)
        return TR_OK;
    enum tr_status status = allocate(rows, err);
    if (status == TR_OK)
        status = TR_NEW(&all, rows->units * layout->sequences, "rows of text", err);
    if (status == TR_OK)
        status = read(rows, series, trace, all, err);
    free(all);
    if (status != TR_OK)
        an_cost_rows_free(rows);
    return status;
}

void an_cost_rows_free(struct an_cost_rows *rows) {
    for (int by = 0; by < AN_TRIED; by++) {
        free(rows->of[by]);
        free(rows->mean[by]);
    }
    *rows = (struct an_cost_rows){0};
}

bool an_cost_rows_have(const struct an_cost_rows *rows, int64_t checkpoint, int64_t unit) {
    for (int by = 0; by < AN_TRIED; by++)
        if (!isfinite(rows->mean[by][checkpoint * rows->units + unit]))
            return false;
    return true;
}
