// SPDX-License-Identifier: Apache-2.0
// Both ends of the model: token ids and the embedding, the head and the losses.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "forward_state.h"

// The token whose loss is measured at position i of the item's rows, -1: none.
static int32_t target_at(const struct tr_forward *f, int64_t i) {
    int64_t seq_len = f->options.seq_len, at = f->begin * seq_len + i;
    if (f->rows.targets)
        return f->rows.targets[at];
    return (i + 1) % seq_len ? f->rows.ids[at + 1] : -1;
}

static enum tr_status upload_targets(struct tr_forward *f, int64_t tokens, struct tr_err *err) {
    int32_t *targets;
    TR_TRY(TR_NEW(&targets, tokens, "targets", err));
    for (int64_t i = 0; i < tokens; i++)
        targets[i] = target_at(f, i);
    enum kn_status status = f->kn->ops->upload(f->kn, f->targets, targets, (size_t)tokens * 4);
    if (status == KN_OK)
        status = f->kn->ops->sync(f->kn);
    free(targets);
    return status == KN_OK ? TR_OK : tr_kernel_failed(f->kn, status, "copying targets", err);
}

// The head's op over rows [row, row + x.rows) of the streams, without a panel.
static struct kn_loss loss_of(const struct tr_streams *s, int64_t row, struct kn_matrix x) {
    return (struct kn_loss){
        .maximum = s->maximum + row, .sum = s->sum + row, .target = s->target + row, .x = x};
}

static struct kn_head_candidate head_of(const struct tr_streams *s, int64_t row,
                                        struct kn_matrix x) {
    return (struct kn_head_candidate){.x = x,
                                      .maximum = s->maximum + row,
                                      .sum = s->sum + row,
                                      .target = s->target + row,
                                      .cross = s->cross + row,
                                      .best = s->best + row,
                                      .best_logit = s->best_logit + row};
}

// The divergence of all candidates from the first, whose heads read heads[c - 1].
static struct kn_divergence divergence_of(const struct tr_streams *base, int64_t row,
                                          struct kn_matrix x, int count,
                                          const struct kn_head_candidate *heads) {
    return (struct kn_divergence){.base = loss_of(base, row, x),
                                  .best = base->best + row,
                                  .best_logit = base->best_logit + row,
                                  .candidates = count - 1,
                                  .candidate = heads};
}

static enum tr_status begin_divergences(struct tr_forward *f, const struct tr_candidate *candidates,
                                        int count, int64_t tokens, struct tr_err *err) {
    struct kn_head_candidate *heads;
    struct kn_matrix rows = {.rows = tokens};
    TR_TRY(TR_NEW(&heads, count, "the candidates", err));
    for (int c = 1; c < count; c++)
        heads[c - 1] = head_of(candidates[c].streams, 0, rows);
    struct kn_divergence op = divergence_of(candidates[0].streams, 0, rows, count, heads);
    enum kn_status status = kn_divergence_begin(f->kn, &op);
    free(heads);
    return status == KN_OK ? TR_OK
                           : tr_kernel_failed(f->kn, status, "beginning the divergences", err);
}

bool tr_measures_divergences(const struct tr_forward *f, int count) {
    return f->options.divergences && count > 1;
}

