// SPDX-License-Identifier: Apache-2.0
// A selective state space in attention's place, as Mamba-2 has it (Dao & Gu 2024, arXiv 2405.21060,
// figure 6): norm, one product, a short convolution, the scan over positions, a gate and its norm,
// output product.
#include "forward_state.h"

// What the first product gives, side by side: [gate | x, B, C | steps]. The convolution takes the
// middle part into memory of its own; the scan's output takes its place.
struct parts {
    struct kn_matrix all, scanned; // [rows, scan rows], [rows, taps cols]: x, B, C convolved
};

static struct kn_heads heads_of(struct kn_matrix x, int64_t first_col, int64_t count, int64_t dim) {
    return (struct kn_heads){
        .x = x, .first_col = first_col, .count = count, .pitch = dim, .dim = dim};
}

static struct kn_matrix columns(struct kn_matrix x, int64_t first, int64_t cols) {
    x.data = (char *)x.data + (size_t)first * kn_type_size(x.type);
    x.cols = cols;
    return x;
}

static enum tr_status convolve(struct tr_forward *f, const struct tr_batch *b,
                               const struct parts *parts, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_convolution op = {.y = parts->scanned,
                                .x = columns(parts->all, c->scan.width, tr_config_taps_cols(c)),
                                .weight = b->weights->vector[TR_SLOT_TAPS],
                                .bias = b->weights->vector[TR_SLOT_TAPS_BIAS],
                                .length = f->options.seq_len,
                                .taps = c->scan.taps,
                                .activation = c->activation};
    KN_TRY(f->kn->ops->convolution(f->kn, &op), "a convolution along the sequence");
    return TR_OK;
}

static enum tr_status scan(struct tr_forward *f, const struct tr_batch *b,
                           const struct parts *parts, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    int64_t heads = c->scan.heads, dim = c->scan.dim, width = c->scan.width;
    int64_t groups = c->scan.groups, states = c->scan.states;
    struct kn_scan op = {
        .y = heads_of(parts->all, width, heads, dim),
        .x = heads_of(parts->scanned, 0, heads, dim),
        .b = heads_of(parts->scanned, width, groups, states),
        .c = heads_of(parts->scanned, width + groups * states, groups, states),
        .dt = heads_of(parts->all, width + tr_config_taps_cols(c), heads, 1),
        .a_log = b->weights->vector[TR_SLOT_SCAN_RATE],
        .d = b->weights->vector[TR_SLOT_SCAN_SKIP],
        .dt_bias = b->weights->vector[TR_SLOT_SCAN_STEP_BIAS],
        .low = c->scan.step_low,
        .high = c->scan.step_high,
        .length = f->options.seq_len,
    };
    KN_TRY(f->kn->ops->scan(f->kn, &op), "the scan of a state space");
    return TR_OK;
}

// gated = norm(silu(gate) * scanned), each group's part by itself.
static enum tr_status gate(struct tr_forward *f, const struct tr_batch *b,
                           const struct parts *parts, struct kn_matrix gated, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    int64_t dim = c->scan.width / c->scan.groups;
    struct kn_gate op = {
        .y = gated, .x = columns(parts->all, 0, 2 * c->scan.width), .activation = KN_SILU};
    struct kn_head_norm norm = {.heads = heads_of(gated, 0, c->scan.groups, dim),
                                .kind = KN_RMS_NORM,
                                .weight = b->weights->vector[TR_SLOT_SCAN_NORM],
                                .weight_pitch = dim,
                                .epsilon = c->epsilon};
    KN_TRY(f->kn->ops->gate(f->kn, &op), "the gate of a scan");
    KN_TRY(f->kn->ops->head_norm(f->kn, &norm), "the norm of a scan");
    return TR_OK;
}

// delta = residual scale * W_out norm(silu(gate) * scan(convolved W_in norm(x)))
enum tr_status tr_step_scan(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    struct kn_matrix normed = tr_scratch(f, b, f->normed, c->hidden);
    struct kn_matrix gated = tr_scratch(f, b, f->inner, c->scan.width);
    struct kn_matrix delta = tr_stream(f, b, b->streams->delta);
    struct parts parts = {tr_scratch(f, b, f->wide, tr_config_scan_rows(c)),
                          tr_scratch(f, b, f->inner, tr_config_taps_cols(c))};
    TR_TRY(tr_normalise(f, b, normed, tr_no_matrix, tr_config_norms_attn(c, b->step->layer), err));
    TR_TRY(tr_multiply(f, b, parts.all, normed, TR_SLOT_IN, TR_SLOT_IN_BIAS, err));
    TR_TRY(convolve(f, b, &parts, err));
    TR_TRY(scan(f, b, &parts, err));
    TR_TRY(gate(f, b, &parts, gated, err));
    TR_TRY(tr_multiply(f, b, delta, gated, TR_SLOT_OUT, TR_SLOT_OUT_BIAS, err));
    return tr_finish_branch(f, b, delta, delta, err);
}
