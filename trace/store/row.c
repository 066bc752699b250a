// SPDX-License-Identifier: Apache-2.0
#include "store/row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/utf8.h"

void tr_values_fill(enum tr_value_type type, int64_t count, void *values) {
    if (type == TR_VALUE_F64)
        for (int64_t i = 0; i < count; i++)
            ((double *)values)[i] = NAN;
    else if (type == TR_VALUE_F32)
        for (int64_t i = 0; i < count; i++)
            ((float *)values)[i] = NAN;
    else if (type == TR_VALUE_I64)
        for (int64_t i = 0; i < count; i++)
            ((int64_t *)values)[i] = -1;
    else
        memset(values, 0, (size_t)count * tr_value_size(type));
}

static enum tr_status new_variable(struct tr_row *row, enum tr_variable_id id,
                                   const struct tr_layout *layout, struct tr_err *err) {
    const struct tr_variable *variable = &tr_variables[id];
    int64_t elements = tr_variable_elements(id, layout);
    TR_TRY(tr_alloc(&row->data[id], (uint64_t)elements, tr_value_size(variable->type),
                    variable->name, err));
    if (variable->type == TR_VALUE_STRING)
        return tr_strdup((char **)row->data[id], "", err);
    tr_values_fill(variable->type, elements, row->data[id]);
    return TR_OK;
}

enum tr_status tr_row_new(struct tr_row *row, const struct tr_layout *layout, struct tr_err *err) {
    struct tr_row made = {0};
    for (int id = 0; id < TR_VARIABLES; id++) {
        if (!tr_variable_present(id, layout))
            continue;
        enum tr_status status = new_variable(&made, id, layout, err);
        if (status != TR_OK) {
            tr_row_free(&made);
            return status;
        }
    }
    *row = made;
    return TR_OK;
}

void tr_row_free(struct tr_row *row) {
    for (int id = 0; id < TR_VARIABLES; id++) {
        if (row->data[id] && tr_variables[id].type == TR_VALUE_STRING)
            free(*(char **)row->data[id]);
        free(row->data[id]);
        row->data[id] = NULL;
    }
}

enum tr_status tr_row_set_string(struct tr_row *row, enum tr_variable_id id, const char *text,
                                 struct tr_err *err) {
    char *copy;
    TR_TRY(tr_utf8_copy(&copy, text, err));
    char **slot = row->data[id];
    free(*slot);
    *slot = copy;
    return TR_OK;
}

const char *tr_row_string(const struct tr_row *row, enum tr_variable_id id) {
    return *(char *const *)row->data[id];
}
