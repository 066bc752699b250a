// SPDX-License-Identifier: Apache-2.0
#include "forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

enum { MICRO_BATCH_TOKENS = 1024 };

int64_t tr_micro_batch(int64_t seq_len) {
    int64_t sequences = MICRO_BATCH_TOKENS / seq_len;
    return sequences ? sequences : 1;
}

struct tr_forward {
    struct kn_backend *kn;
    struct tr_config config; // whose sizes the memory was made for
    const struct tr_calibration *calibration;
    int64_t max_sequences;
    bool head;
    // Streams of the item, in the backend's memory; T = max_sequences * seq_len.
    float *x, *delta;               // [T, hidden]
    double *maximum, *sum, *target; // [T], the loss so far
    int32_t *ids, *targets;         // [T]
    // Scratch of one micro-batch of R tokens.
    void *normed;       // [R, hidden]
    void *wide;         // [R, qkv rows or the MLP's first product]
    void *inner;        // [R, heads * head_dim or ffn]
    float *mlp_delta;   // [R, hidden]
    double *statistics; // [3, R]: xx, xd, dd
    float *cos, *sin;   // [seq_len, rotary_pairs]
    // On the host.
    double *host; // [3, R]
    // The slab on the device, when that is not the host's memory.
    char *device_slab;
    size_t device_slab_bytes;
};

// A status of the kernels as a sentence, once.
static enum tr_status kernel_failed(const struct kn_backend *kn, enum kn_status status,
                                    const char *doing, struct tr_err *err) {
    return tr_fail(err, status == KN_ENOMEM ? TR_ENOMEM : TR_ENVIRONMENT, "%s on %s failed: %s%s%s",
                   doing, kn->ops->name, kn_status_text(status), *kn->error ? ": " : "", kn->error);
}

#define KN_TRY(call, doing)                                                                        \
    do {                                                                                           \
        enum kn_status kn_try_status_ = (call);                                                    \
        if (kn_try_status_ != KN_OK)                                                               \
            return kernel_failed(f->kn, kn_try_status_, (doing), err);                             \
    } while (0)

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t wide_cols(const struct tr_config *c) {
    return larger(tr_config_qkv_rows(c), tr_config_in_rows(c));
}

static int64_t inner_cols(const struct tr_config *c) {
    return larger(c->heads * c->head_dim, c->ffn);
}

double tr_forward_scratch_bytes(const struct tr_config *c, int64_t seq_len) {
    double rows = (double)(tr_micro_batch(seq_len) * seq_len);
    double cols = (double)(2 * c->hidden + wide_cols(c) + inner_cols(c));
    return rows * (cols * 4 + 6 * 8) + (double)(2 * seq_len * c->rotary_pairs) * 4;
}

double tr_forward_sequence_bytes(const struct tr_config *c, int64_t seq_len, bool head) {
    return (double)seq_len * ((double)c->hidden * 8 + 8 + (head ? 24 : 0));
}

// One piece of the forward's memory; a table of these is all there is to allocate and free.
struct buffer {
    void **memory_p;
    double bytes;
};
enum { BUFFERS = 14 };

static int buffers_of(struct tr_forward *f, struct buffer buffers[BUFFERS]) {
    const struct tr_config *c = &f->config;
    int64_t seq_len = f->calibration->seq_len;
    double tokens = (double)(f->max_sequences * seq_len);
    double rows = (double)(tr_micro_batch(seq_len) * seq_len);
    double act = (double)kn_type_size(f->kn->activation_type), hidden = (double)c->hidden;
    double losses = f->head ? tokens : 0;
    double rope = (double)(seq_len * c->rotary_pairs) * 4;
    const struct buffer list[BUFFERS] = {{(void **)&f->x, tokens * hidden * 4},
                                         {(void **)&f->delta, tokens * hidden * 4},
                                         {(void **)&f->maximum, losses * 8},
                                         {(void **)&f->sum, losses * 8},
                                         {(void **)&f->target, losses * 8},
                                         {(void **)&f->ids, tokens * 4},
                                         {(void **)&f->targets, tokens * 4},
                                         {&f->normed, rows * hidden * act},
                                         {&f->wide, rows * (double)wide_cols(c) * act},
                                         {&f->inner, rows * (double)inner_cols(c) * act},
                                         {(void **)&f->mlp_delta, rows * hidden * 4},
                                         {(void **)&f->statistics, rows * 3 * 8},
                                         {(void **)&f->cos, rope},
                                         {(void **)&f->sin, rope}};
    memcpy(buffers, list, sizeof list);
    return BUFFERS;
}

