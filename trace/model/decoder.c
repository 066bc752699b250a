// SPDX-License-Identifier: Apache-2.0
#include "model/decoder.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "forward_state.h"

// Prompts as rows of one length, zeros behind their ends, which nothing before them sees.
struct prompts {
    struct tr_forward *forward; // both kept for prompts of the same shape
    struct tr_streams *streams;
    int32_t *ids, *none; // [count, longest]; none: no targets
    int64_t *counts;     // [count]
    int64_t count, longest;
};

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
    struct prompts prompts;      // the last
    // Steps: who takes them, how many were queued since tr_decoder_place, and taken.
    int32_t *placed, *chosen; // [sequences], [TR_DECODER_AHEAD, sequences]
    int64_t rows, steps, taken;
    struct kn_graph *graph; // of a step, NULL: none
    int64_t stepped_rows;   // of the last step that was called op by op, 0: none since a prompt
    bool no_graphs;         // the backend has none
};

_Static_assert((int)TR_DECODER_AHEAD == (int)TR_FORWARD_AHEAD, "rooms for what is chosen agree");

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
    TR_TRY(TR_NEW(&d->placed, count, what, err));
    TR_TRY(TR_NEW(&d->chosen, TR_DECODER_AHEAD * count, what, err));
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
    d->no_graphs = options->no_graph;
    enum tr_status status = allocate(d, err);
    if (status == TR_OK)
        *decoder_p = d;
    else
        tr_decoder_free(d);
    return status;
}

static void free_prompts(struct prompts *p) {
    tr_forward_free(p->forward);
    tr_streams_free(p->streams);
    free(p->ids);
    free(p->none);
    free(p->counts);
    *p = (struct prompts){0};
}

