// SPDX-License-Identifier: Apache-2.0
#include "eval/score.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "model/forward.h"
#include "score_rows.h"

// Rows of one length: the forward pass for them and, of each candidate, its streams.
struct scorer {
    struct tr_scoring *scoring;
    const struct tr_config *config;
    const struct tr_prompts *prompts;
    struct tr_score_rows rows;
    struct tr_likelihood *likelihoods;
    struct tr_forward *forward;
    struct tr_streams **streams;     // [candidates]
    struct tr_candidate *candidates; // [candidates]
    struct tr_taps *taps;            // [candidates]
    struct listener *listeners;      // [candidates]
    int64_t count;                   // candidates
    int32_t *ids, *targets;          // [batch, length]
    int64_t batch, length;
    int64_t first_row; // of the micro-batch under way
    int64_t spoilt;    // the candidate whose likelihood is no number, -1: none
};

// Whose losses arrive.
struct listener {
    struct scorer *scorer;
    struct tr_likelihood *likelihoods; // [prompts]
};

// ---- what comes out ----------------------------------------------------------------------------

static struct tr_likelihood likelihood_of(const struct tr_prompt *prompt, const double *loss,
                                          const int32_t *likeliest) {
    struct tr_likelihood likelihood = {0, true};
    for (int64_t t = prompt->first; t < prompt->count; t++) {
        likelihood.sum -= loss[t - 1];
        likelihood.greedy = likelihood.greedy && likeliest[t - 1];
    }
    return likelihood;
}

static void on_loss(void *user, const struct tr_loss_tap *tap) {
    const struct listener *l = user;
    struct scorer *s = l->scorer;
    for (int64_t i = 0; i < tap->sequences; i++) {
        const struct tr_score_row *row = &s->rows.rows[s->first_row + tap->first_sequence + i];
        int64_t at = i * tap->seq_len;
        for (int64_t r = row->first; r < row->last; r++) {
            int64_t prompt = s->rows.order[r];
            l->likelihoods[prompt] =
                likelihood_of(&s->prompts->prompts[prompt], tap->loss + at, tap->likeliest + at);
            if (!isfinite(l->likelihoods[prompt].sum) && s->spoilt < 0)
                s->spoilt = l - s->listeners;
        }
    }
}

static void on_tap(void *user, const struct tr_tap *tap) {
    (void)user;
    (void)tap;
}

static void on_slab(void *user, int64_t index) {
    (void)user;
    (void)index;
}

// ---- rows of one length ------------------------------------------------------------------------

static void close_length(struct scorer *s) {
    tr_forward_free(s->forward);
    for (int64_t c = 0; c < s->count; c++) {
        tr_streams_free(s->streams[c]);
        s->streams[c] = NULL;
    }
    free(s->ids);
    free(s->targets);
    s->forward = NULL;
    s->ids = s->targets = NULL;
}

static enum tr_status open_length(struct scorer *s, int64_t length, struct tr_err *err) {
    struct kn_backend *kn = s->scoring->kn;
    close_length(s);
    s->length = length;
    s->batch = tr_micro_batch(s->config, length, !kn->unified);
    struct tr_forward_options options = {.seq_len = length,
                                         .max_sequences = s->batch,
                                         .micro_batch = s->batch,
                                         .head = true,
                                         .losses_only = true};
    TR_TRY(TR_NEW(&s->ids, s->batch * length, "rows of prompts", err));
    TR_TRY(TR_NEW(&s->targets, s->batch * length, "rows of prompts", err));
    for (int64_t c = 0; c < s->count; c++) {
        TR_TRY(tr_streams_new(&s->streams[c], kn, s->config, &options, err));
        s->candidates[c].streams = s->streams[c];
    }
    return tr_forward_new(&s->forward, kn, s->config, &options, err);
}

// Behind a prompt's end come zeros, which nothing before them can see, and no targets.
static void lay_out(struct scorer *s, int64_t count) {
    for (int64_t r = 0; r < count; r++) {
        const struct tr_score_row *row = &s->rows.rows[s->first_row + r];
        const int32_t *tokens = s->prompts->prompts[s->rows.order[row->last - 1]].tokens;
        for (int64_t t = 0; t < s->length; t++) {
            s->ids[r * s->length + t] = t < row->fed ? tokens[t] : 0;
            s->targets[r * s->length + t] = t < row->fed ? tokens[t + 1] : -1;
        }
    }
}

static enum tr_status run_batch(struct scorer *s, int64_t count, struct tr_err *err) {
    struct tr_weight_source source;
    struct tr_rows rows = {
        .ids = s->ids, .sequences = count, .seq_len = s->length, .targets = s->targets};
    struct tr_pass pass = {.rows = &rows, .end = count};
    lay_out(s, count);
    s->scoring->rows += count;
    s->scoring->tokens += count * s->length;
    TR_TRY(tr_pass_weights_begin(s->scoring->weights, &source, err));
    enum tr_status status =
        tr_forward_run(s->forward, &source, s->candidates, (int)s->count, &pass, err);
    tr_pass_weights_end(s->scoring->weights);
    return status;
}

