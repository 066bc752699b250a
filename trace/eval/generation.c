// SPDX-License-Identifier: Apache-2.0
#include "eval/generation.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "run/node_memory.h"

enum { STEPS_AHEAD = 16 };
_Static_assert((int)STEPS_AHEAD <= (int)TR_DECODER_AHEAD, "a decoder's");

// A text on its way: its tokens so far, the prompt's first.
struct text {
    struct tr_continuation *of;
    int64_t index;   // among the caller's
    int32_t *tokens; // [prompt_count + most]
    int64_t count;
};

// The texts that run together, and one pass's rows of them.
struct batch {
    struct tr_generator *g;
    const struct tr_config *config;
    struct tr_decoder *decoder;
    struct text **texts; // [count]
    int64_t count;
    int64_t reach;                      // tokens up to which what is cached holds
    int32_t *sequences, *tokens, *best; // [batch]
    int32_t *placed;                    // [batch]: sequences that the decoder goes on with
    int64_t placed_count;
    int32_t *chosen;               // [STEPS_AHEAD, batch]
    struct tr_prompt_row *prompts; // [batch]
};

static int64_t reach_of(const struct tr_config *config, int64_t length) {
    int64_t reach = INT64_MAX;
    for (int i = 0; i < 2; i++) {
        int64_t one = tr_rope_reach(&config->rope[i], length);
        reach = one < reach ? one : reach;
    }
    return reach;
}

static bool is_done(const struct text *text) {
    return text->of->ended || text->of->count == text->of->most;
}

// ---- one batch ---------------------------------------------------------------------------------

// The text's next token. A text that is done leaves the batch.
static void take(const struct batch *b, struct text *text, int32_t token) {
    struct tr_continuation *of = text->of;
    text->tokens[text->count++] = token;
    of->tokens[of->count++] = token;
    b->g->tokens++;
    of->ended = b->g->ends && b->g->ends(b->g->user, text->index, of);
}

static enum tr_status run_prompts(struct batch *b, struct tr_err *err) {
    struct tr_weight_source source;
    double start = tr_now();
    for (int64_t i = 0; i < b->count; i++) {
        b->prompts[i] = (struct tr_prompt_row){b->texts[i]->tokens, b->texts[i]->count};
        b->g->prompt_tokens += b->texts[i]->count;
    }
    TR_TRY(tr_pass_weights_begin(b->g->weights, &source, err));
    enum tr_status status =
        tr_decoder_begin(b->decoder, &source, b->prompts, b->count, b->best, err);
    tr_pass_weights_end(b->g->weights);
    for (int64_t i = 0; i < b->count && status == TR_OK; i++)
        take(b, b->texts[i], b->best[i]);
    b->g->prefills++;
    b->g->prompt_seconds += tr_now() - start;
    return status;
}

// The texts that go on, by their numbers in the cache.
static int64_t rows_to_go(const struct batch *b) {
    int64_t rows = 0;
    for (int64_t i = 0; i < b->count; i++) {
        const struct text *text = b->texts[i];
        if (is_done(text) || text->count > b->reach)
            continue;
        b->sequences[rows] = (int32_t)i;
        b->tokens[rows++] = text->tokens[text->count - 1];
    }
    return rows;
}

// How many tokens are chosen before the host looks at them: on a device a few, for it is to have
// work while the host decides, but no text gets more than it asks for. One that ends before is done
// with some for nothing.
static int64_t steps_ahead(const struct batch *b, int64_t rows) {
    int64_t steps = b->g->weights->kn->unified ? 1 : STEPS_AHEAD;
    for (int64_t i = 0; i < rows; i++) {
        const struct text *text = b->texts[b->sequences[i]];
        int64_t left = text->of->most - text->of->count, within = b->reach - text->count + 1;
        left = within < left ? within : left;
        steps = left < steps ? left : steps;
    }
    return steps;
}

// The decoder knows the last tokens of those that it went on with.
static enum tr_status place(struct batch *b, int64_t rows, struct tr_err *err) {
    size_t bytes = (size_t)rows * sizeof *b->placed;
    if (rows == b->placed_count && memcmp(b->placed, b->sequences, bytes) == 0)
        return TR_OK;
    memcpy(b->placed, b->sequences, bytes);
    b->placed_count = rows;
    return tr_decoder_place(b->decoder, b->sequences, b->tokens, rows, err);
}

