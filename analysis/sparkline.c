// SPDX-License-Identifier: Apache-2.0
#include "sparkline.h"

#include <math.h>

enum { LEVELS = 8 };

static const char *const bars[LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const marks[LEVELS] = {"_", ".", ":", "-", "=", "+", "*", "#"};

// NaN for what is not shown.
static double height(const struct an_sparkline *line, int64_t at) {
    double value = line->values[at * line->stride];
    if (line->logarithmic)
        value = value > 0.0 ? log(value) : NAN;
    return isfinite(value) ? value : NAN;
}

enum tr_status an_sparkline(struct tr_string *out, const struct an_sparkline *line,
                            struct tr_err *err) {
    int64_t columns = line->count < line->width ? line->count : line->width;
    int64_t gaps = columns > 1 ? columns - 1 : 1;
    double low = NAN, high = NAN;
    for (int64_t i = 0; i < columns; i++) {
        double y = height(line, i * (line->count - 1) / gaps);
        low = fmin(low, y);
        high = fmax(high, y);
    }
    for (int64_t i = 0; i < columns; i++) {
        double y = height(line, i * (line->count - 1) / gaps);
        int level = high > low && !isnan(y) ? (int)((y - low) / (high - low) * LEVELS) : LEVELS / 2;
        level = level < LEVELS ? level : LEVELS - 1;
        TR_TRY(tr_string_format(out, err, "%s",
                                isnan(y)     ? "x"
                                : line->utf8 ? bars[level]
                                             : marks[level]));
    }
    return TR_OK;
}
