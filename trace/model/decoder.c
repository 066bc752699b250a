// SPDX-License-Identifier: Apache-2.0
#include "model/decoder.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "forward_state.h"

struct tr_decoder {
    struct kn_backend *kn;
    struct tr_config config;
    struct tr_decoder_options options;
    struct tr_cache *cache;
    struct tr_forward *forward; // of rows of one token
    struct tr_streams *streams;
    int32_t *last;               // [sequences], the backend's: rows of the prompts' last tokens
    int32_t *host_last, *none;   // [sequences]; none: no targets
    int32_t *positions, *in_use; // [sequences]: tokens fed so far; numbers of sequences
    int32_t *at;                 // [sequences]: positions of a pass's rows
    int64_t *ones;               // [sequences]
    int32_t *best;               // where the pass under way leaves it
};

static struct tr_forward_options step_options(const struct tr_decoder_options *o) {
    return (struct tr_forward_options){.seq_len = 1,
                                       .max_sequences = o->sequences,
                                       .micro_batch = o->sequences,
                                       .head = true,
                                       .losses_only = true,
                                       .best = true,
                                       .cached = true,
                                       .positions = o->positions};
}

// The pass over prompts ends before the head, which is for the last tokens alone.
static struct tr_forward_options prompt_options(const struct kn_backend *kn,
                                                const struct tr_config *config, int64_t count,
                                                int64_t longest) {
    int64_t batch = tr_micro_batch(config, longest, !kn->unified);
    return (struct tr_forward_options){.seq_len = longest,
                                       .max_sequences = count,
                                       .micro_batch = batch < count ? batch : count,
                                       .losses_only = true,
                                       .cached = true};
}

static void add(struct tr_forward_bytes *to, struct tr_forward_bytes bytes) {
    to->backend += bytes.backend;
    to->host += bytes.host;
}

struct tr_decoder_bytes tr_decoder_bytes(const struct kn_backend *kn,
                                         const struct tr_config *config,
                                         const struct tr_decoder_options *options,
                                         int64_t longest) {
    struct tr_forward_options steps = step_options(options);
    struct tr_forward_options prompts = prompt_options(kn, config, options->sequences, longest);
    struct tr_decoder_bytes bytes = {
        .cache = tr_cache_bytes(kn, config, options->drop, options->sequences, options->positions)};
    bytes.all.backend = bytes.cache;
    add(&bytes.all, tr_forward_bytes(kn, config, &steps));
    add(&bytes.all, tr_streams_bytes(kn, config, &steps));
    add(&bytes.all, tr_forward_bytes(kn, config, &prompts));
    add(&bytes.all, tr_streams_bytes(kn, config, &prompts));
    return bytes;
}

static enum tr_status allocate(struct tr_decoder *d, struct tr_err *err) {
    static const char what[] = "the decoder";
    int64_t count = d->options.sequences;
    struct tr_forward_options options = step_options(&d->options);
    KN_TRY_ON(d->kn, d->kn->ops->alloc(d->kn, (void **)&d->last, (size_t)count * 4),
              "allocating the decoder");
    TR_TRY(TR_NEW(&d->host_last, count, what, err));
    TR_TRY(TR_NEW(&d->none, count, what, err));
    TR_TRY(TR_NEW(&d->positions, count, what, err));
    TR_TRY(TR_NEW(&d->in_use, count, what, err));
    TR_TRY(TR_NEW(&d->at, count, what, err));
    TR_TRY(TR_NEW(&d->ones, count, what, err));
    for (int64_t i = 0; i < count; i++) {
        d->none[i] = -1;
        d->in_use[i] = (int32_t)i;
        d->ones[i] = 1;
    }
    TR_TRY(tr_cache_new(&d->cache, d->kn, &d->config, d->options.drop, count, d->options.positions,
                        err));
    TR_TRY(tr_streams_new(&d->streams, d->kn, &d->config, &options, err));
    return tr_forward_new(&d->forward, d->kn, &d->config, &options, err);
}

