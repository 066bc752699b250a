// SPDX-License-Identifier: Apache-2.0
#include "statistics/decomposition.h"

#include <math.h>

double an_write_importance(double r, double c) {
    double yy = 1.0 + 2.0 * r * c + r * r; // |x + delta|^2 / |x|^2
    double cosine = (1.0 + r * c) / sqrt(yy);
    double sine_squared = r * r * (1.0 - c) * (1.0 + c) / yy;
    return cosine >= 0.0 ? sine_squared / (1.0 + cosine) : 1.0 - cosine;
}

double an_orthogonal_importance(double r) {
    return an_write_importance(r, 0.0);
}

// Of both moments' factors, those whose bit in `later` is set are the later one's.
static double importance(const struct an_write *before, const struct an_write *after, int later) {
    double delta = later & 1 ? after->delta : before->delta;
    double x = later & 2 ? after->x : before->x;
    double c = later & 4 ? after->c : before->c;
    return an_write_importance(delta / x, c);
}

// The Shapley value of the factor with bit `factor`: of the orders of three, a third put it first,
// a third last, and a sixth each between the other two.
static double share(const double *value, int factor) {
    int others = 7 & ~factor, one = others & -others, two = others & ~one;
    return (value[factor] - value[0]) / 3.0 + (value[7] - value[others]) / 3.0 +
           (value[one | factor] - value[one]) / 6.0 + (value[two | factor] - value[two]) / 6.0;
}

struct an_split an_split_change(const struct an_write *before, const struct an_write *after) {
    double value[8];
    for (int later = 0; later < 8; later++)
        value[later] = importance(before, after, later);
    return (struct an_split){.change = value[7] - value[0],
                             .delta = share(value, 1),
                             .stream = share(value, 2),
                             .direction = share(value, 4)};
}
