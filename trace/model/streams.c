// SPDX-License-Identifier: Apache-2.0
#include "streams.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "buffers.h"
#include "kernels/measure.h"

enum { MAX_BUFFERS = 40 };

static int buffers_of(struct tr_streams *s, struct tr_buffer buffers[MAX_BUFFERS]) {
    const struct tr_config *c = &s->config;
    const struct tr_forward_options *o = &s->options;
    double sequences = (double)o->max_sequences, length = (double)o->seq_len;
    double tokens = sequences * length;
    double batches = ceil(sequences / (double)o->micro_batch);
    double act = (double)kn_type_size(s->kn->activation_type), hidden = (double)c->hidden;
    double losses = o->head ? tokens : 0, crosses = o->divergences ? losses : 0;
    double bests = o->best ? losses : crosses;
    double compared = o->comparisons ? losses * KN_COMPARED : 0;
    double experts = (double)c->experts;
    double routed = c->experts ? tokens : 0, used = routed * (double)c->experts_used;
    double shared = c->shared_ffn ? tokens : 0;
    double modules = o->losses_only ? 0 : TR_MODULES * sequences;
    // Each micro-batch's part of the head's input begins at a multiple of HEAD_ALIGNMENT.
    double padding = o->divergences ? batches * TR_HEAD_ALIGNMENT : 0;
    double bins = (double)tr_position_bins(o->seq_len);
    double sums = modules * (KN_SUMS + bins) * 8,
           counts = modules * (KN_COUNTS + TR_BINS + bins) * 4;
    double importance = o->per_token ? modules * length * 4 : 0;
    const struct tr_buffer list[] = {
        {(void **)&s->x, tokens * hidden * 4, TR_ON_BACKEND},
        {(void **)&s->delta, tokens * hidden * 4 + padding, TR_ON_BACKEND},
        {(void **)&s->statistics, modules * length * 3 * 8, TR_ON_BACKEND},
        {(void **)&s->maximum, losses * 8, TR_ON_BACKEND},
        {(void **)&s->sum, losses * 8, TR_ON_BACKEND},
        {(void **)&s->target, losses * 8, TR_ON_BACKEND},
        {(void **)&s->cross, crosses * 8, TR_ON_BACKEND},
        {(void **)&s->best_logit, bests * 8, TR_ON_BACKEND},
        {(void **)&s->best, bests * 4, TR_ON_BACKEND},
        {(void **)&s->compared, compared * 8, TR_ON_BACKEND},
        {(void **)&s->layer.sums, sums, TR_ON_BACKEND},
        {(void **)&s->layer.counts, counts, TR_ON_BACKEND},
        {(void **)&s->layer.importance, importance, TR_ON_BACKEND},
        {&s->routed_input, routed * hidden * act, TR_ON_BACKEND},
        {(void **)&s->expert_rows, used * 4, TR_ON_BACKEND},
        {(void **)&s->expert_positions, used * 4, TR_ON_BACKEND},
        {(void **)&s->expert_weights, used * 4, TR_ON_BACKEND},
        {(void **)&s->expert_first, c->experts ? batches * (experts + 1) * 8 : 0, TR_ON_BACKEND},
        {(void **)&s->shared_weights, shared * 4, TR_ON_BACKEND},
        {(void **)&s->mlp_delta, routed * hidden * 4, TR_ON_BACKEND},
        {(void **)&s->arriving[0].sums, sums, TR_FOR_COPIES},
        {(void **)&s->arriving[1].sums, sums, TR_FOR_COPIES},
        {(void **)&s->arriving[0].counts, counts, TR_FOR_COPIES},
        {(void **)&s->arriving[1].counts, counts, TR_FOR_COPIES},
        {(void **)&s->arriving[0].importance, importance, TR_FOR_COPIES},
        {(void **)&s->arriving[1].importance, importance, TR_FOR_COPIES},
        {(void **)&s->losses, (3 * losses + crosses) * 8, TR_ON_HOST},
        {(void **)&s->comparisons, compared * 8, TR_ON_HOST},
        {(void **)&s->bests, bests * 4, TR_ON_HOST},
        {(void **)&s->likeliest, losses * 4, TR_ON_HOST},
    };
    _Static_assert(sizeof list / sizeof list[0] <= MAX_BUFFERS, "room for all buffers");
    memcpy(buffers, list, sizeof list);
    return (int)(sizeof list / sizeof list[0]);
}

struct tr_forward_bytes tr_streams_bytes(const struct kn_backend *kn,
                                         const struct tr_config *config,
                                         const struct tr_forward_options *options) {
    struct kn_backend backend = *kn;
    struct tr_streams streams = {.kn = &backend, .config = *config, .options = *options};
    struct tr_buffer buffers[MAX_BUFFERS];
    return tr_buffers_bytes(buffers, buffers_of(&streams, buffers));
}

enum tr_status tr_streams_new(struct tr_streams **streams_p, struct kn_backend *kn,
                              const struct tr_config *config,
                              const struct tr_forward_options *options, struct tr_err *err) {
    struct tr_streams *s;
    struct tr_buffer buffers[MAX_BUFFERS];
    TR_TRY(TR_NEW(&s, 1, "the streams", err));
    s->kn = kn;
    s->config = *config;
    s->options = *options;
    s->pending_layer = -1;
    enum tr_status status = tr_buffers_allocate(kn, buffers, buffers_of(s, buffers), err);
    if (status != TR_OK) {
        tr_streams_free(s);
        return status;
    }
    *streams_p = s;
    return TR_OK;
}

void tr_streams_free(struct tr_streams *s) {
    struct tr_buffer buffers[MAX_BUFFERS];
    if (!s)
        return;
    int count = buffers_of(s, buffers);
    tr_buffers_free(s->kn, buffers, count);
    free(s);
}
