// SPDX-License-Identifier: Apache-2.0
#include "statistics/consistent.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "statistics/interval.h"
#include "statistics/order.h"

// What is asked of one mean: an_upper_limit with a level, an_not_below_p with a bound.
typedef double cell_question(const struct an_sample *sample, double argument);

// Room for the units of one checkpoint.
struct cells {
    double *means;  // [units]
    double *pseudo; // [units, sequences]
    double *share;  // [sequences]
};

static enum tr_status cells_make(struct cells *cells, const struct an_panel *panel,
                                 struct tr_err *err) {
    uint64_t size;
    if (!tr_mul((uint64_t)panel->units, (uint64_t)panel->sequences, &size))
        return tr_fail(err, TR_ENOMEM, "no memory for the means of a checkpoint");
    TR_TRY(TR_NEW(&cells->means, panel->units, "the means of a checkpoint", err));
    TR_TRY(TR_NEW(&cells->pseudo, size, "the means of a checkpoint", err));
    return TR_NEW(&cells->share, panel->sequences, "the means of a checkpoint", err);
}

static void cells_free(struct cells *cells) {
    free(cells->means);
    free(cells->pseudo);
    free(cells->share);
}

// answers[units] of a panel of one checkpoint.
static enum tr_status ask_checkpoint(double *answers, struct cells *cells,
                                     const struct an_panel *panel, cell_question *ask,
                                     double argument, struct tr_err *err) {
    an_checkpoint_means(cells->means, panel);
    an_token_shares(cells->share, panel);
    TR_TRY(an_pseudo_values(cells->pseudo, panel, AN_LAST, NULL, err));
    for (int64_t u = 0; u < panel->units; u++) {
        struct an_sample sample = {.estimate = cells->means[u],
                                   .sequences = panel->sequences,
                                   .pseudo = cells->pseudo + u * panel->sequences,
                                   .share = cells->share};
        answers[u] = ask(&sample, argument);
    }
    return TR_OK;
}

// answers[checkpoints, units]
static enum tr_status ask_cells(double *answers, const struct an_panel *panel, cell_question *ask,
                                double argument, struct tr_err *err) {
    struct cells cells = {0};
    enum tr_status status = cells_make(&cells, panel, err);
    for (int64_t c = 0; c < panel->checkpoints && status == TR_OK; c++) {
        struct an_panel one = an_panel_slice(panel, c, 1);
        status = ask_checkpoint(answers + c * panel->units, &cells, &one, ask, argument, err);
    }
    cells_free(&cells);
    return status;
}

enum tr_status an_upper_limits(double *limits, const struct an_panel *panel, double level,
                               struct tr_err *err) {
    return ask_cells(limits, panel, an_upper_limit, level, err);
}

void an_worst_bounds(double *worst, int64_t *at, const double *limits, int64_t checkpoints,
                     int64_t units) {
    for (int64_t u = 0; u < units; u++) {
        int64_t highest = 0;
        for (int64_t c = 1; c < checkpoints && !isnan(limits[highest * units + u]); c++)
            if (!(limits[c * units + u] <= limits[highest * units + u]))
                highest = c; // or there is none
        worst[u] = limits[highest * units + u];
        if (at)
            at[u] = highest;
    }
}

// The largest p of one unit; 1 where a checkpoint has none, NaN where all have none.
static double largest_p(const double *p, int64_t checkpoints, int64_t stride) {
    double largest = NAN;
    int64_t missing = 0;
    for (int64_t c = 0; c < checkpoints; c++) {
        missing += isnan(p[c * stride]);
        largest = fmax(largest, p[c * stride]); // NaN gives way
    }
    return missing > 0 && missing < checkpoints ? 1.0 : largest;
}

enum tr_status an_not_below_everywhere(double *p, const struct an_panel *panel, double bound,
                                       struct tr_err *err) {
    double *cells;
    uint64_t size;
    if (!tr_mul((uint64_t)panel->checkpoints, (uint64_t)panel->units, &size))
        return tr_fail(err, TR_ENOMEM, "no memory for p-values");
    TR_TRY(TR_NEW(&cells, size, "p-values", err));
    enum tr_status status = ask_cells(cells, panel, an_not_below_p, bound, err);
    for (int64_t u = 0; u < panel->units && status == TR_OK; u++)
        p[u] = largest_p(cells + u, panel->checkpoints, panel->units);
    free(cells);
    return status;
}

enum tr_status an_benjamini_hochberg(double *adjusted, const double *p, int64_t count,
                                     struct tr_err *err) {
    int64_t *order;
    TR_TRY(TR_NEW(&order, count, "p-values", err));
    int64_t hypotheses = an_order(order, p, count);
    double least = 1.0;
    for (int64_t i = count - 1; i >= hypotheses; i--)
        adjusted[order[i]] = NAN;
    for (int64_t i = hypotheses - 1; i >= 0; i--) {
        least = fmin(least, p[order[i]] * (double)hypotheses / (double)(i + 1));
        adjusted[order[i]] = least;
    }
    free(order);
    return TR_OK;
}
