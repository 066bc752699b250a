// SPDX-License-Identifier: Apache-2.0
#include "figures/scale.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool logarithmic(enum nx_scale_kind kind) {
    return kind == NX_LOG || kind == NX_LOG_ZERO;
}

struct nx_scale nx_scale_of(enum nx_scale_kind kind, const double *values, int64_t count) {
    struct nx_scale scale = {kind, INFINITY, -INFINITY};
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]) || (logarithmic(kind) && values[i] <= 0))
            continue;
        scale.low = fmin(scale.low, values[i]);
        scale.high = fmax(scale.high, values[i]);
    }
    if (scale.low > scale.high)
        scale = (struct nx_scale){kind, logarithmic(kind) ? 0.1 : 0, 1};
    if (scale.low == scale.high && logarithmic(kind)) {
        scale.low /= 1.26;
        scale.high *= 1.26;
    } else if (scale.low == scale.high) {
        double half = scale.low != 0 ? fabs(scale.low) / 10 : 0.5;
        scale.low -= half;
        scale.high += half;
    }
    return scale;
}

double nx_scale_linear(const struct nx_scale *scale) {
    return pow(10, ceil(log10(fmax(fabs(scale->low), fabs(scale->high))) - 1e-9) - 3);
}

// A place before it is set between the ends: equal steps are decades, and the linear part is one,
// too.
static double signed_log(double value, double linear) {
    double decades = fabs(value) / linear;
    return copysign(decades <= 1 ? decades : 1 + log10(decades), value);
}

