// SPDX-License-Identifier: Apache-2.0
#include "statistics/panel.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cell.h"

void an_cell_terms(double *weighted, double *tokens, const struct an_panel *panel, int64_t cell) {
    int64_t first = cell * panel->sequences;
    for (int64_t s = 0; s < panel->sequences; s++) {
        double value = panel->values[first + s];
        double count = panel->tokens ? panel->tokens[first + s] : 1.0;
        bool measured = isfinite(value) && count > 0.0;
        tokens[s] = measured ? count : 0.0;
        weighted[s] = measured ? count * value : 0.0;
    }
}

struct an_sums an_cell_sums(const double *weighted, const double *tokens, int64_t sequences) {
    struct an_sums sums = {0};
    for (int64_t s = 0; s < sequences; s++) {
        sums.weighted += weighted[s];
        sums.tokens += tokens[s];
        sums.measured += tokens[s] > 0.0;
    }
    return sums;
}

void an_checkpoint_means(double *means, const struct an_panel *panel) {
    for (int64_t cell = 0; cell < panel->checkpoints * panel->units; cell++) {
        double weighted = 0.0, tokens = 0.0;
        for (int64_t s = 0; s < panel->sequences; s++) {
            int64_t at = cell * panel->sequences + s;
            double count = panel->tokens ? panel->tokens[at] : 1.0;
            if (isfinite(panel->values[at])) {
                weighted += count * panel->values[at];
                tokens += count;
            }
        }
        means[cell] = tokens > 0.0 ? weighted / tokens : NAN;
    }
}

static bool ascends(const double *x, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(x[i]) || (i > 0 && x[i] <= x[i - 1]))
            return false;
    return true;
}

void an_time_weights(double *weight, const double *tokens_seen, int64_t checkpoints) {
    int64_t last = checkpoints - 1;
    if (checkpoints < 2 || !ascends(tokens_seen, checkpoints)) {
        for (int64_t c = 0; c < checkpoints; c++)
            weight[c] = 1.0 / (double)checkpoints;
        return;
    }
    double span = tokens_seen[last] - tokens_seen[0];
    for (int64_t c = 0; c < checkpoints; c++) {
        double from = tokens_seen[c > 0 ? c - 1 : 0], to = tokens_seen[c < last ? c + 1 : last];
        weight[c] = 0.5 * (to - from) / span;
    }
}

static double time_mean(const double *means, const double *weight, int64_t checkpoints,
                        int64_t stride) {
    double sum = 0.0, weights = 0.0;
    for (int64_t c = 0; c < checkpoints; c++)
        if (isfinite(means[c * stride])) {
            double share = weight ? weight[c] : 1.0;
            sum += share * means[c * stride];
            weights += share;
        }
    return weights > 0.0 ? sum / weights : NAN;
}

// The checkpoint of the highest mean; -1 when there is none.
static int64_t worst_at(const double *means, int64_t checkpoints, int64_t stride) {
    int64_t worst = -1;
    for (int64_t c = 0; c < checkpoints; c++)
        if (isfinite(means[c * stride]) && (worst < 0 || means[c * stride] > means[worst * stride]))
            worst = c;
    return worst;
}

static double aggregate_one(enum an_aggregate which, const double *means, const double *weight,
                            int64_t checkpoints, int64_t stride) {
    if (which == AN_MEAN)
        return time_mean(means, weight, checkpoints, stride);
    int64_t at = which == AN_LAST ? checkpoints - 1 : worst_at(means, checkpoints, stride);
    return at < 0 ? NAN : means[at * stride];
}

void an_aggregate(double *aggregate, enum an_aggregate which, const double *means,
                  const double *weight, int64_t checkpoints, int64_t units) {
    for (int64_t u = 0; u < units; u++)
        aggregate[u] = aggregate_one(which, means + u, weight, checkpoints, units);
}

