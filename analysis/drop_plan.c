// SPDX-License-Identifier: Apache-2.0
#include "analysis/drop_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "json_table.h"
#include "plan_choice.h"
#include "store/utf8.h"
#include "unit_set.h"

static bool drops(const struct an_plan_choice *chosen, int64_t i, int module) {
    int of = chosen->group->unit[chosen->unit[i]].module;
    return of == module || of == TR_BLOCK;
}

// Layers without the module's sublayer, ascending. NULL: no memory.
static json_t *list(const struct an_plan_choice *chosen, int64_t layers, int module) {
    json_t *layers_list = json_array();
    for (int64_t layer = 0; layer < layers; layer++)
        for (int64_t i = 0; i < chosen->count; i++)
            if (chosen->group->unit[chosen->unit[i]].layer == layer && drops(chosen, i, module))
                json_array_append_new(layers_list, json_integer(layer));
    return layers_list;
}

// "attn:1,0,7 mlp:3"
static enum tr_status write_text(struct tr_string *text, const struct an_plan_choice *chosen,
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

// That the resamples choose the same set, where it is one of the lowest.
static json_t *probability(const struct an_result *result, const struct an_plan_choice *chosen) {
    const struct an_settings *s = &result->settings;
    bool lowest = chosen->rule == an_aggregate_names[s->over];
    if (result->method == AN_NO_INTERVAL || !lowest || s->protect_first || s->protect_last)
        return json_null();
    return json_real(chosen->group->set[s->over].choice.set[chosen->count]);
}

static enum tr_status write_plan(json_t **value_p, const struct an_result *result,
                                 const struct an_plan_choice *chosen, struct tr_err *err) {
    const struct an_series *series = &result->series;
    const struct an_settings *s = &result->settings;
    struct tr_string text = {0}, same = {0};
    char *path = NULL;
    enum tr_status status;
    TR_GO(status, tr_utf8_copy(&path, series->path, err), out);
    TR_GO(status, write_text(&text, chosen, err), out);
    TR_GO(status, an_unit_set_text(&same, chosen->group, chosen->unit, chosen->count, err), out);
    *value_p = json_pack(
        "{s:s, s:i, s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:f, s:o, s:o, s:f, s:I, "
        "s:I, "
        "s:s, s:s, s:I, s:I, s:s, s:s, s:s}",
        "schema", "trace-plan", "schema_version", 1, "drop", text.size > 0 ? text.data : "",
        "drop_attn_list", list(chosen, series->layers, TR_ATTN), "drop_mlp_list",
        list(chosen, series->layers, TR_MLP), "module", an_group_names[chosen->group->group], "by",
        an_by_names[s->by], "chosen_by", chosen->rule, "over", an_aggregate_names[s->over], "count",
        (json_int_t)chosen->count, "probability", probability(result, chosen), "tau",
        an_plan_is_below(s) ? json_real(s->below) : json_null(), "sum", chosen->sum, "measured",
        measured(result, same.data), "budget", budget(result), "level", s->level, "resamples",
        (json_int_t)s->resamples, "seed", (json_int_t)s->seed, "store", path, "model",
        series->model, "rows", (json_int_t)series->sampled, "seq_len", (json_int_t)series->seq_len,
        "tokens_digest", series->tokens_digest, "first_checkpoint",
        series->checkpoint[series->claim[0]].name, "last_checkpoint",
        series->checkpoint[series->claim[series->claimed - 1]].name);
    if (!*value_p)
        status = tr_fail(err, TR_ENOMEM, "out of memory for the plan");
out:
    tr_string_free(&text);
    tr_string_free(&same);
    free(path);
    return status;
}

enum tr_status an_drop_plan(json_t **value_p, const struct an_result *result, struct tr_err *err) {
    struct an_plan_choice chosen;
    TR_TRY(an_plan_choose(&chosen, result, err));
    enum tr_status status = write_plan(value_p, result, &chosen, err);
    an_plan_choice_free(&chosen);
    return status;
}
