// SPDX-License-Identifier: Apache-2.0
#include "cells.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "selection.h"

// ---- lines -----------------------------------------------------------------------------------

struct walk {
    const struct nx_job *job;
    nx_cell_visit visit;
    void *user;
    enum tr_variable_id ids[TR_VARIABLES]; // [variables] the wanted ones
    void *values[TR_VARIABLES];            // [variables] of the present checkpoint
    int variables;
    uint32_t *tokens; // [layers, modules, sequences] counted; NULL: the trace does not say
};

static void walk_free(struct walk *walk) {
    for (int i = 0; i < walk->variables; i++)
        free(walk->values[i]);
    free(walk->tokens);
}

static enum tr_status walk_new(struct walk *walk, struct tr_err *err) {
    const struct tr_excerpt *excerpt = &walk->job->excerpt;
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!excerpt->wanted[id])
            continue;
        walk->ids[walk->variables] = id;
        TR_TRY(tr_alloc(&walk->values[walk->variables], tr_excerpt_elements(excerpt, id),
                        tr_value_size(tr_variables[id].type), tr_variables[id].name, err));
        walk->variables++;
    }
    if (!tr_trace_has(walk->job->trace, TR_V_TOKEN_COUNT))
        return TR_OK;
    return TR_NEW(&walk->tokens, tr_excerpt_elements(excerpt, TR_V_TOKEN_COUNT),
                  "the counts of tokens", err);
}

// Counts the tokens behind a mean over (layer, module) or (layer, module, sequence).
static int64_t count_tokens(const struct walk *walk, enum tr_variable_id id, int64_t element) {
    int64_t sequences = walk->job->excerpt.count[TR_DIM_SEQUENCE], count = 0;
    bool by_sequence = tr_variable_rank(id) == 4 && tr_variables[id].dims[3] == TR_DIM_SEQUENCE;
    if (!walk->tokens || (!by_sequence && !nx_is_mean(id)))
        return -1;
    if (by_sequence)
        return walk->tokens[element];
    for (int64_t i = 0; i < sequences; i++)
        count += walk->tokens[element * sequences + i];
    return count;
}

// Visits the elements of all variables from `first` on that share lines with it.
static enum tr_status visit_elements(const struct walk *walk, struct nx_cell *cell, int first,
                                     int variables, struct tr_err *err) {
    const struct tr_excerpt *excerpt = &walk->job->excerpt;
    enum tr_variable_id id = walk->ids[first];
    const enum tr_dim *dims = tr_variables[id].dims;
    int64_t elements = tr_excerpt_elements(excerpt, id);
    cell->ids = walk->ids + first;
    cell->values = (const void *const *)walk->values + first;
    cell->variables = variables;
    for (int dim = 0; dim < TR_DIM_COUNT; dim++)
        cell->at[dim] = -1;
    for (cell->element = 0; cell->element < elements; cell->element++) {
        int64_t left = cell->element;
        for (int i = tr_variable_rank(id) - 1; i > 0; i--) {
            cell->at[dims[i]] = excerpt->index[dims[i]][left % excerpt->count[dims[i]]];
            left /= excerpt->count[dims[i]];
        }
        cell->count = count_tokens(walk, id, cell->element);
        TR_TRY(walk->visit(cell, walk->user, err));
    }
    return TR_OK;
}

static const char *model_of(const struct tr_trace *trace) {
    const struct tr_attribute *model = tr_run_info_find(tr_trace_info(trace), "model");
    return model && !model->is_number ? model->text : "";
}

