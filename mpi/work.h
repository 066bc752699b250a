// SPDX-License-Identifier: Apache-2.0
#ifndef DIST_WORK_H
#define DIST_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// Who does what: a pure state machine without any communication or clock, kept by rank 0. Tasks are
// added in the order in which they shall be done, and may be added while others run. A task is cut
// into items (cut.h); an item says all that is needed to do it, is held by one rank since a time,
// and can be taken back from a rank that died, to be handed out again.

// What a task costs and where its data is; given when it is added.
struct dist_task {
    double bytes, flops; // of the whole task
    int node;            // whose ranks read it most cheaply, -1: all alike
};

struct dist_item {
    int64_t task;        // its number, in the order added from 0; what it means is the caller's
    int64_t begin, end;  // units of work [begin, end), as micro-batches are
    int64_t pieces;      // of the task; 1 = whole
    double bytes, flops; // of this item
    int node;            // the task's
    int64_t ticket;      // no two handings-out have the same
};

struct dist_work;

// For `workers` ranks and tasks of `units` units each.
enum tr_status dist_work_new(struct dist_work **work_p, int64_t units, int workers,
                             struct tr_err *err);
void dist_work_free(struct dist_work *work); // accepts NULL

// Says on which node each rank is: node_of[workers], from 0 on; until then all are on one. Ranks of
// a node then get pieces of the tasks that it is at already. Before the first item is handed out.
enum tr_status dist_work_place(struct dist_work *work, const int *node_of, struct tr_err *err);

// Adds a task at the end. Tasks that are not begun yet are cut anew with it.
enum tr_status dist_work_add(struct dist_work *work, const struct dist_task *task,
                             struct tr_err *err);
// No task will be added any more. Until then a worker that finds nothing is told to wait.
void dist_work_close(struct dist_work *work);

enum dist_next { DIST_END, DIST_ITEM, DIST_WAIT };
// What a rank does next, from time `now` on: items that were taken back first, then pieces of what
// its node is at, then the next task, then pieces that other nodes have left.
enum dist_next dist_work_next(struct dist_work *work, int rank, double now, struct dist_item *item);

// Whether nothing is there to be handed out now: next would say DIST_END or DIST_WAIT.
bool dist_work_is_handed_out(struct dist_work *work);

// A rank has brought an item's result: DIST_LATE when it was done before by someone else, or taken
// back and given to another who is at it still, so that the result is to be thrown away or kept
// only once; DIST_PIECE when more items of the task are missing; DIST_TASK when it was the last.
enum dist_done { DIST_LATE, DIST_PIECE, DIST_TASK };
enum dist_done dist_work_done(struct dist_work *work, const struct dist_item *item);

// Gives the item that a rank has held longest, and since when; false when it holds nothing.
bool dist_work_holds(const struct dist_work *work, int rank, struct dist_item *item,
                     double *since_p);
// Takes back all items that a rank holds and returns how many they were. Each task counts how often
// its items were taken back: the caller gives up a task that keeps ending its ranks.
int64_t dist_work_lost(struct dist_work *work, int rank);
int64_t dist_work_losses(const struct dist_work *work, int64_t task);

// Stops handing out items, as when a signal came: next says DIST_END from now on.
void dist_work_stop(struct dist_work *work);

#endif
