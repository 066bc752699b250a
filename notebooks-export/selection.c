// SPDX-License-Identifier: Apache-2.0
#include "selection.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { ITEM_MAX = 64 }; // bytes of one item of a list

// The next item of a list with commas between, into `item`; false at the end. One that is too long
// is cut, and then matches nothing.
static bool next_item(const char **list, char item[ITEM_MAX]) {
    if (!*list)
        return false;
    size_t size = strcspn(*list, ",");
    snprintf(item, ITEM_MAX, "%.*s", (int)(size < ITEM_MAX ? size : ITEM_MAX - 1), *list);
    *list = (*list)[size] ? *list + size + 1 : NULL;
    return true;
}

// ---- numbers ---------------------------------------------------------------------------------

// Parses "7", "0-3" or "512-"; the last goes on to INT64_MAX.
static bool parse_range(const char *item, int64_t *first_p, int64_t *last_p) {
    char low[ITEM_MAX];
    size_t size = strcspn(item, "-");
    snprintf(low, sizeof low, "%.*s", (int)size, item);
    if (!tr_parse_i64(low, 0, INT64_MAX, first_p))
        return false;
    *last_p = item[size] ? INT64_MAX : *first_p;
    return !item[size] || !item[size + 1] ||
           tr_parse_i64(item + size + 1, *first_p, INT64_MAX, last_p);
}

// What an option of numbers chooses from: the value that each index of the dimension has.
struct numbers {
    const char *option; // "--layers"
    const char *list;
    enum tr_dim dim;
    const int64_t *value; // [of the whole dimension]
};

static enum tr_status none_there(const struct numbers *numbers, const struct tr_excerpt *excerpt,
                                 const char *item, const char *path, struct tr_err *err) {
    int64_t low = INT64_MAX, high = -1;
    for (int64_t i = 0; i < excerpt->count[numbers->dim]; i++) {
        int64_t value = numbers->value[i];
        low = value >= 0 && value < low ? value : low;
        high = value > high ? value : high;
    }
    if (high < 0)
        return tr_fail(err, TR_EUSAGE, "%s %s: the checkpoints of %s have no known step",
                       numbers->option, item, path);
    return tr_fail(err, TR_EUSAGE, "%s %s: %s has none of these, its %s go from %lld to %lld",
                   numbers->option, item, path, numbers->option + 2, (long long)low,
                   (long long)high);
}

// Marks what the list names. A single number has to be there, a range has to hold one that is.
static enum tr_status mark_numbers(const struct numbers *numbers, const struct tr_excerpt *excerpt,
                                   bool *marked, const char *path, struct tr_err *err) {
    const char *list = numbers->list;
    char item[ITEM_MAX];
    while (next_item(&list, item)) {
        int64_t first, last, found = 0;
        if (!parse_range(item, &first, &last))
            return tr_fail(err, TR_EUSAGE, "%s takes numbers and ranges such as 0-3,7, not \"%s\"",
                           numbers->option, item);
        for (int64_t i = 0; i < excerpt->count[numbers->dim]; i++)
            if (numbers->value[i] >= first && numbers->value[i] <= last) {
                marked[i] = true;
                found++;
            }
        if (!found)
            return none_there(numbers, excerpt, item, path, err);
    }
    return TR_OK;
}

// Keeps the indices that are marked.
static void keep(struct tr_excerpt *excerpt, enum tr_dim dim, const bool *marked) {
    int64_t kept = 0;
    for (int64_t i = 0; i < excerpt->count[dim]; i++)
        if (marked[i])
            excerpt->index[dim][kept++] = excerpt->index[dim][i];
    excerpt->count[dim] = kept;
}

static enum tr_status select_numbers(const struct numbers *numbers, struct tr_excerpt *excerpt,
                                     const char *path, struct tr_err *err) {
    bool *marked;
    TR_TRY(TR_NEW(&marked, excerpt->count[numbers->dim], "a selection", err));
    enum tr_status status = mark_numbers(numbers, excerpt, marked, path, err);
    if (status == TR_OK)
        keep(excerpt, numbers->dim, marked);
    free(marked);
    return status;
}