static enum tr_status upload_rope(struct tr_forward *f, struct tr_err *err) {
    size_t count = (size_t)(f->calibration->seq_len * f->config.rotary_pairs);
    float *tables;
    TR_TRY(TR_NEW(&tables, 2 * count, "rotary tables", err));
    tr_rope_tables(&f->config, f->calibration->seq_len, tables, tables + count);
    enum kn_status status = f->kn->ops->upload(f->kn, f->cos, tables, count * 4);
    if (status == KN_OK)
        status = f->kn->ops->upload(f->kn, f->sin, tables + count, count * 4);
    if (status == KN_OK)
        status = f->kn->ops->sync(f->kn);
    free(tables);
    return status == KN_OK ? TR_OK : kernel_failed(f->kn, status, "copying rotary tables", err);
}

static enum tr_status allocate(struct tr_forward *f, struct tr_err *err) {
    struct buffer buffers[BUFFERS];
    int count = buffers_of(f, buffers);
    for (int i = 0; i < count; i++)
        KN_TRY(f->kn->ops->alloc(f->kn, buffers[i].memory_p, (size_t)buffers[i].bytes + 64),
               "allocating the residual stream and scratch");
    int64_t rows = tr_micro_batch(f->calibration->seq_len) * f->calibration->seq_len;
    TR_TRY(TR_NEW(&f->host, 3 * rows, "statistics", err));
    return upload_rope(f, err);
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
    enum tr_status status = allocate(f, err);
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
    struct buffer buffers[BUFFERS];
    int count = buffers_of(f, buffers);
    for (int i = 0; i < count; i++)
        f->kn->ops->free(f->kn, *buffers[i].memory_p);
    f->kn->ops->free(f->kn, f->device_slab);
    free(f->host);
    free(f);
}

bool tr_config_same_shape(const struct tr_config *a, const struct tr_config *b) {
    return a->family == b->family && a->layers == b->layers && a->hidden == b->hidden &&
           a->heads == b->heads && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim &&
           a->ffn == b->ffn && a->vocabulary == b->vocabulary && a->rope_theta == b->rope_theta &&
           a->rotary_pairs == b->rotary_pairs;
}

// ---- one micro-batch ---------------------------------------------------------------------------

// Where one micro-batch stands in one slab.
struct batch {
    const struct tr_config *config;
    const struct tr_slab_plan *plan;
    char *weights;                     // the slab, in the backend's memory
    int64_t row, rows;                 // of the item's streams
    int64_t first_sequence, sequences; // of the calibration
    const struct tr_taps *taps;
};

static struct kn_matrix stream(const struct tr_forward *f, const struct batch *b, float *data) {
    int64_t hidden = f->config.hidden;
    return kn_matrix(data + b->row * hidden, KN_F32, b->rows, hidden);
}

static struct kn_matrix scratch(const struct tr_forward *f, const struct batch *b, void *data,
                                int64_t cols) {
    return kn_matrix(data, f->kn->activation_type, b->rows, cols);
}

static const struct kn_matrix none = {0};

static enum tr_status normalise(struct tr_forward *f, const struct batch *b,
                                struct kn_matrix addend, struct kn_matrix *normed_p,
                                struct tr_err *err) {
    struct kn_norm norm = {.y = scratch(f, b, f->normed, f->config.hidden),
                           .x = stream(f, b, f->x),
                           .addend = addend,
                           .kind = b->config->family->norm,
                           .weight = tr_slab_vector(b->plan, b->weights, TR_SLOT_NORM),
                           .bias = tr_slab_vector(b->plan, b->weights, TR_SLOT_NORM_BIAS),
                           .epsilon = b->config->epsilon};
    KN_TRY(f->kn->ops->norm(f->kn, &norm), "the norm");
    *normed_p = norm.y;
    return TR_OK;
}

