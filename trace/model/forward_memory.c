// SPDX-License-Identifier: Apache-2.0
// What the forward pass holds: a table of buffers, their sizes, and what they start with.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "forward_state.h"

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

// Columns of the first product of a sublayer. Latent attention keeps q, k, the keys and values from
// the latent, and the latent itself side by side.
static int64_t wide_cols(const struct tr_config *c) {
    int64_t attention = tr_config_qkv_rows(c);
    if (c->kv_rank)
        attention = 2 * c->heads * c->qk_dim + c->heads * (c->nope_dim + c->v_dim) +
                    larger(c->query_rank, c->kv_rank + c->rope_dim);
    int64_t ffn = larger(c->ffn, larger(c->expert_ffn, c->shared_ffn));
    return larger(attention, tr_config_in_rows(c, ffn));
}

static int64_t inner_cols(const struct tr_config *c) {
    int64_t ffn = larger(c->ffn, larger(c->expert_ffn, c->shared_ffn));
    return larger(tr_config_mixed_cols(c), ffn);
}

// Rows of a product that keep a device busy, and bytes that its widest rows may take in f32.
enum { HOST_TOKENS = 1024, DEVICE_TOKENS = 16384 };
static const double DEVICE_SCRATCH = 1.5e9;

int64_t tr_micro_batch(const struct tr_config *config, int64_t seq_len, bool device) {
    double tokens = HOST_TOKENS;
    if (device)
        tokens = fmin(DEVICE_TOKENS, DEVICE_SCRATCH / (4 * (double)wide_cols(config)));
    int64_t sequences = (int64_t)tokens / seq_len;
    return sequences ? sequences : 1;
}

// One piece of the forward's memory. Pieces of no size are not taken.
enum place { ON_BACKEND, ON_HOST, FOR_COPIES }; // the last: on the host, for overlapping copies
struct buffer {
    void **memory_p;
    double bytes;
    enum place place;
};
enum { MAX_BUFFERS = 51 };