static enum tr_status select_steps(struct tr_excerpt *excerpt, const struct tr_trace *trace,
                                   const struct nx_options *options, struct tr_err *err) {
    int64_t *steps, rows = tr_trace_rows(trace);
    TR_TRY(TR_NEW(&steps, rows, "the steps", err));
    enum tr_status status = tr_trace_read(trace, TR_V_STEP, 0, rows, steps, err);
    const struct numbers numbers = {"--steps", options->steps, TR_DIM_CHECKPOINT, steps};
    if (status == TR_OK)
        status = select_numbers(&numbers, excerpt, options->store, err);
    free(steps);
    return status;
}

static enum tr_status select_layers(struct tr_excerpt *excerpt, const struct nx_options *options,
                                    struct tr_err *err) {
    const struct numbers numbers = {"--layers", options->layers, TR_DIM_LAYER,
                                    excerpt->index[TR_DIM_LAYER]};
    return select_numbers(&numbers, excerpt, options->store, err);
}

// ---- names -----------------------------------------------------------------------------------

static enum tr_status select_modules(struct tr_excerpt *excerpt, const struct nx_options *options,
                                     struct tr_err *err) {
    bool marked[TR_MODULES] = {false};
    const char *list = options->modules;
    char item[ITEM_MAX];
    while (next_item(&list, item)) {
        int module = 0;
        while (module < TR_MODULES && strcmp(item, tr_module_names[module]) != 0)
            module++;
        if (module == TR_MODULES)
            return tr_fail(err, TR_EUSAGE,
                           "--module takes attn, mlp and block with commas between, not \"%s\"",
                           item);
        marked[module] = true;
    }
    keep(excerpt, TR_DIM_MODULE, marked);
    return TR_OK;
}

bool nx_is_mean(enum tr_variable_id id) {
    const struct tr_variable *variable = &tr_variables[id];
    return variable->type != TR_VALUE_STRING && tr_variable_rank(id) == 3 &&
           variable->dims[1] == TR_DIM_LAYER && variable->dims[2] == TR_DIM_MODULE;
}

// Tables have columns for what describes a checkpoint; their values are the numbers within one.
static bool is_offered(const struct tr_trace *trace, enum tr_variable_id id,
                       const struct nx_exporter *exporter) {
    return tr_trace_has(trace, id) && (exporter->everything || tr_variable_rank(id) > 1);
}

static enum tr_status unknown_variable(const struct tr_trace *trace, const char *path,
                                       const struct nx_exporter *exporter, const char *item,
                                       struct tr_err *err) {
    struct tr_string known = {0};
    enum tr_status status = TR_OK;
    for (enum tr_variable_id id = 0; status == TR_OK && id < TR_VARIABLES; id++)
        if (is_offered(trace, id, exporter))
            status = tr_string_format(&known, err, "%s%s", known.size ? ", " : "",
                                      tr_variables[id].name);
    if (status == TR_OK)
        status = tr_fail(err, TR_EUSAGE, "--variables: %s has no \"%s\" for --to %s; it has %s",
                         path, item, exporter->name, known.data ? known.data : "none");
    tr_string_free(&known);
    return status;
}

static enum tr_status select_variables(struct tr_excerpt *excerpt, const struct tr_trace *trace,
                                       const struct nx_options *options,
                                       const struct nx_exporter *exporter, struct tr_err *err) {
    bool wanted[TR_VARIABLES] = {false};
    const char *list = options->variables     ? options->variables
                       : exporter->everything ? "all"
                                              : "default";
    char item[ITEM_MAX];
    while (next_item(&list, item)) {
        bool all = strcmp(item, "all") == 0, means = strcmp(item, "default") == 0;
        int one = tr_variable_find(item);
        if (!all && !means && (one < 0 || !is_offered(trace, one, exporter)))
            return unknown_variable(trace, options->store, exporter, item, err);
        for (int id = 0; id < TR_VARIABLES; id++)
            if (is_offered(trace, id, exporter) && (all || (means && nx_is_mean(id)) || id == one))
                wanted[id] = true;
    }
    memcpy(excerpt->wanted, wanted, sizeof wanted);
    return TR_OK;
}

enum tr_status nx_select(struct tr_excerpt *excerpt, const struct tr_trace *trace,
                         const struct nx_options *options, const struct nx_exporter *exporter,
                         struct tr_err *err) {
    if (options->steps)
        TR_TRY(select_steps(excerpt, trace, options, err));
    if (options->layers)
        TR_TRY(select_layers(excerpt, options, err));
    if (options->modules)
        TR_TRY(select_modules(excerpt, options, err));
    return select_variables(excerpt, trace, options, exporter, err);
}
