// SPDX-License-Identifier: Apache-2.0
// decode_losses FOLDER cpu|cuda TYPE SEQUENCES LENGTH TARGETS: reads ids and then TARGETS times
// targets, int32 [SEQUENCES, LENGTH] each, from stdin, and for each of the targets writes f64
// [LENGTH, SEQUENCES] to stdout: the loss of each target behind the ids so far, each token a step
// of decoding by itself, with keys and values in a cache.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/forward.h"
#include "opened_weights.h"

static struct tr_err err;

static void on_loss(void *user, const struct tr_loss_tap *tap) {
    memcpy((double *)user + tap->first_sequence, tap->loss,
           (size_t)tap->sequences * sizeof *tap->loss);
}

static void on_tap(void *user, const struct tr_tap *tap) {
    (void)user;
    (void)tap;
}

static void on_slab(void *user, int64_t index) {
    (void)user;
    (void)index;
}

struct decoding {
    struct opened_weights opened;
    struct tr_forward *forward;
    struct tr_streams *streams;
    struct tr_cache *cache;
    int64_t sequences, length;
    int32_t *ids, *targets; // [sequences, length]
};

static void open_decoding(struct decoding *d, int64_t sequences, int64_t length) {
    const struct tr_config *config = &d->opened.weights.loaded.config;
    struct tr_forward_options options = {.seq_len = 1,
                                         .max_sequences = sequences,
                                         .micro_batch = sequences,
                                         .head = true,
                                         .losses_only = true,
                                         .best = true,
                                         .cached = true,
                                         .positions = length};
    size_t count = (size_t)(sequences * length);
    d->sequences = sequences;
    d->length = length;
    d->ids = malloc(2 * count * sizeof *d->ids);
    require(d->ids && fread(d->ids, sizeof *d->ids, count, stdin) == count, "stdin", &err);
    d->targets = d->ids + count;
    require(tr_cache_new(&d->cache, d->opened.kn, config, NULL, sequences, length, &err) == TR_OK &&
                tr_streams_new(&d->streams, d->opened.kn, config, &options, &err) == TR_OK &&
                tr_forward_new(&d->forward, d->opened.kn, config, &options, &err) == TR_OK,
            "memory", &err);
}

// Where every sequence is at position t.
struct place {
    int32_t *ids, *targets, *sequences, *positions; // [sequences]
    int64_t *ones;
};

static void run_step(struct decoding *d, const struct place *p, double *losses) {
    struct tr_taps taps = {.user = losses, .tap = on_tap, .loss = on_loss, .slab = on_slab};
    struct tr_candidate candidate = {.streams = d->streams, .taps = &taps};
    struct tr_cached_rows cached = {d->cache, p->sequences, p->positions, p->ones};
    struct tr_rows rows = {p->ids, d->sequences, 1, p->targets};
    struct tr_pass pass = {.rows = &rows, .end = d->sequences, .cached = &cached};
    struct tr_weight_source source;
    require(tr_pass_weights_begin(&d->opened.weights, &source, &err) == TR_OK &&
                tr_forward_run(d->forward, &source, &candidate, 1, &pass, &err) == TR_OK,
            "a step", &err);
    tr_pass_weights_end(&d->opened.weights);
}

static void run_steps(struct decoding *d) {
    size_t count = (size_t)d->sequences, targets = count * (size_t)d->length;
    require(fread(d->targets, sizeof *d->targets, targets, stdin) == targets, "stdin", &err);
    int32_t *row = malloc(4 * count * sizeof *row);
    int64_t *ones = malloc(count * sizeof *ones);
    double *losses = malloc(count * sizeof *losses);
    require(row && ones && losses, "memory", &err);
    struct place p = {row, row + count, row + 2 * count, row + 3 * count, ones};
    for (int64_t t = 0; t < d->length; t++) {
        for (int64_t i = 0; i < d->sequences; i++) {
            p.ids[i] = d->ids[i * d->length + t];
            p.targets[i] = d->targets[i * d->length + t];
            p.sequences[i] = (int32_t)i;
            p.positions[i] = (int32_t)t;
            ones[i] = 1;
        }
        run_step(d, &p, losses);
        require(fwrite(losses, sizeof *losses, count, stdout) == count, "stdout", &err);
    }
    free(row);
    free(ones);
    free(losses);
}

static void close_decoding(struct decoding *d) {
    tr_forward_free(d->forward);
    tr_streams_free(d->streams);
    tr_cache_free(d->cache);
    opened_weights_close(&d->opened);
    free(d->ids);
}

int main(int argc, char **argv) {
    struct decoding d = {0};
    require(argc == 7, "decode_losses FOLDER cpu|cuda TYPE SEQUENCES LENGTH TARGETS", &err);
    opened_weights_open(&d.opened, argv + 1, &err);
    open_decoding(&d, strtoll(argv[4], NULL, 10), strtoll(argv[5], NULL, 10));
    for (int64_t i = strtoll(argv[6], NULL, 10); i > 0; i--)
        run_steps(&d);
    close_decoding(&d);
    return fflush(stdout) != 0;
}
