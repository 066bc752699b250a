// SPDX-License-Identifier: Apache-2.0
// The end of a block: the statistics of its residual adds, and the adds themselves.
#include "forward_state.h"

enum tr_status tr_step_blocks(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    return tr_keep_boundary(f, b, 0, err);
}

// x += delta + mlp_delta, whichever of the two there are.
enum tr_status tr_step_block_end(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err) {
    int64_t tokens = TR_MODULES * f->options.max_sequences * f->options.seq_len;
    double *statistics = b->streams->statistics; // NULL: nobody measures the adds
    double *xx = statistics ? statistics + TR_MODULES * b->row : NULL;
    struct kn_block_end op = {.xx = xx,
                              .xd = xx ? xx + tokens : NULL,
                              .dd = xx ? xx + 2 * tokens : NULL,
                              .x = tr_stream(f, b, b->streams->x),
                              .attention =
                                  b->has_attn ? tr_stream(f, b, b->streams->delta) : tr_no_matrix,
                              .mlp = b->has_mlp ? tr_mlp_delta(f, b) : tr_no_matrix,
                              .parallel = f->config.parallel};
    KN_TRY(f->kn->ops->block_end(f->kn, &op), "the end of a block");
    return tr_keep_boundary(f, b, b->step->layer + 1, err);
}
