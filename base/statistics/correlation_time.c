// SPDX-License-Identifier: Apache-2.0
#include "correlation_time.h"

#include <math.h>

#define WINDOW_TIMES 5.0
#define CHANCE_QUANTILE 1.9599639845400545 // of the standard normal, at 97.5 %

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

// The variance of the units' means.
static double between_units(const double *series, int64_t checkpoints, int64_t units) {
    double mean = 0.0, squares = 0.0;
    for (int64_t u = 0; u < units; u++)
        mean += unit_mean(series, checkpoints, units, u);
    mean /= (double)units;
    for (int64_t u = 0; u < units; u++) {
        double level = unit_mean(series, checkpoints, units, u) - mean;
        squares += level * level;
    }
    return squares / (double)units;
}

// The 97.5 % quantile of chi-square over its degrees of freedom (Wilson & Hilferty 1931).
static double chance_limit(double freedom) {
    double root = 1.0 - 2.0 / (9.0 * freedom) + CHANCE_QUANTILE * sqrt(2.0 / (9.0 * freedom));
    return root * root * root;
}

double an_correlation_time(double *bound, const double *series, int64_t checkpoints,
                           int64_t units) {
    double n = (double)checkpoints, freedom = units > 1 ? (double)(units - 1) : 1.0;
    double variance, windowed, between;
    *bound = NAN;
    if (checkpoints < 2 || units < 1)
        return NAN;
    variance = windowed = covariance(series, checkpoints, units, 0);
    if (!(variance > 0.0))
        return NAN;
    between = between_units(series, checkpoints, units);
    for (int64_t window = 1; 3 * window <= checkpoints && 2 * window + 1 < checkpoints; window++) {
        double lags = (double)(2 * window + 1);
        windowed += 2.0 * covariance(series, checkpoints, units, window);
        double whole = fmax(windowed, 0.0) / (1.0 - lags / n);
        double chance = fmin(between, chance_limit(freedom) * whole / n);
        double time = whole / (variance + whole / n);
        double common = (windowed + lags * chance) / (variance + chance);
        if ((double)window >= WINDOW_TIMES * fmax(time, common)) {
            *bound = common * (1.0 + sqrt(2.0 * lags / (n * freedom)));
            return time;
        }
    }
    *bound = INFINITY;
    return INFINITY;
}
