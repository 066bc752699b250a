// SPDX-License-Identifier: Apache-2.0
#ifndef TR_LIMITS_H
#define TR_LIMITS_H

#include <stdbool.h>

#include "base/status.h"
#include "run/settings.h"

// What the clock says of a running job: whether one more checkpoint would end in time, whether a
// stop has been waited for long enough, which ranks say nothing. It reads no clock: `now` is
// tr_now().

struct tr_heard {
    double last; // when the rank said something
    bool told;   // of its silence since
};

struct tr_limits {
    double deadline;     // when the job is ended from outside; INFINITY: never
    double grace;        // seconds from a stop to the end; INFINITY: as long as it takes
    double stall, limit; // seconds of silence that are told, and that end the job
    double stopped;      // when the stop came; INFINITY: not yet
    struct tr_heard *ranks;
};

// `left`: seconds that the scheduler leaves (dist_seconds_left), which settings override.
enum tr_status tr_limits_new(struct tr_limits *limits, const struct tr_run_settings *settings,
                             double left, int ranks, double now, struct tr_err *err);
void tr_limits_free(struct tr_limits *limits); // accepts zeros

// Whether what takes so many seconds, and a tenth more, ends before the deadline.
bool tr_limits_in_time(const struct tr_limits *limits, double now, double seconds);

void tr_limits_stop(struct tr_limits *limits, double now);
bool tr_limits_grace_is_over(const struct tr_limits *limits, double now);

void tr_limits_hear(struct tr_limits *limits, int rank, double now);
// Seconds since a rank last said something or, later, took the item it holds.
double tr_limits_silence(const struct tr_limits *limits, int rank, double since, double now);

#endif
