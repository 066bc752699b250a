// SPDX-License-Identifier: Apache-2.0
#include "run/limits.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

static double given(double seconds) {
    return seconds > 0 ? seconds : INFINITY;
}

enum tr_status tr_limits_new(struct tr_limits *limits, const struct tr_run_settings *settings,
                             double left, int ranks, double now, struct tr_err *err) {
    double limit = settings->time_limit ? settings->time_limit : left;
    *limits = (struct tr_limits){.deadline = now + limit,
                                 .grace = given(settings->grace),
                                 .stall = given(settings->stall),
                                 .limit = given(settings->stall_limit),
                                 .stopped = INFINITY};
    TR_TRY(TR_NEW(&limits->ranks, ranks, "the ranks", err));
    for (int i = 0; i < ranks; i++)
        limits->ranks[i].last = now;
    return TR_OK;
}

void tr_limits_free(struct tr_limits *limits) {
    free(limits->ranks);
    limits->ranks = NULL;
}

bool tr_limits_in_time(const struct tr_limits *limits, double now, double seconds) {
    return now + 1.1 * seconds <= limits->deadline;
}

void tr_limits_stop(struct tr_limits *limits, double now) {
    limits->stopped = fmin(limits->stopped, now);
}

bool tr_limits_grace_is_over(const struct tr_limits *limits, double now) {
    return now >= limits->stopped + limits->grace;
}

void tr_limits_hear(struct tr_limits *limits, int rank, double now) {
    limits->ranks[rank] = (struct tr_heard){.last = now};
}

double tr_limits_silence(const struct tr_limits *limits, int rank, double since, double now) {
    return now - fmax(limits->ranks[rank].last, since);
}
