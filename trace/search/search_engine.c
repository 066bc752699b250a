// SPDX-License-Identifier: Apache-2.0
#include "search_engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "search_bookmarks.h"

struct tr_search_engine {
    const struct tr_job *job;
    const struct tr_search_plan *plan;
    struct kn_backend *kn;
    struct tr_wanted wanted;
    struct tr_pass_weights weights;
    struct tr_drop_set unread; // by passes that have the whole model's streams
    struct tr_forward *forward;
    struct tr_streams *base, *set_streams;
    struct tr_streams **streams; // [at_once]: of candidates
    int64_t at_once, batches;    // candidates, and micro-batches, that go through together
    int64_t first, last;         // the micro-batches that base and bookmarks are of; none: 0, 0
    struct tr_search_bookmarks bookmarks;
    struct tr_drop_set set;               // what the rounds so far left out
    bool *dropped;                        // [plan->count]
    struct tr_cost_candidate *candidates; // [count] of the round
    struct tr_bookmarks *marks;           // [count] theirs
    int64_t count;
    double *values; // of the round, the caller's
    struct tr_search_work work;
};

// ---- memory ------------------------------------------------------------------------------------

static struct tr_forward_options options_of(const struct tr_search_engine *e, int64_t batches) {
    struct tr_forward_options options = tr_cost_stream_options(e->job, batches);
    int64_t all = e->job->calibration.sequences;
    options.max_sequences = options.max_sequences < all ? options.max_sequences : all;
    options.comparisons = e->wanted.comparisons;
    return options;
}

// Bytes of all that lives in one memory: the host's, where the backend uses it, else the device's;
// without the weights.
static double stream_bytes(const struct tr_search_engine *e, int64_t batches, int64_t at_once) {
    const struct tr_config *config = &e->job->first.config;
    struct tr_forward_options options = options_of(e, batches);
    struct tr_forward_bytes forward = tr_forward_bytes(e->kn, config, &options);
    struct tr_forward_bytes streams = tr_streams_bytes(e->kn, config, &options);
    double each = streams.backend + (e->kn->unified ? streams.host : 0);
    return forward.backend + (e->kn->unified ? forward.host : 0) + (double)(2 + at_once) * each;
}

static double bytes_of(const struct tr_search_engine *e, int64_t batches, int64_t at_once) {
    return tr_pass_weights_bytes(&e->weights) + stream_bytes(e, batches, at_once);
}

static double room_of(const struct tr_search_engine *e, struct tr_rank_bytes memory) {
    return e->kn->unified ? memory.host : memory.device;
}

// As many candidates at a time as there is room for, all where that can be, for those that do not
// go together compute the set anew; then as many micro-batches.
static enum tr_status fit(struct tr_search_engine *e, struct tr_rank_bytes memory,
                          struct tr_err *err) {
    double room = room_of(e, memory);
    char needed[TR_HUMAN_MAX], left[TR_HUMAN_MAX];
    e->at_once = e->plan->count;
    e->batches = e->job->micro_batches;
    while (e->batches > 1 && bytes_of(e, e->batches, e->at_once) > room)
        e->batches--;
    while (e->at_once > 1 && bytes_of(e, e->batches, e->at_once) > room)
        e->at_once--;
    if (bytes_of(e, 1, 1) <= room)
        return TR_OK;
    return tr_fail(
        err, TR_ENVIRONMENT,
        "too little memory for a search: the weights that are held and a candidate take %s, and a "
        "rank may take %s",
        tr_human_bytes(bytes_of(e, 1, 1), needed), tr_human_bytes(room > 0 ? room : 0, left));
}

static double tokens_at_once(const struct tr_search_engine *e) {
    const struct tr_calibration *c = &e->job->calibration;
    int64_t rows = e->batches * e->job->micro_batch;
    return (double)(rows < c->sequences ? rows : c->sequences) * (double)c->seq_len;
}

