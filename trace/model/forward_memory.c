// SPDX-License-Identifier: Apache-2.0
// What the forward pass holds beside streams: a table of buffers, their sizes, and what they start
// with.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "buffers.h"
#include "forward_state.h"

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

// Columns of the first product of a sublayer. Latent attention keeps q, k, the keys and values from
// the latent, and the latent itself side by side.
static int64_t wide_cols(const struct tr_config *c) {
    int64_t attention = tr_config_qkv_rows(c, c->kv_heads);
    if (c->kv_rank)
        attention = 2 * c->heads * c->qk_dim + c->heads * (c->nope_dim + c->v_dim) +
                    larger(c->query_rank, c->kv_rank + c->rope_dim);
    int64_t ffn = larger(c->ffn, larger(c->expert_ffn, c->shared_ffn));
    attention = larger(attention, c->scan.heads ? tr_config_scan_rows(c) : 0);
    return larger(attention, tr_config_in_rows(c, ffn));
}

// Latent attention of rows of one token: q, the latent, q as it meets latents, and mixed latents.
static int64_t latent_cols(const struct tr_config *c) {
    int64_t latent = larger(c->query_rank, c->kv_rank + c->rope_dim);
    return c->kv_rank ? c->heads * (c->qk_dim + 2 * c->kv_rank + c->rope_dim) + latent : 0;
}

// Pairs of entries of a query that grows with its position.
static int64_t growing_pairs(const struct tr_config *c) {
    return c->growth_length ? c->qk_dim / 2 : 0;
}

// Columns of an expert's first product.
static int64_t expert_in_rows(const struct tr_config *c) {
    return c->experts ? tr_config_in_rows(c, c->expert_ffn) : 0;
}

static int64_t inner_cols(const struct tr_config *c) {
    int64_t ffn = larger(c->ffn, larger(c->expert_ffn, c->shared_ffn));
    return larger(larger(tr_config_mixed_cols(c), tr_config_taps_cols(c)), ffn);
}

// Rows of a product that keep a device busy, and bytes that its widest rows may take in f32, and
// all rows of a token's experts.
enum { HOST_TOKENS = 1024, DEVICE_TOKENS = 16384 };
static const double DEVICE_SCRATCH = 1.5e9, EXPERTS_SCRATCH = 4e9;

// Bytes of a token's rows for all of its experts on a device: what goes in, is wide, inner, comes
// out.
static double routed_bytes(const struct tr_config *c) {
    double cols = (double)(expert_in_rows(c) + c->expert_ffn + c->hidden);
    return (double)c->experts_used * (2 * cols + 4 * (double)c->hidden);
}

int64_t tr_micro_batch(const struct tr_config *config, int64_t seq_len, bool device) {
    double tokens = HOST_TOKENS;
    if (device)
        tokens = fmin(DEVICE_TOKENS, DEVICE_SCRATCH / (4 * (double)wide_cols(config)));
    if (device && config->experts)
        tokens = fmin(tokens, EXPERTS_SCRATCH / routed_bytes(config));
    int64_t sequences = (int64_t)tokens / seq_len;
    return sequences ? sequences : 1;
}

enum { MAX_BUFFERS = 32 };

// Positions that tables are made for.
static int64_t table_length(const struct tr_forward_options *options) {
    return options->positions ? options->positions : options->seq_len;
}

