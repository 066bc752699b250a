// SPDX-License-Identifier: Apache-2.0
// What the statistics of residual adds say, on the host: derived per token, summed per sequence.
// The derivation is a kernel's because no value per token may leave a device.
#include "summary.h"

#include <math.h>
#include <string.h>

// What one token's statistics say; angle == false: there is none, and nothing else is said.
struct token {
    bool finite, angle;
    double cos, importance, ratio, alignment;
};

static struct token derive(double a, double b, double e) {
    double yy = a + 2 * b + e, scale = a * yy;
    struct token token = {.finite = isfinite(a) && isfinite(b) && isfinite(e)};
    token.angle = token.finite && a > 0 && yy > 0;
    if (!token.angle)
        return token;
    double sine_squared = (a * e - b * b) / scale;
    sine_squared = sine_squared > 0 ? sine_squared : 0;
    token.cos = (a + b) / sqrt(scale);
    token.importance = token.cos >= 0 ? sine_squared / (1 + token.cos) : 1 - token.cos;
    token.ratio = sqrt(e / a);
    token.alignment = e > 0 ? b / sqrt(a * e) : 0;
    return token;
}

// The last bin that starts at or below the value, 0 when there is none.
static int64_t bin_of(const double *starts, int64_t bins, double value) {
    int64_t low = 0, high = bins;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (value >= starts[middle])
            low = middle;
        else
            high = middle;
    }
    return low;
}

// Where the results of one sequence go.
struct results {
    double *sums, *by_position;
    uint32_t *counts, *histogram, *position_counts;
};

static void add_token(const struct kn_summary *op, const struct results *to, int64_t i,
                      const struct token *token) {
    int32_t place = op->position_bin[i % op->seq_len];
    to->sums[KN_SUM_COS] += token->cos;
    to->sums[KN_SUM_IMPORTANCE] += token->importance;
    to->sums[KN_SUM_RATIO] += token->ratio;
    to->sums[KN_SUM_ALIGNMENT] += token->alignment;
    to->sums[KN_SUM_XX] += op->xx[i];
    to->sums[KN_SUM_XD] += op->xd[i];
    to->sums[KN_SUM_DD] += op->dd[i];
    to->sums[KN_SUM_NORM] += sqrt(op->xx[i]);
    to->by_position[place] += token->importance;
    to->position_counts[place]++;
    to->histogram[bin_of(op->bin_starts, op->bins, token->importance)]++;
    to->counts[KN_COUNT_FINITE]++;
}

static void add_nonfinite(const struct results *to, int64_t position) {
    to->counts[KN_COUNT_NONFINITE]++;
    if (position < to->counts[KN_COUNT_FIRST])
        to->counts[KN_COUNT_FIRST] = (uint32_t)position;
}

void kn_summarise_sequence(const struct kn_summary *op, int64_t sequence) {
    int64_t sums = KN_SUMS + op->position_bins;
    int64_t counts = KN_COUNTS + op->bins + op->position_bins;
    struct results to = {.sums = op->sums + sequence * sums,
                         .counts = op->counts + sequence * counts};
    to.by_position = to.sums + KN_SUMS;
    to.histogram = to.counts + KN_COUNTS;
    to.position_counts = to.histogram + op->bins;
    memset(to.sums, 0, (size_t)sums * sizeof *to.sums);
    memset(to.counts, 0, (size_t)counts * sizeof *to.counts);
    to.counts[KN_COUNT_FIRST] = (uint32_t)op->seq_len;
    for (int64_t p = 0, i = sequence * op->seq_len; p < op->seq_len; p++, i++) {
        struct token token = derive(op->xx[i], op->xd[i], op->dd[i]);
        if (op->importance)
            op->importance[i] = token.angle ? (float)token.importance : NAN;
        if (token.angle)
            add_token(op, &to, i, &token);
        else if (!token.finite)
            add_nonfinite(&to, p);
    }
}
