// SPDX-License-Identifier: Apache-2.0
#include "statistics/span_window.h"

#include <math.h>

bool an_best_window(struct an_window *window, const double *similarity, int64_t boundaries,
                    int64_t length, int64_t begin, int64_t end) {
    struct an_window best = {.first = -1, .length = length, .similarity = -INFINITY};
    for (int64_t first = begin; length >= 1 && first + length <= end; first++) {
        double value = similarity[first * boundaries + first + length];
        if (isfinite(value) && value > best.similarity) {
            best.first = first;
            best.similarity = value;
        }
    }
    if (best.first < 0)
        return false;
    *window = best;
    return true;
}
