// SPDX-License-Identifier: Apache-2.0
// coverage_cost [SIMULATIONS [SEED]]: do the intervals of what proxies say of costs do what they
// say? Draws rows of text whose truth is known, many times, and writes how often the truth was
// covered, as a table of Markdown. Exit status 1 when a method misses what is asked of it; fewer
// than 1,000 simulations are judged with the slack of their own noise.
//
// The rows: 12 sublayers, of which 3 are the cheapest; then 60, and 15 of them. A proxy is
// log-normal by row (standard deviation 0.3, correlation 0.7 between sublayers), a cost its mean
// plus 0.15 times a skewed effect (log-normal, 0.6, correlation 0.5), so that it may be negative.
// True orders are the same; nearly the same; unrelated; or with ties, two pairs of costs and one of
// proxies being equal.
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "coverage_table.h"
#include "statistics/correlation.h"
#include "statistics/cross_fit.h"
#include "statistics/order.h"
#include "statistics/quantile.h"
#include "statistics/sure_order.h"

enum { MOST_UNITS = 60, MOST_ROWS = 64, RESAMPLES = 200 };
enum kind { SAME, NEAR, UNRELATED, TIED, KINDS };
static const char *const kinds[KINDS] = {"same order", "nearly the same", "unrelated", "ties"};

static int64_t units = 12, count = 3; // sublayers, and how many of them are the cheapest

// ---- rows ------------------------------------------------------------------------------------

struct simulated {
    int64_t rows;
    double proxy[MOST_UNITS], cost[MOST_UNITS]; // true means
    double x[MOST_UNITS * MOST_ROWS], y[MOST_UNITS * MOST_ROWS];
};

static double normal(void) {
    return an_random_normal(&random_state);
}

static void draw_truth(struct simulated *s, enum kind kind) {
    for (int64_t u = 0; u < units; u++) {
        double level = normal(), near = 0.25 * normal(), other = normal();
        s->proxy[u] = 0.02 * exp(level);
        s->cost[u] = 0.25 * (kind == UNRELATED ? other : kind == NEAR ? level + near : level);
    }
    if (kind == TIED) {
        s->cost[1] = s->cost[0];
        s->cost[3] = s->cost[2];
        s->proxy[5] = s->proxy[4];
    }
}

static void draw_rows(struct simulated *s) {
    for (int64_t row = 0; row < s->rows; row++) {
        double shared_x = normal(), shared_y = normal();
        for (int64_t u = 0; u < units; u++) {
            double x = sqrt(0.7) * shared_x + sqrt(0.3) * normal();
            double y = sqrt(0.5) * (shared_y + normal());
            s->x[u * s->rows + row] = s->proxy[u] * exp(0.3 * x - 0.045);
            s->y[u * s->rows + row] = s->cost[u] + 0.15 * (exp(0.6 * y - 0.18) - 1.0);
        }
    }
}

// Means over the rows, each counted weight[row] times; NULL: once.
static void average(double *mean, const double *values, int64_t rows, const double *weight) {
    for (int64_t u = 0; u < units; u++) {
        double sum = 0.0, of = 0.0;
        for (int64_t row = 0; row < rows; row++) {
            sum += (weight ? weight[row] : 1.0) * values[u * rows + row];
            of += weight ? weight[row] : 1.0;
        }
        mean[u] = sum / of;
    }
}

static bool holds(double low, double high, double truth) {
    return low <= truth + 1e-12 && truth <= high + 1e-12;
}

// ---- regret ----------------------------------------------------------------------------------

// The true regret of the sets that are chosen on the rows of each fold's complement, averaged over
// the rows of the folds.
static double true_regret(const struct simulated *s) {
    double weight[MOST_ROWS], x[MOST_UNITS], y[MOST_UNITS], sum = 0.0;
    int64_t of_x[MOST_UNITS], of_y[MOST_UNITS];
    for (int64_t fold = 0; fold < AN_FOLDS; fold++) {
        double rows = 0.0, paid = 0.0;
        for (int64_t row = 0; row < s->rows; row++) {
            weight[row] = row * AN_FOLDS / s->rows != fold;
            rows += 1.0 - weight[row];
        }
        average(x, s->x, s->rows, weight);
        average(y, s->y, s->rows, weight);
        an_order(of_x, x, units);
        an_order(of_y, y, units);
        for (int64_t i = 0; i < count; i++)
            paid += s->cost[of_x[i]] - s->cost[of_y[i]];
        sum += rows * paid / (double)s->rows;
    }
    return sum;
}

// What is counted over the simulations of one kind and number of rows.
struct counted {
    double below, above, differ; // differ: sets that are not the same in all folds
    double spearman, tau, spearman_length, tau_length, percentile;
    double named; // sublayers called misjudged though they are not
    double found;
};

static void count_regret(struct counted *counted, const struct simulated *s) {
    struct an_regret regret;
    struct tr_err err;
    double truth = true_regret(s);
    must(an_cross_fit(&regret, s->x, s->y, units, s->rows, count, 0.95, &err), &err);
    counted->below += truth < regret.low - 1e-12;
    counted->above += truth > regret.high + 1e-12;
    counted->differ += regret.high > regret.low;
}

// ---- agreement -------------------------------------------------------------------------------

