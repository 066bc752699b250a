// SPDX-License-Identifier: Apache-2.0
#include "mpi/work.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "mpi/cut.h"

struct task {
    struct dist_task cost;
    int64_t pieces; // fixed when the first is handed out
    int64_t left;   // pieces that are not done yet
    int64_t losses;
};

// An item that is out: held by a rank, or taken back.
struct held {
    struct dist_item item;
    int rank; // -1: taken back
    double since;
};

struct dist_work {
    int64_t units;
    int workers;
    struct task *tasks; // [count]
    int64_t count;
    uint64_t task_capacity;
    int64_t whole, pieces; // how tasks from `task` on are cut: those before `whole` are not
    int64_t task, piece;   // what is handed out next
    struct held *held;     // [held_count], in order of handing out
    int64_t held_count;
    uint64_t held_capacity;
    int64_t tickets;
    bool closed, stopped;
};

enum tr_status dist_work_new(struct dist_work **work_p, int64_t units, int workers,
                             struct tr_err *err) {
    if (units < 1 || units > INT32_MAX || workers < 1)
        return tr_fail(err, TR_EUSAGE, "cannot share tasks of %lld units among %d workers",
                       (long long)units, workers);
    struct dist_work *work;
    TR_TRY(TR_NEW(&work, 1, "the list of work", err));
    work->units = units;
    work->workers = workers;
    *work_p = work;
    return TR_OK;
}

void dist_work_free(struct dist_work *work) {
    if (!work)
        return;
    free(work->tasks);
    free(work->held);
    free(work);
}

enum tr_status dist_work_add(struct dist_work *work, const struct dist_task *task,
                             struct tr_err *err) {
    TR_ASSERT(!work->closed);
    TR_TRY(tr_grow((void **)&work->tasks, &work->task_capacity, (uint64_t)work->count + 1,
                   sizeof *work->tasks, "the list of work", err));
    work->tasks[work->count++] = (struct task){.cost = *task};
    int64_t begun = work->task + (work->piece > 0);
    struct dist_cut cut = dist_cut(work->count - begun, work->units, work->workers);
    work->whole = begun + cut.whole;
    work->pieces = cut.pieces;
    return TR_OK;
}

void dist_work_close(struct dist_work *work) {
    work->closed = true;
}

static void begin_task(struct dist_work *work, struct task *task) {
    task->pieces = work->task < work->whole ? 1 : work->pieces;
    task->left = task->pieces;
}

static struct dist_item next_piece(struct dist_work *work) {
    struct task *task = &work->tasks[work->task];
    if (work->piece == 0)
        begin_task(work, task);
    TR_ASSERT(work->task < work->count);
    TR_ASSERT(task->pieces >= 1 && task->pieces <= work->units);
    double share = 1 / (double)task->pieces;
    struct dist_item item = {.task = work->task,
                             .begin = work->piece * work->units / task->pieces,
                             .end = (work->piece + 1) * work->units / task->pieces,
                             .pieces = task->pieces,
                             .bytes = task->cost.bytes, // every piece reads all weights
                             .flops = task->cost.flops * share,
                             .node = task->cost.node};
    if (++work->piece == task->pieces) {
        work->piece = 0;
        work->task++;
    }
    return item;
}

static struct held *taken_back(struct dist_work *work) {
    for (int64_t i = 0; i < work->held_count; i++)
        if (work->held[i].rank < 0)
            return &work->held[i];
    return NULL;
}

bool dist_work_is_handed_out(struct dist_work *work) {
    return work->stopped || (!taken_back(work) && work->task == work->count);
}

enum dist_next dist_work_next(struct dist_work *work, int rank, double now,
                              struct dist_item *item) {
    struct held *held = taken_back(work);
    if (work->stopped)
        return DIST_END;
    if (!held && work->task == work->count)
        return work->closed ? DIST_END : DIST_WAIT;
    if (!held && tr_grow((void **)&work->held, &work->held_capacity, (uint64_t)work->held_count + 1,
                         sizeof *work->held, "", NULL) != TR_OK)
        return DIST_WAIT; // no memory now
    if (!held) {
        held = &work->held[work->held_count++];
        held->item = next_piece(work);
    }
    held->item.ticket = work->tickets++;
    held->rank = rank;
    held->since = now;
    *item = held->item;
    return DIST_ITEM;
}

static void forget(struct dist_work *work, struct held *held) {
    int64_t behind = work->held + work->held_count - (held + 1);
    for (int64_t i = 0; i < behind; i++)
        held[i] = held[i + 1];
    work->held_count--;
}

enum dist_done dist_work_done(struct dist_work *work, const struct dist_item *item) {
    for (int64_t i = 0; i < work->held_count; i++)
        if (work->held[i].item.ticket == item->ticket && work->held[i].rank >= 0) {
            TR_ASSERT(work->held[i].item.task == item->task);
            TR_ASSERT(work->tasks[item->task].left > 0);
            forget(work, &work->held[i]);
            return --work->tasks[item->task].left == 0 ? DIST_TASK : DIST_PIECE;
        }
    return DIST_LATE;
}

bool dist_work_holds(const struct dist_work *work, int rank, struct dist_item *item,
                     double *since_p) {
    for (int64_t i = 0; i < work->held_count; i++)
        if (work->held[i].rank == rank) {
            *item = work->held[i].item;
            *since_p = work->held[i].since;
            return true;
        }
    return false;
}

int64_t dist_work_lost(struct dist_work *work, int rank) {
    int64_t count = 0;
    for (int64_t i = 0; i < work->held_count; i++) {
        if (work->held[i].rank != rank)
            continue;
        work->held[i].rank = -1;
        work->tasks[work->held[i].item.task].losses++;
        count++;
    }
    return count;
}

int64_t dist_work_losses(const struct dist_work *work, int64_t task) {
    TR_ASSERT(task >= 0 && task < work->count);
    return work->tasks[task].losses;
}

void dist_work_stop(struct dist_work *work) {
    work->stopped = true;
}
