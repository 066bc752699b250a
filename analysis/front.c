// SPDX-License-Identifier: Apache-2.0
#include "front.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

// The states that matter of the items so far, and room for those with one more.
struct work {
    struct an_front *front;
    int64_t most;
    uint64_t capacity;
    int64_t *now, *next; // places in front->state, by rising `saved`
    int64_t count;
};

static struct an_front_state with_item(const struct an_front *front, int64_t rest, double saved,
                                       double cost, int64_t item) {
    const struct an_front_state *before = &front->state[rest];
    return (struct an_front_state){before->saved + saved, before->cost + cost, item, rest};
}

static enum tr_status add_state(struct work *work, const struct an_front_state *state,
                                struct tr_err *err) {
    struct an_front *front = work->front;
    if (front->states == work->most)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "more than %lld sets of sublayers matter: their sizes are too different for "
                       "an exact plan",
                       (long long)work->most);
    TR_TRY(tr_grow((void **)&front->state, &work->capacity, (uint64_t)front->states + 1,
                   sizeof *front->state, "the sets of a plan", err));
    front->state[front->states++] = *state;
    return TR_OK;
}

// From the end that saves most: a state matters when it is cheaper than all that save as much.
// `next` is filled from its end.
static enum tr_status merge(struct work *work, double saved, double cost, int64_t item,
                            struct tr_err *err) {
    struct an_front *front = work->front;
    int64_t old = work->count - 1, new = work->count - 1, to = 2 * work->count;
    double cheapest = INFINITY;
    while (old >= 0 || new >= 0) {
        struct an_front_state with = {.saved = -INFINITY};
        if (new >= 0)
            with = with_item(front, work->now[new], saved, cost, item);
        const struct an_front_state *without = old >= 0 ? &front->state[work->now[old]] : NULL;
        bool take_old = without && (new < 0 || without->saved > with.saved ||
                                    (without->saved == with.saved && without->cost <= with.cost));
        double price = take_old ? without->cost : with.cost;
        if (price < cheapest) {
            if (!take_old)
                TR_TRY(add_state(work, &with, err));
            work->next[--to] = take_old ? work->now[old] : front->states - 1;
            cheapest = price;
        }
        if (take_old)
            old--;
        else
            new --;
    }
    int64_t kept = 2 * work->count - to;
    memmove(work->next, work->next + to, (size_t)kept * sizeof *work->next);
    work->count = kept;
    return TR_OK;
}

static enum tr_status add_item(struct work *work, double saved, double cost, int64_t item,
                               struct tr_err *err) {
    TR_TRY(TR_NEW(&work->next, 2 * work->count, "the sets of a plan", err));
    enum tr_status status = merge(work, saved, cost, item, err);
    free(status == TR_OK ? work->now : work->next);
    if (status == TR_OK)
        work->now = work->next;
    work->next = NULL;
    return status;
}

enum tr_status an_front_make(struct an_front *front, const double *saved, const double *cost,
                             int64_t items, int64_t most, struct tr_err *err) {
    struct an_front new = {0};
    struct work work = {.front = &new, .most = most, .count = 1};
    struct an_front_state empty = {.item = -1, .rest = -1};
    enum tr_status status = TR_NEW(&work.now, 1, "the sets of a plan", err);
    if (status == TR_OK)
        status = add_state(&work, &empty, err);
    for (int64_t item = 0; item < items && status == TR_OK; item++)
        status = add_item(&work, saved[item], cost[item], item, err);
    if (status != TR_OK) {
        free(work.now);
        free(new.state);
        return status;
    }
    new.point = work.now;
    new.points = work.count;
    *front = new;
    return TR_OK;
}

void an_front_free(struct an_front *front) {
    free(front->state);
    free(front->point);
    *front = (struct an_front){0};
}

int64_t an_front_find(const struct an_front *front, double need) {
    for (int64_t i = 0; i < front->points; i++)
        if (front->state[front->point[i]].saved >= need)
            return i;
    return -1;
}

void an_front_items(const struct an_front *front, int64_t point, bool *chosen, int64_t items) {
    memset(chosen, 0, (size_t)items * sizeof *chosen);
    for (int64_t at = front->point[point]; front->state[at].item >= 0; at = front->state[at].rest)
        chosen[front->state[at].item] = true;
}
