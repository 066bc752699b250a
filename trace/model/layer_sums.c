// SPDX-License-Identifier: Apache-2.0
// The end of a layer: the statistics of all its tokens become sums per sequence on the backend,
// which come to the host while the next layer is worked on.
#include <string.h>

#include "forward_state.h"

_Static_assert((int)KN_ADD_ATTENTION == (int)TR_ATTN && (int)KN_ADD_MLP == (int)TR_MLP &&
                   (int)KN_ADD_BLOCK == (int)TR_BLOCK && (int)KN_RESIDUAL_ADDS == (int)TR_MODULES,
               "the kernels' residual adds are the modules");

// How many elements of the sums and of the counts belong to one sequence and module.
static int64_t sums_width(const struct tr_forward *f) {
    return KN_SUMS + tr_position_bins(f->options.seq_len);
}
static int64_t counts_width(const struct tr_forward *f) {
    return KN_COUNTS + TR_BINS + tr_position_bins(f->options.seq_len);
}

static enum tr_status download(struct tr_forward *f, const struct tr_streams *s,
                               const struct tr_layer_sums *to, int64_t rows, struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    size_t sums = (size_t)(rows * sums_width(f)) * sizeof *to->sums;
    size_t counts = (size_t)(rows * counts_width(f)) * sizeof *to->counts;
    size_t tokens = (size_t)(rows * f->options.seq_len) * sizeof *to->importance;
    KN_TRY(ops->download(f->kn, to->sums, s->layer.sums, sums), "copying sums");
    KN_TRY(ops->download(f->kn, to->counts, s->layer.counts, counts), "copying counts");
    if (to->importance)
        KN_TRY(ops->download(f->kn, to->importance, s->layer.importance, tokens),
               "copying importance");
    return TR_OK;
}

enum tr_status tr_step_layer_end(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err) {
    struct tr_streams *s = b->streams;
    int64_t tokens = TR_MODULES * f->options.max_sequences * f->options.seq_len;
    int64_t rows = TR_MODULES * (f->end - f->begin);
    struct kn_summary op = {.sums = s->layer.sums,
                            .counts = s->layer.counts,
                            .importance = s->layer.importance,
                            .xx = s->statistics,
                            .xd = s->statistics + tokens,
                            .dd = s->statistics + 2 * tokens,
                            .sequences = rows,
                            .seq_len = f->options.seq_len,
                            .bin_starts = f->bin_starts,
                            .position_bin = f->position_bin,
                            .bins = TR_BINS,
                            .position_bins = tr_position_bins(f->options.seq_len)};
    int half = (int)(s->layers_summed % 2);
    if (s->options.losses_only)
        return TR_OK;
    KN_TRY(f->kn->ops->summary(f->kn, &op), "summing statistics");
    TR_TRY(download(f, s, &s->arriving[half], rows, err));
    KN_TRY(f->kn->ops->record(f->kn, KN_LANE_OPS, TR_EVENT_SUMMED + half), "summing statistics");
    TR_TRY(tr_deliver_layer(f, s, b->taps, err));
    s->pending_layer = b->step->layer;
    s->pending_has[TR_ATTN] = b->has_attn;
    s->pending_has[TR_MLP] = b->has_mlp;
    s->pending_has[TR_BLOCK] = b->has_attn || b->has_mlp;
    s->layers_summed++;
    return TR_OK;
}

enum tr_status tr_deliver_layer(struct tr_forward *f, struct tr_streams *s,
                                const struct tr_taps *taps, struct tr_err *err) {
    int half = (int)((s->layers_summed + 1) % 2); // the last one summed
    const struct tr_layer_sums *from = &s->arriving[half];
    int64_t seq_len = f->options.seq_len, micro = f->options.micro_batch;
    if (s->pending_layer < 0)
        return TR_OK;
    KN_TRY(f->kn->ops->await(f->kn, KN_LANE_HOST, TR_EVENT_SUMMED + half), "summing statistics");
    for (int64_t first = f->begin; first < f->end; first += micro) {
        int64_t row = TR_MODULES * (first - f->begin);
        struct tr_tap tap = {.layer = s->pending_layer,
                             .first_sequence = first,
                             .sequences = f->end - first < micro ? f->end - first : micro,
                             .seq_len = seq_len,
                             .sums = from->sums + row * sums_width(f),
                             .counts = from->counts + row * counts_width(f),
                             .importance =
                                 from->importance ? from->importance + row * seq_len : NULL};
        memcpy(tap.has, s->pending_has, sizeof tap.has);
        taps->tap(taps->user, &tap);
    }
    s->pending_layer = -1;
    return TR_OK;
}
