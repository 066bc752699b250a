// SPDX-License-Identifier: Apache-2.0
// bench_statistics [CHECKPOINTS LAYERS MODULES SEQUENCES RESAMPLES]: what trace-analyze computes
// from a store of that shape (154 x 80 x 3 x 256, 10,000 resamples), on one core: seconds of
// processor time of each step, floating-point operations, and their share of the rate that the core
// reaches on a product that stays in its cache. CSV on stdout.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/alloc.h"
#include "product.h"
#include "statistics/bootstrap.h"
#include "statistics/choice.h"
#include "statistics/concordance.h"
#include "statistics/consistent.h"
#include "statistics/interval.h"
#include "statistics/random.h"

struct shape {
    int64_t checkpoints, layers, modules, sequences, resamples;
};

// Everything that is measured on, and its results.
struct bench {
    struct shape shape;
    int64_t units;
    struct an_panel panel;
    double *values;                                // [checkpoints, units, sequences]
    double *means;                                 // [checkpoints, units]
    double *estimate[AN_AGGREGATES];               // [units]
    double *pseudo[AN_AGGREGATES];                 // [units, sequences]
    double *limits, *worst, *p, *adjusted, *share; // [checkpoints, units], then [units] ...
    struct an_resamples resamples;
    struct an_draws draws;
    struct tr_err err;
};

static void must(const struct bench *bench, enum tr_status status) {
    if (status == TR_OK)
        return;
    fprintf(stderr, "bench_statistics: %s\n", bench->err.text);
    exit(1);
}

static double *room(struct bench *bench, int64_t count) {
    double *memory = NULL;
    must(bench, TR_NEW(&memory, count, "the bench", &bench->err));
    return memory;
}

static void prepare(struct bench *bench) {
    const struct shape *shape = &bench->shape;
    struct an_random random;
    bench->units = shape->layers * shape->modules;
    int64_t cells = shape->checkpoints * bench->units;
    bench->values = room(bench, cells * shape->sequences);
    an_random_seed(&random, 1);
    for (int64_t i = 0; i < cells * shape->sequences; i++) {
        int64_t unit = i / shape->sequences % bench->units;
        bench->values[i] = 0.01 + 1e-4 * (double)unit + 0.01 * an_random_uniform(&random);
    }
    bench->panel =
        (struct an_panel){shape->checkpoints, bench->units, shape->sequences, bench->values, NULL};
    bench->means = room(bench, cells);
    bench->limits = room(bench, cells);
    bench->worst = room(bench, bench->units);
    bench->p = room(bench, bench->units);
    bench->adjusted = room(bench, bench->units);
    bench->share = room(bench, shape->sequences);
    for (int which = 0; which < AN_AGGREGATES; which++) {
        bench->estimate[which] = room(bench, bench->units);
        bench->pseudo[which] = room(bench, bench->units * shape->sequences);
    }
}

// ---- the steps -------------------------------------------------------------------------------

static void estimate(struct bench *bench) {
    an_checkpoint_means(bench->means, &bench->panel);
    an_token_shares(bench->share, &bench->panel);
    for (int which = 0; which < AN_AGGREGATES; which++) {
        an_aggregate(bench->estimate[which], which, bench->means, NULL, bench->shape.checkpoints,
                     bench->units);
        must(bench,
             an_pseudo_values(bench->pseudo[which], &bench->panel, which, NULL, &bench->err));
    }
}

static void bound(struct bench *bench) {
    must(bench, an_upper_limits(bench->limits, &bench->panel, 0.95, &bench->err));
    an_worst_bounds(bench->worst, NULL, bench->limits, bench->shape.checkpoints, bench->units);
    must(bench, an_not_below_everywhere(bench->p, &bench->panel, 0.02, &bench->err));
    must(bench, an_benjamini_hochberg(bench->adjusted, bench->p, bench->units, &bench->err));
}

static void draw(struct bench *bench) {
    must(bench, an_resamples_draw(&bench->resamples, bench->shape.resamples, bench->shape.sequences,
                                  1, &bench->err));
}

static void resample(struct bench *bench) {
    must(bench, an_draws_make(&bench->draws, &bench->resamples, &bench->panel, NULL, &bench->err));
}

static struct an_sample sample_of(const struct bench *bench, int which, int64_t unit) {
    struct an_sample sample = {.estimate = bench->estimate[which][unit],
                               .sequences = bench->shape.sequences,
                               .pseudo = bench->pseudo[which] + unit * bench->shape.sequences,
                               .share = bench->share};
    if (which != AN_WORST) {
        sample.draws = bench->draws.of[which] + unit;
        sample.stride = bench->units;
        sample.resamples = &bench->resamples;
    }
    return sample;
}