static enum tr_status queue_step(struct batch *b, struct tr_err *err) {
    struct tr_weight_source source;
    TR_TRY(tr_pass_weights_begin(b->g->weights, &source, err));
    enum tr_status status = tr_decoder_step(b->decoder, &source, err);
    tr_pass_weights_end(b->g->weights);
    b->g->steps++;
    return status;
}

static enum tr_status run_some_steps(struct batch *b, int64_t rows, struct tr_err *err) {
    int64_t steps = steps_ahead(b, rows);
    TR_TRY(place(b, rows, err));
    for (int64_t s = 0; s < steps; s++)
        TR_TRY(queue_step(b, err));
    TR_TRY(tr_decoder_take(b->decoder, b->chosen, err));
    for (int64_t i = 0; i < steps * rows; i++) {
        struct text *text = b->texts[b->sequences[i % rows]];
        if (!is_done(text))
            take(b, text, b->chosen[i]);
    }
    return TR_OK;
}

static bool is_stopped(const struct batch *b) {
    return b->g->stop && *b->g->stop;
}

static enum tr_status run_steps(struct batch *b, struct tr_err *err) {
    double start = tr_now();
    enum tr_status status = TR_OK;
    for (int64_t rows; status == TR_OK && !is_stopped(b) && (rows = rows_to_go(b)) > 0;)
        status = run_some_steps(b, rows, err);
    b->g->seconds += tr_now() - start;
    return status;
}

// Tokens of a text that are fed at most: all but the last, and no more than the tables hold for.
static int64_t positions_of(const struct batch *b) {
    int64_t most = 0;
    for (int64_t i = 0; i < b->count; i++) {
        const struct tr_continuation *of = b->texts[i]->of;
        int64_t fed = of->prompt_count + of->most - 1;
        most = fed > most ? fed : most;
    }
    return most < b->reach ? most : b->reach;
}

static enum tr_status run_batch(struct batch *b, struct tr_err *err) {
    struct tr_decoder_options options = {
        .drop = b->g->drop, .sequences = b->count, .positions = positions_of(b)};
    b->placed_count = 0;
    TR_TRY(tr_decoder_new(&b->decoder, b->g->weights->kn, b->config, &options, err));
    enum tr_status status = run_prompts(b, err);
    if (status == TR_OK)
        status = run_steps(b, err);
    tr_decoder_free(b->decoder);
    return status;
}

// ---- all of them -------------------------------------------------------------------------------