// The round step (1, 2 or 5 times a power of ten) that takes at most `room` steps.
static double round_step(double span, int room) {
    double step = pow(10, floor(log10(span / room)));
    static const double factors[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if (span / (step * factors[i]) <= room)
            return step * factors[i];
    return step * 10;
}

// The next of 1, 2 and 5 times powers of ten away from 0; within the linear part its end.
static double round_out(double value, double linear) {
    double size = fabs(value);
    if (size == 0)
        return 0;
    return copysign(size <= linear ? linear : round_step(size * (1 - 1e-9), 1), value);
}

struct nx_scale nx_scale_round(struct nx_scale scale) {
    double linear = nx_scale_linear(&scale);
    if (scale.kind == NX_LINEAR) {
        double step = round_step(scale.high - scale.low, 5);
        scale.low = step * floor(scale.low / step + 1e-9);
        scale.high = step * ceil(scale.high / step - 1e-9);
    } else if (scale.kind == NX_SIGNED_LOG) {
        scale.low = round_out(scale.low, linear);
        scale.high = round_out(scale.high, linear);
    } else if (scale.kind == NX_LOG) {
        scale.low = pow(10, floor(log10(scale.low) + 1e-9));
        scale.high = pow(10, ceil(log10(scale.high) - 1e-9));
    }
    return scale;
}

double nx_scale_place(const struct nx_scale *scale, double value) {
    if (isnan(value))
        return NAN;
    if (scale->kind == NX_SIGNED_LOG) {
        double linear = nx_scale_linear(scale), low = signed_log(scale->low, linear);
        return (signed_log(value, linear) - low) / (signed_log(scale->high, linear) - low);
    }
    if (!logarithmic(scale->kind))
        return (value - scale->low) / (scale->high - scale->low);
    double gap = scale->kind == NX_LOG_ZERO ? NX_GAP_PERCENT / 100.0 : 0;
    if (value == 0 && gap > 0)
        return 0;
    if (value <= 0)
        return NAN;
    return gap + (1 - gap) * log(value / scale->low) / log(scale->high / scale->low);
}

// Copies `text` with U+2212 for every hyphen.
static char *with_minus(const char *text, char out[NX_NUMBER_MAX]) {
    size_t size = 0;
    for (; *text && size + 4 < NX_NUMBER_MAX; text++) {
        if (*text == '-') {
            memcpy(out + size, "\xe2\x88\x92", 3);
            size += 3;
        } else {
            out[size++] = *text;
        }
    }
    out[size] = 0;
    return out;
}

// "%g" with its exponent, if any, as a power of ten.
static void plain(double value, int digits, char *text, size_t size) {
    char number[NX_NUMBER_MAX];
    snprintf(number, sizeof number, "%.*g", digits, value);
    char *exponent = strchr(number, 'e');
    if (!exponent) {
        snprintf(text, size, "%s", number);
        return;
    }
    *exponent = 0;
    int power = 0;
    sscanf(exponent + 1, "%d", &power);
    snprintf(text, size,
             "%s\xc3\x97"
             "10^%d",
             number, power);
}

static void counted(double value, int digits, char *text, size_t size) {
    static const char *const units[] = {"", "k", "M", "B", "T"};
    int unit = 0;
    for (; fabs(value) >= 999.5 && unit < 4; unit++)
        value /= 1000;
    snprintf(text, size, "%.*g%s", digits, value, units[unit]);
}

char *nx_number_text(enum nx_number style, double value, int digits, char out[NX_NUMBER_MAX]) {
    char text[NX_NUMBER_MAX + 16];
    if (style == NX_COUNT)
        counted(value, digits, text, sizeof text);
    else if (style == NX_POWER && value > 0)
        snprintf(text, sizeof text, "10^%d", (int)lround(log10(value)));
    else
        plain(value, digits, text, sizeof text);
    return with_minus(text, out);
}

static int add(struct nx_tick *ticks, int count, double value, const char *text) {
    if (count == NX_TICKS_MAX)
        return count;
    ticks[count].value = value;
    snprintf(ticks[count].text, sizeof ticks[count].text, "%s", text);
    return count + 1;
}

static int linear_ticks(double low, double high, enum nx_number style, int room,
                        struct nx_tick *ticks, int count) {
    char text[NX_NUMBER_MAX];
    double step = round_step(high - low, room), slack = 1e-9 * (high - low);
    double first = ceil((low - slack) / step), last = floor((high + slack) / step);
    double most = fmax(fabs(low), fabs(high));
    // Use as many digits as tell neighbours apart; write out numbers below a million.
    double wanted = fmax(3, ceil(log10(most / step)) + 1);
    int digits = (int)fmin(most < 1e6 ? fmax(wanted, 6) : wanted, 15);
    for (double i = first; i <= last && count < NX_TICKS_MAX; i++) {
        double value = i == 0 ? 0 : i * step;
        count = add(ticks, count, value,
                    nx_number_text(style == NX_POWER ? NX_PLAIN : style, value, digits, text));
    }
    return count;
}

// Whole decades are named as far as there is room; the others, and their multiples when there are
// few decades, are small ticks.
static int decade_ticks(double low, double high, enum nx_number style, int room,
                        struct nx_tick *ticks, int count) {
    char text[NX_NUMBER_MAX];
    int first = (int)ceil(log10(low) - 1e-9), last = (int)floor(log10(high) + 1e-9);
    int stride = (last - first) / (room > 1 ? room : 1) + 1;
    for (int decade = first - 1; decade <= last; decade++)
        for (int factor = 1; factor < (last - first > 6 ? 2 : 10); factor++) {
            double value = factor * pow(10, decade);
            if (value < low * (1 - 1e-9) || value > high * (1 + 1e-9))
                continue;
            bool named = factor == 1 && (decade - first) % stride == 0;
            count = add(ticks, count, value, named ? nx_number_text(style, value, 3, text) : "");
        }
    return count;
}

// Few decades: 1, 2 and 5 times powers of ten are named.
static int fine_log_ticks(double low, double high, enum nx_number style, struct nx_tick *ticks,
                          int count) {
    char text[NX_NUMBER_MAX];
    for (int decade = (int)floor(log10(low)); decade <= (int)floor(log10(high)); decade++)
        for (int factor = 1; factor < 10; factor++) {
            double value = factor * pow(10, decade);
            bool named = factor == 1 || factor == 2 || factor == 5;
            if (value < low * (1 - 1e-9) || value > high * (1 + 1e-9))
                continue;
            nx_number_text(style == NX_POWER ? NX_PLAIN : style, value, 3, text);
            count = add(ticks, count, value, named ? text : "");
        }
    return count;
}

// How many decades from the end of the linear part on are on the axis up to `end`.
static int decades_to(double end, double linear) {
    return end == 0 ? 0 : (int)floor(log10(fabs(end) / linear) + 1e-9) + 1;
}

// Decades on both sides of 0, named as far as there is room; their multiples are small ticks.
static int signed_log_ticks(const struct nx_scale *scale, enum nx_number style, int room,
                            struct nx_tick *ticks) {
    char text[NX_NUMBER_MAX];
    double linear = nx_scale_linear(scale), slack = 1 + 1e-9;
    int below = decades_to(fmin(scale->low, 0), linear),
        above = decades_to(fmax(scale->high, 0), linear);
    int stride = (below + above) / room + 1, last = below > above ? below : above;
    int count = add(ticks, 0, 0, "0");
    for (int sign = -1; sign <= 1; sign += 2)
        for (int decade = 0; decade < last; decade++)
            for (int factor = 1; factor < 10; factor++) {
                double value = sign * factor * linear * pow(10, decade);
                if (value < scale->low * slack || value > scale->high * slack)
                    continue;
                bool named = factor == 1 && (last - 1 - decade) % stride == 0;
                count =
                    add(ticks, count, value, named ? nx_number_text(style, value, 3, text) : "");
            }
    return count;
}

static int rank_ticks(double high, int room, struct nx_tick *ticks) {
    char text[NX_NUMBER_MAX];
    int64_t last = (int64_t)high, stride = nx_band_stride(last, room);
    int count = 0;
    for (int64_t rank = 1; rank <= last && count < NX_TICKS_MAX; rank += stride)
        count = add(ticks, count, (double)rank, nx_number_text(NX_RANK, (double)rank, 9, text));
    return count;
}

int nx_scale_ticks(const struct nx_scale *scale, enum nx_number style, int room,
                   struct nx_tick ticks[NX_TICKS_MAX]) {
    double low = fmin(scale->low, scale->high), high = fmax(scale->low, scale->high);
    int count = 0;
    if (style == NX_RANK)
        return rank_ticks(high, room, ticks);
    if (scale->kind == NX_LINEAR)
        return linear_ticks(low, high, style, room, ticks, 0);
    if (scale->kind == NX_SIGNED_LOG)
        return signed_log_ticks(scale, style, room, ticks);
    if (scale->kind == NX_LOG_ZERO)
        count = add(ticks, 0, 0, "0");
    bool roomy = style == NX_COUNT && 3 * log10(high / low) + 1 <= room;
    if (high / low >= 100 && !roomy)
        return decade_ticks(low, high, style, room, ticks, count);
    if (high / low >= 4)
        return fine_log_ticks(low, high, style, ticks, count);
    return linear_ticks(low, high, style, room, ticks, count);
}

int64_t nx_band_stride(int64_t bands, int room) {
    static const int factors[] = {1, 2, 5};
    for (int64_t power = 1;; power *= 10)
        for (int i = 0; i < 3; i++)
            if (bands <= factors[i] * power * (room > 0 ? room : 1))
                return factors[i] * power;
}