enum tr_status tr_start_item(struct tr_forward *f, const struct tr_candidate *candidates, int count,
                             struct tr_err *err) {
    int64_t seq_len = f->options.seq_len, tokens = (f->end - f->begin) * seq_len;
    const int32_t *ids = f->rows.ids + f->begin * seq_len;
    KN_TRY(f->kn->ops->upload(f->kn, f->ids, ids, (size_t)tokens * 4), "copying token ids");
    TR_TRY(upload_targets(f, tokens, err));
    if (f->options.cached)
        TR_TRY(tr_cache_place(f, err));
    static const int32_t none = 0;
    if (f->steps_done)
        KN_TRY(f->kn->ops->upload(f->kn, f->steps_done, &none, sizeof none), "beginning steps");
    for (int c = 0; c < count; c++)
        candidates[c].streams->pending_layer = -1; // a pass that failed may have left one
    if (tr_measures_divergences(f, count))
        return begin_divergences(f, candidates, count, tokens, err);
    for (int c = 0; c < count && f->options.best; c++)
        TR_TRY(begin_divergences(f, &candidates[c], 1, tokens, err));
    for (int c = 0; c < count && f->options.head && !f->options.best; c++) {
        struct kn_loss losses =
            loss_of(candidates[c].streams, 0, (struct kn_matrix){.rows = tokens});
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
                          .ids = f->options.positions ? f->table_rows + b->row : f->positions,
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

static void set_panel(const struct tr_forward *f, const struct tr_batch *b, struct kn_loss *op) {
    op->w = b->weights->matrix[TR_SLOT_IN];
    op->bias = b->weights->vector[TR_SLOT_IN_BIAS];
    op->targets = f->targets + b->row;
    op->first_id = b->weights->plan->first_id;
    op->scale = f->config.logit_scale;
    op->softcap = f->config.logit_softcap;
}

// What the head reads of the stream: normed, unless a dense layer before it has done that.
static enum tr_status norm_for_head(struct tr_forward *f, const struct tr_batch *b,
                                    struct kn_matrix y, struct tr_err *err) {
    bool pre_norm = !f->config.family->weights[TR_W_HEAD_DENSE];
    return tr_normalise(f, b, y, tr_no_matrix, pre_norm, err);
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

// One panel of the head over the normed stream, which rows of one token, one micro-batch, leave for
// the next.
enum tr_status tr_step_head(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    struct kn_matrix normed = tr_scratch(f, b, f->normed, f->config.hidden);
    if (!f->options.positions || b->weights->plan->first_id == 0)
        TR_TRY(norm_for_head(f, b, normed, err));
    struct kn_divergence op = divergence_of(b->streams, b->row, normed, 1, NULL);
    set_panel(f, b, &op.base);
    if (f->options.best)
        KN_TRY(f->kn->ops->divergence(f->kn, &op), "the head");
    else
        KN_TRY(f->kn->ops->loss(f->kn, &op.base), "the head");
    return TR_OK;
}

// The normed stream of a micro-batch. All candidates' are needed at once, so each is kept where the
// deltas of attention were, which nobody reads any more.
static struct kn_matrix head_input(const struct tr_forward *f, const struct tr_batch *b) {
    size_t bytes = (size_t)(f->options.micro_batch * f->options.seq_len * f->config.hidden) *
                   kn_type_size(f->kn->activation_type);
    size_t pitch = (bytes + TR_HEAD_ALIGNMENT - 1) / TR_HEAD_ALIGNMENT * TR_HEAD_ALIGNMENT;
    int64_t batch = b->row / (f->options.micro_batch * f->options.seq_len);
    return tr_scratch(f, b, (char *)b->streams->delta + (size_t)batch * pitch, f->config.hidden);
}

static enum tr_status run_heads(struct tr_forward *f, const struct tr_batch *batches, int count,
                                struct kn_head_candidate *heads, struct tr_err *err) {
    bool is_first = batches[0].weights->plan->first_id == 0;
    for (int c = 0; c < count; c++) {
        struct kn_matrix x = head_input(f, &batches[c]);
        if (is_first)
            TR_TRY(norm_for_head(f, &batches[c], x, err));
        if (c > 0)
            heads[c - 1] = head_of(batches[c].streams, batches[c].row, x);
    }
    struct kn_divergence op =
        divergence_of(batches[0].streams, batches[0].row, head_input(f, &batches[0]), count, heads);
    set_panel(f, &batches[0], &op.base);
    KN_TRY(f->kn->ops->divergence(f->kn, &op), "the heads");
    return TR_OK;
}

enum tr_status tr_step_heads(struct tr_forward *f, const struct tr_batch *batches, int count,
                             struct tr_err *err) {
    struct kn_head_candidate *heads;
    TR_TRY(TR_NEW(&heads, count, "the candidates", err));
    enum tr_status status = run_heads(f, batches, count, heads, err);
    free(heads);
    return status;
}

// ---- comparisons -------------------------------------------------------------------------------

enum tr_status tr_step_no_comparison(struct tr_forward *f, const struct tr_batch *b,
                                     struct tr_err *err) {
    (void)f;
    (void)b;
    (void)err;
    return TR_OK;
}

// Sums of a micro-batch lie side by side, so each has room of its own: [KN_COMPARED, its rows].
static double *compared_at(const struct tr_batch *b) {
    return b->streams->compared + b->row * KN_COMPARED;
}

static enum tr_status run_comparison(struct tr_forward *f, const struct tr_batch *batches,
                                     int count, struct kn_compared *candidates,
                                     struct tr_err *err) {
    bool is_first = batches[0].weights->plan->first_id == 0;
    struct kn_comparison op = {
        .base = loss_of(batches[0].streams, batches[0].row, head_input(f, &batches[0])),
        .candidate = candidates};
    for (int c = 1; c < count; c++) {
        const struct tr_batch *b = &batches[c];
        if (b->compares)
            candidates[op.candidates++] =
                (struct kn_compared){head_input(f, b), b->streams->maximum + b->row,
                                     b->streams->sum + b->row, compared_at(b)};
    }
    if (!op.candidates)
        return TR_OK;
    if (is_first)
        KN_TRY(kn_comparison_begin(f->kn, &op), "beginning the comparisons");
    set_panel(f, &batches[0], &op.base);
    KN_TRY(f->kn->ops->comparison(f->kn, &op), "comparing the heads");
    return TR_OK;
}

enum tr_status tr_step_compare(struct tr_forward *f, const struct tr_batch *batches, int count,
                               struct tr_err *err) {
    struct kn_compared *candidates;
    TR_TRY(TR_NEW(&candidates, count, "the candidates", err));
    enum tr_status status = run_comparison(f, batches, count, candidates, err);
    free(candidates);
    return status;
}

static enum tr_status download_comparisons(struct tr_forward *f, const struct tr_streams *s,
                                           int64_t tokens, struct tr_err *err) {
    size_t bytes = (size_t)(tokens * KN_COMPARED) * sizeof *s->comparisons;
    KN_TRY(f->kn->ops->download(f->kn, s->comparisons, s->compared, bytes), "copying comparisons");
    KN_TRY(f->kn->ops->sync(f->kn), "copying comparisons");
    return TR_OK;
}

static double angle_of(double dot, double square, double base_square) {
    double cosine = dot / sqrt(square * base_square);
    return acos(cosine > 1 ? 1 : cosine < -1 ? -1 : cosine);
}

// What is told of a candidate that compares, by token.
enum { JENSEN, ANGLE, DISTANCE, REVERSED, TOLD };

// From [KN_COMPARED, rows] of each micro-batch to told[TOLD, T].
static void finish_comparisons(const struct tr_forward *f, const struct tr_streams *s, double *told,
                               int64_t tokens) {
    int64_t batch = f->options.micro_batch * f->options.seq_len;
    for (int64_t first = 0; first < tokens; first += batch) {
        int64_t rows = tokens - first < batch ? tokens - first : batch;
        const double *sums = s->comparisons + first * KN_COMPARED;
        double *to = told + first;
        for (int64_t i = 0; i < rows; i++) {
            to[JENSEN * tokens + i] = sums[KN_JENSEN * rows + i];
            to[REVERSED * tokens + i] = sums[KN_REVERSED * rows + i];
            to[DISTANCE * tokens + i] = sqrt(sums[KN_DISTANCE * rows + i]);
            to[ANGLE * tokens + i] = angle_of(sums[KN_DOT * rows + i], sums[KN_SQUARE * rows + i],
                                              sums[KN_BASE_SQUARE * rows + i]);
        }
    }
}

// ---- what comes out ----------------------------------------------------------------------------

static enum tr_status download_losses(struct tr_forward *f, const struct tr_streams *s,
                                      bool is_candidate, int64_t tokens, struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    double *to = s->losses;
    size_t bytes = (size_t)tokens * sizeof *to;
    KN_TRY(ops->download(f->kn, to, s->maximum, bytes), "copying losses");
    KN_TRY(ops->download(f->kn, to + tokens, s->sum, bytes), "copying losses");
    KN_TRY(ops->download(f->kn, to + 2 * tokens, s->target, bytes), "copying losses");
    if (is_candidate)
        KN_TRY(ops->download(f->kn, to + 3 * tokens, s->cross, bytes), "copying divergences");
    if (s->best)
        KN_TRY(ops->download(f->kn, s->bests, s->best, (size_t)tokens * sizeof *s->bests),
               "copying the likeliest tokens");
    KN_TRY(ops->sync(f->kn), "copying losses");
    return TR_OK;
}

// loss = log_sum - target, log_sum = maximum + log(sum), the logarithm of what softmax divides by;
// it takes the place of the maximum.
static void finish_losses(const struct tr_forward *f, const struct tr_streams *s, int64_t tokens) {
    double *log_sum = s->losses, *sum = log_sum + tokens, *target = sum + tokens;
    for (int64_t i = 0; i < tokens; i++) {
        bool has_target = target_at(f, i) >= 0;
        s->likeliest[i] = has_target && target[i] >= log_sum[i];
        log_sum[i] += log(sum[i]);
        target[i] = has_target ? log_sum[i] - target[i] : NAN;
    }
}

// KL(base || candidate) = cross / sum_base + log_sum - log_sum_base, see struct kn_divergence.
static void finish_divergences(const struct tr_streams *s, const struct tr_streams *base,
                               int64_t tokens) {
    double *cross = s->losses + 3 * tokens;
    const double *sum_base = base->losses + tokens;
    for (int64_t i = 0; i < tokens; i++) {
        cross[i] = cross[i] / sum_base[i] + (s->losses[i] - base->losses[i]);
        s->bests[i] = s->bests[i] >= 0 && s->bests[i] == base->bests[i];
    }
}

static enum tr_status deliver(const struct tr_batch *b, const struct tr_divergence_tap *tap) {
    b->taps->divergence(b->taps->user, tap);
    return TR_OK;
}

static enum tr_status deliver_comparisons(struct tr_forward *f, const struct tr_batch *b,
                                          struct tr_divergence_tap *tap, int64_t tokens,
                                          struct tr_err *err) {
    const struct tr_streams *s = b->streams;
    double *told;
    TR_TRY(TR_NEW(&told, TOLD * tokens, "comparisons", err));
    enum tr_status status = download_comparisons(f, s, tokens, err);
    if (status == TR_OK) {
        finish_comparisons(f, s, told, tokens);
        tap->jensen = told + JENSEN * tokens;
        tap->angle = told + ANGLE * tokens;
        tap->distance = told + DISTANCE * tokens;
        tap->reversed = told + REVERSED * tokens;
        status = deliver(b, tap);
    }
    free(told);
    return status;
}

enum tr_status tr_step_losses(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err) {
    const struct tr_streams *s = b->streams;
    int64_t seq_len = f->options.seq_len, sequences = f->end - f->begin;
    int64_t tokens = sequences * seq_len;
    const double *loss = s->losses + 2 * tokens;
    bool is_candidate = f->options.divergences && s != b->base;
    if (f->goes_on)
        return tr_cache_advance(f, s, err);
    TR_TRY(download_losses(f, s, is_candidate, tokens, err));
    finish_losses(f, s, tokens);
    if (!is_candidate) {
        struct tr_loss_tap tap = {f->begin, sequences, seq_len, loss, s->likeliest, s->bests};
        b->taps->loss(b->taps->user, &tap);
        return TR_OK;
    }
    finish_divergences(s, b->base, tokens);
    struct tr_divergence_tap tap = {.first_sequence = f->begin,
                                    .sequences = sequences,
                                    .seq_len = seq_len,
                                    .loss = loss,
                                    .divergence = loss + tokens,
                                    .agrees = s->bests};
    return b->compares ? deliver_comparisons(f, b, &tap, tokens, err) : deliver(b, &tap);
}
