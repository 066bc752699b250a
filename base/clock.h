// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CLOCK_H
#define TR_CLOCK_H

// Seconds on a clock that never jumps; only differences mean something.
double tr_now(void);

// Sleeps for about `seconds`; returns early when a signal arrives.
void tr_sleep(double seconds);

// The present time as ISO 8601 in UTC, "2026-01-31T12:00:00Z", into `out`, returned.
enum { TR_TIME_MAX = 24 };
char *tr_time_iso(char out[TR_TIME_MAX]);

#endif
