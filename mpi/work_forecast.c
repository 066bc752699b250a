// SPDX-License-Identifier: Apache-2.0
#include "mpi/work_forecast.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

struct rank {
    struct dist_item item;
    bool busy;        // holds the item, until `end`
    double end, read; // when the item is done, and when its weights are all there
};

struct node {
    double bytes, distinct; // read, and those of the tasks it had
    bool *had;              // [count]
};

struct clockwork {
    const struct dist_machine *machine;
    struct dist_work *work;
    struct rank *ranks;
    struct node *nodes;
    int *node_of;
    double busy;
    struct dist_forecast *out;
};

static int first_free(const struct clockwork *c) {
    int first = 0;
    for (int i = 1; i < c->machine->ranks; i++)
        if (c->ranks[i].end < c->ranks[first].end)
            first = i;
    return first;
}

// Another rank of the node that is at this task now; NULL: none.
static const struct rank *neighbour(const struct clockwork *c, int rank, int64_t task, double now) {
    for (int i = 0; i < c->machine->ranks; i++)
        if (i != rank && c->node_of[i] == c->node_of[rank] && c->ranks[i].busy &&
            c->ranks[i].item.task == task && c->ranks[i].end > now)
            return &c->ranks[i];
    return NULL;
}

// Whether no rank before this one on its node still reads the same task.
static bool reads_alone(const struct clockwork *c, int rank) {
    for (int i = 0; i < rank; i++)
        if (c->node_of[i] == c->node_of[rank] && c->ranks[i].item.task == c->ranks[rank].item.task)
            return false;
    return true;
}

// How many tasks the node still reads.
static int readings(const struct clockwork *c, int node, double now) {
    int count = 0;
    for (int i = 0; i < c->machine->ranks; i++)
        count += c->node_of[i] == node && c->ranks[i].busy && c->ranks[i].read > now &&
                 reads_alone(c, i);
    return count;
}

// When the item's weights are all there. What the node reads is counted.
static double read_by(struct clockwork *c, int rank, const struct dist_item *item, double now) {
    struct node *node = &c->nodes[c->node_of[rank]];
    const struct rank *other = neighbour(c, rank, item->task, now);
    if (!node->had[item->task])
        node->distinct += item->bytes;
    node->had[item->task] = true;
    if (other)
        return other->read;
    node->bytes += item->bytes;
    int shared_by = 1 + readings(c, c->node_of[rank], now);
    return now + item->bytes * shared_by / c->machine->read;
}

static void begin(struct clockwork *c, int rank, const struct dist_item *item, double now) {
    struct rank *r = &c->ranks[rank];
    double read = read_by(c, rank, item, now);
    *r = (struct rank){.item = *item, .busy = true, .read = read};
    r->end = fmax(now + item->flops / c->machine->flops, read);
    c->busy += item->flops / c->machine->flops;
    c->out->items++;
    c->out->seconds = fmax(c->out->seconds, r->end);
}

// The rank that is free first asks, until nothing is left.
static void run(struct clockwork *c) {
    for (;;) {
        struct dist_item item;
        int rank = first_free(c);
        struct rank *r = &c->ranks[rank];
        double now = r->end;
        if (isinf(now))
            return;
        if (r->busy)
            dist_work_done(c->work, &r->item);
        r->busy = false;
        if (dist_work_next(c->work, rank, now, &item) == DIST_ITEM)
            begin(c, rank, &item, now);
        else
            r->end = INFINITY;
    }
}

static void sum_up(struct clockwork *c) {
    const struct dist_machine *m = c->machine;
    if (c->out->seconds > 0)
        c->out->idle = fmax(0, 1 - c->busy / (c->out->seconds * m->ranks));
    for (int i = 0; i < m->nodes; i++) {
        c->out->bytes += c->nodes[i].bytes;
        if (c->nodes[i].distinct > 0)
            c->out->rereads = fmax(c->out->rereads, c->nodes[i].bytes / c->nodes[i].distinct);
    }
}

static enum tr_status set_up(struct clockwork *c, const struct dist_task *tasks, int64_t count,
                             int64_t units, struct tr_err *err) {
    const struct dist_machine *m = c->machine;
    TR_TRY(TR_NEW(&c->ranks, m->ranks, "the forecast", err));
    TR_TRY(TR_NEW(&c->nodes, m->nodes, "the forecast", err));
    TR_TRY(TR_NEW(&c->node_of, m->ranks, "the forecast", err));
    for (int i = 0; i < m->nodes; i++)
        TR_TRY(TR_NEW(&c->nodes[i].had, count, "the forecast", err));
    for (int i = 0; i < m->ranks; i++)
        c->node_of[i] = (int)((int64_t)i * m->nodes / m->ranks);
    TR_TRY(dist_work_new(&c->work, units, m->ranks, err));
    TR_TRY(dist_work_place(c->work, c->node_of, err));
    for (int64_t i = 0; i < count; i++)
        TR_TRY(dist_work_add(c->work, &tasks[i], err));
    dist_work_close(c->work);
    return TR_OK;
}

enum tr_status dist_forecast(struct dist_forecast *forecast, const struct dist_task *tasks,
                             int64_t count, int64_t units, const struct dist_machine *machine,
                             struct tr_err *err) {
    struct clockwork c = {.machine = machine, .out = forecast};
    *forecast = (struct dist_forecast){0};
    if (machine->nodes < 1 || machine->ranks < machine->nodes)
        return tr_fail(err, TR_EUSAGE, "%d ranks cannot be on %d nodes", machine->ranks,
                       machine->nodes);
    enum tr_status status = set_up(&c, tasks, count, units, err);
    if (status == TR_OK) {
        run(&c);
        sum_up(&c);
    }
    dist_work_free(c.work);
    for (int i = 0; c.nodes && i < machine->nodes; i++)
        free(c.nodes[i].had);
    free(c.nodes);
    free(c.node_of);
    free(c.ranks);
    return status;
}
