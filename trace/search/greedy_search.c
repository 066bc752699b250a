// SPDX-License-Identifier: Apache-2.0
// The rounds of every checkpoint, on all ranks alike; rank 0 keeps the store.
#include "search/greedy_search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "run/progress.h"
#include "search_engine.h"
#include "search_row.h"

// What is wrong with a checkpoint, ascending by how much it stops.
enum trouble { TROUBLE_NONE, TROUBLE_CHECKPOINT, TROUBLE_ALL };

struct search {
    const struct tr_run_state *state;
    const struct tr_job *job;
    const struct tr_search_plan *plan;
    struct tr_run_outcome *outcome;
    bool first; // rank 0
    int rank, ranks;
    double *values, *means; // of a round
    bool stopped;
    double last_said, last_publish, publish_seconds;
};

// How far a checkpoint's search has come, from rank 0 to everyone; the candidates that it left out
// come behind.
struct standing {
    bool searched; // is to be
    int64_t rounds;
    char identity[TR_DIGEST_MAX], config_digest[TR_DIGEST_MAX];
};

// A checkpoint under way.
struct checkpoint {
    struct search *s;
    const struct tr_series_entry *entry;
    struct tr_search_row row; // rank 0
    struct standing standing;
    int64_t *order; // [plan->rounds]: what was left out, as far as it came
    struct tr_search_engine *engine;
    double start, read; // seconds: when it began; and what the weights took to be read
    int64_t begun;      // rounds that were there
};

static void say(const struct search *s, const struct tr_string *text) {
    if (s->first && !s->job->settings->quiet && text->data)
        tr_say(s->job->settings->messages, text->data);
}

// ---- what ranks agree on -----------------------------------------------------------------------

static enum trouble trouble_of(enum tr_status status) {
    if (status == TR_OK)
        return TROUBLE_NONE;
    return status == TR_EFORMAT || status == TR_EUNSUPPORTED || status == TR_EIO
               ? TROUBLE_CHECKPOINT
               : TROUBLE_ALL;
}

// Collective. The worst of all ranks' troubles, and whether any is asked to stop.
static enum trouble agree(struct search *s, enum trouble own) {
    double values[] = {(double)own, *s->job->settings->stop != 0};
    dist_max(s->state->dist, values, 2);
    s->stopped = s->stopped || values[1] > 0;
    return (enum trouble)values[0];
}

// Collective. Rank 0's standing and order to everyone.
static enum tr_status share_standing(struct checkpoint *c, struct tr_err *err) {
    struct tr_string bytes = {0};
    size_t order_size = (size_t)c->s->plan->rounds * sizeof *c->order;
    enum tr_status status = tr_string_append(&bytes, &c->standing, sizeof c->standing, err);
    if (status == TR_OK)
        status = tr_string_append(&bytes, c->order, order_size, err);
    void *data = bytes.data;
    size_t size = bytes.size;
    if (!dist_all_ok(c->s->state->dist, status == TR_OK)) {
        tr_string_free(&bytes);
        return status == TR_OK ? tr_fail(err, TR_ENVIRONMENT, "another rank has no memory")
                               : status;
    }
    status = dist_broadcast(c->s->state->dist, &data, &size, err);
    if (status == TR_OK && size == sizeof c->standing + order_size) {
        memcpy(&c->standing, data, sizeof c->standing);
        memcpy(c->order, (char *)data + sizeof c->standing, order_size);
    }
    if (data != bytes.data)
        free(data);
    tr_string_free(&bytes);
    return status;
}

// ---- a round -----------------------------------------------------------------------------------

// Each value is one rank's, and the others have nothing.
static enum trouble measure(struct checkpoint *c, struct tr_err *err) {
    struct search *s = c->s;
    int64_t count = TR_SEARCH_VALUES * s->plan->count * s->job->calibration.sequences;
    for (int64_t i = 0; i < count; i++)
        s->values[i] = -INFINITY;
    enum trouble trouble =
        trouble_of(tr_search_engine_round(c->engine, s->rank, s->ranks, s->values, err));
    trouble = agree(s, trouble);
    if (trouble == TROUBLE_NONE)
        dist_max(s->state->dist, s->values, (int)count);
    return trouble;
}