// Whether percentiles of resampled correlations hold the truth, for comparison.
static bool percentile_holds(const struct simulated *s, double truth) {
    double drawn[RESAMPLES], x[MOST_UNITS], y[MOST_UNITS];
    struct tr_err err;
    for (int i = 0; i < RESAMPLES; i++) {
        double weight[MOST_ROWS] = {0.0};
        for (int64_t draw = 0; draw < s->rows; draw++)
            weight[an_random_below(&random_state, (uint64_t)s->rows)] += 1.0;
        average(x, s->x, s->rows, weight);
        average(y, s->y, s->rows, weight);
        must(an_spearman(&drawn[i], x, y, units, &err), &err);
    }
    an_sort(drawn, RESAMPLES);
    return holds(an_sorted_quantile(drawn, RESAMPLES, 0.025),
                 an_sorted_quantile(drawn, RESAMPLES, 0.975), truth);
}

// The share of the cheapest that the proxy's lowest are, by the true means.
static double true_share(const struct simulated *s) {
    int64_t x[MOST_UNITS], y[MOST_UNITS], common = 0;
    an_order(x, s->proxy, units);
    an_order(y, s->cost, units);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < count; j++)
            common += x[i] == y[j];
    return (double)common / (double)count;
}

static void count_agreement(struct counted *counted, const struct simulated *s) {
    int8_t of_x[MOST_UNITS * MOST_UNITS], of_y[MOST_UNITS * MOST_UNITS];
    int64_t shift[MOST_UNITS];
    double x[MOST_UNITS], y[MOST_UNITS], spearman, tau, own[MOST_UNITS], other[MOST_UNITS];
    struct an_rank_agreement agreement;
    struct tr_err err;
    average(x, s->x, s->rows, NULL);
    average(y, s->y, s->rows, NULL);
    an_sure_order(of_x, s->x, units, s->rows, 0.95);
    an_sure_order(of_y, s->y, units, s->rows, 0.95);
    must(an_rank_agreement(&agreement, x, y, of_x, of_y, units, &err), &err);
    must(an_spearman(&spearman, s->proxy, s->cost, units, &err), &err);
    must(an_kendall_tau_b(&tau, s->proxy, s->cost, units, &err), &err);
    counted->spearman += holds(agreement.spearman_low, agreement.spearman_high, spearman);
    counted->tau += holds(agreement.tau_low, agreement.tau_high, tau);
    counted->spearman_length += agreement.spearman_high - agreement.spearman_low;
    counted->tau_length += agreement.tau_high - agreement.tau_low;
    counted->percentile += percentile_holds(s, spearman);
    struct an_sure_share share = an_sure_share(of_x, of_y, units, count);
    counted->found += holds(share.low, share.high, true_share(s));
    an_sure_shift(shift, of_x, of_y, units);
    must(an_midranks(own, s->proxy, units, &err), &err);
    must(an_midranks(other, s->cost, units, &err), &err);
    for (int64_t u = 0; u < units; u++)
        counted->named += llabs(shift[u]) >= count && fabs(own[u] - other[u]) < (double)count;
}

// ---- all -------------------------------------------------------------------------------------

static void report(struct counted *counted, enum kind kind, int64_t rows) {
    char where[64];
    double of = simulations;
    snprintf(where, sizeof where, "%s, %lld of %lld, %lld rows", kinds[kind], (long long)count,
             (long long)units, (long long)rows);
    double missed = counted->below + counted->above;
    line("held-out regret, two-sided 95 %", where, of - missed, of, 93.0, 100.0);
    line("... of those whose sets differ in some fold", where, counted->differ - missed,
         counted->differ, simulations < FULL ? 0.0 : 93.0, simulations < FULL ? 100.0 : 97.0);
    line("... truth below the interval", where, counted->below, of, 0.0, 100.0);
    line("... truth above the interval", where, counted->above, of, 0.0, 100.0);
    line("... with sets that differ in some fold", where, counted->differ, of, 0.0, 100.0);
    line("Spearman's correlation, by sure pairs", where, counted->spearman, of, 93.0, 100.0);
    line("... length times 100", where, counted->spearman_length, of, 0.0, 100.0);
    line("... percentiles of resamples instead", where, counted->percentile, of, 0.0, 100.0);
    line("Kendall's tau, by sure pairs", where, counted->tau, of, 93.0, 100.0);
    line("... length times 100", where, counted->tau_length, of, 0.0, 100.0);
    line("misjudged by a quarter's places, and are not", where, counted->named, of * (double)units,
         0.0, 5.0);
    line("share of the cheapest, by sure pairs", where, counted->found, of, 93.0, 100.0);
}

static void simulate(enum kind kind, int64_t rows) {
    static struct counted counted;
    struct simulated s = {.rows = rows};
    counted = (struct counted){0};
    for (int i = 0; i < simulations; i++) {
        draw_truth(&s, kind);
        draw_rows(&s);
        count_regret(&counted, &s);
        count_agreement(&counted, &s);
    }
    report(&counted, kind, rows);
}

int main(int argc, char **argv) {
    coverage_arguments(argc, argv, 20261130, FULL);
    coverage_head("");
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (int64_t rows = 16; rows <= MOST_ROWS; rows *= 2)
            simulate(kind, rows);
    units = MOST_UNITS;
    count = MOST_UNITS / 4;
    for (enum kind kind = 0; kind < KINDS; kind++)
        simulate(kind, 16);
    return coverage_status();
}