static enum tr_status visit_checkpoint(const struct walk *walk, int64_t row, bool wide,
                                       struct tr_err *err) {
    const struct tr_trace *trace = walk->job->trace;
    const struct tr_excerpt *excerpt = &walk->job->excerpt;
    struct nx_cell cell = {.layout = &tr_trace_info(trace)->layout,
                           .model = model_of(trace),
                           .checkpoint = tr_trace_string(trace, TR_V_NAME, row),
                           .stage = tr_trace_string(trace, TR_V_STAGE, row)};
    TR_TRY(tr_trace_read(trace, TR_V_STEP, row, 1, &cell.step, err));
    TR_TRY(tr_trace_read(trace, TR_V_TOKENS_SEEN, row, 1, &cell.tokens, err));
    for (int i = 0; i < walk->variables; i++)
        TR_TRY(tr_excerpt_read(trace, excerpt, walk->ids[i], row, walk->values[i], err));
    if (walk->tokens)
        TR_TRY(tr_excerpt_read(trace, excerpt, TR_V_TOKEN_COUNT, row, walk->tokens, err));
    if (wide)
        return visit_elements(walk, &cell, 0, walk->variables, err);
    for (int i = 0; i < walk->variables; i++)
        TR_TRY(visit_elements(walk, &cell, i, 1, err));
    return TR_OK;
}

enum tr_status nx_cells(const struct nx_job *job, bool wide, nx_cell_visit visit, void *user,
                        struct tr_err *err) {
    struct walk walk = {.job = job, .visit = visit, .user = user};
    enum tr_status status = walk_new(&walk, err);
    for (int64_t i = 0; status == TR_OK && i < job->excerpt.count[TR_DIM_CHECKPOINT]; i++)
        status = visit_checkpoint(&walk, job->excerpt.index[TR_DIM_CHECKPOINT][i], wide, err);
    walk_free(&walk);
    return status;
}

// ---- columns ---------------------------------------------------------------------------------

static bool has_stages(const struct nx_job *job) {
    for (int64_t i = 0; i < job->excerpt.count[TR_DIM_CHECKPOINT]; i++)
        if (*tr_trace_string(job->trace, TR_V_STAGE, job->excerpt.index[TR_DIM_CHECKPOINT][i]))
            return true;
    return false;
}

static bool has_dimension(const struct nx_job *job, enum tr_dim dim) {
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++)
        for (int i = 1; job->excerpt.wanted[id] && i < tr_variable_rank(id); i++)
            if (tr_variables[id].dims[i] == dim)
                return true;
    return false;
}

static int value_columns(const struct nx_job *job, bool wide, struct nx_column *columns) {
    const char *units = NULL;
    int values = 0;
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        const struct tr_variable *variable = &tr_variables[id];
        if (!job->excerpt.wanted[id])
            continue;
        units = !units || strcmp(units, variable->units) == 0 ? variable->units : "";
        columns[values] = (struct nx_column){variable->name, variable->units, NX_VALUE, values};
        values++;
    }
    if (wide)
        return values;
    columns[0] = (struct nx_column){"variable", "", NX_VARIABLE, 0};
    columns[1] = (struct nx_column){"value", units ? units : "", NX_VALUE, 0};
    return 2;
}

static enum tr_status check_wide(const struct tr_excerpt *excerpt, struct tr_err *err) {
    const struct tr_variable *first = NULL;
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!excerpt->wanted[id])
            continue;
        first = first ? first : &tr_variables[id];
        if (memcmp(first->dims, tr_variables[id].dims, sizeof first->dims) != 0)
            return tr_fail(err, TR_EUSAGE,
                           "--wide needs variables over the same dimensions, and %s and %s are not",
                           first->name, tr_variables[id].name);
    }
    return TR_OK;
}

enum tr_status nx_columns(const struct nx_job *job, bool wide, struct nx_column *columns,
                          int *count_p, struct tr_err *err) {
    int count = 0;
    if (wide)
        TR_TRY(check_wide(&job->excerpt, err));
    columns[count++] = (struct nx_column){"model", "", NX_MODEL, 0};
    columns[count++] = (struct nx_column){"checkpoint", "", NX_CHECKPOINT, 0};
    if (has_stages(job))
        columns[count++] = (struct nx_column){"stage", "", NX_STAGE, 0};
    columns[count++] = (struct nx_column){"step", "1", NX_STEP, 0};
    columns[count++] = (struct nx_column){"tokens", "token", NX_TOKENS, 0};
    for (enum tr_dim dim = TR_DIM_LAYER; dim < TR_DIM_COUNT; dim++)
        if (dim == TR_DIM_LAYER || dim == TR_DIM_MODULE || has_dimension(job, dim))
            columns[count++] = (struct nx_column){tr_dim_name(dim), dim == TR_DIM_MODULE ? "" : "1",
                                                  NX_DIMENSION, (int)dim};
    count += value_columns(job, wide, columns + count);
    columns[count++] = (struct nx_column){"count", "token", NX_COUNT, 0};
    *count_p = count;
    return TR_OK;
}