// How many of the rows from `first` on are of its length.
static int64_t alike(const struct scorer *s, int64_t first) {
    int64_t end = first;
    while (end < s->rows.count && s->rows.rows[end].length == s->rows.rows[first].length)
        end++;
    return end - first;
}

// Whether a prompt of the next `count` rows is not known yet, of any candidate.
static bool is_unknown(const struct scorer *s, int64_t count) {
    for (int64_t r = s->first_row; r < s->first_row + count; r++)
        for (int64_t i = s->rows.rows[r].first; i < s->rows.rows[r].last; i++)
            for (int64_t c = 0; c < s->count; c++)
                if (isnan(s->likelihoods[c * s->prompts->count + s->rows.order[i]].sum))
                    return true;
    return false;
}

// Micro-batches are the same whoever runs them.
static enum tr_status run_rows(struct scorer *s, bool *stopped_p, struct tr_err *err) {
    const struct tr_scoring *scoring = s->scoring;
    for (int64_t batch = 0; s->first_row < s->rows.count; batch++) {
        int64_t left = alike(s, s->first_row), length = s->rows.rows[s->first_row].length;
        int64_t most = tr_micro_batch(s->config, length, !scoring->kn->unified);
        int64_t count = left < most ? left : most;
        bool is_own = scoring->parts <= 1 || batch % scoring->parts == scoring->part;
        *stopped_p = scoring->stop && *scoring->stop;
        if (*stopped_p)
            return TR_OK;
        if (is_own && is_unknown(s, count)) {
            if (!s->forward || s->length != length)
                TR_TRY(open_length(s, length, err));
            TR_TRY(run_batch(s, count, err));
        }
        s->first_row += count;
    }
    return TR_OK;
}

// ---- the candidates ----------------------------------------------------------------------------

static enum tr_status allocate(struct scorer *s, struct tr_err *err) {
    static const char what[] = "the candidates";
    TR_TRY(TR_NEW(&s->streams, s->count, what, err));
    TR_TRY(TR_NEW(&s->candidates, s->count, what, err));
    TR_TRY(TR_NEW(&s->taps, s->count, what, err));
    return TR_NEW(&s->listeners, s->count, what, err);
}

// The whole model first; each set goes on by itself from where it leaves something out.
static void set_candidates(struct scorer *s) {
    for (int64_t c = 0; c < s->count; c++) {
        s->listeners[c] = (struct listener){s, s->likelihoods + c * s->prompts->count};
        s->taps[c] = (struct tr_taps){
            .user = &s->listeners[c], .tap = on_tap, .loss = on_loss, .slab = on_slab};
        s->candidates[c] =
            (struct tr_candidate){.taps = &s->taps[c], .parent = c ? s->candidates : NULL};
        if (c > 0)
            s->candidates[c].drop = &s->scoring->sets->sets[c - 1].drop;
    }
}

static void free_scorer(struct scorer *s) {
    if (s->streams)
        close_length(s);
    tr_score_rows_free(&s->rows);
    free(s->streams);
    free(s->candidates);
    free(s->taps);
    free(s->listeners);
}

// ---- what goes in ------------------------------------------------------------------------------

static enum tr_status check_tokens(const struct tr_prompts *prompts, const struct tr_config *config,
                                   struct tr_err *err) {
    for (int64_t p = 0; p < prompts->count; p++)
        for (int64_t t = 0; t < prompts->prompts[p].count; t++) {
            int32_t id = prompts->prompts[p].tokens[t];
            if (id < 0 || id >= config->vocabulary)
                return tr_fail(err, TR_EFORMAT,
                               "the tokenizer gives token %d, and the model has %lld", (int)id,
                               (long long)config->vocabulary);
        }
    return TR_OK;
}

static bool turns_by_length(const struct tr_config *config) {
    for (int i = 0; i < 2; i++)
        if (config->rope[i].pairs &&
            (config->rope[i].type == TR_ROPE_DYNAMIC || config->rope[i].type == TR_ROPE_LONG))
            return true;
    return false;
}

static enum tr_status check_numbers(const struct scorer *s, struct tr_err *err) {
    if (s->spoilt < 0)
        return TR_OK;
    return tr_fail(err, TR_EFORMAT, "the model%s gives a likelihood that is no number",
                   s->spoilt == 0 ? "" : " without a drop set");
}

enum tr_status tr_score_prompts(struct tr_scoring *scoring, const struct tr_prompts *prompts,
                                struct tr_likelihood *likelihoods, bool *stopped_p,
                                struct tr_err *err) {
    const struct tr_config *config = &scoring->weights->loaded.config;
    struct scorer s = {.scoring = scoring,
                       .config = config,
                       .prompts = prompts,
                       .likelihoods = likelihoods,
                       .spoilt = -1,
                       .count = 1 + scoring->sets->count};
    enum tr_status status;
    *stopped_p = false;
    TR_TRY(check_tokens(prompts, config, err));
    TR_GO(status, allocate(&s, err), out);
    TR_GO(status,
          tr_score_rows_make(&s.rows, prompts, tr_config_longest(config), turns_by_length(config),
                             err),
          out);
    set_candidates(&s);
    TR_GO(status, run_rows(&s, stopped_p, err), out);
    if (!*stopped_p)
        status = check_numbers(&s, err);
out:
    free_scorer(&s);
    return status;
}