static enum tr_status multiply(struct tr_forward *f, const struct batch *b, struct kn_matrix y,
                               struct kn_matrix x, enum tr_slot weight, enum tr_slot bias,
                               enum kn_activation activation, struct tr_err *err) {
    struct kn_product product = {.y = y,
                                 .x = x,
                                 .w = tr_slab_matrix(b->plan, b->weights, weight),
                                 .bias = tr_slab_vector(b->plan, b->weights, bias),
                                 .activation = activation};
    KN_TRY(f->kn->ops->product(f->kn, &product), "a product");
    return TR_OK;
}

static enum tr_status rotate(struct tr_forward *f, const struct batch *b, struct kn_matrix qkv,
                             struct tr_err *err) {
    const struct tr_config *c = b->config;
    if (!c->rotary_pairs)
        return TR_OK;
    struct kn_rope rope = {.x = qkv,
                           .heads = c->heads + c->kv_heads, // queries and keys lie side by side
                           .head_dim = c->head_dim,
                           .pairs = c->rotary_pairs,
                           .seq_len = f->calibration->seq_len,
                           .cos = f->cos,
                           .sin = f->sin,
                           .kind = KN_ROPE_HALF_SPLIT};
    KN_TRY(f->kn->ops->rope(f->kn, &rope), "rotary embedding");
    return TR_OK;
}