// The streams of as many blocks as there is room for; none where rows go through in waves.
static int64_t fit_bookmarks(const struct tr_search_engine *e, struct tr_rank_bytes memory) {
    const struct tr_config *config = &tr_search_engine_loaded(e)->config;
    double room = room_of(e, memory);
    double left = room - bytes_of(e, e->batches, e->at_once);
    if (e->batches < e->job->micro_batches)
        return 0;
    for (int64_t stride = 1; stride < config->layers; stride *= 2)
        if (tr_search_bookmarks_bytes(e->plan, config, stride, tokens_at_once(e)) <= left)
            return stride;
    return 0;
}

static enum tr_status make_streams(struct tr_search_engine *e, struct tr_err *err) {
    const struct tr_config *config = &tr_search_engine_loaded(e)->config;
    struct tr_forward_options options = options_of(e, e->batches);
    TR_TRY(tr_forward_new(&e->forward, e->kn, config, &options, err));
    TR_TRY(tr_streams_new(&e->base, e->kn, config, &options, err));
    TR_TRY(tr_streams_new(&e->set_streams, e->kn, config, &options, err));
    TR_TRY(TR_NEW(&e->streams, e->at_once, "the candidates", err));
    for (int64_t i = 0; i < e->at_once; i++)
        TR_TRY(tr_streams_new(&e->streams[i], e->kn, config, &options, err));
    return TR_OK;
}

// ---- opening -----------------------------------------------------------------------------------

static enum tr_status check_shape(const struct tr_search_engine *e, const char *folder,
                                  struct tr_err *err) {
    char shape[256];
    tr_shape_text(&tr_search_engine_loaded(e)->config, shape);
    if (!strcmp(shape, e->job->shape))
        return TR_OK;
    return tr_fail(err, TR_EFORMAT, "%s is another model than the series' first: %s, not %s",
                   folder, shape, e->job->shape);
}

// Its weights are not read any more. Of a block one sublayer's always are: at its entry streams are
// kept.
static enum tr_status leave_unread(struct tr_search_engine *e, const struct tr_drop *drop,
                                   struct tr_err *err) {
    enum tr_module module = drop->module == TR_BLOCK ? TR_MLP : drop->module;
    enum tr_module other = module == TR_MLP ? TR_ATTN : TR_MLP;
    const struct tr_config *config = &tr_search_engine_loaded(e)->config;
    if (!tr_config_keeps(config, &e->unread, other, drop->layer) ||
        !tr_config_keeps(config, &e->unread, module, drop->layer))
        return TR_OK;
    return tr_drop_set_add(&e->unread, module, drop->layer, err);
}

static enum tr_status open_engine(struct tr_search_engine *e, struct tr_rank_bytes memory,
                                  const char *folder, struct tr_err *err) {
    for (int64_t i = 0; i < e->job->drop.count; i++)
        TR_TRY(tr_drop_set_add(&e->unread, e->job->drop.drops[i].module,
                               e->job->drop.drops[i].layer, err));
    TR_TRY(TR_NEW(&e->dropped, e->plan->count, "the candidates", err));
    TR_TRY(TR_NEW(&e->candidates, e->plan->count, "the candidates", err));
    TR_TRY(TR_NEW(&e->marks, e->plan->count, "the candidates", err));
    // Read for each pass where they do not fit beside a candidate.
    TR_TRY(tr_pass_weights_open(&e->weights, e->kn, folder, &e->wanted,
                                room_of(e, memory) - stream_bytes(e, 1, 1), err));
    TR_TRY(check_shape(e, folder, err));
    TR_TRY(fit(e, memory, err));
    TR_TRY(make_streams(e, err));
    return tr_search_bookmarks_new(&e->bookmarks, e->kn, e->plan,
                                   &tr_search_engine_loaded(e)->config, fit_bookmarks(e, memory),
                                   (int64_t)tokens_at_once(e), err);
}

