// SPDX-License-Identifier: Apache-2.0
#include "consistent.h"

#include <math.h>
#include <stdlib.h>

#include "alloc.h"
#include "interval.h"
#include "order.h"

// What is asked of one mean: an_upper_limit with a level, an_not_below_p with a bound.
typedef double cell_question(double estimate, const double *pseudo, int64_t sequences,
                             double argument);

// answers[checkpoints, units]
static enum tr_status ask_cells(double *answers, const struct an_panel *panel, cell_question *ask,
                                double argument, struct tr_err *err) {
    double *pseudo = NULL, *means = NULL;
    uint64_t size;
    enum tr_status status;
    if (!tr_mul((uint64_t)panel->units, (uint64_t)panel->sequences, &size))
        return tr_fail(err, TR_ENOMEM, "no memory for the means of a checkpoint");
    TR_GO(status, TR_NEW(&means, panel->units, "the means of a checkpoint", err), out);
    TR_GO(status, TR_NEW(&pseudo, size, "the means of a checkpoint", err), out);
    for (int64_t c = 0; c < panel->checkpoints; c++) {
        struct an_panel one = an_panel_slice(panel, c, 1);
        an_checkpoint_means(means, &one);
        TR_GO(status, an_pseudo_values(pseudo, &one, AN_LAST, NULL, err), out);
        for (int64_t u = 0; u < panel->units; u++)
            answers[c * panel->units + u] =
                ask(means[u], pseudo + u * panel->sequences, panel->sequences, argument);
    }
out:
    free(means);
    free(pseudo);
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
