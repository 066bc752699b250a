// SPDX-License-Identifier: Apache-2.0
// When each unit was decided: the onset of its place among the lowest, and its trend.
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "computation.h"
#include "statistics/onset.h"
#include "statistics/trend.h"

// The first checkpoint from which a unit stays among the lowest, where all have a value.
static void find_onset(struct an_unit *unit, const struct an_group_result *group,
                       const bool *lowest, int64_t u) {
    unit->onset = -1;
    for (int64_t c = group->last; c >= 0; c--) {
        if (!an_is_whole(group, c))
            continue;
        if (!lowest[c * group->units + u])
            return;
        unit->onset = c;
    }
}

// The trend runs over the logarithm of tokens or steps, else over the index. Step 0 has no
// logarithm and takes no part.
static double moment(const struct an_series *series, int64_t checkpoint) {
    double at = series->checkpoint[checkpoint].at;
    if (series->axis == AN_AXIS_INDEX)
        return at;
    return at > 0.0 ? log(at) : NAN;
}

static enum tr_status find_trend(struct an_unit *unit, const struct an_group_result *group,
                                 const struct an_work *work, int64_t u, double *x,
                                 struct tr_err *err) {
    int64_t count = work->claimed.checkpoints;
    double *y = x + count;
    struct an_trend trend;
    for (int64_t c = 0; c < count; c++) {
        x[c] = moment(work->series, work->series->claim[c]);
        y[c] = group->claimed[c * group->units + u];
    }
    TR_TRY(an_trend(&trend, x, y, count, work->settings->level, err));
    unit->trend_z = trend.z;
    unit->trend_p = trend.p;
    unit->slope = (struct an_estimate){trend.slope, trend.low, trend.high};
    return TR_OK;
}

enum tr_status an_history_make(struct an_group_result *group, const struct an_work *work,
                               struct tr_err *err) {
    int64_t checkpoints = work->panel.checkpoints, units = group->units;
    bool *lowest = NULL;
    double *x = NULL;
    enum tr_status status;
    TR_GO(status, TR_NEW(&lowest, checkpoints * units, "onsets", err), out);
    TR_GO(status, TR_NEW(&x, 2 * checkpoints, "trends", err), out);
    TR_GO(status, an_mark_lowest(lowest, group->value, checkpoints, units, group->count, err), out);
    for (int64_t u = 0; u < units && status == TR_OK; u++) {
        find_onset(&group->unit[u], group, lowest, u);
        status = find_trend(&group->unit[u], group, work, u, x, err);
    }
out:
    free(lowest);
    free(x);
    return status;
}
