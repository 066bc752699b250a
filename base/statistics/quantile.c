// SPDX-License-Identifier: Apache-2.0
#include "statistics/quantile.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void an_sort(double *values, int64_t count) {
    qsort(values, (size_t)count, sizeof *values, compare);
}

double an_sorted_quantile(const double *sorted, int64_t count, double probability) {
    if (count == 0 || !(probability >= 0.0 && probability <= 1.0))
        return NAN;
    double at = (double)(count - 1) * probability;
    int64_t below = (int64_t)at;
    if (below + 1 >= count)
        return sorted[count - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

int64_t an_keep_finite(double *values, int64_t count) {
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            values[kept++] = values[i];
    return kept;
}

double an_median(double *values, int64_t count) {
    an_sort(values, count);
    return an_sorted_quantile(values, count, 0.5);
}