// The cache knows keys and values, not the state of a scan.
static enum tr_status check_layers(const struct tr_config *c, const struct tr_drop_set *drop,
                                   struct tr_err *err) {
    for (int layer = 0; layer < c->layers; layer++)
        if (tr_config_has(c, layer, TR_LAYER_SCAN) && tr_config_keeps(c, drop, TR_ATTN, layer))
            return tr_fail(err, TR_EUNSUPPORTED,
                           "texts cannot be continued with %s: layer %d scans, and the state of a "
                           "scan is not kept from token to token",
                           c->family->model_type, layer);
    return TR_OK;
}

enum tr_status tr_decoder_new(struct tr_decoder **decoder_p, struct kn_backend *kn,
                              const struct tr_config *config,
                              const struct tr_decoder_options *options, struct tr_err *err) {
    struct tr_decoder *d;
    TR_TRY(check_layers(config, options->drop, err));
    TR_TRY(TR_NEW(&d, 1, "the decoder", err));
    d->kn = kn;
    d->config = *config;
    d->options = *options;
    enum tr_status status = allocate(d, err);
    if (status == TR_OK)
        *decoder_p = d;
    else
        tr_decoder_free(d);
    return status;
}

void tr_decoder_free(struct tr_decoder *d) {
    if (!d)
        return;
    tr_forward_free(d->forward);
    tr_streams_free(d->streams);
    tr_cache_free(d->cache);
    d->kn->ops->free(d->kn, d->last);
    free(d->host_last);
    free(d->none);
    free(d->positions);
    free(d->in_use);
    free(d->at);
    free(d->ones);
    free(d);
}

// ---- passes ------------------------------------------------------------------------------------

static void on_tap(void *user, const struct tr_tap *tap) {
    (void)user;
    (void)tap;
}

static void on_slab(void *user, int64_t index) {
    (void)user;
    (void)index;
}

static void on_loss(void *user, const struct tr_loss_tap *tap) {
    const struct tr_decoder *d = user;
    for (int64_t i = 0; i < tap->sequences; i++)
        d->best[i] = tap->best[i];
}

static enum tr_status run(struct tr_decoder *d, struct tr_forward *forward,
                          struct tr_streams *streams, const struct tr_weight_source *source,
                          struct tr_pass pass, struct tr_err *err) {
    struct tr_taps taps = {.user = d, .tap = on_tap, .loss = on_loss, .slab = on_slab};
    struct tr_candidate candidate = {.streams = streams, .drop = d->options.drop, .taps = &taps};
    pass.end = pass.rows->sequences;
    return tr_forward_run(forward, source, &candidate, 1, &pass, err);
}

static enum tr_status check_best(const int32_t *best, int64_t count, struct tr_err *err) {
    for (int64_t i = 0; i < count; i++)
        if (best[i] < 0)
            return tr_fail(err, TR_EFORMAT, "the model gives logits that are no numbers");
    return TR_OK;
}

// One token a row: steps from `first_step` on to the end.
static enum tr_status step(struct tr_decoder *d, const struct tr_weight_source *source,
                           const int32_t *sequences, const int32_t *tokens, int64_t count,
                           int64_t first_step, int32_t *best, struct tr_err *err) {
    struct tr_cached_rows cached = {d->cache, sequences, d->at, d->ones};
    struct tr_rows rows = {.ids = tokens, .sequences = count, .seq_len = 1, .targets = d->none};
    struct tr_pass pass = {.rows = &rows, .first_step = first_step, .cached = &cached};
    d->best = best;
    for (int64_t i = 0; i < count; i++)
        d->at[i] = d->positions[sequences[i]];
    TR_TRY(run(d, d->forward, d->streams, source, pass, err));
    return check_best(best, count, err);
}

enum tr_status tr_decoder_next(struct tr_decoder *d, const struct tr_weight_source *source,
                               const int32_t *sequences, const int32_t *tokens, int64_t count,
                               int32_t *best, struct tr_err *err) {
    for (int64_t i = 0; i < count; i++)
        TR_ASSERT(d->positions[sequences[i]] < d->options.positions);
    TR_TRY(step(d, source, sequences, tokens, count, 0, best, err));
    for (int64_t i = 0; i < count; i++)
        d->positions[sequences[i]]++;
    return TR_OK;
}

// ---- prompts -----------------------------------------------------------------------------------

// Prompts as rows of one length, zeros behind their ends, which nothing before them sees.
struct prompts {
    struct tr_forward *forward;
    struct tr_streams *streams;
    int32_t *ids, *none; // [count, longest]; none: no targets
    int64_t *counts;     // [count]
    int64_t count, longest;
};

