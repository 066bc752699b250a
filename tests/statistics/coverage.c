// SPDX-License-Identifier: Apache-2.0
// coverage [SIMULATIONS [SEED]]: do the intervals, bounds and tests do what they say? Draws series
// whose truth is known, many times, and writes how often the truth was covered, as a table of
// Markdown. Exit status 1 when a method misses what is asked of it. Fewer than 1,000 simulations
// are judged with the slack of their own noise.
//
// The series: tokens of a sequence are alike (a common effect, then bursts of 32), units share a
// part of a sequence's effect (that is what pairing takes out), and a sequence's effect changes
// slowly over checkpoints. Effects are log-normal with standard deviation 0.3, as skewed as the
// most skewed layers of traced series. "even" sequences have 1,024 tokens, of which up to a
// sixteenth may be lost, and one in a hundred means is missing; "ragged" ones have 256 to 2,048,
// and longer ones are more important.
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "coverage_table.h"
#include "statistics/bootstrap.h"
#include "statistics/concordance.h"
#include "statistics/consistent.h"
#include "statistics/interval.h"
#include "statistics/trend.h"

enum { RESAMPLES = 2000, RELABELLINGS = 199, LENGTHS = 4, EVEN = 2, BURST = 32, JUDGED = 20 };
#define EFFECT 0.3   // standard deviation of the log of a sequence's effect
#define SHARED 0.7   // its correlation between units
#define MEMORY 0.9   // its correlation between neighbouring checkpoints
#define LENGTHEN 0.1 // by which the log effect grows from one length to the next
static const uint32_t lengths[LENGTHS] = {256, 512, 1024, 2048};

static void *room(int64_t count, size_t size) {
    void *memory;
    struct tr_err err;
    must(tr_alloc(&memory, (uint64_t)count, size, "a simulation", &err), &err);
    return memory;
}

// ---- panels ----------------------------------------------------------------------------------

struct simulated {
    struct an_panel panel;
    double *values;   // the panel's
    uint32_t *tokens; // the panel's
    bool ragged;
    double *state; // [units + 1] standard normal effects of one sequence, the shared one last
};

static struct simulated simulated_make(int64_t checkpoints, int64_t units, int64_t sequences,
                                       bool ragged) {
    int64_t size = checkpoints * units * sequences;
    struct simulated s = {.panel = {checkpoints, units, sequences, NULL, NULL}, .ragged = ragged};
    s.panel.values = s.values = room(size, sizeof *s.values);
    s.panel.tokens = s.tokens = room(size, sizeof *s.tokens);
    s.state = room(units + 1, sizeof *s.state);
    return s;
}

static void simulated_free(struct simulated *s) {
    free(s->values);
    free(s->tokens);
    free(s->state);
}

// The mean over `tokens` tokens that come in bursts, each burst exponential with mean 1.
static double token_mean(uint32_t tokens) {
    uint32_t bursts = tokens / BURST;
    double product = 1.0;
    for (uint32_t i = 0; i < bursts; i++)
        product *= an_random_uniform(&random_state);
    return -log(product) / (double)bursts;
}

// What the effects of sequences of all lengths are for the average token.
static double ragged_mean(void) {
    double sum = 0.0, tokens = 0.0;
    for (int l = 0; l < LENGTHS; l++) {
        sum += lengths[l] * exp(LENGTHEN * l);
        tokens += lengths[l];
    }
    return sum / tokens;
}

// The effect, 1 for the average token.
static double effect_of(const struct simulated *s, double own, int length) {
    double effect = sqrt(SHARED) * s->state[s->panel.units] + sqrt(1.0 - SHARED) * own;
    double of_length = s->ragged ? exp(LENGTHEN * length) / ragged_mean() : 1.0;
    return of_length * exp(EFFECT * effect - 0.5 * EFFECT * EFFECT);
}

static void draw_cell(struct simulated *s, double truth, double own, int length, int64_t at) {
    uint32_t tokens = lengths[length];
    if (!s->ragged)
        tokens -= (uint32_t)an_random_below(&random_state, tokens / 16);
    s->tokens[at] = tokens;
    s->values[at] = truth * token_mean(tokens) * effect_of(s, own, length);
    if (!s->ragged && an_random_below(&random_state, 100) == 0)
        s->values[at] = NAN;
}

static void draw_sequence(struct simulated *s, const double *truth, int64_t sequence) {
    const struct an_panel *panel = &s->panel;
    int length = s->ragged ? (int)an_random_below(&random_state, LENGTHS) : EVEN;
    for (int64_t c = 0; c < panel->checkpoints; c++) {
        double old = c > 0 ? MEMORY : 0.0, new = sqrt(1.0 - old * old);
        for (int64_t u = 0; u <= panel->units; u++)
            s->state[u] = old * s->state[u] + new *an_random_normal(&random_state);
        for (int64_t u = 0; u < panel->units; u++)
            draw_cell(s, truth[c * panel->units + u], s->state[u], length,
                      (c * panel->units + u) * panel->sequences + sequence);
    }
}

