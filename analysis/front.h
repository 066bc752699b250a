// SPDX-License-Identifier: Apache-2.0
#ifndef AN_FRONT_H
#define AN_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// Which of all sets of items are worth a look when leaving an item out saves something and costs
// something, and both add up: those that no other set beats in one without losing in the other
// (Nemhauser and Ullmann, Management Science 15, 1969: the sets of the first n items that matter
// are among those of the first n - 1, each without and with item n). Exact for any budget.

struct an_front_state {
    double saved, cost;
    int64_t item, rest; // the item that was added last, and the state before; -1: the empty set
};

enum { AN_FRONT_MOST = 1 << 23 }; // states: what memory and patience allow

struct an_front {
    struct an_front_state *state; // [states] all that were met
    int64_t states;
    int64_t *point; // [points] those that matter, by rising `saved`, and so by rising `cost`
    int64_t points;
};

// Items whose cost is below 0 save even where nothing has to be saved. TR_EUNSUPPORTED when more
// than `most` sets were to be held: sizes that are almost all different.
enum tr_status an_front_make(struct an_front *front, const double *saved, const double *cost,
                             int64_t items, int64_t most, struct tr_err *err);
void an_front_free(struct an_front *front);

// The cheapest set that saves at least `need`: its place among the points; -1: none does.
int64_t an_front_find(const struct an_front *front, double need);

// Marks the items of a point's set: chosen[items].
void an_front_items(const struct an_front *front, int64_t point, bool *chosen, int64_t items);

#endif