// ---- fields ----------------------------------------------------------------------------------

static void put_text(struct nx_field *field, const char *text) {
    *field = (struct nx_field){.text = text};
}

// Of a model its family: sizes in every row would be most of a table.
static void put_first_word(struct nx_field *field, const char *text) {
    snprintf(field->digits, sizeof field->digits, "%.*s", (int)strcspn(text, " "), text);
    field->text = field->digits;
    field->is_number = false;
}

static void put_integer(struct nx_field *field, int64_t value, bool missing) {
    field->is_number = true;
    field->text = missing ? NULL : field->digits;
    snprintf(field->digits, sizeof field->digits, "%" PRId64, value);
}

static void put_real(struct nx_field *field, double value) {
    field->is_number = true;
    field->text = isnan(value) ? NULL : field->digits;
    snprintf(field->digits, sizeof field->digits, "%.17g", value);
}

static void put_value(struct nx_field *field, enum tr_value_type type, const void *values,
                      int64_t element) {
    int64_t integer;
    switch (type) {
    case TR_VALUE_F64:
        put_real(field, ((const double *)values)[element]);
        break;
    case TR_VALUE_F32:
        put_real(field, (double)((const float *)values)[element]);
        break;
    case TR_VALUE_I64: // the fill value of signed integers is -1
        integer = ((const int64_t *)values)[element];
        put_integer(field, integer, integer == -1);
        break;
    case TR_VALUE_U32:
        put_integer(field, ((const uint32_t *)values)[element], false);
        break;
    case TR_VALUE_U8:
        put_integer(field, ((const uint8_t *)values)[element], false);
        break;
    case TR_VALUE_STRING:
        put_text(field, ((char *const *)values)[element]);
        break;
    }
}

// The coordinate that the store has for an index: an edge, a position, a name, or the index itself.
static void put_coordinate(struct nx_field *field, const struct tr_layout *layout, enum tr_dim dim,
                           int64_t index) {
    if (index < 0)
        put_integer(field, index, true);
    else if (dim == TR_DIM_MODULE)
        put_text(field, tr_module_names[index]);
    else if (dim == TR_DIM_BIN)
        put_real(field, tr_bin_start((int)index));
    else if (dim == TR_DIM_POSITION_BIN)
        put_integer(field, tr_position_bin_start(index), false);
    else if (dim == TR_DIM_PROBE)
        put_integer(field, tr_span_token(layout, tr_probe(layout, index)), false);
    else
        put_integer(field, index, false);
}

void nx_field(const struct nx_cell *cell, const struct nx_column *column, struct nx_field *field) {
    switch (column->kind) {
    case NX_MODEL:
        put_first_word(field, cell->model);
        break;
    case NX_CHECKPOINT:
        put_text(field, cell->checkpoint);
        break;
    case NX_STAGE:
        put_text(field, cell->stage);
        break;
    case NX_STEP:
        put_integer(field, cell->step, cell->step < 0);
        break;
    case NX_TOKENS:
        put_real(field, cell->tokens);
        break;
    case NX_DIMENSION:
        put_coordinate(field, cell->layout, column->which, cell->at[column->which]);
        break;
    case NX_VARIABLE:
        put_text(field, tr_variables[cell->ids[0]].name);
        break;
    case NX_VALUE:
        put_value(field, tr_variables[cell->ids[column->which]].type, cell->values[column->which],
                  cell->element);
        break;
    case NX_COUNT:
        put_integer(field, cell->count, cell->count < 0);
        break;
    }
}