static void draw_panel(struct simulated *s, const double *truth) {
    for (int64_t sequence = 0; sequence < s->panel.sequences; sequence++)
        draw_sequence(s, truth, sequence);
}

// ---- intervals -------------------------------------------------------------------------------

enum { CHECKPOINTS = 8, UNITS = 4 };

// What is counted over the simulations of one number of sequences.
struct covered {
    double mean, mean_low, mean_high; // covered, missed below, missed above
    double difference, untrained, worst, limit;
    double length; // of the mean's interval, over its estimate
};

static void fill_truth(double *truth) {
    for (int64_t c = 0; c < CHECKPOINTS; c++)
        for (int64_t u = 0; u < UNITS; u++)
            truth[c * UNITS + u] = 0.01 * (1.0 + 0.1 * (double)u) * (1.0 + 1.0 / (1.0 + (double)c));
}

struct analysis {
    struct an_resamples resamples;
    struct an_draws all, first; // of the whole panel and of its first checkpoint
    double *pseudo, *pseudo_first, *share;
    double estimate[UNITS], estimate_first[UNITS];
};

static void estimate(double *aggregate, const struct an_panel *panel) {
    double means[CHECKPOINTS * UNITS];
    an_checkpoint_means(means, panel);
    an_aggregate(aggregate, AN_MEAN, means, NULL, panel->checkpoints, UNITS);
}

static struct analysis analyse(const struct an_panel *panel, uint64_t seed) {
    struct analysis a = {0};
    struct tr_err err;
    struct an_panel first = an_panel_slice(panel, 0, 1);
    a.pseudo = room(UNITS * panel->sequences, sizeof *a.pseudo);
    a.pseudo_first = room(UNITS * panel->sequences, sizeof *a.pseudo);
    a.share = room(panel->sequences, sizeof *a.share);
    an_token_shares(a.share, panel);
    must(an_resamples_draw(&a.resamples, RESAMPLES, panel->sequences, seed, &err), &err);
    must(an_draws_make(&a.all, &a.resamples, panel, NULL, &err), &err);
    must(an_draws_make(&a.first, &a.resamples, &first, NULL, &err), &err);
    must(an_pseudo_values(a.pseudo, panel, AN_MEAN, NULL, &err), &err);
    must(an_pseudo_values(a.pseudo_first, &first, AN_MEAN, NULL, &err), &err);
    estimate(a.estimate, panel);
    estimate(a.estimate_first, &first);
    return a;
}

static void analysis_free(struct analysis *a) {
    an_resamples_free(&a->resamples);
    an_draws_free(&a->all);
    an_draws_free(&a->first);
    free(a->pseudo);
    free(a->pseudo_first);
    free(a->share);
}

static struct an_sample sample_of(const struct analysis *a, int64_t unit, bool first) {
    int64_t sequences = a->resamples.sequences;
    return (struct an_sample){
        .estimate = first ? a->estimate_first[unit] : a->estimate[unit],
        .sequences = sequences,
        .pseudo = (first ? a->pseudo_first : a->pseudo) + unit * sequences,
        .share = a->share,
        .draws = (first ? a->first : a->all).of[AN_MEAN] + unit,
        .stride = UNITS,
        .resamples = &a->resamples,
    };
}

static void count_intervals(struct covered *covered, const struct analysis *a,
                            const double *truth_mean, const double *truth) {
    struct an_interval interval;
    struct tr_err err;
    for (int64_t u = 0; u < UNITS; u++) {
        struct an_sample unit = sample_of(a, u, false), first = sample_of(a, u, true);
        struct an_sample next = sample_of(a, (u + 1) % UNITS, false);
        double difference = truth_mean[u] - truth_mean[(u + 1) % UNITS];
        must(an_interval(&interval, &unit, 0.95, &err), &err);
        covered->mean_low += truth_mean[u] < interval.low;
        covered->mean_high += truth_mean[u] > interval.high;
        covered->length += (interval.high - interval.low) / unit.estimate;
        must(an_difference(&interval, &unit, &next, 0.95, &err), &err);
        covered->difference += interval.low <= difference && difference <= interval.high;
        must(an_difference(&interval, &unit, &first, 0.95, &err), &err);
        difference = truth_mean[u] - truth[u];
        covered->untrained += interval.low <= difference && difference <= interval.high;
    }
}

