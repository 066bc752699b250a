// SPDX-License-Identifier: Apache-2.0
#include "statistics/trend.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "distribution.h"
#include "statistics/order.h"
#include "statistics/quantile.h"

// The pairs that count, and room.
struct series {
    int64_t count;
    double *x, *y;  // [count]
    double *work;   // [count]
    double *ranks;  // [count]
    double *slopes; // [count (count - 1) / 2] ascending
    int64_t pairs;
};

static enum tr_status series_make(struct series *series, const double *x, const double *y,
                                  int64_t count, struct tr_err *err) {
    uint64_t pairs;
    if (!tr_mul((uint64_t)count, (uint64_t)count, &pairs))
        return tr_fail(err, TR_ENOMEM, "no memory for a trend");
    TR_TRY(TR_NEW(&series->x, count, "a trend", err));
    TR_TRY(TR_NEW(&series->y, count, "a trend", err));
    TR_TRY(TR_NEW(&series->work, count, "a trend", err));
    TR_TRY(TR_NEW(&series->ranks, count, "a trend", err));
    TR_TRY(TR_NEW(&series->slopes, pairs / 2, "a trend", err));
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(x[i]) || !isfinite(y[i]))
            continue;
        if (series->count > 0 && x[i] <= series->x[series->count - 1])
            return tr_fail(err, TR_EUSAGE, "times must ascend: %g comes after %g", x[i],
                           series->x[series->count - 1]);
        series->x[series->count] = x[i];
        series->y[series->count++] = y[i];
    }
    return TR_OK;
}

static void series_free(struct series *series) {
    free(series->x);
    free(series->y);
    free(series->work);
    free(series->ranks);
    free(series->slopes);
}

static double median_of(struct series *series, const double *values) {
    for (int64_t i = 0; i < series->count; i++)
        series->work[i] = values[i];
    return an_median(series->work, series->count);
}

static void fill_slope(struct an_trend *trend, struct series *series) {
    for (int64_t j = 1; j < series->count; j++)
        for (int64_t i = 0; i < j; i++)
            series->slopes[series->pairs++] =
                (series->y[j] - series->y[i]) / (series->x[j] - series->x[i]);
    trend->slope = an_median(series->slopes, series->pairs);
    trend->intercept = median_of(series, series->y) - trend->slope * median_of(series, series->x);
}

static void fill_score(struct an_trend *trend, struct series *series) {
    const double *y = series->y;
    double n = (double)series->count, ties = 0.0;
    for (int64_t j = 1; j < series->count; j++)
        for (int64_t i = 0; i < j; i++)
            trend->s += (y[j] > y[i]) - (y[j] < y[i]);
    for (int64_t i = 0; i < series->count; i++)
        series->work[i] = y[i];
    an_sort(series->work, series->count);
    for (int64_t first = 0, next; first < series->count; first = next) {
        for (next = first + 1; next < series->count && series->work[next] == series->work[first];)
            next++;
        double t = (double)(next - first);
        ties += t * (t - 1.0) * (2.0 * t + 5.0);
    }
    trend->variance = (n * (n - 1.0) * (2.0 * n + 5.0) - ties) / 18.0;
}

static double lag_product(const double *ranks, int64_t count, int64_t lag) {
    double mean = 0.5 * (double)(count + 1), sum = 0.0;
    for (int64_t i = 0; i + lag < count; i++)
        sum += (ranks[i] - mean) * (ranks[i + lag] - mean);
    return sum;
}

static enum tr_status fill_correction(struct an_trend *trend, struct series *series,
                                      struct tr_err *err) {
    double n = (double)series->count, sum = 0.0, first = 0.0;
    double beyond = an_normal_quantile(0.975) / sqrt(n);
    for (int64_t i = 0; i < series->count; i++)
        series->work[i] = series->y[i] - trend->slope * series->x[i];
    TR_TRY(an_midranks(series->ranks, series->work, series->count, err));
    double variance = lag_product(series->ranks, series->count, 0);
    for (int64_t lag = 1; lag < series->count && variance > 0.0; lag++) {
        double r = lag_product(series->ranks, series->count, lag) / variance, k = (double)lag;
        first = lag == 1 ? r : first;
        if (fabs(r) > beyond)
            sum += (n - k) * (n - k - 1.0) * (n - k - 2.0) * r;
    }
    double memory = variance > 0.0 ? (n * first + 2.0) / (n - 4.0) : 0.0;
    double ratio = memory < 1.0 ? (1.0 + memory) / (1.0 - memory) : INFINITY;
    trend->correction = fmax(1.0 + 2.0 * sum / (n * (n - 1.0) * (n - 2.0)), fmax(ratio, 1.0));
    return TR_OK;
}

// Sen's interval: the slopes at the ranks (pairs -+ t sigma) / 2.
static void fill_inference(struct an_trend *trend, const struct series *series, double level) {
    double sigma = sqrt(trend->variance * trend->correction);
    double freedom = (double)series->count / trend->correction - 2.0;
    double reach = an_t_quantile(0.5 * (1.0 + level), freedom) * sigma;
    double pairs = (double)series->pairs;
    double low = fmin(fmax(rint(0.5 * (pairs - reach)), 0.0), pairs - 1.0);
    double high = fmax(fmin(rint(0.5 * (pairs + reach)) - 1.0, pairs - 1.0), 0.0);
    int sign = (trend->s > 0.0) - (trend->s < 0.0);
    trend->z = sign == 0 ? 0.0 : (trend->s - sign) / sigma;
    trend->p = fmin(2.0 * an_t_cdf(-fabs(trend->z), freedom), 1.0);
    trend->low = series->slopes[(int64_t)low];
    trend->high = series->slopes[(int64_t)high];
}

enum tr_status an_trend(struct an_trend *trend, const double *x, const double *y, int64_t count,
                        double level, struct tr_err *err) {
    struct an_trend new = {.correction = 1.0,
                           .z = NAN,
                           .p = NAN,
                           .slope = NAN,
                           .low = NAN,
                           .high = NAN,
                           .intercept = NAN};
    struct series series = {0};
    enum tr_status status;
    if (!(level > 0.0 && level < 1.0))
        return tr_fail(err, TR_EUSAGE, "a level of %g is not between 0 and 1", level);
    TR_GO(status, series_make(&series, x, y, count, err), out);
    new.count = series.count;
    if (series.count >= 2) {
        fill_slope(&new, &series);
        fill_score(&new, &series);
    }
    if (series.count >= AN_TREND_LEAST) {
        TR_GO(status, fill_correction(&new, &series, err), out);
        if ((double)new.count / new.correction >= AN_TREND_WORTH)
            fill_inference(&new, &series, level);
    }
    *trend = new;
out:
    series_free(&series);
    return status;
}
