// SPDX-License-Identifier: Apache-2.0
#include "statistics/outlier.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "statistics/quantile.h"

enum { REACH = 2 }; // neighbours on either side

// z[count] of deviations from something; z may be `deviation`.
static enum tr_status scale(double *z, const double *deviation, int64_t count, struct tr_err *err) {
    double *sizes;
    TR_TRY(TR_NEW(&sizes, count, "deviations", err));
    for (int64_t i = 0; i < count; i++)
        sizes[i] = fabs(deviation[i]);
    double sigma = 1.4826 * an_median(sizes, an_keep_finite(sizes, count));
    for (int64_t i = 0; i < count; i++) // 0 / 0: in the middle
        z[i] = deviation[i] == 0.0 ? 0.0 : deviation[i] / sigma;
    free(sizes);
    return TR_OK;
}

static double against_neighbours(const double *series, int64_t count, int64_t at) {
    double around[2 * REACH];
    int64_t neighbours = 0;
    for (int64_t i = at - REACH; i <= at + REACH; i++)
        if (i >= 0 && i < count && i != at && isfinite(series[i]))
            around[neighbours++] = series[i];
    return isfinite(series[at]) ? series[at] - an_median(around, neighbours) : NAN;
}

enum tr_status an_neighbour_z(double *z, const double *series, int64_t count, struct tr_err *err) {
    double *deviation;
    int64_t finite = 0;
    TR_TRY(TR_NEW(&deviation, count, "deviations", err));
    for (int64_t i = 0; i < count; i++) {
        deviation[i] = against_neighbours(series, count, i);
        finite += isfinite(series[i]) != 0;
    }
    for (int64_t i = 0; i < count && finite <= 2 * REACH; i++)
        deviation[i] = NAN;
    enum tr_status status = scale(z, deviation, count, err);
    free(deviation);
    return status;
}
