// SPDX-License-Identifier: Apache-2.0
#ifndef AN_BUDGET_FRONT_H
#define AN_BUDGET_FRONT_H

#include "analysis/result.h"
#include "front.h"

// Of all sets of a group's units those that no other beats in what they save of a resource without
// costing more, where what sets cost is the sum of their units' values by settings.over. Protected
// layers and units without a value stay.
struct an_budget_front {
    const struct an_group_result *group; // borrowed
    double whole;                        // what the whole model takes of the resource
    struct an_front front;
    int64_t count;       // units that may go
    int64_t *unit;       // [count] of the group
    double *saved, *sum; // [count]
    bool *inside;        // [count] room
};

struct an_budget_question {
    const struct an_result *result;
    const struct an_group_result *group;
    const struct an_sizes *sizes;
    enum an_resource resource;
    int64_t context; // tokens
    int64_t most;    // states that are held at most (front.h)
};

// TR_EUNSUPPORTED: too many sets matter.
enum tr_status an_budget_front_make(struct an_budget_front *front,
                                    const struct an_budget_question *question, struct tr_err *err);
void an_budget_front_free(struct an_budget_front *front);

// The group's units of a point's set, to member[front->count]; returns how many.
int64_t an_budget_front_members(int64_t *member, struct an_budget_front *front, int64_t point);

// What a point leaves of the resource, and as a share of the whole model's; and what it costs.
double an_budget_front_left(const struct an_budget_front *front, int64_t point);
double an_budget_front_share(const struct an_budget_front *front, int64_t point);
double an_budget_front_sum(const struct an_budget_front *front, int64_t point);

// Of many points some are shown, evenly, the first and the last among them.
enum { AN_FRONT_SHOWN = 100 };
int64_t an_budget_front_shown(const struct an_budget_front *front);             // how many
int64_t an_budget_front_at(const struct an_budget_front *front, int64_t index); // which

#endif
