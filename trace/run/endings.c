// SPDX-License-Identifier: Apache-2.0
// How a running job comes to an end before its work is done: a signal, the time limit, a rank that
// says nothing.
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "coordinator_state.h"

// ---- taking no more items ----------------------------------------------------------------------

// Said at once, because a launcher may leave no time for a last word (mpirun: two seconds).
static void note_stop(struct tr_coordinator *c, const char *why) {
    char text[200], seconds[TR_HUMAN_MAX];
    double each = tr_progress_seconds(&c->progress);
    tr_progress_note(&c->progress, why);
    snprintf(
        text, sizeof text,
        "%lld of %lld checkpoints are done and kept; the same command goes on with the rest%s%s",
        (long long)c->finished, (long long)c->task_count,
        each > 0 ? "; a checkpoint has taken a rank " : "",
        each > 0 ? tr_human_seconds(each, seconds) : "");
    tr_progress_note(&c->progress, text);
}

static void stop(struct tr_coordinator *c, const char *why) {
    c->stopped = true;
    tr_limits_stop(&c->limits, tr_now());
    dist_work_stop(c->work);
    note_stop(c, why);
}

static void heed_stop(struct tr_coordinator *c) {
    if (*c->job->settings->stop && !c->stopped)
        stop(c, "stopping: finishing what is in flight");
}

// Takes no checkpoint that would not be done by the time limit. Before the first is done, nobody
// knows how long one takes.
static void heed_time_limit(struct tr_coordinator *c) {
    char text[200], each[TR_HUMAN_MAX], left[TR_HUMAN_MAX];
    double seconds = tr_progress_seconds(&c->progress), now = tr_now();
    if (c->stopped || (tr_arrivals_are_over(c) && dist_work_is_handed_out(c->work)) ||
        tr_limits_in_time(&c->limits, now, seconds + c->publish_seconds))
        return;
    snprintf(text, sizeof text,
             "stopping: the job's time ends in %s, and a checkpoint takes a rank about %s",
             tr_human_seconds(fmax(c->limits.deadline - now, 0), left),
             tr_human_seconds(seconds, each));
    stop(c, text);
}

void tr_endings_heed_stop(struct tr_coordinator *c) {
    heed_stop(c);
    heed_time_limit(c);
}

// ---- ending at once ----------------------------------------------------------------------------

// Nothing is published any more: what is committed is kept beside the store, and a file system that
// hangs would keep the job from ending.
static void end(struct tr_coordinator *c, bool stopped, const char *why) {
    tr_progress_note(&c->progress, why);
    c->end(c->end_user, stopped);
}

static void look_at_rank(struct tr_coordinator *c, int rank) {
    struct dist_item item;
    char text[400], seconds[TR_HUMAN_MAX];
    double since, silence;
    if (!dist_work_holds(c->work, rank, &item, &since))
        return;
    silence = tr_limits_silence(&c->limits, rank, since, tr_now());
    bool over = silence >= c->limits.limit;
    if (!over && (silence < c->limits.stall || c->limits.ranks[rank].told))
        return;
    c->limits.ranks[rank].told = true;
    snprintf(text, sizeof text, "rank %d has said nothing for %s; it is at %.200s%s", rank,
             tr_human_seconds(silence, seconds), c->tasks[item.task].entry.name,
             over ? "; the job is ended, and the same command goes on" : "");
    if (over)
        end(c, false, text);
    else
        tr_progress_note(&c->progress, text);
}

void tr_endings_heed_silence(struct tr_coordinator *c) {
    for (int i = 0; i < c->ranks; i++)
        look_at_rank(c, i);
    if (tr_limits_grace_is_over(&c->limits, tr_now()))
        end(c, true, "what is in flight is dropped, as --grace says; the same command goes on");
}