static int buffers_of(struct tr_forward *f, struct buffer buffers[MAX_BUFFERS]) {
    const struct tr_config *c = &f->config;
    const struct tr_forward_options *o = &f->options;
    int64_t seq_len = f->calibration->seq_len;
    double sequences = (double)o->max_sequences, length = (double)seq_len;
    double tokens = sequences * length;
    double rows = fmin((double)o->micro_batch, sequences) * length; // of one micro-batch
    double batches = ceil(sequences / (double)o->micro_batch);
    double act = (double)kn_type_size(f->kn->activation_type), hidden = (double)c->hidden;
    double losses = o->head ? tokens : 0, experts = (double)c->experts;
    double routed = c->experts ? tokens : 0, used = routed * (double)c->experts_used;
    double shared = c->shared_ffn ? tokens : 0, modules = TR_MODULES * sequences;
    double bins = (double)tr_position_bins(seq_len), slab = f->kn->unified ? 0 : 1;
    double sums = modules * (KN_SUMS + bins) * 8,
           counts = modules * (KN_COUNTS + TR_BINS + bins) * 4;
    double importance = o->per_token ? modules * length * 4 : 0;
    bool alibi = c->family->position == TR_ALIBI || c->family->position == TR_ALIBI_SCALED_BF16;
    const struct buffer list[] = {
        {(void **)&f->x, tokens * hidden * 4, ON_BACKEND},
        {(void **)&f->delta, tokens * hidden * 4, ON_BACKEND},
        {(void **)&f->statistics, TR_MODULES * tokens * 3 * 8, ON_BACKEND},
        {(void **)&f->maximum, losses * 8, ON_BACKEND},
        {(void **)&f->sum, losses * 8, ON_BACKEND},
        {(void **)&f->target, losses * 8, ON_BACKEND},
        {(void **)&f->ids, tokens * 4, ON_BACKEND},
        {(void **)&f->targets, tokens * 4, ON_BACKEND},
        {(void **)&f->layer.sums, sums, ON_BACKEND},
        {(void **)&f->layer.counts, counts, ON_BACKEND},
        {(void **)&f->layer.importance, importance, ON_BACKEND},
        {(void **)&f->bin_starts, TR_BINS * 8, ON_BACKEND},
        {(void **)&f->position_bin, length * 4, ON_BACKEND},
        {&f->routed_input, routed * hidden * act, ON_BACKEND},
        {(void **)&f->logits, routed * experts * 4, ON_BACKEND},
        {(void **)&f->expert_rows, used * 4, ON_BACKEND},
        {(void **)&f->expert_positions, used * 4, ON_BACKEND},
        {(void **)&f->expert_weights, used * 4, ON_BACKEND},
        {(void **)&f->switches, shared * 4, ON_BACKEND},
        {(void **)&f->shared_weights, shared * 4, ON_BACKEND},
        {(void **)&f->shared_rows, c->shared_ffn ? rows * 4 : 0, ON_BACKEND},
        {&f->normed, rows * hidden * act, ON_BACKEND},
        {&f->wide, rows * (double)wide_cols(c) * act, ON_BACKEND},
        {&f->inner, rows * (double)inner_cols(c) * act, ON_BACKEND},
        {(void **)&f->branch, rows * hidden * 4, ON_BACKEND},
        {(void **)&f->mlp_delta, (c->experts ? tokens : rows) * hidden * 4, ON_BACKEND},
        {(void **)&f->kept_rows, rows * 4, ON_BACKEND},
        {(void **)&f->cos[0], length * 4 * (double)c->rope[0].pairs, ON_BACKEND},
        {(void **)&f->sin[0], length * 4 * (double)c->rope[0].pairs, ON_BACKEND},
        {(void **)&f->cos[1], length * 4 * (double)c->rope[1].pairs, ON_BACKEND},
        {(void **)&f->sin[1], length * 4 * (double)c->rope[1].pairs, ON_BACKEND},
        {(void **)&f->positions, rows * 4, ON_BACKEND},
        {(void **)&f->flow.slab[0].memory, slab * (double)o->slab_bytes, ON_BACKEND},
        {(void **)&f->flow.slab[1].memory, slab * (double)o->slab_bytes, ON_BACKEND},
        {(void **)&f->flow.converted.memory, slab * (double)o->converted_bytes, ON_BACKEND},
        {(void **)&f->arriving[0].sums, sums, FOR_COPIES},
        {(void **)&f->arriving[1].sums, sums, FOR_COPIES},
        {(void **)&f->arriving[0].counts, counts, FOR_COPIES},
        {(void **)&f->arriving[1].counts, counts, FOR_COPIES},
        {(void **)&f->arriving[0].importance, importance, FOR_COPIES},
        {(void **)&f->arriving[1].importance, importance, FOR_COPIES},
        {(void **)&f->routes.logits, routed * experts * 4, FOR_COPIES},
        {(void **)&f->routes.switches, routed * 4, FOR_COPIES},
        {(void **)&f->routes.weights, used * 4, FOR_COPIES},
        {(void **)&f->routes.positions, used * 4, FOR_COPIES},
        {(void **)&f->routes.rows, used * 4, FOR_COPIES},
        {(void **)&f->routes.chosen, used * 4, ON_HOST},
        {(void **)&f->routes.first, c->experts ? batches * (experts + 1) * 8 : 0, ON_HOST},
        {(void **)&f->losses, losses * 3 * 8, ON_HOST},
        {(void **)&f->host_rows, rows * 4, ON_HOST},
        {(void **)&f->slopes, alibi ? (double)c->heads * 4 : 0, ON_HOST},
    };
    _Static_assert(sizeof list / sizeof list[0] <= MAX_BUFFERS, "room for all buffers");
    memcpy(buffers, list, sizeof list);
    return (int)(sizeof list / sizeof list[0]);
}

struct tr_forward_bytes tr_forward_bytes(const struct kn_backend *kn,
                                         const struct tr_config *config,
                                         const struct tr_forward_options *options) {
    struct tr_forward f = {.config = *config, .options = *options};
    struct kn_backend backend = *kn;
    struct buffer buffers[MAX_BUFFERS];
    f.kn = &backend;
    f.calibration = options->calibration;
    int count = buffers_of(&f, buffers);
    struct tr_forward_bytes bytes = {0};
    for (int i = 0; i < count; i++)
        *(buffers[i].place == ON_BACKEND ? &bytes.backend : &bytes.host) += buffers[i].bytes;
    return bytes;
}

enum tr_status tr_kernel_failed(const struct kn_backend *kn, enum kn_status status,
                                const char *doing, struct tr_err *err) {
    return tr_fail(err, status == KN_ENOMEM ? TR_ENOMEM : TR_ENVIRONMENT, "%s on %s failed: %s%s%s",
                   doing, kn->ops->name, kn_status_text(status), *kn->error ? ": " : "", kn->error);
}

static enum tr_status upload(struct tr_forward *f, void *to, const void *from, size_t bytes,
                             const char *what, struct tr_err *err) {
    KN_TRY(f->kn->ops->upload(f->kn, to, from, bytes), what);
    KN_TRY(f->kn->ops->sync(f->kn), what);
    return TR_OK;
}

static enum tr_status upload_rope(struct tr_forward *f, int which, struct tr_err *err) {
    size_t count = (size_t)(f->calibration->seq_len * f->config.rope[which].pairs);
    float *tables;
    TR_TRY(TR_NEW(&tables, 2 * count, "rotary tables", err));
    tr_rope_tables(&f->config.rope[which], f->calibration->seq_len, tables, tables + count);
    enum tr_status status =
        upload(f, f->cos[which], tables, count * 4, "copying rotary tables", err);
    if (status == TR_OK)
        status = upload(f, f->sin[which], tables + count, count * 4, "copying rotary tables", err);
    free(tables);
    return status;
}

