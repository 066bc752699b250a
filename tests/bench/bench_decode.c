// SPDX-License-Identifier: Apache-2.0
// How fast a checkpoint takes in prompts and generates, as lines of CSV:
//
//     bench_decode FOLDER cpu|cuda f32|f16|bf16 PROMPT GENERATED ROUNDS BATCH...
//
// On a device each batch also with every step called op by op (graph 0), in fewer rounds.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/speed.h"

static struct tr_err err;

static void require(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "%s: %s\n", what, err.text);
    exit(1);
}

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
    require(seconds != NULL, "memory");
    require(tr_speed_measure(weights, shape, &model, 1, rounds, &err) == TR_OK, "measuring");
    printf("%lld,%lld,%lld,%d", (long long)shape->batch, (long long)shape->prompt,
           (long long)shape->generated, !shape->no_graph);
    print_rates(model.prefill, rounds, (double)(shape->batch * shape->prompt));
    print_rates(model.decode, rounds, (double)(shape->batch * shape->generated));
    printf(",%.0f\n", weights->loaded.bytes_read);
    fflush(stdout);
    free(seconds);
}

static enum kn_type type_of(const char *name) {
    int type = KN_F32;
    while (type < KN_BF16 && strcmp(name, kn_type_name((enum kn_type)type)) != 0)
        type++;
    return (enum kn_type)type;
}

int main(int argc, char **argv) {
    static const struct tr_wanted wanted = {.head = true};
    char *why = err.text;
    struct kn_backend *kn;
    struct tr_pass_weights weights;
    require(argc > 7, "bench_decode FOLDER cpu|cuda TYPE PROMPT GENERATED ROUNDS BATCH...");
    const char *threads = getenv("OMP_NUM_THREADS"); // else as many as there are processors
    struct kn_options options = {.threads = threads ? (int)strtol(threads, NULL, 10) : 0,
                                 .type = type_of(argv[3]),
                                 .error = why};
    enum kn_kind kind = strcmp(argv[2], "cuda") == 0 ? KN_CUDA : KN_CPU;
    require(kn_open(&kn, kind, &options) == KN_OK, "opening the device");
    double memory = kn->unified ? 1e12 : 0.9 * (double)kn->memory_free;
    require(tr_pass_weights_open(&weights, kn, argv[1], &wanted, memory, &err) == TR_OK, argv[1]);
    struct tr_speed_shape shape = {.prompt = strtoll(argv[4], NULL, 10),
                                   .generated = strtoll(argv[5], NULL, 10)};
    int64_t rounds = strtoll(argv[6], NULL, 10);
    printf("batch,prompt,generated,graph,prefill,prefill_low,prefill_high,decode,decode_low,decode_"
           "high,"
           "weight_bytes\n");
    for (int i = 7; i < argc; i++) {
        shape.batch = strtoll(argv[i], NULL, 10);
        shape.no_graph = false;
        measure(&weights, &shape, rounds);
        shape.no_graph = true;
        if (!kn->unified)
            measure(&weights, &shape, 1);
    }
    tr_pass_weights_close(&weights);
    kn->ops->close(kn);
    return 0;
}
