// SPDX-License-Identifier: Apache-2.0
#include "plan_choice.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/drop_set.h"
#include "statistics/span_window.h"
#include "unit_set.h"

bool an_plan_is_below(const struct an_settings *settings) {
    return !isnan(settings->below) && settings->count == 0;
}

// ---- the lowest, and those below tau -----------------------------------------------------------

static const struct an_choice *order_of(const struct an_plan_choice *choice,
                                        enum an_aggregate over) {
    return &choice->group->set[over].choice;
}

static enum tr_status lowest(struct an_plan_choice *choice, const struct an_result *result,
                             struct tr_err *err) {
    const struct an_group_result *group = choice->group;
    const struct an_choice *by = order_of(choice, result->settings.over);
    choice->rule = an_aggregate_names[result->settings.over];
    for (int64_t i = 0; i < by->present && choice->count < group->count; i++)
        if (!an_is_protected(result, &group->unit[by->order[i]]))
            choice->unit[choice->count++] = by->order[i];
    if (choice->count < group->count)
        return tr_fail(err, TR_EUSAGE, "no plan: %lld of %s are asked for, %lld are not protected",
                       (long long)group->count, an_group_names[group->group],
                       (long long)choice->count);
    return TR_OK;
}

static enum tr_status those_below(struct an_plan_choice *choice, const struct an_result *result,
                                  struct tr_err *err) {
    const struct an_group_result *group = choice->group;
    const struct an_choice *by = order_of(choice, AN_MEAN);
    (void)err;
    choice->rule = "below";
    for (int64_t i = 0; i < by->present; i++)
        if (group->unit[by->order[i]].below && !an_is_protected(result, &group->unit[by->order[i]]))
            choice->unit[choice->count++] = by->order[i];
    return TR_OK;
}

static enum tr_status within_budget(struct an_plan_choice *choice, const struct an_result *result,
                                    struct tr_err *err) {
    (void)err;
    choice->rule = "budget";
    choice->count = result->budget->units;
    for (int64_t i = 0; i < choice->count; i++)
        choice->unit[i] = result->budget->unit[i];
    return TR_OK;
}

// ---- consecutive blocks ------------------------------------------------------------------------

static enum tr_status take_window(struct an_plan_choice *choice, const struct an_window *window,
                                  struct tr_err *err) {
    const struct an_group_result *group = choice->group;
    for (int64_t u = 0; u < group->units; u++)
        if (group->unit[u].layer >= window->first &&
            group->unit[u].layer < window->first + window->length)
            choice->unit[choice->count++] = u;
    if (choice->count < window->length)
        return tr_fail(err, TR_EUSAGE, "no plan: a block of %lld to %lld has no value",
                       (long long)window->first, (long long)(window->first + window->length - 1));
    return TR_OK;
}

static enum tr_status consecutive(struct an_plan_choice *choice, const struct an_result *result,
                                  struct tr_err *err) {
    const struct an_settings *s = &result->settings;
    struct an_window window;
    int64_t layers = result->series.layers;
    choice->rule = "consecutive";
    if (!result->spans)
        return tr_fail(err, TR_EUSAGE,
                       "%s was traced without --spans, which measures runs of blocks",
                       result->series.path);
    if (!an_best_window(&window, result->spans->similarity[s->over], layers + 1,
                        choice->group->count, s->protect_first, layers - s->protect_last))
        return tr_fail(err, TR_EUSAGE, "no plan: no run of %lld blocks is unprotected and measured",
                       (long long)choice->group->count);
    TR_TRY(take_window(choice, &window, err));
    choice->sum = 1.0 - window.similarity;
    return TR_OK;
}

// ---- a set that was given ----------------------------------------------------------------------

static int64_t sublayers_of(const struct tr_drop_set *set, int64_t layers) {
    int64_t count = 0;
    for (int64_t layer = 0; layer < layers; layer++)
        count += tr_drop_set_has(set, TR_ATTN, layer) + tr_drop_set_has(set, TR_MLP, layer);
    return count;
}

static enum tr_status given(struct an_plan_choice *choice, const struct an_result *result,
                            struct tr_err *err) {
    const struct an_group_result *group = choice->group;
    const struct tr_drop_set *set = result->settings.given;
    const struct an_choice *by = order_of(choice, result->settings.over);
    int64_t layers = result->series.layers, covered = 0;
    choice->rule = "given";
    TR_TRY(tr_drop_set_check(set, layers, err));
    for (int64_t i = 0; i < by->present; i++) {
        const struct an_unit *unit = &group->unit[by->order[i]];
        if (!tr_drop_set_has(set, unit->module, unit->layer))
            continue;
        choice->unit[choice->count++] = by->order[i];
        covered += unit->module == TR_BLOCK ? 2 : 1;
    }
    if (covered != sublayers_of(set, layers))
        return tr_fail(err, TR_EUSAGE,
                       "no plan: of the %lld sublayers that --set names, %lld are of --module %s "
                       "with a value",
                       (long long)sublayers_of(set, layers), (long long)covered,
                       an_group_names[group->group]);
    return TR_OK;
}

// ---- any of them -------------------------------------------------------------------------------

static enum tr_status choose(struct an_plan_choice *choice, const struct an_result *result,
                             struct tr_err *err) {
    const struct an_settings *s = &result->settings;
    if (s->given)
        return given(choice, result, err);
    if (result->budget)
        return within_budget(choice, result, err);
    if (s->consecutive)
        return consecutive(choice, result, err);
    return an_plan_is_below(s) ? those_below(choice, result, err) : lowest(choice, result, err);
}

enum tr_status an_plan_choose(struct an_plan_choice *choice, const struct an_result *result,
                              struct tr_err *err) {
    *choice = (struct an_plan_choice){.sum = NAN};
    TR_TRY(an_only_group(&choice->group, result, "a plan is of", err));
    TR_TRY(TR_NEW(&choice->unit, choice->group->units, "the plan", err));
    enum tr_status status = choose(choice, result, err);
    if (status != TR_OK) {
        an_plan_choice_free(choice);
        return status;
    }
    if (!isnan(choice->sum))
        return TR_OK;
    choice->sum = 0.0;
    for (int64_t i = 0; i < choice->count; i++)
        choice->sum += choice->group->unit[choice->unit[i]].by[result->settings.over].value;
    return TR_OK;
}

void an_plan_choice_free(struct an_plan_choice *choice) {
    free(choice->unit);
    *choice = (struct an_plan_choice){0};
}
