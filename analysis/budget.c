// SPDX-License-Identifier: Apache-2.0
#include "budget.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "budget_front.h"
#include "unit_set.h"

struct work {
    const struct an_result *result;
    struct an_budget_question question;
    struct an_sizes sizes;
    struct an_budget_front front;
    int64_t *member; // [front.count] room
};

static enum tr_status write_point(struct an_budget_point *point, struct work *work, int64_t at,
                                  struct tr_err *err) {
    struct tr_string text = {0};
    *point =
        (struct an_budget_point){.left = an_budget_front_left(&work->front, at),
                                 .share = an_budget_front_share(&work->front, at),
                                 .sum = an_budget_front_sum(&work->front, at),
                                 .count = an_budget_front_members(work->member, &work->front, at)};
    enum tr_status status =
        an_unit_set_text(&text, work->front.group, work->member, point->count, err);
    if (status == TR_OK)
        point->drop = text.data;
    else
        tr_string_free(&text);
    return status;
}

static enum tr_status write_points(struct an_budget *budget, struct work *work,
                                   struct tr_err *err) {
    int64_t shown = an_budget_front_shown(&work->front);
    TR_TRY(TR_NEW(&budget->point, shown, "the points of a plan", err));
    for (; budget->points < shown; budget->points++)
        TR_TRY(write_point(&budget->point[budget->points], work,
                           an_budget_front_at(&work->front, budget->points), err));
    return TR_OK;
}

// The members in the group's order, the lowest first.
static enum tr_status list_chosen(struct an_budget *budget, struct work *work, int64_t at,
                                  struct tr_err *err) {
    const struct an_choice *choice = &work->front.group->set[work->result->settings.over].choice;
    int64_t count = an_budget_front_members(work->member, &work->front, at);
    TR_TRY(TR_NEW(&budget->unit, count, "the plan", err));
    for (int64_t i = 0; i < choice->present; i++)
        for (int64_t j = 0; j < count; j++)
            if (work->member[j] == choice->order[i])
                budget->unit[budget->units++] = choice->order[i];
    return TR_OK;
}

static enum tr_status refuse(const struct an_budget *budget, const struct work *work,
                             struct tr_err *err) {
    int64_t last = work->front.front.points - 1;
    double least = an_budget_front_left(&work->front, last);
    char left[AN_AMOUNT_MAX], allowed[AN_AMOUNT_MAX];
    return tr_fail(err, TR_EUSAGE,
                   "the budget cannot be met: with all %lld %s left out that may go, %s are left "
                   "(%.1f %%), and %s are allowed",
                   (long long)work->front.count, budget->group == AN_BLOCK ? "blocks" : "sublayers",
                   an_amount_text(budget->resource, least, left), 100 * least / budget->whole,
                   an_amount_text(budget->resource, budget->allowed, allowed));
}

static enum tr_status plan(struct an_budget *budget, struct work *work, struct tr_err *err) {
    TR_TRY(an_budget_front_make(&work->front, &work->question, err));
    TR_TRY(TR_NEW(&work->member, work->front.count, "units", err));
    int64_t at = an_front_find(&work->front.front, budget->whole - budget->allowed);
    if (at < 0)
        return refuse(budget, work, err);
    TR_TRY(write_points(budget, work, err));
    TR_TRY(write_point(&budget->chosen, work, at, err));
    return list_chosen(budget, work, at, err);
}

static void free_work(struct work *work) {
    an_sizes_free(&work->sizes);
    an_budget_front_free(&work->front);
    free(work->member);
}

// What is asked, in the model's own numbers.
static enum tr_status ask(struct an_budget *budget, struct work *work, const struct tr_trace *trace,
                          struct tr_err *err) {
    const struct an_series *series = &work->result->series;
    const struct an_allowance *wish = &work->result->settings.budget;
    struct an_budget_question *question = &work->question;
    TR_TRY(an_only_group(&question->group, work->result, "a budget is for", err));
    TR_TRY(an_sizes_read(&work->sizes, tr_trace_info(trace), series->path, err));
    if (!work->sizes.of)
        return tr_fail(
            err, TR_EUNSUPPORTED,
            "%s does not say what sublayers take; trace it with this version, or run the "
            "same command again, which adds that",
            series->path);
    if (wish->resource == AN_MILLISECONDS && !wish->speeds)
        return tr_fail(err, TR_EUSAGE,
                       "a budget of ms needs --speeds, the speed.json of trace-eval");
    if (wish->resource == AN_MILLISECONDS)
        TR_TRY(an_sizes_time(&work->sizes, wish->speeds, wish->context, err));
    question->result = work->result;
    question->sizes = &work->sizes;
    question->resource = wish->resource;
    question->context = wish->context > 0 ? wish->context : series->seq_len;
    question->most = AN_FRONT_MOST;
    budget->group = question->group->group;
    budget->resource = question->resource;
    budget->context = question->context;
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
