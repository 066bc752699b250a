// SPDX-License-Identifier: Apache-2.0
#include "sparkline.h"

#include <math.h>

enum { LEVELS = 8 };

static const char *const bars[LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const marks[LEVELS] = {"_", ".", ":", "-", "=", "+", "*", "#"};

// Returns NaN for a value that is not shown, -INFINITY for one that has no logarithm.
static double height(const struct an_sparkline *line, int64_t at) {
    double value = line->values[at * line->stride];
    if (!isfinite(value))
        return NAN;
    if (line->logarithmic)
        return value > 0.0 ? log(value) : -INFINITY;
    return value;
}

static int level_of(double y, double low, double high) {
    if (isinf(y))
        return 0;
    int level = high > low ? (int)((y - low) / (high - low) * LEVELS) : LEVELS / 2;
    return level < LEVELS ? level : LEVELS - 1;
}

enum tr_status an_sparkline(struct tr_string *out, const struct an_sparkline *line,
                            struct tr_err *err) {
    int64_t columns = line->count < line->width ? line->count : line->width;
    int64_t gaps = columns > 1 ? columns - 1 : 1;
    double low = NAN, high = NAN;
    for (int64_t i = 0; i < columns; i++) {
        double y = height(line, i * (line->count - 1) / gaps);
        if (isfinite(y)) {
            low = fmin(low, y);
            high = fmax(high, y);
        }
    }
    for (int64_t i = 0; i < columns; i++) {
        double y = height(line, i * (line->count - 1) / gaps);
        const char *const *levels = line->utf8 ? bars : marks;
        TR_TRY(tr_string_format(out, err, "%s", isnan(y) ? "x" : levels[level_of(y, low, high)]));
    }
    return TR_OK;
}
