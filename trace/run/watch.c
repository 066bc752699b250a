// SPDX-License-Identifier: Apache-2.0
#include "run/watch.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

static double given(double seconds) {
    return seconds > 0 ? seconds : INFINITY;
}

enum tr_status tr_watch_new(struct tr_watch *watch, const struct tr_run_settings *settings,
                            double left, int ranks, double now, struct tr_err *err) {
    double limit = settings->time_limit ? settings->time_limit : left;
    *watch = (struct tr_watch){.deadline = now + limit,
                               .grace = given(settings->grace),
                               .stall = given(settings->stall),
                               .limit = given(settings->stall_limit),
                               .stopped = INFINITY};
    TR_TRY(TR_NEW(&watch->ranks, ranks, "the ranks", err));
    for (int i = 0; i < ranks; i++)
        watch->ranks[i].last = now;
    return TR_OK;
}

void tr_watch_free(struct tr_watch *watch) {
    free(watch->ranks);
    watch->ranks = NULL;
}

bool tr_watch_in_time(const struct tr_watch *watch, double now, double seconds) {
    return now + 1.1 * seconds <= watch->deadline;
}

void tr_watch_stop(struct tr_watch *watch, double now) {
    watch->stopped = fmin(watch->stopped, now);
}

bool tr_watch_grace_is_over(const struct tr_watch *watch, double now) {
    return now >= watch->stopped + watch->grace;
}

void tr_watch_hear(struct tr_watch *watch, int rank, double now) {
    watch->ranks[rank] = (struct tr_heard){.last = now};
}

double tr_watch_silence(const struct tr_watch *watch, int rank, double since, double now) {
    return now - fmax(watch->ranks[rank].last, since);
}
