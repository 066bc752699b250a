// SPDX-License-Identifier: Apache-2.0
#include "statistics/overlap.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"

// overlap[d]: how many of a's first d + 1 are among b's first d + 1.
static enum tr_status overlaps(int64_t *overlap, const int64_t *a, const int64_t *b, int64_t units,
                               int64_t depth, struct tr_err *err) {
    bool *seen; // [2, units] in a's head, in b's
    TR_TRY(TR_NEW(&seen, 2 * units, "overlaps", err));
    int64_t common = 0;
    for (int64_t d = 0; d < depth; d++) {
        seen[a[d]] = true;
        common += seen[units + a[d]];
        seen[units + b[d]] = true;
        common += seen[b[d]];
        overlap[d] = common;
    }
    free(seen);
    return TR_OK;
}

static enum tr_status check_depth(int64_t units, int64_t depth, struct tr_err *err) {
    if (depth >= 1 && depth <= units)
        return TR_OK;
    return tr_fail(err, TR_EUSAGE, "the first %lld of %lld units cannot be compared",
                   (long long)depth, (long long)units);
}

enum tr_status an_jaccard(double *jaccard, const int64_t *a, const int64_t *b, int64_t units,
                          int64_t k, struct tr_err *err) {
    int64_t *overlap;
    TR_TRY(check_depth(units, k, err));
    TR_TRY(TR_NEW(&overlap, k, "overlaps", err));
    enum tr_status status = overlaps(overlap, a, b, units, k, err);
    if (status == TR_OK)
        *jaccard = (double)overlap[k - 1] / (double)(2 * k - overlap[k - 1]);
    free(overlap);
    return status;
}

static double log_choose(int64_t n, int64_t k) {
    int sign;
    return lgamma_r((double)n + 1.0, &sign) - lgamma_r((double)k + 1.0, &sign) -
           lgamma_r((double)(n - k) + 1.0, &sign);
}

double an_jaccard_chance(int64_t units, int64_t k) {
    double expected = 0.0, total = log_choose(units, k);
    for (int64_t x = 2 * k > units ? 2 * k - units : 0; x <= k; x++)
        expected += exp(log_choose(k, x) + log_choose(units - k, k - x) - total) * (double)x /
                    (double)(2 * k - x);
    return expected;
}

enum tr_status an_rbo(struct an_rbo *rbo, const int64_t *a, const int64_t *b, int64_t units,
                      int64_t depth, double p, struct tr_err *err) {
    int64_t *overlap;
    TR_TRY(check_depth(units, depth, err));
    if (!(p > 0.0 && p < 1.0))
        return tr_fail(err, TR_EUSAGE, "a persistence of %g is not between 0 and 1", p);
    TR_TRY(TR_NEW(&overlap, depth, "overlaps", err));
    enum tr_status status = overlaps(overlap, a, b, units, depth, err);
    if (status == TR_OK) {
        double sum = 0.0, weight = 1.0 - p;
        for (int64_t d = 0; d < depth; d++, weight *= p)
            sum += weight * (double)overlap[d] / (double)(d + 1);
        rbo->plain = sum;
        rbo->extrapolated =
            sum + (double)overlap[depth - 1] / (double)depth * pow(p, (double)depth);
    }
    free(overlap);
    return status;
}

struct an_rbo an_rbo_chance(int64_t units, int64_t depth, double p) {
    struct an_rbo chance = {0.0, 0.0};
    double weight = 1.0 - p;
    for (int64_t d = 0; d < depth; d++, weight *= p)
        chance.plain += weight * (double)(d + 1) / (double)units;
    chance.extrapolated = chance.plain + (double)depth / (double)units * pow(p, (double)depth);
    return chance;
}
