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
    l->pass->removal(l->pass->user, &removal);
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
                                 .angle = tap->angle,
                                 .distance = tap->distance,
                                 .reversed = tap->reversed};
    l->pass->removal(l->pass->user, &removal);
}

static struct tr_candidate *add(const struct tr_cost_pass *pass, struct running *r,
                                struct tr_streams *streams) {
    int at = r->count++;
    r->listeners[at] = (struct listener){.pass = pass};
    r->taps[at] = (struct tr_taps){.user = &r->listeners[at],
                                   .tap = on_tap,
                                   .loss = on_loss,
                                   .divergence = on_divergence,
                                   .slab = on_slab};
    r->candidates[at] = (struct tr_candidate){.streams = streams, .taps = &r->taps[at]};
    return &r->candidates[at];
}

// Checkpoints of one shape may still differ in which sublayers their configs leave out.
static bool is_there(const struct tr_cost_pass *pass, const struct tr_cost_candidate *candidate) {
    return candidate->module == TR_MODULES ||
           tr_cost_is_there(pass->config, pass->absent, candidate->module, candidate->layer);
}

// The whole model, and the set that candidates go on from where there is one: it forks itself where
// the whole model is not at its head yet.
static const struct tr_candidate *add_first(const struct tr_cost_pass *pass, struct running *r) {
    struct tr_candidate *base = add(pass, r, pass->base);
    base->at_head = pass->base_at_head;
    base->bookmarks = pass->base_marks.at;
    if (!pass->set_streams)
        return base;
    struct tr_candidate *set = add(pass, r, pass->set_streams);
    set->drop = pass->set;
    set->parent = pass->base_at_head ? NULL : base;
    set->blocks_only = true;
    set->bookmarks = pass->set_marks.at;
    set->resume = pass->set_marks.resume;
    return set;
}

static void add_all(const struct tr_cost_pass *pass, struct running *r) {
    const struct tr_cost_block *block = &pass->block;
    const struct tr_candidate *parent = add_first(pass, r);
    for (int64_t i = block->first_candidate; i < block->last_candidate; i++) {
        const struct tr_cost_candidate *candidate = &pass->candidates[i];
        if (!is_there(pass, candidate))
            continue;
        struct tr_candidate *made = add(pass, r, pass->streams[i - block->first_candidate]);
        r->listeners[r->count - 1].candidate = candidate;
        made->drop = &candidate->drop;
        made->parent = parent;
        if (pass->marks) {
            made->bookmarks = pass->marks[i].at;
            made->resume = pass->marks[i].resume;
        }
        made->compares = pass->compares && candidate->module == TR_MODULES;
    }
}

static enum tr_status run(const struct tr_cost_pass *pass, const struct running *r,
                          const struct tr_weight_source *source, struct tr_err *err) {
    int64_t sequences = pass->rows->sequences, end = pass->block.last_batch * pass->micro_batch;
    struct tr_pass over = {.rows = pass->rows,
                           .begin = pass->block.first_batch * pass->micro_batch,
                           .end = end < sequences ? end : sequences};
    return tr_forward_run(pass->forward, source, r->candidates, r->count, &over, err);
}

enum tr_status tr_cost_pass_run(const struct tr_cost_pass *pass,
                                const struct tr_weight_source *source, struct tr_err *err) {
    static const char what[] = "the candidates";
    struct running r = {0};
    int64_t most = 2 + pass->block.last_candidate - pass->block.first_candidate;
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