enum tr_status tr_search_engine_open(struct tr_search_engine **engine_p, const struct tr_job *job,
                                     struct kn_backend *kn, struct tr_rank_bytes memory,
                                     const char *folder, struct tr_err *err) {
    struct tr_search_engine *e;
    TR_TRY(TR_NEW(&e, 1, "the search", err));
    e->job = job;
    e->plan = &job->search;
    e->kn = kn;
    e->wanted = job->wanted;
    e->wanted.comparisons = tr_search_compares(e->plan->by);
    enum tr_status status = open_engine(e, memory, folder, err);
    if (status == TR_OK)
        *engine_p = e;
    else
        tr_search_engine_close(e);
    return status;
}

static void forget_candidates(struct tr_search_engine *e) {
    while (e->count > 0)
        tr_drop_set_free(&e->candidates[--e->count].drop);
}

void tr_search_engine_close(struct tr_search_engine *e) {
    if (!e)
        return;
    for (int64_t i = 0; e->streams && i < e->at_once; i++)
        tr_streams_free(e->streams[i]);
    free(e->streams);
    tr_search_bookmarks_free(&e->bookmarks);
    tr_streams_free(e->set_streams);
    tr_streams_free(e->base);
    tr_forward_free(e->forward);
    tr_pass_weights_close(&e->weights);
    forget_candidates(e);
    free(e->candidates);
    free(e->marks);
    free(e->dropped);
    tr_drop_set_free(&e->set);
    tr_drop_set_free(&e->unread);
    free(e);
}

const struct tr_loaded *tr_search_engine_loaded(const struct tr_search_engine *e) {
    return &e->weights.loaded;
}

struct tr_search_work tr_search_engine_work(const struct tr_search_engine *e) {
    return e->work;
}

struct tr_search_reading tr_search_engine_reading(const struct tr_search_engine *e) {
    return (struct tr_search_reading){.passes = e->weights.resident ? 0 : e->weights.passes,
                                      .waited = e->weights.waited};
}

enum tr_status tr_search_engine_drop(struct tr_search_engine *e, int64_t candidate,
                                     struct tr_err *err) {
    const struct tr_drop *drop = &e->plan->candidates[candidate];
    e->dropped[candidate] = true;
    tr_search_bookmarks_drop(&e->bookmarks, candidate);
    TR_TRY(leave_unread(e, drop, err));
    return tr_drop_set_add(&e->set, drop->module, drop->layer, err);
}

bool tr_search_engine_has_dropped(const struct tr_search_engine *e, int64_t candidate) {
    return e->dropped[candidate];
}

// ---- a round -----------------------------------------------------------------------------------

// Candidate `index` of those that are left joins the round as the set with it.
static enum tr_status add_candidate(struct tr_search_engine *e, int64_t index, struct tr_err *err) {
    struct tr_cost_candidate *candidate = &e->candidates[e->count++];
    const struct tr_drop *drop = &e->plan->candidates[index];
    *candidate = (struct tr_cost_candidate){.module = TR_MODULES, .layer = (int)index};
    for (int64_t i = 0; i < e->set.count; i++)
        TR_TRY(
            tr_drop_set_add(&candidate->drop, e->set.drops[i].module, e->set.drops[i].layer, err));
    return tr_drop_set_add(&candidate->drop, drop->module, drop->layer, err);
}

// Those that are left, every ranks-th one beside the other: so that the stretch of each rank has
// its share of those that fork early and late, and mostly those whose streams it kept.
static enum tr_status list_candidates(struct tr_search_engine *e, int ranks, struct tr_err *err) {
    forget_candidates(e);
    for (int64_t offset = 0; offset < ranks; offset++)
        for (int64_t i = 0, left = 0; i < e->plan->count; i++)
            if (!e->dropped[i] && left++ % ranks == offset)
                TR_TRY(add_candidate(e, i, err));
    return TR_OK;
}

