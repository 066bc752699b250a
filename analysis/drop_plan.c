// SPDX-License-Identifier: Apache-2.0
#include "analysis/drop_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "json_table.h"
#include "store/utf8.h"
#include "unit_set.h"

// The units of a set, in the order of their mean.
struct chosen {
    const struct an_group_result *group;
    int64_t *unit; // [count]
    int64_t count;
};

static bool is_below(const struct an_settings *settings) {
    return !isnan(settings->below) && settings->count == 0;
}

// What a plan of so many may take: all but protected layers.
static enum tr_status choose_lowest(struct chosen *chosen, const struct an_result *result,
                                    struct tr_err *err) {
    const struct an_group_result *group = chosen->group;
    const struct an_choice *choice = &group->set[result->settings.over].choice;
    for (int64_t i = 0; i < choice->present && chosen->count < group->count; i++)
        if (!an_is_protected(result, &group->unit[choice->order[i]]))
            chosen->unit[chosen->count++] = choice->order[i];
    if (chosen->count < group->count)
        return tr_fail(err, TR_EUSAGE, "no plan: %lld of %s are asked for, %lld are not protected",
                       (long long)group->count, an_group_names[group->group],
                       (long long)chosen->count);
    return TR_OK;
}

static enum tr_status choose(struct chosen *chosen, const struct an_result *result,
                             struct tr_err *err) {
    const struct an_group_result *group = chosen->group;
    const struct an_choice *choice = &group->set[AN_MEAN].choice;
    TR_TRY(TR_NEW(&chosen->unit, group->units, "the plan", err));
    if (result->budget) {
        chosen->count = result->budget->units;
        for (int64_t i = 0; i < chosen->count; i++)
            chosen->unit[i] = result->budget->unit[i];
        return TR_OK;
    }
    if (!is_below(&result->settings))
        return choose_lowest(chosen, result, err);
    for (int64_t i = 0; i < choice->present; i++)
        if (group->unit[choice->order[i]].below &&
            !an_is_protected(result, &group->unit[choice->order[i]]))
            chosen->unit[chosen->count++] = choice->order[i];
    return TR_OK;
}

static bool drops(const struct chosen *chosen, int64_t i, int module) {
    int of = chosen->group->unit[chosen->unit[i]].module;
    return of == module || of == TR_BLOCK;
}

// Layers without the module's sublayer, ascending. NULL: no memory.
static json_t *list(const struct chosen *chosen, int64_t layers, int module) {
    json_t *layers_list = json_array();
    for (int64_t layer = 0; layer < layers; layer++)
        for (int64_t i = 0; i < chosen->count; i++)
            if (chosen->group->unit[chosen->unit[i]].layer == layer && drops(chosen, i, module))
                json_array_append_new(layers_list, json_integer(layer));
    return layers_list;
}

// "attn:1,0,7 mlp:3"
static enum tr_status write_text(struct tr_string *text, const struct chosen *chosen,
                                 struct tr_err *err) {
    for (int module = 0; module < TR_MODULES; module++) {
        int64_t said = 0;
        for (int64_t i = 0; i < chosen->count; i++) {
            const struct an_unit *unit = &chosen->group->unit[chosen->unit[i]];
            if ((int)unit->module != module)
                continue;
            if (said == 0)
                TR_TRY(tr_string_format(text, err, "%s%s:", text->size > 0 ? " " : "",
                                        tr_module_names[module]));
            TR_TRY(tr_string_format(text, err, said++ ? ",%lld" : "%lld", (long long)unit->layer));
        }
    }
    return TR_OK;
}

static double sum_of(const struct chosen *chosen, enum an_aggregate over) {
    double sum = 0;
    for (int64_t i = 0; i < chosen->count; i++)
        sum += chosen->group->unit[chosen->unit[i]].by[over].value;
    return sum;
}

static json_t *estimate(const struct an_estimate *value) {
    return json_pack("{s:o, s:o, s:o}", "value", an_json_number(value->value), "low",
                     an_json_number(value->low), "high", an_json_number(value->high));
}

