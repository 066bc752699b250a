// SPDX-License-Identifier: Apache-2.0
// How fast a checkpoint takes in prompts and generates, as lines of CSV:
//
//     bench_decode FOLDER cpu|cuda f32|f16|bf16 PROMPT GENERATED ROUNDS BATCH...
//
// On a device each batch also with every step called op by op (graph 0), in fewer rounds.
#include <stdio.h>
#include <stdlib.h>

#include "eval/speed.h"
#include "opened_weights.h"

static struct tr_err err;

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Median, lowest and highest rate of so many tokens.
static void print_rates(double *seconds, int64_t rounds, double tokens) {
    qsort(seconds, (size_t)rounds, sizeof *seconds, by_value);
    printf(",%.1f,%.1f,%.1f", tokens / seconds[rounds / 2], tokens / seconds[rounds - 1],
           tokens / seconds[0]);
}

static void measure(struct tr_pass_weights *weights, const struct tr_speed_shape *shape,
                    int64_t rounds) {
    double *seconds = calloc((size_t)(2 * rounds), sizeof *seconds);
    struct tr_speed_model model = {.prefill = seconds, .decode = seconds + rounds};
    require(seconds != NULL, "memory", &err);
    require(tr_speed_measure(weights, shape, &model, 1, rounds, &err) == TR_OK, "measuring", &err);
    printf("%lld,%lld,%lld,%d", (long long)shape->batch, (long long)shape->prompt,
           (long long)shape->generated, !shape->no_graph);
    print_rates(model.prefill, rounds, (double)(shape->batch * shape->prompt));
    print_rates(model.decode, rounds, (double)(shape->batch * shape->generated));
    printf(",%.0f\n", weights->loaded.bytes_read);
    fflush(stdout);
    free(seconds);
}

int main(int argc, char **argv) {
    struct opened_weights opened;
    require(argc > 7, "bench_decode FOLDER cpu|cuda TYPE PROMPT GENERATED ROUNDS BATCH...", &err);
    opened_weights_open(&opened, argv + 1, &err);
    struct tr_speed_shape shape = {.prompt = strtoll(argv[4], NULL, 10),
                                   .generated = strtoll(argv[5], NULL, 10)};
    int64_t rounds = strtoll(argv[6], NULL, 10);
    printf("batch,prompt,generated,graph,prefill,prefill_low,prefill_high,decode,decode_low,decode_"
           "high,"
           "weight_bytes\n");
    for (int i = 7; i < argc; i++) {
        shape.batch = strtoll(argv[i], NULL, 10);
        shape.no_graph = false;
        measure(&opened.weights, &shape, rounds);
        shape.no_graph = true;
        if (!opened.kn->unified)
            measure(&opened.weights, &shape, 1);
    }
    opened_weights_close(&opened);
    return 0;
}
