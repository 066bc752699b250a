// SPDX-License-Identifier: Apache-2.0
// The run over slabs and micro-batches.
#include "model/forward.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "forward_state.h"

enum tr_status tr_forward_new(struct tr_forward **forward_p, struct kn_backend *kn,
                              const struct tr_config *config,
                              const struct tr_forward_options *options, struct tr_err *err) {
    struct tr_forward *f;
    TR_TRY(TR_NEW(&f, 1, "the forward pass", err));
    f->kn = kn;
    f->config = *config;
    f->options = *options;
    f->calibration = options->calibration;
    enum tr_status status = tr_forward_allocate(f, err);
    if (status != TR_OK) {
        tr_forward_free(f);
        return status;
    }
    *forward_p = f;
    return TR_OK;
}

void tr_forward_free(struct tr_forward *f) {
    if (!f)
        return;
    tr_forward_release(f);
    free(f);
}

// What a slab does: a step for every micro-batch; where all of them have to be there before the
// work goes on, what is done then and a second step for each.
static const struct {
    tr_step first;
    enum tr_status (*between)(struct tr_forward *f, struct tr_err *err);
    tr_step second;
} steps[] = {[TR_SLAB_EMBED] = {.first = tr_step_embed},
             [TR_SLAB_POSITIONS] = {.first = tr_step_positions},
             [TR_SLAB_EMBED_NORM] = {.first = tr_step_embed_norm},
             [TR_SLAB_ATTN] = {.first = tr_step_attention},
             [TR_SLAB_MLP] = {.first = tr_step_mlp},
             [TR_SLAB_ROUTER] = {tr_step_router, tr_route, tr_step_shared_expert},
             [TR_SLAB_EXPERTS] = {.first = tr_step_experts},
             [TR_SLAB_HEAD] = {.first = tr_step_head}};

static enum tr_status for_batches(struct tr_forward *f, struct tr_batch *b, tr_step step,
                                  struct tr_err *err) {
    int64_t seq_len = f->calibration->seq_len, micro = f->options.micro_batch;
    for (int64_t first = f->begin; first < f->end; first += micro) {
        b->first_sequence = first;
        b->sequences = f->end - first < micro ? f->end - first : micro;
        b->row = (first - f->begin) * seq_len;
        b->rows = b->sequences * seq_len;
        TR_TRY(step(f, b, err));
    }
    return TR_OK;
}

static enum tr_status run_slab(struct tr_forward *f, struct tr_batch *b, struct tr_err *err) {
    enum tr_slab_kind kind = b->plan->kind;
    TR_TRY(for_batches(f, b, steps[kind].first, err));
    if (steps[kind].between) {
        TR_TRY(steps[kind].between(f, err));
        TR_TRY(for_batches(f, b, steps[kind].second, err));
    }
    return b->plan->closes ? tr_end_layer(f, b->taps, b->plan->layer, err) : TR_OK;
}

static enum tr_status run_slabs(struct tr_forward *f, const struct tr_taps *taps,
                                struct tr_err *err) {
    struct tr_weights weights;
    struct tr_batch batch = {.taps = taps, .weights = &weights};
    TR_TRY(tr_start_item(f, err));
    for (int64_t index = 0;; index++) {
        bool more;
        TR_TRY(tr_flow_next(f, &weights, &more, err));
        if (!more)
            break;
        taps->slab(taps->user, index);
        batch.plan = weights.plan;
        TR_TRY(run_slab(f, &batch, err));
        TR_TRY(tr_flow_done(f, err));
    }
    TR_TRY(tr_deliver_layer(f, taps, err));
    return f->options.head ? tr_finish_losses(f, taps, err) : TR_OK;
}

enum tr_status tr_forward_run(struct tr_forward *f, struct tr_reader *reader, int64_t begin,
                              int64_t end, const struct tr_taps *taps, struct tr_err *err) {
    f->begin = begin;
    f->end = end;
    f->pending_layer = -1;
    tr_flow_start(f, reader);
    enum tr_status status = run_slabs(f, taps, err);
    tr_flow_stop(f);
    return status;
}