// Measures one residual add (x + x_addend) + (delta + delta_addend) and hands it to the tap.
static enum tr_status measure(struct tr_forward *f, const struct batch *b, enum tr_module module,
                              struct kn_matrix x_addend, struct kn_matrix delta,
                              struct kn_matrix delta_addend, struct tr_err *err) {
    struct kn_statistics op = {.xx = f->statistics,
                               .xd = f->statistics + b->rows,
                               .dd = f->statistics + 2 * b->rows,
                               .x = stream(f, b, f->x),
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

// x = embedding rows of the ids that lie in this panel.
static enum tr_status embed(struct tr_forward *f, const struct batch *b, struct tr_err *err) {
    struct kn_embed op = {.y = stream(f, b, f->x),
                          .table = tr_slab_matrix(b->plan, b->weights, TR_SLOT_IN),
                          .ids = f->ids + b->row,
                          .first_id = b->plan->first_id};
    KN_TRY(f->kn->ops->embed(f->kn, &op), "the embedding");
    return TR_OK;
}

// delta = W_o attention(rotate(W_qkv norm(x)))
static enum tr_status attention(struct tr_forward *f, const struct batch *b, struct tr_err *err) {
    const struct tr_config *c = b->config;
    struct kn_matrix normed;
    struct kn_matrix qkv = scratch(f, b, f->wide, tr_config_qkv_rows(c));
    struct kn_matrix mixed = scratch(f, b, f->inner, c->heads * c->head_dim);
    struct kn_matrix delta = stream(f, b, f->delta);
    TR_TRY(normalise(f, b, none, &normed, err));
    TR_TRY(multiply(f, b, qkv, normed, TR_SLOT_IN, TR_SLOT_IN_BIAS, KN_IDENTITY, err));
    TR_TRY(rotate(f, b, qkv, err));
    struct kn_attention op = {.y = mixed,
                              .qkv = qkv,
                              .heads = c->heads,
                              .kv_heads = c->kv_heads,
                              .head_dim = c->head_dim,
                              .seq_len = f->calibration->seq_len,
                              .scale = (float)(1 / sqrt((double)c->head_dim))};
    KN_TRY(f->kn->ops->attention(f->kn, &op), "attention");
    TR_TRY(multiply(f, b, delta, mixed, TR_SLOT_OUT, TR_SLOT_OUT_BIAS, KN_IDENTITY, err));
    return measure(f, b, TR_ATTN, none, delta, none, err);
}

// mlp_delta = W_down act(W_in norm(v)), v = x + delta or, in a parallel residual, x; then the
// block's end: x += delta + mlp_delta.
static enum tr_status mlp(struct tr_forward *f, const struct batch *b, struct tr_err *err) {
    const struct tr_config *c = b->config;
    struct kn_matrix normed, inner = scratch(f, b, f->inner, c->ffn);
    struct kn_matrix attention_delta = stream(f, b, f->delta);
    struct kn_matrix entering = c->parallel ? none : attention_delta;
    struct kn_matrix delta = kn_matrix(f->mlp_delta, KN_F32, b->rows, c->hidden);
    TR_TRY(normalise(f, b, entering, &normed, err));
    if (c->family->gated) {
        struct kn_matrix wide = scratch(f, b, f->wide, 2 * c->ffn);
        TR_TRY(multiply(f, b, wide, normed, TR_SLOT_IN, TR_SLOT_IN_BIAS, KN_IDENTITY, err));
        struct kn_gate gate = {.y = inner, .x = wide, .activation = c->activation};
        KN_TRY(f->kn->ops->gate(f->kn, &gate), "the gate");
    } else {
        TR_TRY(multiply(f, b, inner, normed, TR_SLOT_IN, TR_SLOT_IN_BIAS, c->activation, err));
    }
    TR_TRY(multiply(f, b, delta, inner, TR_SLOT_OUT, TR_SLOT_OUT_BIAS, KN_IDENTITY, err));
    TR_TRY(measure(f, b, TR_MLP, entering, delta, none, err));
    TR_TRY(measure(f, b, TR_BLOCK, none, attention_delta, delta, err));
    struct kn_add add = {.x = stream(f, b, f->x), .delta = attention_delta, .delta_addend = delta};
    KN_TRY(f->kn->ops->add(f->kn, &add), "the residual add");
    return TR_OK;
}

// One panel of the head over the normed stream.
static enum tr_status head(struct tr_forward *f, const struct batch *b, struct tr_err *err) {
    struct kn_matrix normed;
    TR_TRY(normalise(f, b, none, &normed, err));
    struct kn_loss op = {.maximum = f->maximum + b->row,
                         .sum = f->sum + b->row,
                         .target = f->target + b->row,
                         .x = normed,
                         .w = tr_slab_matrix(b->plan, b->weights, TR_SLOT_IN),
                         .targets = f->targets + b->row,
                         .first_id = b->plan->first_id};
    KN_TRY(f->kn->ops->loss(f->kn, &op), "the head");
    return TR_OK;
}

typedef enum tr_status (*step_func)(struct tr_forward *f, const struct batch *b,
                                    struct tr_err *err);
static const step_func steps[] = {[TR_SLAB_EMBED] = embed,
                                  [TR_SLAB_ATTN] = attention,
                                  [TR_SLAB_MLP] = mlp,
                                  [TR_SLAB_HEAD] = head};

// ---- the run -----------------------------------------------------------------------------------

// Calls one step for every micro-batch of sequences [begin, end).
static enum tr_status for_batches(struct tr_forward *f, struct batch *b, step_func step,
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
    return status == KN_OK ? TR_OK : kernel_failed(f->kn, status, "copying token ids", err);
}

// Gives the losses of one micro-batch to the tap: loss = maximum + log(sum) - target.
static enum tr_status finish_loss(struct tr_forward *f, const struct batch *b, struct tr_err *err) {
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

enum tr_status tr_forward_run(struct tr_forward *f, const struct tr_config *config,
                              struct tr_reader *reader, int64_t begin, int64_t end,
                              const struct tr_taps *taps, struct tr_err *err) {
    struct batch batch = {.config = config, .taps = taps};
    TR_TRY(start_item(f, begin, end, err));
    for (int64_t index = 0;; index++) {
        const struct tr_slab *slab;
        TR_TRY(tr_reader_next(reader, &slab, err));
        if (!slab)
            break;
        taps->slab(taps->user, index);
        batch.plan = slab->plan;
        TR_TRY(slab_to_backend(f, slab, &batch.weights, err));
        TR_TRY(for_batches(f, &batch, steps[slab->plan->kind], begin, end, err));
    }
    return f->head ? for_batches(f, &batch, finish_loss, begin, end, err) : TR_OK;
}