static int buffers_of(struct tr_forward *f, struct tr_buffer buffers[MAX_BUFFERS]) {
    const struct tr_config *c = &f->config;
    const struct tr_forward_options *o = &f->options;
    double sequences = (double)o->max_sequences, length = (double)o->seq_len;
    double tokens = sequences * length;
    double rows = fmin((double)o->micro_batch, sequences) * length; // of one micro-batch
    double act = (double)kn_type_size(f->kn->activation_type), hidden = (double)c->hidden;
    double cached = o->cached ? tokens : 0, table = (double)table_length(o);
    // Each token goes to several experts, whose rows stand side by side.
    double spread = c->experts ? (double)c->experts_used : 1;
    double routed = c->experts ? rows : 0;
    double wide = fmax((double)wide_cols(c), spread * (double)expert_in_rows(c));
    wide = o->positions ? fmax(wide, (double)latent_cols(c)) : wide;
    double inner = fmax((double)inner_cols(c), spread * (double)c->expert_ffn);
    double ahead = o->positions ? TR_FORWARD_AHEAD * tokens : 0;
    bool alibi = c->family->position == TR_ALIBI || c->family->position == TR_ALIBI_SCALED_BF16;
    const struct tr_buffer list[] = {
        {(void **)&f->ids, tokens * 4, TR_ON_BACKEND},
        {(void **)&f->targets, tokens * 4, TR_ON_BACKEND},
        {(void **)&f->bin_starts, TR_BINS * 8, TR_ON_BACKEND},
        {(void **)&f->position_bin, length * 4, TR_ON_BACKEND},
        {(void **)&f->shared_rows, c->shared_ffn ? rows * 4 : 0, TR_ON_BACKEND},
        {(void **)&f->router_logits, routed * (double)c->experts * 4, TR_ON_BACKEND},
        {(void **)&f->shared_gates, c->shared_ffn ? routed * 4 : 0, TR_ON_BACKEND},
        {&f->normed, spread * rows * hidden * act, TR_ON_BACKEND},
        {&f->wide, rows * wide * act, TR_ON_BACKEND},
        {&f->inner, rows * inner * act, TR_ON_BACKEND},
        {(void **)&f->branch, spread * rows * hidden * 4, TR_ON_BACKEND},
        {(void **)&f->mlp_delta, c->experts ? 0 : rows * hidden * 4, TR_ON_BACKEND},
        {(void **)&f->kept_rows, rows * 4, TR_ON_BACKEND},
        {(void **)&f->cos[0], table * 4 * (double)c->rope[0].pairs, TR_ON_BACKEND},
        {(void **)&f->sin[0], table * 4 * (double)c->rope[0].pairs, TR_ON_BACKEND},
        {(void **)&f->cos[1], table * 4 * (double)c->rope[1].pairs, TR_ON_BACKEND},
        {(void **)&f->sin[1], table * 4 * (double)c->rope[1].pairs, TR_ON_BACKEND},
        {(void **)&f->cos[2], table * 4 * (double)growing_pairs(c), TR_ON_BACKEND},
        {(void **)&f->sin[2], table * 4 * (double)growing_pairs(c), TR_ON_BACKEND},
        {(void **)&f->positions, rows * 4, TR_ON_BACKEND},
        {(void **)&f->cache_rows[0], cached * 4, TR_ON_BACKEND},
        {(void **)&f->cache_rows[1], cached * 4, TR_ON_BACKEND},
        {(void **)&f->row_positions, cached * 4, TR_ON_BACKEND},
        {(void **)&f->table_rows, cached * 4, TR_ON_BACKEND},
        {(void **)&f->row_sequences, cached * 4, TR_ON_BACKEND},
        {(void **)&f->chosen, ahead * 4, TR_ON_BACKEND},
        {(void **)&f->steps_done, ahead > 0 ? 4 : 0, TR_ON_BACKEND},
        {(void **)&f->host_rows, rows * 4, TR_ON_HOST},
        {(void **)&f->host_cached, cached * 5 * 4, TR_ON_HOST},
        {(void **)&f->slopes, alibi ? (double)c->heads * 4 : 0, TR_ON_HOST},
    };
    _Static_assert(sizeof list / sizeof list[0] <= MAX_BUFFERS, "room for all buffers");
    memcpy(buffers, list, sizeof list);
    return (int)(sizeof list / sizeof list[0]);
}

struct tr_forward_bytes tr_forward_bytes(const struct kn_backend *kn,
                                         const struct tr_config *config,
                                         const struct tr_forward_options *options) {
    struct kn_backend backend = *kn;
    struct tr_forward f = {.kn = &backend, .config = *config, .options = *options};
    struct tr_buffer buffers[MAX_BUFFERS];
    return tr_buffers_bytes(buffers, buffers_of(&f, buffers));
}

static enum tr_status upload(struct tr_forward *f, void *to, const void *from, size_t bytes,
                             const char *what, struct tr_err *err) {
    KN_TRY(f->kn->ops->upload(f->kn, to, from, bytes), what);
    KN_TRY(f->kn->ops->sync(f->kn), what);
    return TR_OK;
}

// The factors of queries that grow, rounded to f32 where transformers rounds.
static void growth_table(const struct tr_config *c, int64_t length, float *factors) {
    int64_t pairs = growing_pairs(c);
    for (int64_t i = 0; i < length * pairs; i++) {
        float steps = floorf((float)(i / pairs + 1) / (float)c->growth_length);
        factors[i] = log1pf(steps) * c->growth + 1;
    }
}

static enum tr_status upload_rope(struct tr_forward *f, int which, struct tr_err *err) {
    const struct tr_config *c = &f->config;
    int64_t length = table_length(&f->options);
    size_t count = (size_t)(length * (which < 2 ? c->rope[which].pairs : growing_pairs(c)));
    float *tables;
    TR_TRY(TR_NEW(&tables, 2 * count, "rotary tables", err));
    if (which < 2)
        tr_rope_tables(&c->rope[which], length, tables, tables + count);
    else
        growth_table(c, length, tables);
    for (size_t i = count; i < 2 * count && c->family->turns_back; i++)
        tables[i] = -tables[i];
    enum tr_status status =
        upload(f, f->cos[which], tables, count * 4, "copying rotary tables", err);
    if (status == TR_OK)
        status = upload(f, f->sin[which], tables + count, count * 4, "copying rotary tables", err);
    free(tables);
    return status;
}

static enum tr_status upload_positions(struct tr_forward *f, struct tr_err *err) {
    int64_t seq_len = f->options.seq_len, sequences = f->options.micro_batch;
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
    int64_t seq_len = f->options.seq_len;
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

enum tr_status tr_forward_allocate(struct tr_forward *f, struct tr_err *err) {
    struct tr_buffer buffers[MAX_BUFFERS];
    TR_TRY(tr_buffers_allocate(f->kn, buffers, buffers_of(f, buffers), err));
    if (f->slopes)
        fill_slopes(f->slopes, f->config.heads, f->config.family->position == TR_ALIBI_SCALED_BF16);
    TR_TRY(upload_positions(f, err));
    TR_TRY(upload_bins(f, err));
    for (int which = 0; which < 3; which++)
        if (f->cos[which])
            TR_TRY(upload_rope(f, which, err));
    return TR_OK;
}

void tr_forward_release(struct tr_forward *f) {
    struct tr_buffer buffers[MAX_BUFFERS];
    int count = buffers_of(f, buffers);
    tr_buffers_free(f->kn, buffers, count);
}