static void intervals(struct bench *bench) {
    struct an_interval interval;
    for (int which = 0; which < AN_AGGREGATES; which++)
        for (int64_t u = 0; u < bench->units; u++) {
            struct an_sample sample = sample_of(bench, which, u);
            must(bench, an_interval(&interval, &sample, 0.95, &bench->err));
        }
}

static void choose(struct bench *bench) {
    int64_t layers = bench->shape.layers, *unit;
    struct an_sample *sample;
    struct an_cut *cuts;
    must(bench, TR_NEW(&unit, layers, "the bench", &bench->err));
    must(bench, TR_NEW(&sample, layers, "the bench", &bench->err));
    must(bench, TR_NEW(&cuts, layers, "the bench", &bench->err));
    for (int64_t module = 0; module < bench->shape.modules; module++)
        for (int which = 0; which < AN_AGGREGATES; which++) {
            struct an_choice choice;
            for (int64_t layer = 0; layer < layers; layer++) {
                unit[layer] = layer * bench->shape.modules + module;
                sample[layer] = sample_of(bench, which, unit[layer]);
            }
            must(bench, an_choose(&choice, bench->estimate[which], bench->draws.of[which],
                                  bench->draws.count, bench->units, unit, layers, &bench->err));
            must(bench, an_choice_cuts(cuts, &choice, sample, 0.95, &bench->err));
            an_choice_free(&choice);
        }
    free(unit);
    free(sample);
    free(cuts);
}

static void agree(struct bench *bench) {
    struct an_concordance concordance;
    must(bench, an_concordance(&concordance, bench->means, bench->shape.checkpoints, bench->units,
                               bench->shape.resamples, 1, &bench->err));
}

// Of the processor: what else runs on the machine does not count.
static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// ---- the rate of the core --------------------------------------------------------------------

// The best of some seconds of products whose operands stay in the first-level cache.
static double best_rate(struct bench *bench) {
    enum { ROWS = AN_PANEL_ROWS, COLS = AN_PANEL_COLS, DEPTH = 256, TIMES = 20000, ROUNDS = 20 };
    double *a = room(bench, ROWS * DEPTH), *b = room(bench, COLS * DEPTH), y[ROWS * COLS];
    double best = 0.0;
    for (int round = 0; round < ROUNDS; round++) {
        double began = seconds_now();
        for (int i = 0; i < TIMES; i++)
            an_product(y, COLS, a, b, ROWS, COLS, DEPTH);
        double rate = 2.0 * ROWS * COLS * DEPTH * TIMES / (seconds_now() - began);
        best = rate > best ? rate : best;
    }
    free(a);
    free(b);
    return best;
}

static double peak_mib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024.0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(struct bench *bench);
    } steps[] = {{"estimates and jackknife", estimate},
                 {"limits and tests", bound},
                 {"resamples", draw},
                 {"resampled means", resample},
                 {"intervals", intervals},
                 {"choices and cuts", choose},
                 {"concordance", agree}};
    struct bench bench = {.shape = {154, 80, 3, 256, 10000}};
    int64_t *shape = &bench.shape.checkpoints;
    for (int i = 0; i + 1 < argc && i < 5; i++)
        shape[i] = atoll(argv[i + 1]);
    double rate = best_rate(&bench), total = 0.0;
    prepare(&bench);
    double operations = 2.0 * (double)(bench.shape.checkpoints * bench.units) *
                        (double)(bench.shape.sequences * bench.shape.resamples);
    printf("step,seconds,gflop,gflop_per_s,share_of_rate\n");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        double began = seconds_now();
        steps[i].run(&bench);
        double seconds = seconds_now() - began;
        total += seconds;
        printf("%s,%.3f", steps[i].name, seconds);
        if (steps[i].run == resample)
            printf(",%.1f,%.2f,%.2f\n", operations * 1e-9, operations * 1e-9 / seconds,
                   operations / seconds / rate);
        else
            printf(",,,\n");
    }
    printf("all,%.3f,%.1f,%.2f,%.2f\n", total, operations * 1e-9, operations * 1e-9 / total,
           operations / total / rate);
    fprintf(stderr, "one core reaches %.1f GFLOP/s in f64; peak resident size %.0f MiB\n",
            rate * 1e-9, peak_mib());
    an_draws_free(&bench.draws);
    an_resamples_free(&bench.resamples);
    return 0;
}