void tr_decoder_free(struct tr_decoder *d) {
    if (!d)
        return;
    d->kn->ops->graph_free(d->kn, d->graph);
    free_prompts(&d->prompts);
    tr_forward_free(d->forward);
    tr_streams_free(d->streams);
    tr_cache_free(d->cache);
    d->kn->ops->free(d->kn, d->last);
    free(d->host_last);
    free(d->none);
    free(d->positions);
    free(d->in_use);
    free(d->at);
    free(d->placed);
    free(d->chosen);
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

// ---- steps -------------------------------------------------------------------------------------

enum tr_status tr_decoder_place(struct tr_decoder *d, const int32_t *sequences,
                                const int32_t *tokens, int64_t count, struct tr_err *err) {
    struct tr_cached_rows cached = {d->cache, d->placed, d->at, d->ones};
    struct tr_rows rows = {.ids = tokens, .sequences = count, .seq_len = 1, .targets = d->none};
    struct tr_pass pass = {.rows = &rows, .end = count, .cached = &cached};
    struct tr_candidate candidate = {.streams = d->streams};
    TR_ASSERT(count >= 1 && count <= d->options.sequences);
    if (count != d->rows) {
        d->kn->ops->graph_free(d->kn, d->graph);
        d->graph = NULL;
    }
    d->rows = count;
    d->steps = d->taken = 0;
    for (int64_t i = 0; i < count; i++) {
        d->placed[i] = sequences[i];
        d->at[i] = d->positions[sequences[i]];
    }
    return tr_forward_place(d->forward, &candidate, &pass, err);
}

static enum tr_status call_step(struct tr_decoder *d, const struct tr_weight_source *source,
                                struct tr_err *err) {
    struct tr_cached_rows cached = {d->cache, d->placed, d->at, d->ones};
    struct tr_rows rows = {.sequences = d->rows, .seq_len = 1, .targets = d->none};
    struct tr_pass pass = {.rows = &rows, .cached = &cached, .goes_on = true};
    return run(d, d->forward, d->streams, source, pass, err);
}

// Called while a graph is made, the step's ops become it.
static enum tr_status make_graph(struct tr_decoder *d, const struct tr_weight_source *source,
                                 struct tr_err *err) {
    enum kn_status begun = d->kn->ops->graph_begin(d->kn);
    d->no_graphs = begun == KN_EUNSUPPORTED;
    if (d->no_graphs)
        return TR_OK;
    KN_TRY_ON(d->kn, begun, "beginning a step's graph");
    enum tr_status status = call_step(d, source, err);
    enum kn_status ended = d->kn->ops->graph_end(d->kn, &d->graph);
    // Where a device has no product of groups but one by one, the host has to know their rows.
    if (d->config.experts && (status != TR_OK || ended != KN_OK)) {
        d->kn->ops->graph_free(d->kn, d->graph);
        d->graph = NULL;
        d->no_graphs = true;
        return TR_OK;
    }
    if (status == TR_OK)
        KN_TRY_ON(d->kn, ended, "making a step's graph");
    return status;
}

static enum tr_status queue_step(struct tr_decoder *d, const struct tr_weight_source *source,
                                 struct tr_err *err) {
    // What was called once has made ready all that a graph needs.
    if (!d->graph && source->stays && !d->no_graphs && d->stepped_rows == d->rows)
        TR_TRY(make_graph(d, source, err));
    if (d->graph) {
        KN_TRY_ON(d->kn, d->kn->ops->graph_run(d->kn, d->graph), "a step");
        return TR_OK;
    }
    d->stepped_rows = d->rows;
    return call_step(d, source, err);
}

enum tr_status tr_decoder_step(struct tr_decoder *d, const struct tr_weight_source *source,
                               struct tr_err *err) {
    TR_ASSERT(d->steps - d->taken < TR_DECODER_AHEAD);
    for (int64_t i = 0; i < d->rows; i++)
        TR_ASSERT(d->positions[d->placed[i]] < d->options.positions);
    TR_TRY(queue_step(d, source, err));
    for (int64_t i = 0; i < d->rows; i++)
        d->positions[d->placed[i]]++;
    d->steps++;
    return TR_OK;
}

static enum tr_status check_tokens(const int32_t *tokens, int64_t count, struct tr_err *err) {
    for (int64_t i = 0; i < count; i++)
        if (tokens[i] < 0)
            return tr_fail(err, TR_EFORMAT, "the model gives logits that are no numbers");
    return TR_OK;
}

enum tr_status tr_decoder_take(struct tr_decoder *d, int32_t *tokens, struct tr_err *err) {
    size_t bytes = (size_t)(TR_DECODER_AHEAD * d->rows) * sizeof *d->chosen;
    KN_TRY_ON(d->kn, d->kn->ops->download(d->kn, d->chosen, tr_forward_chosen(d->forward), bytes),
              "copying tokens");
    KN_TRY_ON(d->kn, d->kn->ops->sync(d->kn), "copying tokens");
    int64_t count = (d->steps - d->taken) * d->rows;
    for (int64_t i = 0; i < count; i++)
        tokens[i] = d->chosen[(d->taken * d->rows + i) % (TR_DECODER_AHEAD * d->rows)];
    d->taken = d->steps;
    return check_tokens(tokens, count, err);
}

bool tr_decoder_has_graph(const struct tr_decoder *d) {
    return d->graph != NULL;
}

// ---- prompts -----------------------------------------------------------------------------------

// The first step behind the blocks.
static int64_t head_step(const struct tr_weight_plan *plan) {
    int64_t step = plan->step_count;
    while (step > 0 && plan->steps[step - 1].kind > TR_STEP_LAYER_END)
        step--;
    return step;
}

static void lay_out(struct prompts *p, const struct tr_prompt_row *rows) {
    for (int64_t i = 0; i < p->count * p->longest; i++) {
        const struct tr_prompt_row *row = &rows[i / p->longest];
        int64_t t = i % p->longest;
        p->ids[i] = t < row->count ? row->tokens[t] : 0;
        p->none[i] = -1;
        p->counts[i / p->longest] = row->count;
    }
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

// Room for prompts of another shape than the last had.
static enum tr_status shape_prompts(struct tr_decoder *d, int64_t count, int64_t longest,
                                    struct tr_err *err) {
    static const char what[] = "the prompts";
    struct prompts *p = &d->prompts;
    struct tr_forward_options options = prompt_options(d->kn, &d->config, count, longest);
    if (p->forward && p->count == count && p->longest == longest)
        return TR_OK;
    free_prompts(p);
    p->count = count;
    p->longest = longest;
    TR_TRY(TR_NEW(&p->ids, count * longest, what, err));
    TR_TRY(TR_NEW(&p->none, count * longest, what, err));
    TR_TRY(TR_NEW(&p->counts, count, what, err));
    TR_TRY(tr_streams_new(&p->streams, d->kn, &d->config, &options, err));
    return tr_forward_new(&p->forward, d->kn, &d->config, &options, err);
}

// The head over the prompts' last tokens.
static enum tr_status run_head(struct tr_decoder *d, const struct tr_weight_source *source,
                               int32_t *best, struct tr_err *err) {
    int64_t count = d->prompts.count;
    struct tr_cached_rows cached = {d->cache, d->in_use, d->at, d->ones};
    struct tr_rows rows = {.ids = d->none, .sequences = count, .seq_len = 1, .targets = d->none};
    struct tr_pass pass = {.rows = &rows, .first_step = head_step(source->plan), .cached = &cached};
    d->best = best;
    for (int64_t i = 0; i < count; i++)
        d->at[i] = d->positions[i] = (int32_t)d->prompts.counts[i];
    TR_TRY(run(d, d->forward, d->streams, source, pass, err));
    return check_tokens(best, count, err);
}

enum tr_status tr_decoder_begin(struct tr_decoder *d, const struct tr_weight_source *source,
                                const struct tr_prompt_row *rows, int64_t count, int32_t *best,
                                struct tr_err *err) {
    int64_t longest = 1;
    TR_ASSERT(count >= 1 && count <= d->options.sequences);
    for (int64_t i = 0; i < count; i++) {
        TR_ASSERT(rows[i].count >= 1 && rows[i].count <= d->options.positions);
        longest = rows[i].count > longest ? rows[i].count : longest;
    }
    d->kn->ops->graph_free(d->kn, d->graph); // the pass over prompts may take its scratch
    d->graph = NULL;
    d->stepped_rows = 0;
    TR_TRY(shape_prompts(d, count, longest, err));
    lay_out(&d->prompts, rows);
    TR_TRY(run_prompts(d, &d->prompts, source, err));
    TR_TRY(take_last(d, &d->prompts, err));
    return run_head(d, source, best, err);
}
