// SPDX-License-Identifier: Apache-2.0
#ifndef DIST_SCHEDULE_H
#define DIST_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// Who does what: a pure state machine without any communication, used by rank 0. An item is a whole
// checkpoint in every full round, one for each worker; the checkpoints that remain then (fewer than
// workers) are each split into equal contiguous ranges of micro-batches, as many as end them
// soonest, at most one per worker.

struct dist_item {
    int64_t checkpoint; // index into the list of checkpoints to do; -1: no work is left
    int64_t begin, end; // micro-batches [begin, end)
    int64_t pieces;     // of this checkpoint; 1 = whole
};

struct dist_schedule;

// `checkpoints` to do, each of `micro_batches` micro-batches, for `workers` ranks.
enum tr_status dist_schedule_new(struct dist_schedule **schedule_p, int64_t checkpoints,
                                 int64_t micro_batches, int workers, struct tr_err *err);
void dist_schedule_free(struct dist_schedule *schedule); // accepts NULL

// The next item, in order of the checkpoints; checkpoint = -1 when all are handed out.
struct dist_item dist_schedule_next(struct dist_schedule *schedule);

// How many items the whole schedule has.
int64_t dist_schedule_items(int64_t checkpoints, int64_t micro_batches, int workers);

// Notes that an item, which `next` gave, is done; true when it was the last of its checkpoint.
bool dist_schedule_done(struct dist_schedule *schedule, const struct dist_item *item);

// Stops handing out (a signal came): next gives -1 from now on.
void dist_schedule_stop(struct dist_schedule *schedule);

#endif
