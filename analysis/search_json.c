// SPDX-License-Identifier: Apache-2.0
// What searches found, for programs.
#include <stdlib.h>

#include "analysis/search_result.h"
#include "json_table.h"
#include "store/utf8.h"

// "attn:7,6 mlp:3 attn:1": the order of the rounds, a word for every change of module.
static enum tr_status append_drops(const struct an_search *search, const struct an_searched *at,
                                   struct tr_string *text, struct tr_err *err) {
    int module = -1;
    TR_TRY(tr_string_append(text, "", 0, err));
    for (int64_t i = 0; i < at->rounds; i++) {
        const struct tr_drop *drop = &search->candidate[at->round[i].candidate];
        if ((int)drop->module != module)
            TR_TRY(tr_string_format(text, err, "%s%s:", text->size ? " " : "",
                                    tr_module_names[drop->module]));
        TR_TRY(
            tr_string_format(text, err, (int)drop->module == module ? ",%d" : "%d", drop->layer));
        module = (int)drop->module;
    }
    return TR_OK;
}

// Layers without the module's sublayer, ascending. NULL: no memory.
static json_t *layers_without(const struct an_search *search, const struct an_searched *at,
                              int module) {
    json_t *list = json_array();
    for (int64_t layer = 0; layer < search->layers; layer++)
        for (int64_t i = 0; i < at->rounds; i++) {
            const struct tr_drop *drop = &search->candidate[at->round[i].candidate];
            if (drop->layer == layer && ((int)drop->module == module || drop->module == TR_BLOCK))
                json_array_append_new(list, json_integer(layer));
        }
    return list;
}

static json_t *round_json(const struct an_search *search, const struct an_round *round) {
    const struct tr_drop *drop = &search->candidate[round->candidate];
    return json_pack("{s:s, s:i, s:o, s:o, s:o, s:f, s:f, s:I, s:I}", "module",
                     tr_module_names[drop->module], "layer", drop->layer, "value",
                     an_json_number(round->value), "loss", an_json_number(round->loss), "kl",
                     an_json_number(round->kl), "attention", round->attention, "depth",
                     round->depth, "runs", (json_int_t)round->runs, "longest",
                     (json_int_t)round->longest);
}

static json_t *checkpoint_json(const struct an_search *search, const struct an_searched *at) {
    json_t *rounds = json_array();
    for (int64_t i = 0; i < at->rounds; i++)
        json_array_append_new(rounds, round_json(search, &at->round[i]));
    return json_pack("{s:s, s:I, s:I, s:o, s:o}", "name", at->name, "step", (json_int_t)at->step,
                     "shared_with_last", (json_int_t)at->shared, "rank_correlation_with_last",
                     an_json_number(at->alike), "rounds", rounds);
}

static enum tr_status made(json_t *value, json_t **value_p, struct tr_err *err) {
    if (!value)
        return tr_fail(err, TR_ENOMEM, "out of memory for the search as JSON");
    *value_p = value;
    return TR_OK;
}

enum tr_status an_search_json(json_t **value_p, const struct an_search *search,
                              struct tr_err *err) {
    char *path;
    TR_TRY(tr_utf8_copy(&path, search->path, err));
    json_t *checkpoints = json_array();
    for (int64_t c = 0; c < search->checkpoints; c++)
        json_array_append_new(checkpoints, checkpoint_json(search, &search->at[c]));
    enum tr_status status =
        made(json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:I, s:o}", "schema", "trace-search",
                       "schema_version", 1, "store", path, "search", search->settings, "by",
                       search->by, "candidates", (json_int_t)search->candidates, "rounds",
                       (json_int_t)search->rounds, "checkpoints", checkpoints),
             value_p, err);
    free(path);
    return status;
}

enum tr_status an_search_plan(json_t **value_p, const struct an_search *search,
                              struct tr_err *err) {
    struct tr_string text = {0};
    char *path;
    if (!search->checkpoints)
        return tr_fail(err, TR_EUSAGE, "no plan: no checkpoint of %s has been searched",
                       search->path);
    const struct an_searched *last = &search->at[search->checkpoints - 1];
    const struct an_round *round = &last->round[last->rounds - 1];
    TR_TRY(tr_utf8_copy(&path, search->path, err));
    enum tr_status status = append_drops(search, last, &text, err);
    if (status == TR_OK)
        status = made(
            json_pack("{s:s, s:i, s:s, s:o, s:o, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:s, "
                      "s:s}",
                      "schema", "trace-plan", "schema_version", 1, "drop", text.data,
                      "drop_attn_list", layers_without(search, last, TR_ATTN), "drop_mlp_list",
                      layers_without(search, last, TR_MLP), "by", search->by, "chosen_by", "search",
                      "search", search->settings, "count", (json_int_t)last->rounds, "value",
                      an_json_number(round->value), "loss", an_json_number(round->loss), "kl",
                      an_json_number(round->kl), "store", path, "last_checkpoint", last->name),
            value_p, err);
    tr_string_free(&text);
    free(path);
    return status;
}
