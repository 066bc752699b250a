// SPDX-License-Identifier: Apache-2.0
#include "budget_front.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "unit_set.h"

static enum tr_status list_units(struct an_budget_front *front,
                                 const struct an_budget_question *question, struct tr_err *err) {
    const struct an_group_result *group = question->group;
    TR_TRY(TR_NEW(&front->unit, group->units, "units", err));
    TR_TRY(TR_NEW(&front->saved, group->units, "units", err));
    TR_TRY(TR_NEW(&front->sum, group->units, "units", err));
    TR_TRY(TR_NEW(&front->inside, group->units, "units", err));
    for (int64_t u = 0; u < group->units; u++) {
        const struct an_unit *unit = &group->unit[u];
        double value = unit->by[question->result->settings.over].value;
        if (an_is_protected(question->result, unit) || !isfinite(value))
            continue;
        front->unit[front->count] = u;
        front->saved[front->count] = an_size_of(question->sizes, question->resource,
                                                question->context, unit->module, unit->layer);
        front->sum[front->count++] = value;
    }
    return TR_OK;
}

enum tr_status an_budget_front_make(struct an_budget_front *front,
                                    const struct an_budget_question *question, struct tr_err *err) {
    struct an_budget_front made = {
        .group = question->group,
        .whole = an_size_whole(question->sizes, question->resource, question->context)};
    enum tr_status status = list_units(&made, question, err);
    if (status == TR_OK)
        status = an_front_make(&made.front, made.saved, made.sum, made.count, question->most, err);
    if (status == TR_OK)
        *front = made;
    else
        an_budget_front_free(&made);
    return status;
}

void an_budget_front_free(struct an_budget_front *front) {
    an_front_free(&front->front);
    free(front->unit);
    free(front->saved);
    free(front->sum);
    free(front->inside);
    *front = (struct an_budget_front){0};
}

int64_t an_budget_front_members(int64_t *member, struct an_budget_front *front, int64_t point) {
    int64_t count = 0;
    an_front_items(&front->front, point, front->inside, front->count);
    for (int64_t i = 0; i < front->count; i++)
        if (front->inside[i])
            member[count++] = front->unit[i];
    return count;
}

static const struct an_front_state *state_of(const struct an_budget_front *front, int64_t point) {
    return &front->front.state[front->front.point[point]];
}

double an_budget_front_left(const struct an_budget_front *front, int64_t point) {
    return front->whole - state_of(front, point)->saved;
}

double an_budget_front_share(const struct an_budget_front *front, int64_t point) {
    return 1 - state_of(front, point)->saved / front->whole;
}

double an_budget_front_sum(const struct an_budget_front *front, int64_t point) {
    return state_of(front, point)->cost;
}

int64_t an_budget_front_shown(const struct an_budget_front *front) {
    return front->front.points < AN_FRONT_SHOWN ? front->front.points : AN_FRONT_SHOWN;
}

int64_t an_budget_front_at(const struct an_budget_front *front, int64_t index) {
    int64_t shown = an_budget_front_shown(front);
    return shown < 2 ? 0 : index * (front->front.points - 1) / (shown - 1);
}
