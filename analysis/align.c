// SPDX-License-Identifier: Apache-2.0
// Which checkpoints of two runs belong together.
#include "align.h"

#include <math.h>

#include "base/alloc.h"

static bool some_steps_known(const struct an_series *series) {
    for (int64_t c = series->first; c < series->checkpoints; c++)
        if (series->checkpoint[c].step >= 0)
            return true;
    return false;
}

static enum an_axis common_axis(const struct an_series *a, const struct an_series *b) {
    if (a->axis == AN_AXIS_TOKENS && b->axis == AN_AXIS_TOKENS)
        return AN_AXIS_TOKENS;
    return some_steps_known(a) && some_steps_known(b) ? AN_AXIS_STEP : AN_AXIS_INDEX;
}

// A time that is not known (NaN) is near to no other.
static double at(const struct an_series *series, int64_t c, enum an_axis axis) {
    const struct an_checkpoint *checkpoint = &series->checkpoint[c];
    if (axis == AN_AXIS_STEP)
        return checkpoint->step < 0 ? NAN : (double)checkpoint->step;
    return axis == AN_AXIS_TOKENS ? checkpoint->tokens : (double)(c - series->first);
}

// Means over the aligned checkpoints are claims: over the same ones for all layers.
static bool is_claimed(const struct an_series *series, int64_t c) {
    for (int64_t i = 0; i < series->claimed; i++)
        if (series->claim[i] == c)
            return true;
    return false;
}

// |ln| of the ratio of two times; 0 for two zeros.
static double apart(double a, double b) {
    return a == b ? 0.0 : fabs(log(a / b));
}

// The checkpoint of `series` nearest to `time`.
static int64_t nearest(const struct an_series *series, double time, enum an_axis axis) {
    int64_t best = series->first;
    for (int64_t c = series->first; c < series->checkpoints; c++) {
        double here = apart(at(series, c, axis), time);
        if (here < apart(at(series, best, axis), time) || isnan(at(series, best, axis)))
            best = c;
    }
    return best;
}

enum tr_status an_align(struct an_comparison *comparison, const struct an_series *first,
                        const struct an_series *second, struct tr_err *err) {
    enum an_axis axis = comparison->axis = common_axis(first, second);
    TR_TRY(TR_NEW(&comparison->pair, first->checkpoints, "aligned checkpoints", err));
    for (int64_t a = first->first; a < first->checkpoints; a++) {
        double time = at(first, a, axis);
        int64_t b = nearest(second, time, axis);
        double other = at(second, b, axis);
        bool near = axis == AN_AXIS_INDEX ? time == other : apart(time, other) <= log(AN_NEAR);
        if (near && nearest(first, other, axis) == a && is_claimed(first, a) &&
            is_claimed(second, b))
            comparison->pair[comparison->pairs++] = (struct an_pair){a, b};
    }
    if (comparison->pairs > 0)
        return TR_OK;
    return tr_fail(err, TR_EUSAGE,
                   "%s and %s have no checkpoints in common: none are within %.0f %% of each other "
                   "by %ss",
                   first->path, second->path, 100.0 * (AN_NEAR - 1.0), an_axis_names[axis]);
}
