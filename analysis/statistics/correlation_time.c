// SPDX-License-Identifier: Apache-2.0
#include "correlation_time.h"

#include <math.h>

#define WINDOW_TIMES 5.0

static double unit_mean(const double *series, int64_t checkpoints, int64_t units, int64_t unit) {
    double sum = 0.0;
    for (int64_t c = 0; c < checkpoints; c++)
        sum += series[c * units + unit];
    return sum / (double)checkpoints;
}

// The autocovariance at one lag, pooled over units, each about its own mean.
static double covariance(const double *series, int64_t checkpoints, int64_t units, int64_t lag) {
    double sum = 0.0;
    for (int64_t u = 0; u < units; u++) {
        double mean = unit_mean(series, checkpoints, units, u);
        for (int64_t c = 0; c + lag < checkpoints; c++)
            sum += (series[c * units + u] - mean) * (series[(c + lag) * units + u] - mean);
    }
    return sum / (double)((checkpoints - lag) * units);
}

double an_correlation_time(double *error, const double *series, int64_t checkpoints,
                           int64_t units) {
    double n = (double)checkpoints, variance, windowed;
    double values = n * (double)(units > 1 ? units - 1 : 1);
    *error = NAN;
    if (checkpoints < 2 || units < 1)
        return NAN;
    variance = windowed = covariance(series, checkpoints, units, 0);
    if (!(variance > 0.0))
        return NAN;
    for (int64_t window = 1; 3 * window <= checkpoints; window++) {
        windowed += 2.0 * covariance(series, checkpoints, units, window);
        double whole = windowed / (1.0 - (double)(2 * window + 1) / n);
        double time = whole / (variance + whole / n);
        if ((double)window >= WINDOW_TIMES * time) {
            *error = time * sqrt(2.0 * (double)(2 * window + 1) / values);
            return time;
        }
    }
    return INFINITY;
}