static enum tr_status upload_positions(struct tr_forward *f, struct tr_err *err) {
    int64_t seq_len = f->calibration->seq_len, sequences = f->options.micro_batch;
    if (sequences > f->options.max_sequences)
        sequences = f->options.max_sequences;
    int64_t rows = sequences * seq_len;
    int32_t *positions;
    TR_TRY(TR_NEW(&positions, rows, "positions", err));
    for (int64_t i = 0; i < rows; i++)
        positions[i] = (int32_t)(i % seq_len) + f->config.family->position_offset;
    enum tr_status status =
        upload(f, f->positions, positions, (size_t)rows * 4, "copying positions", err);
    for (int64_t i = 0; i < rows; i++)
        positions[i] = (int32_t)i;
    if (status == TR_OK && f->shared_rows)
        status = upload(f, f->shared_rows, positions, (size_t)rows * 4, "copying rows", err);
    free(positions);
    return status;
}

// Where the bins of the histograms and of the profiles over positions begin.
static enum tr_status upload_bins(struct tr_forward *f, struct tr_err *err) {
    int64_t seq_len = f->calibration->seq_len;
    double starts[TR_BINS];
    int32_t *bins;
    for (int bin = 0; bin < TR_BINS; bin++)
        starts[bin] = tr_bin_start(bin);
    TR_TRY(upload(f, f->bin_starts, starts, sizeof starts, "copying bins", err));
    TR_TRY(TR_NEW(&bins, seq_len, "bins of positions", err));
    for (int64_t i = 0; i < seq_len; i++)
        bins[i] = (int32_t)tr_position_bin(i);
    enum tr_status status =
        upload(f, f->position_bin, bins, (size_t)seq_len * 4, "copying bins", err);
    free(bins);
    return status;
}

// ALiBi's slopes (Press et al. 2022): for 2^n heads the powers of 2^(-8/2^n); further heads take
// the odd powers of the next finer base.
static void fill_slopes(float *slopes, int64_t heads, bool rounded) {
    int64_t power = 1;
    while (2 * power <= heads)
        power *= 2;
    for (int64_t h = 0; h < heads; h++) {
        double exponent = h < power ? (double)(h + 1) * 8 / (double)power
                                    : (double)(2 * (h - power) + 1) * 4 / (double)power;
        slopes[h] = (float)pow(2, -exponent);
        if (rounded) {
            uint16_t bits;
            kn_convert(&bits, KN_BF16, &slopes[h], KN_F32, 1);
            kn_convert(&slopes[h], KN_F32, &bits, KN_BF16, 1);
        }
    }
}

static enum tr_status allocate(struct tr_forward *f, const struct buffer *buffer,
                               struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    size_t bytes = (size_t)buffer->bytes;
    const char *doing = "allocating the residual stream and scratch";
    if (!bytes)
        return TR_OK;
    if (buffer->place == ON_HOST)
        return tr_alloc(buffer->memory_p, bytes, 1, "the forward pass", err);
    if (buffer->place == FOR_COPIES)
        KN_TRY(ops->host_alloc(f->kn, buffer->memory_p, bytes), doing);
    else
        KN_TRY(ops->alloc(f->kn, buffer->memory_p, bytes), doing);
    return TR_OK;
}

enum tr_status tr_forward_allocate(struct tr_forward *f, struct tr_err *err) {
    struct buffer buffers[MAX_BUFFERS];
    int count = buffers_of(f, buffers);
    for (int i = 0; i < count; i++)
        TR_TRY(allocate(f, &buffers[i], err));
    for (int half = 0; half < 2 && !f->kn->unified; half++)
        f->flow.slab[half].capacity = f->options.slab_bytes;
    f->flow.converted.capacity = f->kn->unified ? 0 : f->options.converted_bytes;
    if (f->slopes)
        fill_slopes(f->slopes, f->config.heads, f->config.family->position == TR_ALIBI_SCALED_BF16);
    TR_TRY(upload_positions(f, err));
    TR_TRY(upload_bins(f, err));
    for (int which = 0; which < 2; which++)
        if (f->config.rope[which].pairs)
            TR_TRY(upload_rope(f, which, err));
    return TR_OK;
}

void tr_forward_release(struct tr_forward *f) {
    struct buffer buffers[MAX_BUFFERS];
    int count = buffers_of(f, buffers);
    for (int i = 0; i < count; i++)
        if (buffers[i].place == ON_HOST)
            free(*buffers[i].memory_p);
        else if (buffers[i].place == FOR_COPIES && *buffers[i].memory_p)
            f->kn->ops->host_free(f->kn, *buffers[i].memory_p);
        else if (buffers[i].place == ON_BACKEND)
            f->kn->ops->free(f->kn, *buffers[i].memory_p);
}