// The highest truth is the first checkpoint's.
static void count_bounds(struct covered *covered, const struct an_panel *panel,
                         const double *truth) {
    double limits[CHECKPOINTS * UNITS], worst[UNITS];
    struct tr_err err;
    must(an_upper_limits(limits, panel, 0.95, &err), &err);
    an_worst_bounds(worst, NULL, limits, CHECKPOINTS, UNITS);
    for (int64_t u = 0; u < UNITS; u++) {
        int64_t last = (CHECKPOINTS - 1) * UNITS + u;
        covered->worst += truth[u] <= worst[u];
        covered->limit += truth[last] <= limits[last];
    }
}

// Intervals of fewer than about 16 sequences' worth are not asked to keep what they say.
static void report_intervals(int64_t sequences, bool ragged, bool asked) {
    double truth[CHECKPOINTS * UNITS], truth_mean[UNITS];
    struct simulated s = simulated_make(CHECKPOINTS, UNITS, sequences, ragged);
    struct covered covered = {0};
    double of = (double)simulations * UNITS;
    double least = asked ? 93.0 : 0.0, most = asked ? 97.0 : 100.0, bound = asked ? 94.0 : 0.0;
    char where[64];
    fill_truth(truth);
    an_aggregate(truth_mean, AN_MEAN, truth, NULL, CHECKPOINTS, UNITS);
    for (int i = 0; i < simulations; i++) {
        draw_panel(&s, truth);
        struct analysis a = analyse(&s.panel, (uint64_t)i);
        count_intervals(&covered, &a, truth_mean, truth);
        count_bounds(&covered, &s.panel, truth);
        analysis_free(&a);
    }
    snprintf(where, sizeof where, "%lld %s sequences", (long long)sequences,
             ragged ? "ragged" : "even");
    line("mean over time, two-sided 95 %", where, of - covered.mean_low - covered.mean_high, of,
         least, most);
    line("... truth below the interval", where, covered.mean_low, of, 0.0, 100.0);
    line("... truth above the interval", where, covered.mean_high, of, 0.0, 100.0);
    line("... length over estimate", where, covered.length, of, 0.0, 100.0);
    line("paired difference of two units", where, covered.difference, of, least, most);
    line("paired difference from the first checkpoint", where, covered.untrained, of, least, most);
    line("upper limit of one checkpoint, one-sided 95 %", where, covered.limit, of, bound, 100.0);
    line("worst case over time, one-sided 95 %", where, covered.worst, of, bound, 100.0);
    simulated_free(&s);
}

// ---- the false discovery rate ----------------------------------------------------------------

enum { FDR_UNITS = 40, FDR_NULLS = 20, FDR_CHECKPOINTS = 4 };

// Half the units touch the bound at one checkpoint; the others stay this far below it.
static void report_discoveries(int64_t sequences, double below) {
    struct simulated s = simulated_make(FDR_CHECKPOINTS, FDR_UNITS, sequences, false);
    double truth[FDR_CHECKPOINTS * FDR_UNITS], p[FDR_UNITS], adjusted[FDR_UNITS];
    double wrong_share = 0.0, right = 0.0;
    struct tr_err err;
    char where[64];
    for (int64_t c = 0; c < FDR_CHECKPOINTS; c++)
        for (int64_t u = 0; u < FDR_UNITS; u++) {
            bool touches = u < FDR_NULLS && c == u % FDR_CHECKPOINTS;
            truth[c * FDR_UNITS + u] = touches ? 0.01 : 0.01 * (1.0 - below);
        }
    for (int i = 0; i < simulations; i++) {
        draw_panel(&s, truth);
        must(an_not_below_everywhere(p, &s.panel, 0.01, &err), &err);
        must(an_benjamini_hochberg(adjusted, p, FDR_UNITS, &err), &err);
        double wrong = 0.0, found = 0.0;
        for (int64_t u = 0; u < FDR_UNITS; u++) {
            found += adjusted[u] <= 0.05;
            wrong += adjusted[u] <= 0.05 && u < FDR_NULLS;
        }
        wrong_share += found > 0.0 ? wrong / found : 0.0;
        right += found - wrong;
    }
    snprintf(where, sizeof where, "%lld sequences, %g %% below", (long long)sequences,
             100.0 * below);
    line("false discoveries among those found, q = 5 %", where, wrong_share, simulations, 0.0, 5.0);
    line("... found of those that are below (power)", where, right,
         (double)simulations * (FDR_UNITS - FDR_NULLS), 0.0, 100.0);
    simulated_free(&s);
}

// ---- concordance and trends ------------------------------------------------------------------