static double *value_at(const struct tr_search_engine *e, enum tr_search_value what,
                        int64_t candidate, int64_t sequence) {
    int64_t sequences = e->job->calibration.sequences;
    return e->values + (what * e->plan->count + candidate) * sequences + sequence;
}

static double finite_or_infinite(double value) {
    return isfinite(value) ? value : (double)INFINITY;
}

static void on_removal(void *user, const struct tr_removal *removal) {
    struct tr_search_engine *e = user;
    const enum tr_quantity quantities[TR_SEARCH_VALUES] = {[TR_SEARCH_VALUE] =
                                                               tr_search_quantity(e->plan->by),
                                                           [TR_SEARCH_NLL] = TR_Q_LOSS,
                                                           [TR_SEARCH_KL] = TR_Q_DIVERGENCE};
    double divisor = tr_search_divisor(e->plan->by, &e->job->first.config);
    if (removal->what != TR_REMOVED_SET)
        return;
    for (int what = 0; what < TR_SEARCH_VALUES; what++)
        for (int64_t s = 0; s < removal->sequences; s++) {
            double mean = tr_removal_mean(removal, quantities[what], s);
            *value_at(e, (enum tr_search_value)what, removal->set, removal->first + s) =
                finite_or_infinite(what == TR_SEARCH_VALUE ? mean / divisor : mean);
        }
}

static void on_slab(void *user, int64_t index) {
    (void)user;
    (void)index;
}

// Of the blocks: each from where it begins.
static double blocks_of(const struct tr_search_engine *e, const struct tr_cost_pass *pass,
                        double tokens) {
    const struct tr_config *config = pass->config;
    const struct tr_wanted blocks = {.drop = e->wanted.drop};
    int64_t seq_len = pass->rows->seq_len;
    double done = pass->base_at_head ? 0 : tr_config_flops(config, tokens, seq_len, &blocks);
    for (int64_t i = pass->block.first_candidate; i < pass->block.last_candidate; i++) {
        const struct tr_drop_set *drop = &pass->candidates[i].drop;
        int64_t resume = pass->marks[i].resume;
        done += resume ? tr_kept_flops(config, tokens, seq_len, &blocks, drop, resume)
                       : tr_removal_flops(config, tokens, seq_len, &blocks, drop, pass->set);
    }
    if (!pass->set_streams)
        return done;
    return done +
           (pass->base_at_head
                ? tr_kept_flops(config, tokens, seq_len, &blocks, pass->set, pass->set_marks.resume)
                : tr_removal_flops(config, tokens, seq_len, &blocks, pass->set, NULL));
}

static void count_work(struct tr_search_engine *e, const struct tr_cost_pass *pass,
                       int64_t sequences) {
    const struct tr_wanted blocks = {.drop = e->wanted.drop};
    double tokens = (double)(sequences * pass->rows->seq_len), done = blocks_of(e, pass, tokens);
    double head = tr_config_flops(pass->config, tokens, pass->rows->seq_len, &e->wanted) -
                  tr_config_flops(pass->config, tokens, pass->rows->seq_len, &blocks);
    int64_t heads = 1 + pass->block.last_candidate - pass->block.first_candidate;
    e->work.blocks += done;
    e->work.flops += done + (double)heads * head;
}

// Where candidates go on. The set is run where one of them begins by itself, from the last bookmark
// before the first of those.
static void set_bookmarks(struct tr_search_engine *e, struct tr_cost_pass *pass) {
    int64_t first = INT64_MAX;
    for (int64_t i = pass->block.first_candidate; i < pass->block.last_candidate; i++) {
        int64_t candidate = e->candidates[i].layer, layer = e->plan->candidates[candidate].layer;
        e->marks[i] = tr_search_bookmarks_of(&e->bookmarks, candidate, INT64_MAX);
        if (!e->marks[i].resume)
            first = layer < first ? layer : first;
    }
    pass->marks = e->marks;
    pass->base_marks = pass->set_marks =
        tr_search_bookmarks_of(&e->bookmarks, e->plan->count, first);
    if (!pass->base_at_head)
        pass->set_marks.resume = 0;
    bool wanted = pass->base_at_head ? first < INT64_MAX : e->set.count > 0;
    pass->set_streams = wanted ? e->set_streams : NULL;
}