// The first step behind the blocks.
static int64_t head_step(const struct tr_weight_plan *plan) {
    int64_t step = plan->step_count;
    while (step > 0 && plan->steps[step - 1].kind > TR_STEP_LAYER_END)
        step--;
    return step;
}

static enum tr_status lay_out(struct prompts *p, const struct tr_prompt_row *rows,
                              struct tr_err *err) {
    TR_TRY(TR_NEW(&p->ids, p->count * p->longest, "the prompts", err));
    TR_TRY(TR_NEW(&p->none, p->count * p->longest, "the prompts", err));
    TR_TRY(TR_NEW(&p->counts, p->count, "the prompts", err));
    for (int64_t i = 0; i < p->count * p->longest; i++) {
        const struct tr_prompt_row *row = &rows[i / p->longest];
        int64_t t = i % p->longest;
        p->ids[i] = t < row->count ? row->tokens[t] : 0;
        p->none[i] = -1;
        p->counts[i / p->longest] = row->count;
    }
    return TR_OK;
}

static enum tr_status run_prompts(struct tr_decoder *d, const struct prompts *p,
                                  const struct tr_weight_source *source, struct tr_err *err) {
    struct tr_cached_rows cached = {d->cache, d->in_use, d->at, p->counts};
    struct tr_rows rows = {p->ids, p->count, p->longest, p->none};
    struct tr_pass pass = {.rows = &rows, .last_step = head_step(source->plan), .cached = &cached};
    for (int64_t i = 0; i < p->count; i++)
        d->at[i] = 0;
    return run(d, p->forward, p->streams, source, pass, err);
}

// The streams of the last tokens become those of rows of one token.
static enum tr_status take_last(struct tr_decoder *d, const struct prompts *p, struct tr_err *err) {
    const struct kn_ops *ops = d->kn->ops;
    int64_t hidden = d->config.hidden;
    for (int64_t i = 0; i < p->count; i++)
        d->host_last[i] = (int32_t)(i * p->longest + p->counts[i] - 1);
    struct kn_gather op = {.y = kn_matrix(d->streams->x, KN_F32, p->count, hidden),
                           .x = kn_matrix(p->streams->x, KN_F32, p->count * p->longest, hidden),
                           .rows = d->last};
    KN_TRY_ON(d->kn, ops->upload(d->kn, d->last, d->host_last, (size_t)p->count * 4),
              "copying the prompts' ends");
    KN_TRY_ON(d->kn, ops->gather(d->kn, &op), "gathering the prompts' ends");
    return TR_OK;
}

static enum tr_status begin(struct tr_decoder *d, struct prompts *p,
                            const struct tr_weight_source *source, const struct tr_prompt_row *rows,
                            int32_t *best, struct tr_err *err) {
    struct tr_forward_options options = prompt_options(d->kn, &d->config, p->count, p->longest);
    TR_TRY(lay_out(p, rows, err));
    TR_TRY(tr_streams_new(&p->streams, d->kn, &d->config, &options, err));
    TR_TRY(tr_forward_new(&p->forward, d->kn, &d->config, &options, err));
    TR_TRY(run_prompts(d, p, source, err));
    TR_TRY(take_last(d, p, err));
    for (int64_t i = 0; i < p->count; i++)
        d->positions[i] = (int32_t)p->counts[i];
    return step(d, source, d->in_use, d->none, p->count, head_step(source->plan), best, err);
}

enum tr_status tr_decoder_begin(struct tr_decoder *d, const struct tr_weight_source *source,
                                const struct tr_prompt_row *rows, int64_t count, int32_t *best,
                                struct tr_err *err) {
    struct prompts p = {.count = count, .longest = 1};
    TR_ASSERT(count >= 1 && count <= d->options.sequences);
    for (int64_t i = 0; i < count; i++) {
        TR_ASSERT(rows[i].count >= 1 && rows[i].count <= d->options.positions);
        p.longest = rows[i].count > p.longest ? rows[i].count : p.longest;
    }
    enum tr_status status = begin(d, &p, source, rows, best, err);
    tr_forward_free(p.forward);
    tr_streams_free(p.streams);
    free(p.ids);
    free(p.none);
    free(p.counts);
    return status;
}