// values[checkpoints, units]: each unit's own level, `levels` standard deviations apart, and AR(1)
// noise.
static void draw_series(double *values, int64_t checkpoints, int64_t units, double memory,
                        double levels) {
    for (int64_t u = 0; u < units; u++) {
        double level = levels * an_random_normal(&random_state), state = 0.0;
        for (int64_t c = 0; c < checkpoints; c++) {
            double old = c > 0 ? memory : 0.0;
            state = old * state + sqrt(1.0 - old * old) * an_random_normal(&random_state);
            values[c * units + u] = level + state;
        }
    }
}

// What is counted over series of one kind.
struct tested {
    int64_t checkpoints, units;
    double memory, levels, drawn, testable, rejected, closed, time;
};

static void test_series(struct tested *t, double *values) {
    struct an_concordance test;
    struct tr_err err;
    draw_series(values, t->checkpoints, t->units, t->memory, t->levels);
    must(an_concordance(&test, values, t->checkpoints, t->units, RELABELLINGS, (uint64_t)t->drawn,
                        &err),
         &err);
    t->drawn++;
    t->testable += !isnan(test.p);
    t->rejected += test.p <= 0.05;
    t->closed += isfinite(test.correlation_time);
    t->time += isfinite(test.correlation_time) ? test.correlation_time : 0.0;
}

// Where 20 of the simulated series are testable, as many more are drawn as it takes for all to be.
static void report_concordance(int64_t checkpoints, int64_t units, double memory, double levels) {
    struct tested t = {.checkpoints = checkpoints, .units = units, .memory = memory, levels};
    double *values = room(checkpoints * units, sizeof *values);
    char where[96];
    while (t.drawn < simulations || (t.testable >= JUDGED && t.testable < simulations))
        test_series(&t, values);
    snprintf(where, sizeof where, "%lld x %lld, correlation time %.1f (estimated %.1f)",
             (long long)checkpoints, (long long)units, (1.0 + memory) / (1.0 - memory),
             t.closed > 0.0 ? t.time / t.closed : INFINITY);
    line(levels == 0.0 ? "W's test, nothing concordant: testable"
                       : "W's test, levels differ by half the noise: testable",
         where, t.testable, t.drawn, 0.0, 100.0);
    if (levels == 0.0)
        line("... rejected at 5 %, of all", where, t.rejected, t.drawn, 0.0, 7.0);
    if (t.testable >= JUDGED)
        line(levels == 0.0 ? "... rejected at 5 %, of the testable"
                           : "... rejected, of the testable (power)",
             where, t.rejected, t.testable, 0.0, levels == 0.0 ? 7.0 : 100.0);
    free(values);
}

static void report_trends(int64_t checkpoints, double memory, double slope) {
    double *values = room(checkpoints, sizeof *values), *when = room(checkpoints, sizeof *when);
    double rejected = 0.0;
    struct an_trend trend;
    struct tr_err err;
    char where[96];
    for (int i = 0; i < simulations; i++) {
        draw_series(values, checkpoints, 1, memory, 0.0);
        for (int64_t c = 0; c < checkpoints; c++) {
            when[c] = (double)c / (double)checkpoints;
            values[c] += slope * when[c];
        }
        must(an_trend(&trend, when, values, checkpoints, 0.95, &err), &err);
        rejected += trend.p <= 0.05;
    }
    snprintf(where, sizeof where, "%lld checkpoints, correlation time %.1f", (long long)checkpoints,
             (1.0 + memory) / (1.0 - memory));
    line(slope == 0.0 ? "trend test, no trend: rejected at 5 %"
                      : "trend test, a rise by twice the noise: rejected (power)",
         where, rejected, simulations, 0.0, 100.0);
    free(values);
    free(when);
}

int main(int argc, char **argv) {
    static const double memories[] = {0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9};
    static const int64_t shapes[][2] = {{154, 8}, {154, 32}, {154, 80},
                                        {60, 12}, {48, 24},  {30, 24}};
    char more[40];
    snprintf(more, sizeof more, ", %d resamples", RESAMPLES);
    coverage_arguments(argc, argv, 20240607, INT_MAX);
    coverage_head(more);
    report_intervals(16, false, true);
    report_intervals(64, false, true);
    report_intervals(256, false, true);
    report_intervals(16, true, false);
    report_intervals(64, true, true);
    report_intervals(256, true, true);
    report_discoveries(64, 0.15);
    report_discoveries(16, 0.3);
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++)
        for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
            report_concordance(shapes[shape][0], shapes[shape][1], memories[i], 0.0);
            if (memories[i] < 0.8)
                report_concordance(shapes[shape][0], shapes[shape][1], memories[i], 0.5);
        }
    for (size_t i = 0; i < 6; i++) {
        report_trends(15, memories[i], 0.0);
        report_trends(60, memories[i], 0.0);
        report_trends(154, memories[i], 0.0);
        report_trends(154, memories[i], 2.0);
    }
    report_intervals(5, false, false);
    report_intervals(8, false, false);
    return coverage_status();
}