static void fill_bookmarks(struct tr_search_engine *e, const struct tr_cost_pass *pass) {
    for (int64_t i = pass->block.first_candidate; i < pass->block.last_candidate; i++)
        tr_search_bookmarks_fill(&e->bookmarks, e->candidates[i].layer);
    if (pass->set_streams || !pass->base_at_head)
        tr_search_bookmarks_fill(&e->bookmarks, e->plan->count);
}

// What was kept is of other rows.
static void begin_rows(struct tr_search_engine *e, const struct tr_cost_block *block) {
    if (e->first == block->first_batch && e->last == block->last_batch)
        return;
    tr_search_bookmarks_forget(&e->bookmarks);
    e->first = e->last = 0;
}

// Candidates [first, last) of the block on its micro-batches.
static enum tr_status run_pass(struct tr_search_engine *e, const struct tr_cost_block *block,
                               struct tr_err *err) {
    const struct tr_calibration *c = &e->job->calibration;
    struct tr_weight_source source;
    struct tr_rows rows = {.ids = c->ids, .sequences = c->sequences, .seq_len = c->seq_len};
    int64_t micro = e->job->micro_batch, end = block->last_batch * micro;
    begin_rows(e, block);
    struct tr_cost_pass pass = {.config = &tr_search_engine_loaded(e)->config,
                                .absent = &e->job->drop,
                                .rows = &rows,
                                .micro_batch = micro,
                                .forward = e->forward,
                                .base = e->base,
                                .base_at_head = e->last > 0,
                                .compares = e->wanted.comparisons,
                                .set = &e->set,
                                .streams = e->streams,
                                .candidates = e->candidates,
                                .block = *block,
                                .removal = on_removal,
                                .slab = on_slab,
                                .user = e};
    set_bookmarks(e, &pass);
    count_work(e, &pass, (end < c->sequences ? end : c->sequences) - block->first_batch * micro);
    e->first = e->last = 0;
    TR_TRY(tr_pass_weights_begin_without(&e->weights, pass.base_at_head ? &e->unread : NULL,
                                         &source, err));
    enum tr_status status = tr_cost_pass_run(&pass, &source, err);
    tr_pass_weights_end(&e->weights);
    TR_TRY(status);
    e->first = block->first_batch;
    e->last = block->last_batch;
    fill_bookmarks(e, &pass);
    return TR_OK;
}

static int64_t lesser(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// A rectangle of candidates and micro-batches, cut to what there is room for.
static enum tr_status run_block(struct tr_search_engine *e, const struct tr_cost_block *block,
                                struct tr_err *err) {
    for (int64_t batch = block->first_batch; batch < block->last_batch; batch += e->batches)
        for (int64_t first = block->first_candidate; first < block->last_candidate;
             first += e->at_once) {
            struct tr_cost_block part = {batch, lesser(batch + e->batches, block->last_batch),
                                         first, lesser(first + e->at_once, block->last_candidate)};
            TR_TRY(run_pass(e, &part, err));
        }
    return TR_OK;
}

enum tr_status tr_search_engine_round(struct tr_search_engine *e, int rank, int ranks,
                                      double *values, struct tr_err *err) {
    struct tr_cost_block blocks[TR_COST_BLOCKS];
    e->values = values;
    TR_TRY(list_candidates(e, ranks, err));
    struct tr_cost_plan all = {
        .candidates = e->candidates, .count = e->count, .batches = e->job->micro_batches};
    int64_t units = all.count * all.batches;
    int count = tr_cost_blocks(&all, rank * units / ranks, (rank + 1) * units / ranks, blocks);
    for (int i = 0; i < count; i++)
        TR_TRY(run_block(e, &blocks[i], err));
    return TR_OK;
}