// NULL: no memory, which json_pack passes on.
static json_t *measured(const struct an_result *result, const char *text) {
    for (int64_t i = 0; i < result->sets; i++) {
        const struct an_set_costs *set = &result->set[i];
        if (set->checkpoints == 0 || strcmp(set->drop, text))
            continue;
        const struct an_set_cost *last = &set->at[set->checkpoints - 1];
        return json_pack("{s:s, s:s, s:o, s:o}", "set", set->name, "checkpoint",
                         result->series.checkpoint[last->checkpoint].name, "loss",
                         estimate(&last->cost[0]), "kl", estimate(&last->cost[1]));
    }
    return json_null();
}

static json_t *budget(const struct an_result *result) {
    const struct an_budget *budget = result->budget;
    if (!budget)
        return json_null();
    return json_pack("{s:s, s:I, s:f, s:f, s:f}", "resource", an_resource_names[budget->resource],
                     "context", (json_int_t)budget->context, "whole", budget->whole, "allowed",
                     budget->allowed, "left", budget->chosen.left);
}

static const char *chosen_by(const struct an_result *result) {
    if (result->budget)
        return "budget";
    return is_below(&result->settings) ? "below" : an_aggregate_names[result->settings.over];
}

// That the resamples choose the same set, where it is one of the lowest.
static json_t *probability(const struct an_result *result, const struct chosen *chosen) {
    const struct an_settings *s = &result->settings;
    if (result->method == AN_NO_INTERVAL || result->budget || is_below(s) || s->protect_first ||
        s->protect_last)
        return json_null();
    return json_real(chosen->group->set[s->over].choice.set[chosen->count]);
}

static enum tr_status write_plan(json_t **value_p, const struct an_result *result,
                                 const struct chosen *chosen, struct tr_err *err) {
    const struct an_series *series = &result->series;
    const struct an_settings *s = &result->settings;
    struct tr_string text = {0}, same = {0};
    char *path = NULL;
    enum tr_status status;
    TR_GO(status, tr_utf8_copy(&path, series->path, err), out);
    TR_GO(status, write_text(&text, chosen, err), out);
    TR_GO(status, an_unit_set_text(&same, chosen->group, chosen->unit, chosen->count, err), out);
    *value_p = json_pack(
        "{s:s, s:i, s:s, s:o, s:o, s:s, s:s, s:s, s:I, s:o, s:o, s:f, s:o, s:o, s:f, s:I, s:I, "
        "s:s, s:s, s:s, s:s}",
        "schema", "trace-plan", "schema_version", 1, "drop", text.size > 0 ? text.data : "",
        "drop_attn_list", list(chosen, series->layers, TR_ATTN), "drop_mlp_list",
        list(chosen, series->layers, TR_MLP), "module", an_group_names[chosen->group->group], "by",
        an_by_names[s->by], "chosen_by", chosen_by(result), "count", (json_int_t)chosen->count,
        "probability", probability(result, chosen), "tau",
        is_below(s) ? json_real(s->below) : json_null(), "sum", sum_of(chosen, s->over), "measured",
        measured(result, same.data), "budget", budget(result), "level", s->level, "resamples",
        (json_int_t)s->resamples, "seed", (json_int_t)s->seed, "store", path, "model",
        series->model, "first_checkpoint", series->checkpoint[series->claim[0]].name,
        "last_checkpoint", series->checkpoint[series->claim[series->claimed - 1]].name);
    if (!*value_p)
        status = tr_fail(err, TR_ENOMEM, "out of memory for the plan");
out:
    tr_string_free(&text);
    tr_string_free(&same);
    free(path);
    return status;
}

enum tr_status an_drop_plan(json_t **value_p, const struct an_result *result, struct tr_err *err) {
    struct chosen chosen = {0};
    TR_TRY(an_only_group(&chosen.group, result, "a plan is of", err));
    enum tr_status status = choose(&chosen, result, err);
    if (status == TR_OK)
        status = write_plan(value_p, result, &chosen, err);
    free(chosen.unit);
    return status;
}