static int by_length(const void *a, const void *b) {
    const struct text *x = *(struct text *const *)a, *y = *(struct text *const *)b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

// How many of the texts can run together with the first: those that what is cached holds for as
// long.
static int64_t alike(const struct batch *b, struct text *const *texts, int64_t left) {
    int64_t count = 1;
    while (count < left && count < b->g->batch &&
           reach_of(b->config, texts[count]->count) == b->reach)
        count++;
    return count;
}

// Whether the batch's cache and scratch have room beside what is there already.
static bool has_room(const struct batch *b) {
    static const double share = 0.9;
    const struct kn_backend *kn = b->g->weights->kn;
    struct tr_decoder_options options = {
        .drop = b->g->drop, .sequences = b->count, .positions = positions_of(b)};
    struct tr_forward_bytes bytes =
        tr_decoder_bytes(kn, b->config, &options, b->texts[0]->count).all;
    double all = kn->unified ? tr_node_memory() : (double)kn->memory_free;
    double needed = bytes.backend + (kn->unified ? bytes.host : 0);
    return needed <= share * (all - (double)kn->memory_used);
}

// Runs texts[0, left), the longest first; returns how many have been as far as they could be.
static enum tr_status run_round(struct batch *b, struct text **texts, int64_t left,
                                struct tr_err *err) {
    for (int64_t i = 0; i < left && !is_stopped(b); i += b->count) {
        b->texts = texts + i;
        b->reach = reach_of(b->config, texts[i]->count);
        b->count = alike(b, b->texts, left - i);
        while (b->count > 1 && !has_room(b))
            b->count = (b->count + 1) / 2;
        TR_TRY(run_batch(b, err));
    }
    return TR_OK;
}

// Keeps those that are not done.
static int64_t compact(struct text **texts, int64_t count) {
    int64_t left = 0;
    for (int64_t i = 0; i < count; i++)
        if (!is_done(texts[i]))
            texts[left++] = texts[i];
    return left;
}

static enum tr_status run_all(struct batch *b, struct text **texts, int64_t count,
                              struct tr_err *err) {
    int64_t left = compact(texts, count);
    while (left && !is_stopped(b)) {
        qsort(texts, (size_t)left, sizeof *texts, by_length);
        TR_TRY(run_round(b, texts, left, err));
        left = compact(texts, left);
    }
    return TR_OK;
}

// ---- what goes in ------------------------------------------------------------------------------

static enum tr_status check_prompt(const struct tr_continuation *text,
                                   const struct tr_config *config, struct tr_err *err) {
    for (int64_t t = 0; t < text->prompt_count; t++)
        if (text->prompt[t] < 0 || text->prompt[t] >= config->vocabulary)
            return tr_fail(err, TR_EFORMAT, "a prompt has token %d, and the model has %lld",
                           (int)text->prompt[t], (long long)config->vocabulary);
    int64_t fed = text->prompt_count + text->most - 1, longest = tr_config_longest(config);
    if (fed > longest)
        return tr_fail(err, TR_EFORMAT,
                       "a prompt of %lld tokens with %lld more is longer than the model's %lld",
                       (long long)text->prompt_count, (long long)text->most, (long long)longest);
    return TR_OK;
}

static enum tr_status open_text(struct text *text, struct tr_continuation *of, int64_t index,
                                const struct tr_config *config, struct tr_err *err) {
    TR_TRY(check_prompt(of, config, err));
    *text = (struct text){.of = of, .index = index, .count = of->prompt_count};
    of->count = 0;
    of->ended = false;
    TR_TRY(TR_NEW(&text->tokens, of->prompt_count + of->most, "the texts", err));
    memcpy(text->tokens, of->prompt, (size_t)of->prompt_count * sizeof *text->tokens);
    return TR_OK;
}

static enum tr_status open_texts(struct text *texts, struct text **order,
                                 struct tr_continuation *of, int64_t count,
                                 const struct tr_config *config, struct tr_err *err) {
    for (int64_t i = 0; i < count; i++) {
        TR_TRY(open_text(&texts[i], &of[i], i, config, err));
        order[i] = &texts[i];
    }
    return TR_OK;
}

static enum tr_status allocate(struct batch *b, struct tr_err *err) {
    static const char what[] = "the texts";
    int64_t batch = b->g->batch;
    TR_TRY(TR_NEW(&b->sequences, batch, what, err));
    TR_TRY(TR_NEW(&b->tokens, batch, what, err));
    TR_TRY(TR_NEW(&b->best, batch, what, err));
    TR_TRY(TR_NEW(&b->placed, batch, what, err));
    TR_TRY(TR_NEW(&b->chosen, STEPS_AHEAD * batch, what, err));
    return TR_NEW(&b->prompts, batch, what, err);
}

static void free_all(struct batch *b, struct text *texts, struct text **order, int64_t count) {
    for (int64_t i = 0; texts && i < count; i++)
        free(texts[i].tokens);
    free(texts);
    free(order);
    free(b->sequences);
    free(b->tokens);
    free(b->best);
    free(b->placed);
    free(b->chosen);
    free(b->prompts);
}

enum tr_status tr_generate(struct tr_generator *generator, struct tr_continuation *of,
                           int64_t count, bool *stopped_p, struct tr_err *err) {
    struct batch b = {.g = generator, .config = &generator->weights->loaded.config};
    struct text *texts = NULL, **order = NULL;
    enum tr_status status;
    TR_GO(status, TR_NEW(&texts, count, "the texts", err), out);
    TR_GO(status, TR_NEW(&order, count, "the texts", err), out);
    TR_GO(status, allocate(&b, err), out);
    TR_GO(status, open_texts(texts, order, of, count, b.config, err), out);
    status = run_all(&b, order, count, err);
    *stopped_p = is_stopped(&b);
out:
    free_all(&b, texts, order, count);
    return status;
}
