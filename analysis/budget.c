// SPDX-License-Identifier: Apache-2.0
#include "budget.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "front.h"
#include "unit_set.h"

enum { MOST_POINTS = 100 }; // that are kept of a front

// The units that may go, and what they save and cost.
struct work {
    const struct an_result *result;
    const struct an_group_result *group;
    struct an_sizes sizes;
    struct an_front front;
    int64_t count;
    int64_t *unit;       // [count]
    int64_t *member;     // [count] room
    double *saved, *sum; // [count]
    bool *inside;        // [count]
};

static enum tr_status list_units(struct work *work, const struct an_budget *budget,
                                 struct tr_err *err) {
    const struct an_group_result *group = work->group;
    TR_TRY(TR_NEW(&work->unit, group->units, "units", err));
    TR_TRY(TR_NEW(&work->member, group->units, "units", err));
    TR_TRY(TR_NEW(&work->saved, group->units, "units", err));
    TR_TRY(TR_NEW(&work->sum, group->units, "units", err));
    TR_TRY(TR_NEW(&work->inside, group->units, "units", err));
    for (int64_t u = 0; u < group->units; u++) {
        const struct an_unit *unit = &group->unit[u];
        double value = unit->by[work->result->settings.over].value;
        if (an_is_protected(work->result, unit) || !isfinite(value))
            continue;
        work->unit[work->count] = u;
        work->saved[work->count] =
            an_size_of(&work->sizes, budget->resource, budget->context, unit->module, unit->layer);
        work->sum[work->count++] = value;
    }
    return TR_OK;
}

// The group's units of a point's set, to member[count of the work].
static int64_t list_members(int64_t *member, struct work *work, int64_t at) {
    int64_t count = 0;
    an_front_items(&work->front, at, work->inside, work->count);
    for (int64_t i = 0; i < work->count; i++)
        if (work->inside[i])
            member[count++] = work->unit[i];
    return count;
}

static enum tr_status write_point(struct an_budget_point *point, struct work *work,
                                  const struct an_budget *budget, int64_t at, struct tr_err *err) {
    const struct an_front_state *state = &work->front.state[work->front.point[at]];
    struct tr_string text = {0};
    *point = (struct an_budget_point){.left = budget->whole - state->saved,
                                      .share = 1 - state->saved / budget->whole,
                                      .sum = state->cost,
                                      .count = list_members(work->member, work, at)};
    enum tr_status status = an_unit_set_text(&text, work->group, work->member, point->count, err);
    if (status == TR_OK)
        point->drop = text.data;
    else
        tr_string_free(&text);
    return status;
}

// Of many points as many as are kept, evenly, the first and the last among them.
static enum tr_status write_points(struct an_budget *budget, struct work *work,
                                   struct tr_err *err) {
    int64_t all = work->front.points, kept = all < MOST_POINTS ? all : MOST_POINTS;
    TR_TRY(TR_NEW(&budget->point, kept, "the points of a plan", err));
    for (; budget->points < kept; budget->points++) {
        int64_t at = kept < 2 ? 0 : budget->points * (all - 1) / (kept - 1);
        TR_TRY(write_point(&budget->point[budget->points], work, budget, at, err));
    }
    return TR_OK;
}

static enum tr_status list_chosen(struct an_budget *budget, struct work *work, int64_t at,
                                  struct tr_err *err) {
    const struct an_choice *choice = &work->group->set[work->result->settings.over].choice;
    TR_TRY(TR_NEW(&budget->unit, work->count, "the plan", err));
    an_front_items(&work->front, at, work->inside, work->count);
    for (int64_t i = 0; i < choice->present; i++)
        for (int64_t j = 0; j < work->count; j++)
            if (work->inside[j] && work->unit[j] == choice->order[i])
                budget->unit[budget->units++] = choice->order[i];
    return TR_OK;
}

static enum tr_status refuse(const struct an_budget *budget, const struct work *work,
                             struct tr_err *err) {
    const struct an_front *front = &work->front;
    double least = budget->whole - front->state[front->point[front->points - 1]].saved;
    char left[AN_AMOUNT_MAX], allowed[AN_AMOUNT_MAX];
    return tr_fail(err, TR_EUSAGE,
                   "the budget cannot be met: with all %lld %s left out that may go, %s are left "
                   "(%.1f %%), and %s are allowed",
                   (long long)work->count, budget->group == AN_BLOCK ? "blocks" : "sublayers",
                   an_amount_text(budget->resource, least, left), 100 * least / budget->whole,
                   an_amount_text(budget->resource, budget->allowed, allowed));
}

static enum tr_status plan(struct an_budget *budget, struct work *work, struct tr_err *err) {
    TR_TRY(list_units(work, budget, err));
    TR_TRY(an_front_make(&work->front, work->saved, work->sum, work->count, err));
    int64_t at = an_front_find(&work->front, budget->whole - budget->allowed);
    if (at < 0)
        return refuse(budget, work, err);
    TR_TRY(write_points(budget, work, err));
    TR_TRY(write_point(&budget->chosen, work, budget, at, err));
    return list_chosen(budget, work, at, err);
}

static void free_work(struct work *work) {
    an_sizes_free(&work->sizes);
    an_front_free(&work->front);
    free(work->unit);
    free(work->member);
    free(work->saved);
    free(work->sum);
    free(work->inside);
}

// What is asked, in the model's own numbers.
static enum tr_status ask(struct an_budget *budget, struct work *work, const struct tr_trace *trace,
                          struct tr_err *err) {
    const struct an_series *series = &work->result->series;
    const struct an_allowance *wish = &work->result->settings.budget;
    TR_TRY(an_only_group(&work->group, work->result, "a budget is for", err));
    TR_TRY(an_sizes_read(&work->sizes, tr_trace_info(trace), series->path, err));
    if (!work->sizes.of)
        return tr_fail(
            err, TR_EUNSUPPORTED,
            "%s does not say what sublayers take; trace it with this version, or run the "
            "same command again, which adds that",
            series->path);
    budget->group = work->group->group;
    budget->resource = wish->resource;
    budget->context = wish->context > 0 ? wish->context : series->seq_len;
    budget->whole = an_size_whole(&work->sizes, budget->resource, budget->context);
    budget->allowed = wish->is_share ? wish->amount * budget->whole : wish->amount;
    return TR_OK;
}

enum tr_status an_budget_make(struct an_result *result, const struct tr_trace *trace,
                              struct tr_err *err) {
    struct work work = {.result = result};
    struct an_budget *budget;
    if (!result->settings.budget.given)
        return TR_OK;
    TR_TRY(TR_NEW(&budget, 1, "a plan", err));
    enum tr_status status = ask(budget, &work, trace, err);
    if (status == TR_OK)
        status = plan(budget, &work, err);
    free_work(&work);
    if (status == TR_OK)
        result->budget = budget;
    else
        an_budget_free(budget);
    return status;
}

void an_budget_free(struct an_budget *budget) {
    if (!budget)
        return;
    for (int64_t i = 0; i < budget->points; i++)
        free(budget->point[i].drop);
    free(budget->point);
    free(budget->chosen.drop);
    free(budget->unit);
    free(budget);
}
