// SPDX-License-Identifier: Apache-2.0
#include "mpi/work.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "mpi/cut.h"

struct task {
    struct dist_task cost;
    int64_t pieces; // fixed when the first is handed out
    int64_t handed; // so many are
    int64_t left;   // pieces that are not done yet
    int64_t losses;
    bool *at; // [nodes] which nodes have had pieces; NULL: none, or not known
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
    int *node_of; // [workers]; NULL: all are on one
    int nodes;
    struct dist_cut cut; // of the tasks from `cut_from` on
    int64_t cut_from;
    int64_t begun;     // so many tasks are begun
    int64_t exhausted; // of these so many, from the first on, are handed out wholly
    struct held *held; // [held_count], in order of handing out
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
    work->nodes = 1;
    *work_p = work;
    return TR_OK;
}

void dist_work_free(struct dist_work *work) {
    if (!work)
        return;
    for (int64_t i = 0; i < work->count; i++)
        free(work->tasks[i].at);
    free(work->tasks);
    free(work->held);
    free(work->node_of);
    free(work);
}

// Tasks that are not begun are cut by how many they are.
static void cut(struct dist_work *work) {
    work->cut_from = work->begun;
    work->cut = dist_cut(work->count - work->begun, work->units, work->workers, work->nodes);
}

enum tr_status dist_work_place(struct dist_work *work, const int *node_of, struct tr_err *err) {
    int *copy;
    TR_ASSERT(!work->begun);
    TR_TRY(TR_NEW(&copy, work->workers, "the ranks' nodes", err));
    free(work->node_of);
    work->node_of = copy;
    work->nodes = 1;
    for (int i = 0; i < work->workers; i++) {
        copy[i] = node_of[i];
        work->nodes = node_of[i] >= work->nodes ? node_of[i] + 1 : work->nodes;
    }
    cut(work);
    return TR_OK;
}

enum tr_status dist_work_add(struct dist_work *work, const struct dist_task *task,
                             struct tr_err *err) {
    TR_ASSERT(!work->closed);
    TR_TRY(tr_grow((void **)&work->tasks, &work->task_capacity, (uint64_t)work->count + 1,
                   sizeof *work->tasks, "the list of work", err));
    work->tasks[work->count++] = (struct task){.cost = *task};
    cut(work);
    return TR_OK;
}

void dist_work_close(struct dist_work *work) {
    work->closed = true;
}

static int node_of(const struct dist_work *work, int rank) {
    return work->node_of ? work->node_of[rank] : 0;
}

static bool is_open(const struct task *task) {
    return task->handed < task->pieces;
}

static struct task *begin_task(struct dist_work *work) {
    struct task *task = &work->tasks[work->begun];
    task->left = task->pieces = dist_cut_pieces(&work->cut, work->begun - work->cut_from);
    TR_ASSERT(task->pieces >= 1 && task->pieces <= work->units);
    work->begun++;
    if (task->pieces > 1 && work->nodes > 1 && TR_NEW(&task->at, work->nodes, "", NULL) != TR_OK)
        task->at = NULL; // then no node is nearer
    return task;
}

// The first that is begun and not handed out, of those that the node is at; -1: of all nodes, that
// with the most pieces left. NULL: there is none.
static struct task *open_task(struct dist_work *work, int node) {
    struct task *best = NULL;
    for (int64_t i = work->exhausted; i < work->begun; i++) {
        struct task *task = &work->tasks[i];
        if (!is_open(task))
            continue;
        if (node >= 0 && (work->nodes == 1 || (task->at && task->at[node])))
            return task;
        if (node < 0 && (!best || task->pieces - task->handed > best->pieces - best->handed))
            best = task;
    }
    return best;
}

static struct task *choose(struct dist_work *work, int node) {
    struct task *task = open_task(work, node);
    if (!task && work->begun < work->count)
        task = begin_task(work);
    return task ? task : open_task(work, -1);
}

static struct dist_item next_piece(struct dist_work *work, int rank) {
    int node = node_of(work, rank);
    struct task *task = choose(work, node);
    int64_t piece = task->handed++;
    double share = 1 / (double)task->pieces;
    struct dist_item item = {.task = task - work->tasks,
                             .begin = piece * work->units / task->pieces,
                             .end = (piece + 1) * work->units / task->pieces,
                             .pieces = task->pieces,
                             .bytes = task->cost.bytes, // every piece reads all weights
                             .flops = task->cost.flops * share,
                             .node = task->cost.node};
    if (task->at)
        task->at[node] = true;
    while (work->exhausted < work->begun && !is_open(&work->tasks[work->exhausted]))
        work->exhausted++;
    return item;
}

static bool is_exhausted(const struct dist_work *work) {
    return work->exhausted == work->count;
}

static struct held *taken_back(struct dist_work *work) {
    for (int64_t i = 0; i < work->held_count; i++)
        if (work->held[i].rank < 0)
            return &work->held[i];
    return NULL;
}

bool dist_work_is_handed_out(struct dist_work *work) {
    return work->stopped || (!taken_back(work) && is_exhausted(work));
}

enum dist_next dist_work_next(struct dist_work *work, int rank, double now,
                              struct dist_item *item) {
    struct held *held = taken_back(work);
    if (work->stopped)
        return DIST_END;
    if (!held && is_exhausted(work))
        return work->closed ? DIST_END : DIST_WAIT;
    if (!held && tr_grow((void **)&work->held, &work->held_capacity, (uint64_t)work->held_count + 1,
                         sizeof *work->held, "", NULL) != TR_OK)
        return DIST_WAIT; // no memory now
    if (!held) {
        held = &work->held[work->held_count++];
        held->item = next_piece(work, rank);
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
