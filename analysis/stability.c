// SPDX-License-Identifier: Apache-2.0
// Does the ranking hold over training: W with its test, and every checkpoint against the last and
// against the one before.
#include <math.h>
#include <stdlib.h>

#include "alloc.h"
#include "correlation.h"
#include "onset.h"
#include "order.h"
#include "overlap.h"
#include "work.h"

// The rankings of all checkpoints.
struct rankings {
    int64_t checkpoints, units, count;
    const double *values; // [checkpoints, units]
    int64_t *order;       // [checkpoints, units]
    int64_t *present;     // [checkpoints] units with a value
};

// Of heads only as far as both have values.
static enum tr_status agree(struct an_agreement *agreement, const struct rankings *r, int64_t a,
                            int64_t b, struct tr_err *err) {
    const double *x = r->values + a * r->units, *y = r->values + b * r->units;
    const int64_t *order_x = r->order + a * r->units, *order_y = r->order + b * r->units;
    int64_t depth = r->present[a] < r->present[b] ? r->present[a] : r->present[b];
    *agreement = (struct an_agreement){NAN, NAN, NAN, NAN};
    TR_TRY(an_spearman(&agreement->spearman, x, y, r->units, err));
    TR_TRY(an_kendall_tau_b(&agreement->tau, x, y, r->units, err));
    if (depth >= r->count)
        TR_TRY(an_jaccard(&agreement->jaccard, order_x, order_y, r->units, r->count, err));
    if (depth == 0)
        return TR_OK;
    struct an_rbo rbo;
    TR_TRY(an_rbo(&rbo, order_x, order_y, r->units, depth, AN_PERSISTENCE, err));
    agreement->rbo = rbo.extrapolated;
    return TR_OK;
}

static enum tr_status compare_all(struct an_stability *stability, struct rankings *r,
                                  struct tr_err *err) {
    for (int64_t c = 0; c < r->checkpoints; c++)
        r->present[c] = an_order(r->order + c * r->units, r->values + c * r->units, r->units);
    stability->previous[0] = (struct an_agreement){NAN, NAN, NAN, NAN};
    for (int64_t c = 0; c < r->checkpoints; c++) {
        TR_TRY(agree(&stability->last[c], r, c, r->checkpoints - 1, err));
        if (c > 0)
            TR_TRY(agree(&stability->previous[c], r, c, c - 1, err));
    }
    return TR_OK;
}

static enum tr_status find_agreement(struct an_group_result *group, int64_t checkpoints,
                                     struct tr_err *err) {
    struct an_stability *stability = &group->stability;
    struct rankings r = {checkpoints, group->units, group->count, group->importance, NULL, NULL};
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

// When the last checkpoint's set was there, and stayed.
static enum tr_status find_onset(struct an_group_result *group, int64_t checkpoints,
                                 struct tr_err *err) {
    struct an_stability *stability = &group->stability;
    TR_TRY(TR_NEW(&stability->overlap, checkpoints, "overlap", err));
    TR_TRY(an_overlap_with_last(stability->overlap, group->importance, checkpoints, group->units,
                                group->count, err));
    stability->onset_most = an_onset_at_least(stability->overlap, checkpoints, AN_MOST);
    stability->onset_all = an_onset_at_least(stability->overlap, checkpoints, 1.0);
    if (stability->onset_most == checkpoints)
        stability->onset_most = -1;
    if (stability->onset_all == checkpoints)
        stability->onset_all = -1;
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
    const double *values = group->importance + work->series->first * group->units;
    TR_TRY(an_concordance(&group->stability.concordance, values, work->claimed.checkpoints,
                          group->units, work->settings->resamples, work->settings->seed, err));
    TR_TRY(test_shares(group, work, values, err));
    TR_TRY(find_agreement(group, work->panel.checkpoints, err));
    return find_onset(group, work->panel.checkpoints, err);
}
