// SPDX-License-Identifier: Apache-2.0
#include "cost_pass.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "measure/measures.h"

// A candidate of the pass, and what its taps are called with. The first is the whole model.
struct listener {
    const struct tr_cost_pass *pass;
    const struct tr_cost_candidate *candidate; // NULL: the whole model
};

struct running {
    struct tr_candidate *candidates; // [1 + of the block]
    struct tr_taps *taps;
    struct listener *listeners;
    int count;
};

struct tr_forward_options tr_cost_stream_options(const struct tr_job *job, int64_t batches) {
    return (struct tr_forward_options){.seq_len = job->calibration.seq_len,
                                       .max_sequences = batches * job->micro_batch,
                                       .micro_batch = job->micro_batch,
                                       .head = true,
                                       .divergences = true,
                                       .comparisons = job->wanted.comparisons,
                                       .losses_only = true};
}

// The block's adds are no part of costs.
static void on_tap(void *user, const struct tr_tap *tap) {
    (void)user;
    (void)tap;
}

static void on_slab(void *user, int64_t index) {
    const struct tr_cost_pass *pass = ((struct listener *)user)->pass;
    pass->slab(pass->user, index);
}

static void on_loss(void *user, const struct tr_loss_tap *tap) {
    const struct listener *l = user;
    struct tr_removal removal = {.what = TR_REMOVED_NOTHING,
                                 .first = tap->first_sequence,
                                 .sequences = tap->sequences,
                                 .seq_len = tap->seq_len,
                                 .loss = tap->loss};
    tr_measured_removal(l->pass->measured, &removal);
}

static void on_divergence(void *user, const struct tr_divergence_tap *tap) {
    const struct listener *l = user;
    bool is_set = l->candidate->module == TR_MODULES;
    struct tr_removal removal = {.what = is_set ? TR_REMOVED_SET : TR_REMOVED_SUBLAYER,
                                 .module = l->candidate->module,
                                 .layer = l->candidate->layer,
                                 .set = l->candidate->layer,
                                 .first = tap->first_sequence,
                                 .sequences = tap->sequences,
                                 .seq_len = tap->seq_len,
                                 .loss = tap->loss,
                                 .divergence = tap->divergence,
                                 .agrees = tap->agrees,
                                 .jensen = tap->jensen,
                                 .angle = tap->angle};
    tr_measured_removal(l->pass->measured, &removal);
}

static void add(const struct tr_cost_pass *pass, struct running *r,
                const struct tr_cost_candidate *candidate, struct tr_streams *streams) {
    int at = r->count++;
    r->listeners[at] = (struct listener){.pass = pass, .candidate = candidate};
    r->taps[at] = (struct tr_taps){.user = &r->listeners[at],
                                   .tap = on_tap,
                                   .loss = on_loss,
                                   .divergence = on_divergence,
                                   .slab = on_slab};
    r->candidates[at] =
        (struct tr_candidate){.streams = streams,
                              .drop = candidate ? &candidate->drop : NULL,
                              .taps = &r->taps[at],
                              .parent = candidate ? r->candidates : NULL,
                              .compares = candidate && candidate->module == TR_MODULES};
}

// Checkpoints of one shape may still differ in which sublayers their configs leave out.
static bool is_there(const struct tr_cost_pass *pass, const struct tr_cost_candidate *candidate) {
    return candidate->module == TR_MODULES ||
           tr_cost_is_there(pass->config, &pass->job->drop, candidate->module, candidate->layer);
}

static void add_all(const struct tr_cost_pass *pass, struct running *r) {
    const struct tr_cost_block *block = &pass->block;
    add(pass, r, NULL, pass->base);
    for (int64_t i = block->first_candidate; i < block->last_candidate; i++) {
        const struct tr_cost_candidate *candidate = &pass->job->cost.candidates[i];
        if (is_there(pass, candidate))
            add(pass, r, candidate, pass->streams[i - block->first_candidate]);
    }
}

static enum tr_status run(const struct tr_cost_pass *pass, const struct running *r,
                          const struct tr_weight_source *source, struct tr_err *err) {
    const struct tr_job *job = pass->job;
    int64_t sequences = job->info.layout.cost_sequences, micro = job->micro_batch;
    int64_t end = pass->block.last_batch * micro;
    struct tr_rows rows = {
        .ids = job->cost_ids, .sequences = sequences, .seq_len = job->calibration.seq_len};
    struct tr_pass over = {.rows = &rows,
                           .begin = pass->block.first_batch * micro,
                           .end = end < sequences ? end : sequences};
    return tr_forward_run(pass->forward, source, r->candidates, r->count, &over, err);
}

enum tr_status tr_cost_pass_run(const struct tr_cost_pass *pass,
                                const struct tr_weight_source *source, struct tr_err *err) {
    static const char what[] = "the candidates";
    struct running r = {0};
    int64_t most = 1 + pass->block.last_candidate - pass->block.first_candidate;
    enum tr_status status;
    TR_GO(status, TR_NEW(&r.candidates, most, what, err), out);
    TR_GO(status, TR_NEW(&r.taps, most, what, err), out);
    TR_GO(status, TR_NEW(&r.listeners, most, what, err), out);
    add_all(pass, &r);
    status = run(pass, &r, source, err);
out:
    free(r.candidates);
    free(r.taps);
    free(r.listeners);
    return status;
}
