// SPDX-License-Identifier: Apache-2.0
// The text on its way through the model, a micro-batch at a time, each with streams of its own.
#include <stdlib.h>

#include "base/alloc.h"
#include "model/weight_source.h"
#include "quantizer.h"

bool tr_quantizer_runs(const struct tr_quantizer *q) {
    return q->settings->method != TR_QUANT_NEAREST || q->settings->report > 0;
}

static struct tr_forward_options options_of(const struct tr_quantizer *q) {
    return (struct tr_forward_options){.seq_len = q->job.calibration.seq_len,
                                       .max_sequences = q->micro_batch,
                                       .micro_batch = q->micro_batch,
                                       .losses_only = true};
}

enum tr_status tr_quantizer_make_streams(struct tr_quantizer *q, struct tr_err *err) {
    const struct tr_config *config = &tr_held_loaded(q->held)->config;
    struct tr_forward_options options = options_of(q);
    q->own_batches = (q->batches - q->rank + q->ranks - 1) / q->ranks;
    q->own_batches = q->own_batches > 0 ? q->own_batches : 0;
    TR_TRY(tr_forward_new(&q->forward, q->kn, config, &options, err));
    TR_TRY(TR_NEW(&q->streams, q->own_batches, "the residual streams", err));
    for (int64_t i = 0; i < q->own_batches; i++)
        TR_TRY(tr_streams_new(&q->streams[i], q->kn, config, &options, err));
    return TR_OK;
}

void tr_quantizer_free_streams(struct tr_quantizer *q) {
    for (int64_t i = 0; q->streams && i < q->own_batches; i++)
        tr_streams_free(q->streams[i]);
    free(q->streams);
    q->streams = NULL;
    tr_forward_free(q->forward);
    q->forward = NULL;
}

static void pass_over(void *user, const struct tr_tap *tap) {
    (void)user, (void)tap;
}

static void go_on(void *user, int64_t index) {
    (void)user, (void)index;
}

enum tr_status tr_quantizer_run_batch(struct tr_quantizer *q, int64_t index, int64_t first,
                                      int64_t last, tr_product_watch product, void *user,
                                      struct tr_err *err) {
    const struct tr_calibration *c = &q->job.calibration;
    const struct tr_rows rows = {.ids = c->ids, .sequences = q->sequences, .seq_len = c->seq_len};
    const struct tr_taps taps = {.user = user, .tap = pass_over, .slab = go_on, .product = product};
    const struct tr_candidate one = {.streams = q->streams[index], .taps = &taps};
    int64_t begin = (q->rank + index * q->ranks) * q->micro_batch, end = begin + q->micro_batch;
    struct tr_pass pass = {.rows = &rows,
                           .begin = begin,
                           .end = end < q->sequences ? end : q->sequences,
                           .first_step = first,
                           .last_step = last};
    struct tr_weight_source source = tr_held_source(q->held);
    return first < last ? tr_forward_run(q->forward, &source, &one, 1, &pass, err) : TR_OK;
}

enum tr_status tr_quantizer_run(struct tr_quantizer *q, int64_t first, int64_t last,
                                struct tr_err *err) {
    for (int64_t i = 0; i < q->own_batches; i++)
        TR_TRY(tr_quantizer_run_batch(q, i, first, last, NULL, NULL, err));
    return TR_OK;
}
