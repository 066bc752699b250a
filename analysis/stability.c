// SPDX-License-Identifier: Apache-2.0
// Does the ranking hold over training: W with its test, and every checkpoint against the last and
// against the one before.
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "computation.h"
#include "statistics/correlation.h"
#include "statistics/onset.h"
#include "statistics/order.h"
#include "statistics/overlap.h"

// The rankings of all checkpoints.
struct rankings {
    int64_t checkpoints, units, count, last;
    const double *values; // [checkpoints, units]
    int64_t *order;       // [checkpoints, units]
    int64_t *present;     // [checkpoints] units with a value
};

// A checkpoint at which a unit lacks a value is not compared: NaN.
static enum tr_status agree(struct an_agreement *agreement, const struct rankings *r, int64_t a,
                            int64_t b, struct tr_err *err) {
    const double *x = r->values + a * r->units, *y = r->values + b * r->units;
    const int64_t *order_x = r->order + a * r->units, *order_y = r->order + b * r->units;
    *agreement = (struct an_agreement){NAN, NAN, NAN, NAN};
    if (r->present[a] < r->units || r->present[b] < r->units)
        return TR_OK;
    TR_TRY(an_spearman(&agreement->spearman, x, y, r->units, err));
    TR_TRY(an_kendall_tau_b(&agreement->tau, x, y, r->units, err));
    TR_TRY(an_jaccard(&agreement->jaccard, order_x, order_y, r->units, r->count, err));
    struct an_rbo rbo;
    TR_TRY(an_rbo(&rbo, order_x, order_y, r->units, r->units, AN_PERSISTENCE, err));
    agreement->rbo = rbo.extrapolated;
    return TR_OK;
}

static enum tr_status compare_all(struct an_stability *stability, struct rankings *r,
                                  struct tr_err *err) {
    for (int64_t c = 0; c < r->checkpoints; c++)
        r->present[c] = an_order(r->order + c * r->units, r->values + c * r->units, r->units);
    stability->previous[0] = (struct an_agreement){NAN, NAN, NAN, NAN};
    for (int64_t c = 0; c < r->checkpoints; c++) {
        TR_TRY(agree(&stability->last[c], r, c, r->last, err));
        if (c > 0)
            TR_TRY(agree(&stability->previous[c], r, c, c - 1, err));
    }
    return TR_OK;
}

static enum tr_status find_agreement(struct an_group_result *group, int64_t checkpoints,
                                     struct tr_err *err) {
    struct an_stability *stability = &group->stability;
    struct rankings r = {.checkpoints = checkpoints,
                         .units = group->units,
                         .count = group->count,
                         .last = group->last,
                         .values = group->value};
    TR_TRY(TR_NEW(&stability->last, checkpoints, "agreement", err));
    TR_TRY(TR_NEW(&stability->previous, checkpoints, "agreement", err));
    TR_TRY(TR_NEW(&r.order, checkpoints * (group->units + 1), "rankings", err));
    r.present = r.order + checkpoints * group->units;
    enum tr_status status = compare_all(stability, &r, err);
    free(r.order);
    stability->jaccard_chance = an_jaccard_chance(group->units, group->count);
    stability->rbo_chance = an_rbo_chance(group->units, group->units, AN_PERSISTENCE).extrapolated;
    return status;
}

// The first checkpoint from which the overlap is at least that, where all have a value.
static int64_t onset_at_least(const struct an_group_result *group, double least) {
    int64_t onset = -1;
    for (int64_t c = group->last; c >= 0; c--) {
        if (isnan(group->stability.overlap[c]))
            continue;
        if (group->stability.overlap[c] < least)
            return onset;
        onset = c;
    }
    return onset;
}

// Finds from when on the last checkpoint's set was complete and stayed so.
static enum tr_status find_onset(struct an_group_result *group, int64_t checkpoints,
                                 struct tr_err *err) {
    struct an_stability *stability = &group->stability;
    TR_TRY(TR_NEW(&stability->overlap, checkpoints, "overlap", err));
    TR_TRY(an_overlap_with_last(stability->overlap, group->value, group->last + 1, group->units,
                                group->count, err));
    for (int64_t c = 0; c < checkpoints; c++)
        if (!an_is_whole(group, c))
            stability->overlap[c] = NAN;
    stability->onset_most = onset_at_least(group, AN_MOST);
    stability->onset_all = onset_at_least(group, 1.0);
    return TR_OK;
}

static enum tr_status test_shares(struct an_group_result *group, const struct an_work *work,
                                  const double *values, struct tr_err *err) {
    double *p;
    TR_TRY(TR_NEW(&p, group->units, "p-values", err));
    enum tr_status status = an_share_test(p, &group->stability.threshold, values,
                                          &group->stability.concordance, group->units, group->count,
                                          1.0 - work->settings->level, work->settings->seed, err);
    for (int64_t u = 0; u < group->units && status == TR_OK; u++)
        group->unit[u].share_p = p[u];
    free(p);
    return status;
}

enum tr_status an_stability_make(struct an_group_result *group, const struct an_work *work,
                                 struct tr_err *err) {
    const double *values = group->claimed;
    TR_TRY(an_concordance(&group->stability.concordance, values, work->claimed.checkpoints,
                          group->units, work->settings->resamples, work->settings->seed, err));
    TR_TRY(test_shares(group, work, values, err));
    TR_TRY(find_agreement(group, work->panel.checkpoints, err));
    return find_onset(group, work->panel.checkpoints, err);
}