// Room for one unit of a panel.
struct jackknife {
    double *weighted, *tokens; // [checkpoints, sequences] cell terms
    struct an_sums *sums;      // [checkpoints]
    double *means;             // [checkpoints]
    double *without;           // [checkpoints] means without one sequence
};

static void gather(struct jackknife *j, const struct an_panel *panel, int64_t unit) {
    for (int64_t c = 0; c < panel->checkpoints; c++) {
        double *weighted = j->weighted + c * panel->sequences;
        double *tokens = j->tokens + c * panel->sequences;
        an_cell_terms(weighted, tokens, panel, c * panel->units + unit);
        j->sums[c] = an_cell_sums(weighted, tokens, panel->sequences);
        j->means[c] = j->sums[c].tokens > 0.0 ? j->sums[c].weighted / j->sums[c].tokens : NAN;
    }
}

// Leaves sequence s out of every mean; false when it is in none of the checkpoints [first, end).
static bool leave_out(struct jackknife *j, int64_t s, int64_t sequences, int64_t first,
                      int64_t end) {
    bool measured = false;
    for (int64_t c = first; c < end; c++) {
        double tokens = j->tokens[c * sequences + s];
        j->without[c] =
            (j->sums[c].weighted - j->weighted[c * sequences + s]) / (j->sums[c].tokens - tokens);
        measured |= tokens > 0.0;
    }
    return measured;
}

// One unit's row. The checkpoints that count are all of them for the mean, one for the others.
static void pseudo_row(double *pseudo, struct jackknife *j, const struct an_panel *panel,
                       enum an_aggregate which, const double *weight) {
    int64_t sequences = panel->sequences, first = 0, end = panel->checkpoints, measured = 0;
    if (which != AN_MEAN) {
        int64_t worst = worst_at(j->means, panel->checkpoints, 1);
        first = which == AN_LAST ? end - 1 : worst < 0 ? 0 : worst;
        end = first + 1;
    }
    const double *share = weight ? weight + first : NULL;
    double estimate = time_mean(j->means + first, share, end - first, 1);
    for (int64_t s = 0; s < sequences; s++) {
        bool counts = leave_out(j, s, sequences, first, end);
        pseudo[s] = counts ? time_mean(j->without + first, share, end - first, 1) : NAN;
        measured += counts;
    }
    for (int64_t s = 0; s < sequences; s++) // NaN stays
        pseudo[s] = estimate + (double)(measured - 1) * (estimate - pseudo[s]);
    if (measured == 1) // nothing is left without it
        for (int64_t s = 0; s < sequences; s++)
            if (leave_out(j, s, sequences, first, end))
                pseudo[s] = estimate;
}

enum tr_status an_pseudo_values(double *pseudo, const struct an_panel *panel,
                                enum an_aggregate which, const double *weight, struct tr_err *err) {
    struct jackknife j = {0};
    uint64_t cells;
    enum tr_status status;
    if (!tr_mul((uint64_t)panel->checkpoints, (uint64_t)panel->sequences, &cells))
        return tr_fail(err, TR_ENOMEM, "no memory for the jackknife");
    TR_GO(status, TR_NEW(&j.weighted, cells, "the jackknife", err), out);
    TR_GO(status, TR_NEW(&j.tokens, cells, "the jackknife", err), out);
    TR_GO(status, TR_NEW(&j.sums, panel->checkpoints, "the jackknife", err), out);
    TR_GO(status, TR_NEW(&j.means, panel->checkpoints, "the jackknife", err), out);
    TR_GO(status, TR_NEW(&j.without, panel->checkpoints, "the jackknife", err), out);
    for (int64_t unit = 0; unit < panel->units; unit++) {
        gather(&j, panel, unit);
        pseudo_row(pseudo + unit * panel->sequences, &j, panel, which, weight);
    }
out:
    free(j.weighted);
    free(j.tokens);
    free(j.sums);
    free(j.means);
    free(j.without);
    return status;
}
