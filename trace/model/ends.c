// SPDX-License-Identifier: Apache-2.0
// Both ends of the model: token ids and the embedding, the head and the losses.
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "forward_state.h"

// The id that follows each token, -1 at the end of a row.
static enum tr_status upload_targets(struct tr_forward *f, const int32_t *ids, int64_t tokens,
                                     struct tr_err *err) {
    int64_t seq_len = f->options.seq_len;
    int32_t *targets;
    TR_TRY(TR_NEW(&targets, tokens, "targets", err));
    for (int64_t i = 0; i < tokens; i++)
        targets[i] = (i + 1) % seq_len ? ids[i + 1] : -1;
    enum kn_status status = f->kn->ops->upload(f->kn, f->targets, targets, (size_t)tokens * 4);
    if (status == KN_OK)
        status = f->kn->ops->sync(f->kn);
    free(targets);
    return status == KN_OK ? TR_OK : tr_kernel_failed(f->kn, status, "copying targets", err);
}

enum tr_status tr_start_item(struct tr_forward *f, const struct tr_candidate *candidates, int count,
                             struct tr_err *err) {
    int64_t seq_len = f->options.seq_len, tokens = (f->end - f->begin) * seq_len;
    const int32_t *ids = f->rows.ids + f->begin * seq_len;
    KN_TRY(f->kn->ops->upload(f->kn, f->ids, ids, (size_t)tokens * 4), "copying token ids");
    TR_TRY(upload_targets(f, ids, tokens, err));
    for (int c = 0; c < count && f->options.head; c++) {
        const struct tr_streams *s = candidates[c].streams;
        struct kn_loss losses = {
            .maximum = s->maximum, .sum = s->sum, .target = s->target, .x = {.rows = tokens}};
        KN_TRY(kn_loss_begin(f->kn, &losses), "beginning the losses");
    }
    return TR_OK;
}

// x = embedding rows of the ids that lie in this panel.
enum tr_status tr_step_embed(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    struct kn_embed op = {.y = tr_stream(f, b, b->streams->x),
                          .table = b->weights->matrix[TR_SLOT_IN],
                          .ids = f->ids + b->row,
                          .first_id = b->weights->plan->first_id,
                          .scale = f->config.embed_scale};
    KN_TRY(f->kn->ops->embed(f->kn, &op), "the embedding");
    return TR_OK;
}

// x += position rows.
enum tr_status tr_step_positions(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err) {
    struct kn_embed op = {.y = tr_stream(f, b, b->streams->x),
                          .table = b->weights->matrix[TR_SLOT_IN],
                          .ids = f->positions,
                          .scale = 1,
                          .accumulate = true};
    KN_TRY(f->kn->ops->embed(f->kn, &op), "the position embedding");
    return TR_OK;
}

// x = norm(x), through scratch.
enum tr_status tr_step_embed_norm(struct tr_forward *f, const struct tr_batch *b,
                                  struct tr_err *err) {
    struct kn_matrix x = tr_stream(f, b, b->streams->x);
    struct kn_matrix normed = kn_matrix(f->branch, KN_F32, b->rows, f->config.hidden);
    TR_TRY(tr_normalise(f, b, normed, tr_no_matrix, true, err));
    struct kn_copy_heads copy = {.y = {.x = x, .count = 1, .pitch = x.cols, .dim = x.cols},
                                 .x = {.x = normed, .count = 1, .pitch = x.cols, .dim = x.cols}};
    KN_TRY(f->kn->ops->copy_heads(f->kn, &copy), "the norm of the embedding");
    return TR_OK;
}

// x = norm(act(W norm(x) + bias)), through scratch. Nothing else reads the stream behind the
// blocks.
enum tr_status tr_step_head_dense(struct tr_forward *f, const struct tr_batch *b,
                                  struct tr_err *err) {
    struct kn_matrix normed = tr_scratch(f, b, f->normed, f->config.hidden);
    struct kn_matrix dense = kn_matrix(f->branch, KN_F32, b->rows, f->config.hidden);
    TR_TRY(tr_normalise(f, b, normed, tr_no_matrix, true, err));
    struct kn_grouped_product op = {.product = {.y = dense,
                                                .x = normed,
                                                .w = b->weights->matrix[TR_SLOT_IN],
                                                .bias = b->weights->vector[TR_SLOT_IN_BIAS],
                                                .activation = f->config.head_activation}};
    TR_TRY(tr_product(f, b, &op, TR_SLOT_IN, err));
    struct kn_norm norm = {.y = tr_stream(f, b, b->streams->x),
                           .x = dense,
                           .kind = f->config.family->norm,
                           .weight = b->weights->vector[TR_SLOT_POST_NORM],
                           .epsilon = f->config.epsilon};
    KN_TRY(f->kn->ops->norm(f->kn, &norm), "the norm before the head");
    return TR_OK;
}

// One panel of the head over the normed stream.
enum tr_status tr_step_head(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    struct kn_matrix normed = tr_scratch(f, b, f->normed, f->config.hidden);
    bool pre_norm = !f->config.family->weights[TR_W_HEAD_DENSE]; // which has the norm before it
    TR_TRY(tr_normalise(f, b, normed, tr_no_matrix, pre_norm, err));
    struct kn_loss op = {.maximum = b->streams->maximum + b->row,
                         .sum = b->streams->sum + b->row,
                         .target = b->streams->target + b->row,
                         .x = normed,
                         .w = b->weights->matrix[TR_SLOT_IN],
                         .bias = b->weights->vector[TR_SLOT_IN_BIAS],
                         .targets = f->targets + b->row,
                         .first_id = b->weights->plan->first_id,
                         .scale = f->config.logit_scale,
                         .softcap = f->config.logit_softcap};
    KN_TRY(f->kn->ops->loss(f->kn, &op), "the head");
    return TR_OK;
}

// loss = maximum + log(sum) - target.
enum tr_status tr_step_losses(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    const struct tr_streams *s = b->streams;
    int64_t seq_len = f->options.seq_len, tokens = (f->end - f->begin) * seq_len;
    double *maximum = s->losses, *sum = maximum + tokens, *target = sum + tokens;
    KN_TRY(ops->download(f->kn, maximum, s->maximum, (size_t)tokens * 8), "copying losses");
    KN_TRY(ops->download(f->kn, sum, s->sum, (size_t)tokens * 8), "copying losses");
    KN_TRY(ops->download(f->kn, target, s->target, (size_t)tokens * 8), "copying losses");
    KN_TRY(ops->sync(f->kn), "copying losses");
    for (int64_t i = 0; i < tokens; i++)
        maximum[i] = (i + 1) % seq_len ? maximum[i] + log(sum[i]) - target[i] : NAN;
    struct tr_loss_tap tap = {f->begin, f->end - f->begin, seq_len, maximum};
    b->taps->loss(b->taps->user, &tap);
    return TR_OK;
}
