// SPDX-License-Identifier: Apache-2.0
#include "run/job_shards.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "run/progress.h"

static const double between_looks = 0.5; // seconds

// What rank 0 knows and decides.
struct shards {
    const struct tr_run_settings *settings;
    struct tr_run_settings mine; // with the shard that is done now
    double begun;
};

static bool is_stopped(const struct tr_run_settings *o) {
    return o->stop && *o->stop;
}

static void say(const struct shards *s, const char *why) {
    char text[160];
    if (s->settings->quiet)
        return;
    snprintf(text, sizeof text, "shard %lld of %lld %s\n", (long long)s->mine.shard,
             (long long)s->mine.shards, why);
    tr_say(s->settings->messages, text);
}

// A shard that was left, as soon as there is one; 0 when none is at work any more, or on a signal.
static enum tr_status wait_for_left(const struct shards *s, int64_t *left_p, struct tr_err *err) {
    struct tr_shards_seen seen = {.held = 1};
    *left_p = 0;
    while (seen.held && !seen.left && !is_stopped(s->settings)) {
        TR_TRY(tr_store_look_at_shards(&seen, s->settings->out, s->settings->shards, err));
        if (seen.held && !seen.left)
            tr_sleep(between_looks);
    }
    *left_p = is_stopped(s->settings) ? 0 : seen.left;
    return TR_OK;
}

// Rank 0's next shard to everyone, 0: it is over.
static enum tr_status share_next(struct shards *s, struct dist *dist, int64_t next,
                                 struct tr_err *err) {
    void *bytes = &next;
    size_t size = sizeof next;
    TR_TRY(dist_broadcast(dist, &bytes, &size, err));
    memcpy(&s->mine.shard, bytes, sizeof next);
    if (bytes != &next)
        free(bytes);
    return TR_OK;
}

// A time limit counts from the job's start. One that is over leaves no time to begin anything.
static void set_time_limit(struct shards *s) {
    const double hardly = 1e-3; // seconds; 0 would be another wish
    if (s->settings->time_limit > 0 && isfinite(s->settings->time_limit))
        s->mine.time_limit = fmax(s->settings->time_limit - (tr_now() - s->begun), hardly);
}

// Another job was quicker to take this shard.
static bool is_elsewhere(const struct shards *s, enum tr_status status) {
    struct tr_shards_seen seen;
    struct tr_err ignored;
    return status == TR_ECONFLICT &&
           tr_store_look_at_shards(&seen, s->settings->out, s->settings->shards, &ignored) ==
               TR_OK &&
           seen.left != s->mine.shard;
}

static enum tr_status run_one(struct shards *s, struct dist *dist, struct tr_run_outcome *outcome,
                              struct tr_err *err) {
    struct tr_run_outcome here;
    set_time_limit(s);
    enum tr_status status = tr_run(&s->mine, dist, &here, err);
    outcome->failed += here.failed;
    outcome->stopped |= here.stopped;
    if (dist_rank(dist) || !is_elsewhere(s, status))
        return status;
    say(s, "is in another job's hands");
    return TR_OK;
}

static enum tr_status next_shard(struct shards *s, struct dist *dist, struct tr_err *err) {
    int64_t next = 0;
    enum tr_status status = TR_OK;
    if (dist_rank(dist) == 0)
        status = wait_for_left(s, &next, err);
    s->mine.shard = 0;
    if (!dist_all_ok(dist, status == TR_OK))
        return status;
    TR_TRY(share_next(s, dist, next, err));
    if (next)
        say(s, "was left by a job that is no more");
    return TR_OK;
}

enum tr_status tr_run_shards(const struct tr_run_settings *settings, struct dist *dist,
                             struct tr_run_outcome *outcome, struct tr_err *err) {
    struct shards s = {.settings = settings, .mine = *settings, .begun = tr_now()};
    *outcome = (struct tr_run_outcome){0};
    if (!settings->take_over || settings->dry_run)
        return tr_run(settings, dist, outcome, err);
    while (s.mine.shard) {
        enum tr_status status = run_one(&s, dist, outcome, err);
        if (!dist_all_ok(dist, status == TR_OK && !outcome->stopped))
            return status;
        TR_TRY(next_shard(&s, dist, err));
    }
    return TR_OK;
}
