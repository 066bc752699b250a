// SPDX-License-Identifier: Apache-2.0
// What searches found, for programs.
#include <stdlib.h>

#include "analysis/search_result.h"
#include "result_tables.h"
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

// ---- as tables ---------------------------------------------------------------------------------

static const struct tr_drop *left_out(const void *round, const void *context) {
    const struct an_search *search = ((const struct an_json_context *)context)->search;
    return &search->candidate[((const struct an_round *)round)->candidate];
}

static json_t *make_module(const void *round, const void *context) {
    return json_string(tr_module_names[left_out(round, context)->module]);
}

static json_t *make_layer(const void *round, const void *context) {
    return json_integer(left_out(round, context)->layer);
}

static const struct an_json_field round_fields[] = {
    AN_MADE("module", make_module, "string"),
    AN_MADE("layer", make_layer, "integer"),
    AN_FIELD("value", NUMBER, struct an_round, value),
    AN_FIELD("loss", NUMBER, struct an_round, loss),
    AN_FIELD("kl", NUMBER, struct an_round, kl),
    AN_FIELD("attention", REAL, struct an_round, attention),
    AN_FIELD("depth", REAL, struct an_round, depth),
    AN_FIELD("runs", INTEGER, struct an_round, runs),
    AN_FIELD("longest", INTEGER, struct an_round, longest),
};
static const struct an_json_table round_table = AN_TABLE(struct an_round, round_fields);

static const struct an_json_field searched_fields[] = {
    AN_FIELD("name", TEXT, struct an_searched, name),
    AN_FIELD("step", PLACE, struct an_searched, step),
    AN_FIELD("shared_with_last", INTEGER, struct an_searched, shared),
    AN_FIELD("rank_correlation_with_last", NUMBER, struct an_searched, alike),
    AN_LIST("rounds", struct an_searched, round, rounds, &round_table),
};
static const struct an_json_table searched = AN_TABLE(struct an_searched, searched_fields);

static json_t *make_schema(const void *search, const void *context) {
    (void)search, (void)context;
    return json_string("trace-search");
}

static json_t *make_version(const void *search, const void *context) {
    (void)search, (void)context;
    return json_integer(1);
}

static json_t *make_store(const void *search, const void *context) {
    (void)search;
    return json_string(((const struct an_json_context *)context)->path);
}

#define SEARCH_FIELDS                                                                              \
    AN_FIELD("search", TEXT, struct an_search, settings),                                          \
        AN_FIELD("by", TEXT, struct an_search, by),                                                \
        AN_FIELD("candidates", INTEGER, struct an_search, candidates),                             \
        AN_FIELD("rounds", INTEGER, struct an_search, rounds),                                     \
        AN_LIST("checkpoints", struct an_search, at, checkpoints, &searched)

static const struct an_json_field search_fields[] = {SEARCH_FIELDS};
const struct an_json_table an_json_search = AN_TABLE(struct an_search, search_fields);

// The same in a file of its own.
static const struct an_json_field file_fields[] = {
    AN_MADE("schema", make_schema, "string"), AN_MADE("schema_version", make_version, "integer"),
    AN_MADE("store", make_store, "string"), SEARCH_FIELDS};
static const struct an_json_table file_table = AN_TABLE(struct an_search, file_fields);

// ---- as a file ---------------------------------------------------------------------------------

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
    const struct an_json_context context = {.search = search, .path = path};
    enum tr_status status = made(an_json_object(&file_table, search, &context), value_p, err);
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