static double mean_of(const double *values, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

// The candidate that the round leaves out, the same on every rank; -1: none has a value.
static int64_t choose(const struct checkpoint *c, int64_t round) {
    const struct search *s = c->s;
    int64_t sequences = s->job->calibration.sequences, best = -1;
    for (int64_t i = 0; i < s->plan->count; i++) {
        s->means[i] = mean_of(s->values + i * sequences, sequences);
        if (tr_search_engine_has_dropped(c->engine, i) || !isfinite(s->means[i]))
            continue;
        if (best < 0 || s->means[i] < s->means[best])
            best = i;
    }
    return s->plan->order ? s->plan->order[round] : best;
}

static enum tr_status say_round(const struct checkpoint *c, int64_t round, struct tr_err *err) {
    const struct search *s = c->s;
    const struct tr_run_settings *o = s->job->settings;
    struct tr_string text = {0};
    int64_t interval = o->progress_seconds < 0 ? 30 : o->progress_seconds;
    bool due = interval > 0 && tr_now() - s->last_said >= (double)interval;
    if (!s->first || !(due || o->verbose))
        return TR_OK;
    c->s->last_said = tr_now();
    enum tr_status status =
        tr_string_format(&text, err, "%s: round %lld of %lld left out ", c->entry->name,
                         (long long)round + 1, (long long)s->plan->rounds);
    if (status == TR_OK)
        status = tr_search_candidate_text(&s->plan->candidates[c->order[round]], &text, err);
    if (status == TR_OK)
        status = tr_string_format(&text, err, ", %s %.6g\n", tr_search_by_names[s->plan->by],
                                  s->means[c->order[round]]);
    if (status == TR_OK)
        say(s, &text);
    tr_string_free(&text);
    return status;
}

static enum tr_status publish_now_and_then(struct search *s, struct tr_err *err) {
    double interval = fmax((double)s->job->settings->publish_seconds, 50 * s->publish_seconds);
    if (!s->first || tr_now() - s->last_publish < interval)
        return TR_OK;
    enum tr_status status = tr_store_publish(s->state->store, &s->publish_seconds, err);
    s->last_publish = tr_now();
    return status;
}

// A store that cannot be written is no fault of the checkpoint.
static enum tr_status of_the_store(enum tr_status status, struct tr_err *err) {
    return status == TR_OK ? TR_OK : (err->code = TR_ENVIRONMENT);
}

static enum tr_status close_round(struct checkpoint *c, int64_t round, struct tr_err *err) {
    struct search *s = c->s;
    int64_t chosen = choose(c, round);
    if (chosen < 0)
        return tr_fail(err, TR_EFORMAT,
                       "%s: no candidate of round %lld has a finite %s on all rows", c->entry->name,
                       (long long)round + 1, tr_search_by_names[s->plan->by]);
    c->order[round] = chosen;
    TR_TRY(tr_search_engine_drop(c->engine, chosen, err));
    if (s->first)
        TR_TRY(of_the_store(tr_search_row_commit(&c->row, s->job, chosen, s->values, s->means, err),
                            err));
    TR_TRY(of_the_store(publish_now_and_then(s, err), err));
    return say_round(c, round, err);
}

// ---- a checkpoint ------------------------------------------------------------------------------

static enum tr_status look(struct checkpoint *c, struct tr_err *err) {
    bool found;
    TR_TRY(tr_search_row_read(&c->row, c->s->job, c->entry, &found, err));
    c->standing.rounds = c->row.rounds;
    c->standing.searched = found && c->row.rounds < c->s->plan->rounds;
    if (!c->standing.searched)
        return TR_OK;
    for (int64_t i = 0; i < c->row.rounds; i++)
        c->order[i] = tr_search_row_dropped(&c->row, i);
    snprintf(c->standing.identity, sizeof c->standing.identity, "%s",
             tr_row_string(&c->row.row, TR_V_IDENTITY));
    snprintf(c->standing.config_digest, sizeof c->standing.config_digest, "%s",
             tr_row_string(&c->row.row, TR_V_CONFIG_DIGEST));
    return TR_OK;
}

// The weights that were traced, and what earlier rounds left out.
static enum tr_status open_checkpoint(struct checkpoint *c, struct tr_err *err) {
    const struct search *s = c->s;
    TR_TRY(tr_search_engine_open(&c->engine, s->job, s->state->kn, s->state->memory, c->entry->path,
                                 err));
    const struct tr_loaded *loaded = tr_search_engine_loaded(c->engine);
    if (strcmp(loaded->identity, c->standing.identity) ||
        strcmp(loaded->config_digest, c->standing.config_digest))
        return tr_fail(err, TR_EIO, "%s changed since it was traced", c->entry->path);
    for (int64_t i = 0; i < c->standing.rounds; i++)
        TR_TRY(tr_search_engine_drop(c->engine, c->order[i], err));
    return TR_OK;
}

static enum trouble run_rounds(struct checkpoint *c, struct tr_err *err) {
    struct search *s = c->s;
    enum trouble trouble = agree(s, trouble_of(open_checkpoint(c, err)));
    c->read = tr_now() - c->start;
    for (int64_t round = c->standing.rounds;
         round < s->plan->rounds && trouble == TROUBLE_NONE && !s->stopped; round++) {
        trouble = measure(c, err);
        if (trouble == TROUBLE_NONE)
            trouble = agree(s, trouble_of(close_round(c, round, err)));
        c->standing.rounds += trouble == TROUBLE_NONE;
    }
    return trouble;
}

// Collective. What all ranks did together.
static enum tr_status total_work(const struct checkpoint *c, struct tr_search_work *total,
                                 struct tr_err *err) {
    const struct search *s = c->s;
    double *each;
    enum tr_status status = TR_NEW(&each, 2 * s->ranks, "the ranks", err);
    *total = (struct tr_search_work){0};
    if (!dist_all_ok(s->state->dist, status == TR_OK)) {
        if (status == TR_OK)
            free(each);
        return status;
    }
    struct tr_search_work own = tr_search_engine_work(c->engine);
    each[2 * s->rank] = own.flops;
    each[2 * s->rank + 1] = own.blocks;
    dist_max(s->state->dist, each, 2 * s->ranks);
    for (int i = 0; i < s->ranks; i++) {
        total->flops += each[2 * i];
        total->blocks += each[2 * i + 1];
    }
    free(each);
    return TR_OK;
}

// What was done beside a loop that skips dropped sublayers and begins each candidate at the first
// layer; only of a search that was done in one go.
static enum tr_status write_work(const struct checkpoint *c, const struct tr_search_work *work,
                                 struct tr_string *text, struct tr_err *err) {
    const struct search *s = c->s;
    const struct tr_calibration *calibration = &s->job->calibration;
    double tokens = (double)calibration->sequences * (double)calibration->seq_len;
    struct tr_search_flops flops;
    if (c->begun || c->standing.rounds < s->plan->rounds)
        return tr_string_append(text, "\n", 1, err);
    TR_TRY(tr_search_flops(&flops, s->plan, c->order, &s->job->first.config, tokens,
                           calibration->seq_len, &s->job->drop, err));
    return tr_string_format(text, err,
                            "; products: %.3f of those of a loop that skips what is dropped, %.3f "
                            "in the blocks; %.0f evaluations\n",
                            work->flops / flops.skipping, work->blocks / flops.blocks_skipping,
                            flops.evaluations);
}

static enum tr_status say_checkpoint(const struct checkpoint *c, struct tr_err *err) {
    struct tr_search_work work;
    struct tr_search_reading reading = tr_search_engine_reading(c->engine);
    struct tr_string text = {0};
    TR_TRY(total_work(c, &work, err));
    enum tr_status status = tr_string_format(
        &text, err,
        "searched %s: %lld of %lld rounds by %s%s in %.3f s, %.3f s of them for "
        "reading weights",
        c->entry->name, (long long)c->standing.rounds, (long long)c->s->plan->rounds,
        tr_search_by_names[c->s->plan->by], c->begun ? ", some of them before," : "",
        tr_now() - c->start, c->read + reading.waited);
    if (status == TR_OK && reading.passes)
        status = tr_string_format(&text, err, ", which do not fit and were read for %lld passes",
                                  (long long)reading.passes);
    if (status == TR_OK)
        status = write_work(c, &work, &text, err);
    if (status == TR_OK)
        say(c->s, &text);
    tr_string_free(&text);
    return status;
}

// A failure is named by a rank that knows it, even to those who want quiet.
static enum tr_status say_failure(const struct checkpoint *c, const struct tr_err *failure,
                                  struct tr_err *err) {
    struct tr_string text = {0};
    if (!c->s->first)
        return TR_OK;
    TR_TRY(tr_string_format(&text, err, "the search of %s failed: %s\n", c->entry->name,
                            failure->code == TR_OK ? "another rank could not read it"
                                                   : failure->text));
    tr_say(c->s->job->settings->messages, text.data);
    tr_string_free(&text);
    c->s->outcome->failed++;
    return TR_OK;
}

static enum tr_status run_checkpoint(struct checkpoint *c, struct tr_err *err) {
    struct tr_err failure = {0};
    struct search *s = c->s;
    c->start = tr_now();
    c->begun = c->standing.rounds;
    enum trouble trouble = run_rounds(c, &failure);
    if (trouble == TROUBLE_ALL) {
        *err = failure;
        return failure.code == TR_OK
                   ? tr_fail(err, TR_ENVIRONMENT, "the search ended on another rank")
                   : failure.code;
    }
    if (trouble == TROUBLE_CHECKPOINT)
        return say_failure(c, &failure, err);
    TR_TRY(say_checkpoint(c, err));
    return s->first ? tr_store_publish(s->state->store, &s->publish_seconds, err) : TR_OK;
}

static enum tr_status search_checkpoint(struct search *s, int64_t index, struct tr_err *err) {
    struct checkpoint c = {.s = s, .entry = &s->job->series.entries[index]};
    enum tr_status status = TR_NEW(&c.order, s->plan->rounds, "the rounds", err);
    if (status == TR_OK && s->first)
        status = look(&c, err);
    if (dist_all_ok(s->state->dist, status == TR_OK)) {
        status = share_standing(&c, err);
        if (status == TR_OK && c.standing.searched)
            status = run_checkpoint(&c, err);
    } else if (status == TR_OK) {
        status = tr_fail(err, TR_ENVIRONMENT, "the search ended on another rank");
    }
    tr_search_engine_close(c.engine);
    tr_search_row_free(&c.row);
    free(c.order);
    return status;
}

// ---- all of them -------------------------------------------------------------------------------

static enum tr_status allocate(struct search *s, struct tr_err *err) {
    int64_t values = TR_SEARCH_VALUES * s->plan->count * s->job->calibration.sequences;
    if (values > INT32_MAX)
        return tr_fail(err, TR_EUSAGE, "a search among %lld candidates on %lld rows is too large",
                       (long long)s->plan->count, (long long)s->job->calibration.sequences);
    TR_TRY(TR_NEW(&s->values, values, "the values of a round", err));
    return TR_NEW(&s->means, s->plan->count, "the values of a round", err);
}

// After every checkpoint the ranks agree whether all go on.
static enum tr_status search_all(struct search *s, struct tr_err *err) {
    enum tr_status status = allocate(s, err);
    bool all_ok = dist_all_ok(s->state->dist, status == TR_OK);
    for (int64_t i = 0; i < s->job->series.count && all_ok && !s->stopped; i++) {
        status = search_checkpoint(s, i, err);
        all_ok = dist_all_ok(s->state->dist, status == TR_OK);
    }
    return status;
}

static enum tr_status run(void *user, const struct tr_run_state *state,
                          struct tr_run_outcome *outcome, struct tr_err *err) {
    struct search s = {.state = state,
                       .job = state->job,
                       .plan = &state->job->search,
                       .outcome = outcome,
                       .rank = dist_rank(state->dist),
                       .ranks = dist_size(state->dist),
                       .last_said = tr_now(),
                       .last_publish = tr_now()};
    (void)user;
    s.first = s.rank == 0;
    enum tr_status status = search_all(&s, err);
    outcome->stopped = outcome->stopped || (s.first && s.stopped);
    free(s.values);
    free(s.means);
    return status;
}

enum tr_status tr_search(const struct tr_run_settings *settings, struct dist *dist,
                         struct tr_run_outcome *outcome, struct tr_err *err) {
    struct tr_run_more more = {.run = run};
    return tr_run_then(settings, dist, &more, outcome, err);
}
