// SPDX-License-Identifier: Apache-2.0
#include "analysis/drop_plan.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "store/utf8.h"

// The units of a set, in the order of their mean.
struct chosen {
    const struct an_group_result *group;
    int64_t *unit; // [count]
    int64_t count;
};

static enum tr_status find_group(const struct an_group_result **group_p,
                                 const struct an_result *result, struct tr_err *err) {
    int wanted = 0;
    for (int group = 0; group < AN_GROUPS; group++)
        if (result->settings.wanted[group]) {
            wanted++;
            *group_p = result->group[group];
        }
    if (wanted != 1)
        return tr_fail(err, TR_EUSAGE, "a plan is of one --module: attn, mlp, block or joint");
    if (!*group_p)
        return tr_fail(err, TR_EUSAGE, "no plan: no layer of that module has a value");
    return TR_OK;
}

static enum tr_status choose(struct chosen *chosen, const struct an_result *result,
                             struct tr_err *err) {
    const struct an_choice *choice = &chosen->group->set[AN_MEAN].choice;
    bool below = !isnan(result->settings.below) && result->settings.count == 0;
    TR_TRY(TR_NEW(&chosen->unit, chosen->group->units, "the plan", err));
    for (int64_t i = 0; i < choice->present; i++)
        if (below ? chosen->group->unit[choice->order[i]].below : i < chosen->group->count)
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

static enum tr_status write_plan(json_t **value_p, const struct an_result *result,
                                 const struct chosen *chosen, struct tr_err *err) {
    const struct an_series *series = &result->series;
    const struct an_settings *settings = &result->settings;
    bool below = !isnan(result->settings.below) && result->settings.count == 0;
    bool known = result->method != AN_NO_INTERVAL && !below;
    struct tr_string text = {0};
    char *path = NULL;
    enum tr_status status;
    TR_GO(status, tr_utf8_copy(&path, series->path, err), out);
    TR_GO(status, write_text(&text, chosen, err), out);
    *value_p = json_pack(
        "{s:s, s:i, s:s, s:o, s:o, s:s, s:s, s:s, s:I, s:o, s:o, s:f, s:I, s:I, s:s, s:s, s:s, "
        "s:s}",
        "schema", "trace-plan", "schema_version", 1, "drop", text.size > 0 ? text.data : "",
        "drop_attn_list", list(chosen, series->layers, TR_ATTN), "drop_mlp_list",
        list(chosen, series->layers, TR_MLP), "module", an_group_names[chosen->group->group], "by",
        an_by_names[settings->by], "chosen_by", below ? "below" : "mean", "count",
        (json_int_t)chosen->count, "probability",
        known ? json_real(chosen->group->set[AN_MEAN].choice.set[chosen->count]) : json_null(),
        "tau", below ? json_real(settings->below) : json_null(), "level", settings->level,
        "resamples", (json_int_t)settings->resamples, "seed", (json_int_t)settings->seed, "store",
        path, "model", series->model, "first_checkpoint", series->checkpoint[series->claim[0]].name,
        "last_checkpoint", series->checkpoint[series->claim[series->claimed - 1]].name);
    if (!*value_p)
        status = tr_fail(err, TR_ENOMEM, "out of memory for the plan");
out:
    tr_string_free(&text);
    free(path);
    return status;
}

enum tr_status an_drop_plan(json_t **value_p, const struct an_result *result, struct tr_err *err) {
    struct chosen chosen = {0};
    TR_TRY(find_group(&chosen.group, result, err));
    enum tr_status status = choose(&chosen, result, err);
    if (status == TR_OK)
        status = write_plan(value_p, result, &chosen, err);
    free(chosen.unit);
    return status;
}
