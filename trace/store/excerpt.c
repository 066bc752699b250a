// SPDX-License-Identifier: Apache-2.0
#include "store/excerpt.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static enum tr_status whole_dimension(struct tr_excerpt *excerpt, const struct tr_trace *trace,
                                      enum tr_dim dim, struct tr_err *err) {
    int64_t count = dim == TR_DIM_CHECKPOINT ? tr_trace_rows(trace)
                                             : tr_dim_size(dim, &tr_trace_info(trace)->layout);
    TR_TRY(TR_NEW(&excerpt->index[dim], count, tr_dim_name(dim), err));
    for (int64_t i = 0; i < count; i++)
        excerpt->index[dim][i] = i;
    excerpt->count[dim] = count;
    return TR_OK;
}

enum tr_status tr_excerpt_whole(struct tr_excerpt *excerpt, const struct tr_trace *trace,
                                struct tr_err *err) {
    struct tr_excerpt made = {0};
    enum tr_status status = TR_OK;
    for (enum tr_dim dim = TR_DIM_CHECKPOINT; status == TR_OK && dim < TR_DIM_COUNT; dim++)
        status = whole_dimension(&made, trace, dim, err);
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++)
        made.wanted[id] = tr_trace_has(trace, id);
    if (status == TR_OK)
        *excerpt = made;
    else
        tr_excerpt_free(&made);
    return status;
}

void tr_excerpt_free(struct tr_excerpt *excerpt) {
    for (int dim = 0; dim < TR_DIM_COUNT; dim++)
        free(excerpt->index[dim]);
    *excerpt = (struct tr_excerpt){0};
}

int64_t tr_excerpt_elements(const struct tr_excerpt *excerpt, enum tr_variable_id id) {
    int64_t elements = 1;
    for (int i = 1; i < tr_variable_rank(id); i++)
        elements *= excerpt->count[tr_variables[id].dims[i]];
    return elements;
}

// Copies element by element, counting up the indices behind the checkpoint's as an odometer does.
static void gather(const struct tr_excerpt *excerpt, const struct tr_layout *layout,
                   enum tr_variable_id id, const char *from, char *to) {
    const enum tr_dim *dims = tr_variables[id].dims;
    size_t size = tr_value_size(tr_variables[id].type);
    int rank = tr_variable_rank(id);
    int64_t at[TR_VARIABLE_DIMS] = {0};
    for (int64_t left = tr_excerpt_elements(excerpt, id); left > 0; left--) {
        int64_t offset = 0;
        for (int i = 1; i < rank; i++)
            offset = offset * tr_dim_size(dims[i], layout) + excerpt->index[dims[i]][at[i]];
        memcpy(to, from + (size_t)offset * size, size);
        to += size;
        for (int i = rank - 1; i > 0 && ++at[i] == excerpt->count[dims[i]]; i--)
            at[i] = 0;
    }
}

enum tr_status tr_excerpt_read(const struct tr_trace *trace, const struct tr_excerpt *excerpt,
                               enum tr_variable_id id, int64_t row, void *values,
                               struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    void *all;
    TR_TRY(tr_alloc(&all, (uint64_t)tr_variable_elements(id, layout),
                    tr_value_size(tr_variables[id].type), tr_variables[id].name, err));
    enum tr_status status = tr_trace_read(trace, id, row, 1, all, err);
    if (status == TR_OK)
        gather(excerpt, layout, id, all, values);
    free(all);
    return status;
}
