// SPDX-License-Identifier: Apache-2.0
#include "colour.h"

#include <math.h>

struct lab {
    double l, a, b;
};

// Start, bend and end of the map; all of it lies within sRGB.
static const struct lab ends[3] = {
    {0.27, 0.01, -0.115}, {0.60, -0.12, -0.03}, {0.93, -0.03, 0.155}};

enum { WALK = 512 }; // pieces in which the curve's length is measured

static struct lab bezier(double t) {
    double p = (1 - t) * (1 - t), q = 2 * t * (1 - t), r = t * t;
    return (struct lab){p * ends[0].l + q * ends[1].l + r * ends[2].l,
                        p * ends[0].a + q * ends[1].a + r * ends[2].a,
                        p * ends[0].b + q * ends[1].b + r * ends[2].b};
}

static double distance(struct lab x, struct lab y) {
    return hypot(hypot(x.l - y.l, x.a - y.a), x.b - y.b);
}

// The curve's parameter at which the share t of its length is behind.
static double at_length(double t) {
    double total = 0, walked = 0;
    for (int i = 0; i < WALK; i++)
        total += distance(bezier((double)i / WALK), bezier((double)(i + 1) / WALK));
    for (int i = 0; i < WALK; i++) {
        double piece = distance(bezier((double)i / WALK), bezier((double)(i + 1) / WALK));
        if (walked + piece >= t * total)
            return (i + (t * total - walked) / piece) / WALK;
        walked += piece;
    }
    return 1;
}

static uint32_t channel(double linear) {
    double value = linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - 0.055;
    return (uint32_t)lround(255 * fmin(fmax(value, 0), 1));
}

// Ottosson's matrices from OKLab through cone responses to linear sRGB.
static uint32_t srgb(struct lab c) {
    double l = c.l + 0.3963377774 * c.a + 0.2158037573 * c.b;
    double m = c.l - 0.1055613458 * c.a - 0.0638541728 * c.b;
    double s = c.l - 0.0894841775 * c.a - 1.2914855480 * c.b;
    l = l * l * l;
    m = m * m * m;
    s = s * s * s;
    return channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s) << 16 |
           channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s) << 8 |
           channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

uint32_t nx_sequential(double t) {
    return srgb(bezier(at_length(fmin(fmax(t, 0), 1))));
}

uint32_t nx_diverging(double t) {
    static const struct lab blue = {0.45, -0.03, -0.13}, middle = {0.96, 0.0, 0.0},
                            vermilion = {0.55, 0.13, 0.10};
    double away = fmin(fabs(2 * t - 1), 1);
    struct lab end = t < 0.5 ? blue : vermilion;
    return srgb((struct lab){middle.l + away * (end.l - middle.l),
                             middle.a + away * (end.a - middle.a),
                             middle.b + away * (end.b - middle.b)});
}

uint32_t nx_depth(double t) {
    static const struct lab first = {0.36, 0.10, -0.10}, last = {0.76, 0.07, 0.10};
    double at = fmin(fmax(t, 0), 1);
    return srgb((struct lab){first.l + at * (last.l - first.l), first.a + at * (last.a - first.a),
                             first.b + at * (last.b - first.b)});
}

uint32_t nx_distinct(int64_t index) {
    static const uint32_t colours[NX_DISTINCT] = {0x0072b2, 0xd55e00, 0x009e73,
                                                  0xcc79a7, 0x56b4e9, 0xe69f00};
    return colours[index % NX_DISTINCT];
}
