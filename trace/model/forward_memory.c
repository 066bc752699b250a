// SPDX-License-Identifier: Apache-2.0
// What the forward pass holds: a table of buffers, their sizes, and what they start with.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
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

double tr_forward_scratch_bytes(const struct tr_config *c, int64_t seq_len) {
    double rows = (double)(tr_micro_batch(seq_len) * seq_len);
    double cols = (double)(3 * c->hidden + wide_cols(c) + inner_cols(c) + 2 * c->experts);
    return rows * (cols * 4 + 7 * 8) + (double)(4 * seq_len * c->rope[0].pairs) * 4;
}

double tr_forward_sequence_bytes(const struct tr_config *c, int64_t seq_len, bool head) {
    double streams = c->experts ? 16 : 8;
    return (double)seq_len *
           ((double)c->hidden * streams + 8 + (head ? 24 : 0) + (double)c->experts_used * 8);
}

// One piece of the forward's memory. Pieces of no size are not taken.
struct buffer {
    void **memory_p;
    double bytes;
    bool host;
};
enum { MAX_BUFFERS = 28 };

static int buffers_of(struct tr_forward *f, struct buffer buffers[MAX_BUFFERS]) {
    const struct tr_config *c = &f->config;
    int64_t seq_len = f->calibration->seq_len;
    double tokens = (double)(f->max_sequences * seq_len);
    double rows = (double)(tr_micro_batch(seq_len) * seq_len);
    double act = (double)kn_type_size(f->kn->activation_type), hidden = (double)c->hidden;
    double losses = f->head ? tokens : 0, experts = (double)c->experts;
    double routed = c->experts ? tokens : 0, used = (double)c->experts_used;
    double rope = (double)seq_len * 4;
    bool alibi = c->family->position == TR_ALIBI || c->family->position == TR_ALIBI_SCALED_BF16;
    const struct buffer list[] = {
        {(void **)&f->x, tokens * hidden * 4, false},
        {(void **)&f->delta, tokens * hidden * 4, false},
        {(void **)&f->maximum, losses * 8, false},
        {(void **)&f->sum, losses * 8, false},
        {(void **)&f->target, losses * 8, false},
        {(void **)&f->ids, tokens * 4, false},
        {(void **)&f->targets, tokens * 4, false},
        {&f->routed_input, routed * hidden * act, false},
        {&f->normed, rows * hidden * act, false},
        {&f->wide, rows * (double)wide_cols(c) * act, false},
        {&f->inner, rows * (double)inner_cols(c) * act, false},
        {(void **)&f->branch, rows * hidden * 4, false},
        {(void **)&f->mlp_delta, (c->experts ? tokens : rows) * hidden * 4, false},
        {(void **)&f->statistics, rows * 3 * 8, false},
        {(void **)&f->kept_rows, rows * 4, false},
        {(void **)&f->cos[0], rope * (double)c->rope[0].pairs, false},
        {(void **)&f->sin[0], rope * (double)c->rope[0].pairs, false},
        {(void **)&f->cos[1], rope * (double)c->rope[1].pairs, false},
        {(void **)&f->sin[1], rope * (double)c->rope[1].pairs, false},
        {(void **)&f->positions, rows * 4, false},
        {(void **)&f->logits, rows * experts * 4, false},
        {(void **)&f->expert_rows, c->experts ? rows * 4 : 0, false},
        {(void **)&f->expert_weights, c->experts ? rows * 4 : 0, false},
        {(void **)&f->host, rows * 3 * 8, true},
        {(void **)&f->slopes, alibi ? (double)c->heads * 4 : 0, true},
        {(void **)&f->router, rows * experts * 4, true},
        {(void **)&f->chosen, routed * used * 4, true},
        {(void **)&f->shares, routed * used * 4, true},
    };
    _Static_assert(sizeof list / sizeof list[0] <= MAX_BUFFERS, "room for all buffers");
    memcpy(buffers, list, sizeof list);
    return (int)(sizeof list / sizeof list[0]);
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
    int64_t seq_len = f->calibration->seq_len, rows = tr_micro_batch(seq_len) * seq_len;
    int32_t *positions;
    TR_TRY(TR_NEW(&positions, rows, "positions", err));
    for (int64_t i = 0; i < rows; i++)
        positions[i] = (int32_t)(i % seq_len) + f->config.family->position_offset;
    enum tr_status status =
        upload(f, f->positions, positions, (size_t)rows * 4, "copying positions", err);
    free(positions);
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
    struct buffer buffers[MAX_BUFFERS];
    int count = buffers_of(f, buffers);
    for (int i = 0; i < count; i++) {
        size_t bytes = (size_t)buffers[i].bytes;
        if (!bytes)
            continue;
        if (buffers[i].host)
            TR_TRY(tr_alloc(buffers[i].memory_p, bytes, 1, "the forward pass", err));
        else
            KN_TRY(f->kn->ops->alloc(f->kn, buffers[i].memory_p, bytes),
                   "allocating the residual stream and scratch");
    }
    if (f->slopes)
        fill_slopes(f->slopes, f->config.heads, f->config.family->position == TR_ALIBI_SCALED_BF16);
    TR_TRY(upload_positions(f, err));
    for (int which = 0; which < 2; which++)
        if (f->config.rope[which].pairs)
            TR_TRY(upload_rope(f, which, err));
    return TR_OK;
}

void tr_forward_release(struct tr_forward *f) {
    struct buffer buffers[MAX_BUFFERS];
    int count = buffers_of(f, buffers);
    for (int i = 0; i < count; i++)
        if (buffers[i].host)
            free(*buffers[i].memory_p);
        else
            f->kn->ops->free(f->kn, *buffers[i].memory_p);
    f->kn->ops->free(f->kn, f->device_slab);
}
