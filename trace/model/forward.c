// SPDX-License-Identifier: Apache-2.0
// The run over slabs and micro-batches, the embedding and the head, and what the sublayers share.
#include "forward.h"

#include <math.h>
#include <stdlib.h>

#include "alloc.h"
#include "forward_state.h"

enum { MICRO_BATCH_TOKENS = 1024 };

int64_t tr_micro_batch(int64_t seq_len) {
    int64_t sequences = MICRO_BATCH_TOKENS / seq_len;
    return sequences ? sequences : 1;
}

enum tr_status tr_forward_new(struct tr_forward **forward_p, struct kn_backend *kn,
                              const struct tr_config *config,
                              const struct tr_calibration *calibration, int64_t max_sequences,
                              bool head, struct tr_err *err) {
    struct tr_forward *f;
    TR_TRY(TR_NEW(&f, 1, "the forward pass", err));
    f->kn = kn;
    f->config = *config;
    f->calibration = calibration;
    f->max_sequences = max_sequences;
    f->head = head;
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

// ---- what the sublayers share ------------------------------------------------------------------

struct kn_matrix tr_stream(const struct tr_forward *f, const struct tr_batch *b, float *data) {
    int64_t hidden = f->config.hidden;
    return kn_matrix(data + b->row * hidden, KN_F32, b->rows, hidden);
}

struct kn_matrix tr_scratch(const struct tr_forward *f, const struct tr_batch *b, void *data,
                            int64_t cols) {
    return kn_matrix(data, f->kn->activation_type, b->rows, cols);
}

struct kn_matrix tr_mlp_delta(const struct tr_forward *f, const struct tr_batch *b) {
    return f->config.experts ? tr_stream(f, b, f->mlp_delta)
                             : kn_matrix(f->mlp_delta, KN_F32, b->rows, f->config.hidden);
}

struct kn_matrix tr_mlp_entering(const struct tr_forward *f, const struct tr_batch *b) {
    return f->config.parallel ? tr_no_matrix : tr_stream(f, b, f->delta);
}

enum tr_status tr_normalise(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix y,
                            struct kn_matrix addend, bool pre_norm, struct tr_err *err) {
    struct kn_norm norm = {.y = y,
                           .x = tr_stream(f, b, f->x),
                           .addend = addend,
                           .kind = pre_norm ? f->config.family->norm : KN_NO_NORM,
                           .weight = tr_slab_vector(b->plan, b->weights, TR_SLOT_NORM),
                           .bias = tr_slab_vector(b->plan, b->weights, TR_SLOT_NORM_BIAS),
                           .epsilon = f->config.epsilon};
    KN_TRY(f->kn->ops->norm(f->kn, &norm), "the norm");
    return TR_OK;
}

enum tr_status tr_multiply(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix y,
                           struct kn_matrix x, enum tr_slot weight, enum tr_slot bias,
                           struct tr_err *err) {
    struct kn_product product = {.y = y,
                                 .x = x,
                                 .w = tr_slab_matrix(b->plan, b->weights, weight),
                                 .bias = tr_slab_vector(b->plan, b->weights, bias)};
    KN_TRY(f->kn->ops->product(f->kn, &product), "a product");
    return TR_OK;
}

bool tr_has_post_norm(const struct tr_forward *f, enum tr_weight norm) {
    return f->config.family->weights[norm] != NULL;
}

enum tr_status tr_finish_branch(struct tr_forward *f, const struct tr_batch *b,
                                struct kn_matrix delta, struct kn_matrix branch,
                                struct tr_err *err) {
    if (delta.data != branch.data) {
        struct kn_norm norm = {.y = delta,
                               .x = branch,
                               .kind = f->config.family->norm,
                               .weight = tr_slab_vector(b->plan, b->weights, TR_SLOT_POST_NORM),
                               .epsilon = f->config.epsilon};
        KN_TRY(f->kn->ops->norm(f->kn, &norm), "the norm after a sublayer");
    }
    if (f->config.residual_scale == 1)
        return TR_OK;
    struct kn_scale scale = {.x = delta, .factor = f->config.residual_scale, .limit = INFINITY};
    KN_TRY(f->kn->ops->scale(f->kn, &scale), "the residual multiplier");
    return TR_OK;
}

enum tr_status tr_measure(struct tr_forward *f, const struct tr_batch *b, enum tr_module module,
                          struct kn_matrix x_addend, struct kn_matrix delta,
                          struct kn_matrix delta_addend, struct tr_err *err) {
    struct kn_statistics op = {.xx = f->statistics,
                               .xd = f->statistics + b->rows,
                               .dd = f->statistics + 2 * b->rows,
                               .x = tr_stream(f, b, f->x),
                               .x_addend = x_addend,
                               .delta = delta,
                               .delta_addend = delta_addend};
    KN_TRY(f->kn->ops->statistics(f->kn, &op), "the statistics");
    KN_TRY(f->kn->ops->download(f->kn, f->host, f->statistics, (size_t)b->rows * 3 * 8),
           "copying statistics");
    KN_TRY(f->kn->ops->sync(f->kn), "the statistics");
    struct tr_tap tap = {.layer = b->plan->layer,
                         .module = module,
                         .first_sequence = b->first_sequence,
                         .sequences = b->sequences,
                         .seq_len = f->calibration->seq_len,
                         .xx = f->host,
                         .xd = f->host + b->rows,
                         .dd = f->host + 2 * b->rows};
    b->taps->tap(b->taps->user, &tap);
    return TR_OK;
}

// ---- embedding and head ------------------------------------------------------------------------

// x = embedding rows of the ids that lie in this panel.
static enum tr_status embed(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    struct kn_embed op = {.y = tr_stream(f, b, f->x),
                          .table = tr_slab_matrix(b->plan, b->weights, TR_SLOT_IN),
                          .ids = f->ids + b->row,
                          .first_id = b->plan->first_id,
                          .scale = f->config.embed_scale};
    KN_TRY(f->kn->ops->embed(f->kn, &op), "the embedding");
    return TR_OK;
}

// x += position rows.
static enum tr_status add_positions(struct tr_forward *f, const struct tr_batch *b,
                                    struct tr_err *err) {
    struct kn_embed op = {.y = tr_stream(f, b, f->x),
                          .table = tr_slab_matrix(b->plan, b->weights, TR_SLOT_IN),
                          .ids = f->positions,
                          .scale = 1,
                          .accumulate = true};
    KN_TRY(f->kn->ops->embed(f->kn, &op), "the position embedding");
    return TR_OK;
}

// x = norm(x), through scratch.
static enum tr_status norm_embedding(struct tr_forward *f, const struct tr_batch *b,
                                     struct tr_err *err) {
    struct kn_matrix x = tr_stream(f, b, f->x);
    struct kn_matrix normed = kn_matrix(f->branch, KN_F32, b->rows, f->config.hidden);
    TR_TRY(tr_normalise(f, b, normed, tr_no_matrix, true, err));
    struct kn_copy_heads copy = {.y = {.x = x, .count = 1, .pitch = x.cols, .dim = x.cols},
                                 .x = {.x = normed, .count = 1, .pitch = x.cols, .dim = x.cols}};
    KN_TRY(f->kn->ops->copy_heads(f->kn, &copy), "the norm of the embedding");
    return TR_OK;
}

// One panel of the head over the normed stream.
static enum tr_status head(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    struct kn_matrix normed = tr_scratch(f, b, f->normed, f->config.hidden);
    TR_TRY(tr_normalise(f, b, normed, tr_no_matrix, true, err));
    struct kn_loss op = {.maximum = f->maximum + b->row,
                         .sum = f->sum + b->row,
                         .target = f->target + b->row,
                         .x = normed,
                         .w = tr_slab_matrix(b->plan, b->weights, TR_SLOT_IN),
                         .bias = tr_slab_vector(b->plan, b->weights, TR_SLOT_IN_BIAS),
                         .targets = f->targets + b->row,
                         .first_id = b->plan->first_id,
                         .scale = f->config.logit_scale,
                         .softcap = f->config.logit_softcap};
    KN_TRY(f->kn->ops->loss(f->kn, &op), "the head");
    return TR_OK;
}

static const tr_step steps[] = {[TR_SLAB_EMBED] = embed,
                                [TR_SLAB_POSITIONS] = add_positions,
                                [TR_SLAB_EMBED_NORM] = norm_embedding,
                                [TR_SLAB_ATTN] = tr_step_attention,
                                [TR_SLAB_MLP] = tr_step_mlp,
                                [TR_SLAB_ROUTER] = tr_step_router,
                                [TR_SLAB_EXPERTS] = tr_step_experts,
                                [TR_SLAB_HEAD] = head};

// ---- the run -----------------------------------------------------------------------------------

// Calls one step for every micro-batch of sequences [begin, end).
static enum tr_status for_batches(struct tr_forward *f, struct tr_batch *b, tr_step step,
                                  int64_t begin, int64_t end, struct tr_err *err) {
    int64_t seq_len = f->calibration->seq_len, micro = tr_micro_batch(seq_len);
    for (int64_t first = begin; first < end; first += micro) {
        b->first_sequence = first;
        b->sequences = end - first < micro ? end - first : micro;
        b->row = (first - begin) * seq_len;
        b->rows = b->sequences * seq_len;
        TR_TRY(step(f, b, err));
    }
    return TR_OK;
}

// The slab's memory as the backend sees it: copied when that is not the host's.
static enum tr_status slab_to_backend(struct tr_forward *f, const struct tr_slab *slab,
                                      char **weights_p, struct tr_err *err) {
    if (f->kn->unified) {
        *weights_p = slab->memory;
        return TR_OK;
    }
    if (slab->plan->bytes > f->device_slab_bytes) {
        f->kn->ops->free(f->kn, f->device_slab);
        f->device_slab = NULL;
        f->device_slab_bytes = 0;
        KN_TRY(f->kn->ops->alloc(f->kn, (void **)&f->device_slab, slab->plan->bytes),
               "allocating a slab of weights");
        f->device_slab_bytes = slab->plan->bytes;
    }
    KN_TRY(f->kn->ops->upload(f->kn, f->device_slab, slab->memory, slab->plan->bytes),
           "copying weights");
    KN_TRY(f->kn->ops->sync(f->kn), "copying weights");
    *weights_p = f->device_slab;
    return TR_OK;
}

// Uploads the item's ids and next-token targets, and empties its streams. The streams start at zero
// so that an id no panel covers would show as a zero row; ids are checked before a run.
static enum tr_status start_item(struct tr_forward *f, int64_t begin, int64_t end,
                                 struct tr_err *err) {
    int64_t seq_len = f->calibration->seq_len, tokens = (end - begin) * seq_len;
    const int32_t *ids = f->calibration->ids + begin * seq_len;
    int32_t *targets;
    double *infinity;
    TR_TRY(TR_NEW(&targets, tokens, "targets", err));
    enum tr_status allocated = TR_NEW(&infinity, 2 * tokens, "losses", err);
    if (allocated != TR_OK) {
        free(targets);
        return allocated;
    }
    for (int64_t i = 0; i < tokens; i++) {
        targets[i] = (i + 1) % seq_len ? ids[i + 1] : -1;
        infinity[i] = -INFINITY;
    }
    const struct kn_ops *ops = f->kn->ops;
    const double *zeros = infinity + tokens;
    size_t loss_bytes = f->head ? (size_t)tokens * 8 : 0;
    enum kn_status status = ops->upload(f->kn, f->ids, ids, (size_t)tokens * 4);
    if (status == KN_OK)
        status = ops->upload(f->kn, f->targets, targets, (size_t)tokens * 4);
    if (status == KN_OK)
        status = ops->upload(f->kn, f->maximum, infinity, loss_bytes);
    if (status == KN_OK)
        status = ops->upload(f->kn, f->sum, zeros, loss_bytes);
    if (status == KN_OK)
        status = ops->upload(f->kn, f->target, zeros, loss_bytes);
    if (status == KN_OK)
        status = ops->sync(f->kn);
    free(infinity);
    free(targets);
    return status == KN_OK ? TR_OK : tr_kernel_failed(f->kn, status, "copying token ids", err);
}

// Gives the losses of one micro-batch to the tap: loss = maximum + log(sum) - target.
static enum tr_status finish_loss(struct tr_forward *f, const struct tr_batch *b,
                                  struct tr_err *err) {
    double *maximum = f->host, *sum = f->host + b->rows, *target = f->host + 2 * b->rows;
    size_t bytes = (size_t)b->rows * 8;
    KN_TRY(f->kn->ops->download(f->kn, maximum, f->maximum + b->row, bytes), "copying losses");
    KN_TRY(f->kn->ops->download(f->kn, sum, f->sum + b->row, bytes), "copying losses");
    KN_TRY(f->kn->ops->download(f->kn, target, f->target + b->row, bytes), "copying losses");
    KN_TRY(f->kn->ops->sync(f->kn), "copying losses");
    for (int64_t i = 0; i < b->rows; i++)
        maximum[i] = (i + 1) % f->calibration->seq_len ? maximum[i] + log(sum[i]) - target[i] : NAN;
    struct tr_loss_tap tap = {b->first_sequence, b->sequences, f->calibration->seq_len, maximum};
    b->taps->loss(b->taps->user, &tap);
    return TR_OK;
}

enum tr_status tr_forward_run(struct tr_forward *f, struct tr_reader *reader, int64_t begin,
                              int64_t end, const struct tr_taps *taps, struct tr_err *err) {
    struct tr_batch batch = {.taps = taps};
    TR_TRY(start_item(f, begin, end, err));
    for (int64_t index = 0;; index++) {
        const struct tr_slab *slab;
        TR_TRY(tr_reader_next(reader, &slab, err));
        if (!slab)
            break;
        taps->slab(taps->user, index);
        batch.plan = slab->plan;
        batch.host_weights = slab->memory;
        TR_TRY(slab_to_backend(f, slab, &batch.weights, err));
        TR_TRY(for_batches(f, &batch, steps[slab->plan->kind], begin, end, err));
    }
    return f->head ? for_batches(f, &batch, finish_loss, begin, end, err) : TR_OK;
}
