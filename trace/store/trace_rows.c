// SPDX-License-Identifier: Apache-2.0
// Whether the rows and scales of an open store are what they were when they were written.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "base/training_order.h"
#include "hdf5_util.h"
#include "row_digest.h"
#include "scales.h"
#include "trace_reader.h"

// ---- what describes a checkpoint -------------------------------------------------------------

// The numbers of one value a checkpoint, of all rows; strings are in memory already.
struct scalars {
    void *values[TR_VARIABLES]; // [rows]; NULL for others
};

static enum tr_status read_scalars(struct scalars *scalars, const struct tr_trace *trace,
                                   struct tr_err *err) {
    for (enum tr_variable_id id = 0; id <= TR_V_ERROR; id++) {
        enum tr_value_type type = tr_variables[id].type;
        if (type == TR_VALUE_STRING)
            continue;
        TR_TRY(tr_alloc(&scalars->values[id], (uint64_t)trace->rows, tr_value_size(type),
                        tr_variables[id].name, err));
        TR_TRY(tr_trace_read(trace, id, 0, trace->rows, scalars->values[id], err));
    }
    return TR_OK;
}

static void free_scalars(struct scalars *scalars) {
    for (int id = 0; id < TR_VARIABLES; id++)
        free(scalars->values[id]);
}

// A row whose numbers are `scalars`' and whose strings are the trace's: no memory of its own.
static void view_row(struct tr_row *row, const struct scalars *scalars,
                     const struct tr_trace *trace, int64_t index, const char **empty) {
    *row = (struct tr_row){0};
    for (enum tr_variable_id id = 0; id <= TR_V_ERROR; id++)
        if (scalars->values[id])
            row->data[id] =
                (char *)scalars->values[id] + (size_t)index * tr_value_size(tr_variables[id].type);
        else
            row->data[id] = trace->strings[id] ? (void *)&trace->strings[id][index] : (void *)empty;
}

// What no row that was written says of itself; NULL where all is well.
static const char *impossible(const struct tr_row *row) {
    uint8_t status = *tr_row_u8(row, TR_V_STATUS);
    if (status != TR_ROW_COMPLETE && status != TR_ROW_FAILED)
        return "has an unknown status";
    if (!*tr_row_string(row, TR_V_NAME))
        return "has no name";
    if (*tr_row_i64(row, TR_V_STEP) < -1 || *tr_row_f64(row, TR_V_TOKENS_SEEN) < 0)
        return "has a negative step or number of tokens";
    if (status == TR_ROW_COMPLETE && *tr_row_string(row, TR_V_ERROR))
        return "is complete and has an error";
    return NULL;
}

static enum tr_status check_row(const struct tr_trace *trace, const struct tr_row *row,
                                int64_t index, struct tr_err *err) {
    const char *how = impossible(row);
    char name[256];
    bool fits = true;
    if (!how && trace->digest)
        TR_TRY(tr_row_digest_scalars(&fits, trace->digest[index], row, err));
    snprintf(name, sizeof name, "row %lld (%.200s)", (long long)index,
             tr_row_string(row, TR_V_NAME));
    if (how)
        return tr_trace_damaged(trace, name, how, err);
    return fits ? TR_OK : tr_trace_changed(trace, name, "is not what was written", err);
}

// Rows that another program has sorted, or of which it has put some there twice: first and last of
// training would be others. A store is written in the order of training.
static enum tr_status compare_order(const struct tr_trace *trace, const struct tr_moment *moments,
                                    struct tr_err *err) {
    char name[256];
    for (int64_t i = 0; i < trace->rows; i++) {
        bool again = i && !strcmp(moments[i].name, moments[i - 1].name);
        snprintf(name, sizeof name, "row %lld (%.200s)", (long long)moments[i].index,
                 moments[i].name);
        if (again || moments[i].index != i)
            return tr_trace_changed(
                trace, name, again ? "is there twice" : "is not in the order of training", err);
    }
    return TR_OK;
}

static enum tr_status check_order(const struct tr_trace *trace, const struct scalars *scalars,
                                  struct tr_err *err) {
    const struct tr_attribute *rule = tr_run_info_find(&trace->info, "row_order");
    struct tr_moment *moments;
    if (tr_trace_sealed(trace) || !trace->digest || !trace->rows)
        return TR_OK;
    TR_TRY(TR_NEW(&moments, trace->rows, "the order of rows", err));
    for (int64_t i = 0; i < trace->rows; i++)
        moments[i] = (struct tr_moment){tr_trace_string(trace, TR_V_NAME, i),
                                        tr_trace_string(trace, TR_V_STAGE, i),
                                        tr_trace_string(trace, TR_V_WEIGHTS_DIGEST, i),
                                        ((const int64_t *)scalars->values[TR_V_STEP])[i],
                                        ((const double *)scalars->values[TR_V_TOKENS_SEEN])[i],
                                        i};
    enum tr_status status =
        tr_moments_sort(moments, trace->rows, rule && !rule->is_number ? rule->text : NULL, err);
    if (status == TR_OK)
        status = compare_order(trace, moments, err);
    free(moments);
    return status;
}

enum tr_status tr_trace_check_rows(const struct tr_trace *trace, struct tr_err *err) {
    struct scalars scalars = {0};
    const char *empty = "";
    enum tr_status status = read_scalars(&scalars, trace, err);
    for (int64_t i = 0; status == TR_OK && i < trace->rows; i++) {
        struct tr_row row;
        view_row(&row, &scalars, trace, i, &empty);
        status = check_row(trace, &row, i, err);
    }
    if (status == TR_OK)
        status = check_order(trace, &scalars, err);
    free_scalars(&scalars);
    return status;
}

// ---- scales ----------------------------------------------------------------------------------

enum tr_status tr_trace_check_scale(const struct tr_trace *trace, enum tr_dim dim,
                                    struct tr_err *err) {
    const char *name = tr_dim_name(dim);
    int64_t size = dim == TR_DIM_CHECKPOINT ? trace->rows : tr_dim_size(dim, &trace->info.layout);
    hsize_t found;
    hid_t dataset = H5I_INVALID_HID;
    bool same = false;
    TR_TRY(tr_trace_dataset(trace, name, tr_scale_type(dim), 1, &found, &dataset, err));
    enum tr_status status =
        tr_scale_check(&same, dataset, trace->path, dim, &trace->info.layout, NULL, size, err);
    TR_TRY(tr_hdf5_close(status, H5Dclose, dataset, name, trace->path, err));
    return same ? TR_OK : tr_trace_changed(trace, name, "is not what the layout makes it", err);
}

// Every reader takes layers, modules and so on for what their place says. Of a part of the
// checkpoints the indices are those of the whole; the probes' tokens and the sequences of costs
// follow from an attribute, which another program may have set.
enum tr_status tr_trace_check_scales(const struct tr_trace *trace, struct tr_err *err) {
    for (enum tr_dim dim = TR_DIM_CHECKPOINT + 1; dim < TR_DIM_COUNT; dim++)
        if (tr_dim_present(dim, &trace->info.layout) &&
            ((dim != TR_DIM_PROBE && dim != TR_DIM_COST_SEQUENCE) || tr_trace_sealed(trace)))
            TR_TRY(tr_trace_check_scale(trace, dim, err));
    return TR_OK;
}

// ---- values ----------------------------------------------------------------------------------

bool tr_trace_sealed(const struct tr_trace *trace) {
    return trace->source.seal.digests != NULL;
}

bool tr_trace_digested(const struct tr_trace *trace) {
    return trace->digest != NULL;
}

const char *tr_trace_digest(const struct tr_trace *trace, int64_t row) {
    return trace->digest ? trace->digest[row] : "";
}

enum tr_status tr_trace_check_row(const struct tr_trace *trace, int64_t index, struct tr_err *err) {
    struct tr_row row;
    TR_TRY(tr_trace_row(trace, index, &row, err));
    enum tr_status status = TR_OK;
    for (enum tr_variable_id id = 0; status == TR_OK && trace->digest && id < TR_VARIABLES; id++) {
        char how[256];
        if (!tr_trace_has(trace, id) || tr_variable_rank(id) == 1 || !row.data[id] ||
            tr_row_digest_values(trace->digest[index], id, row.data[id], &trace->info.layout))
            continue;
        snprintf(how, sizeof how, "of %.200s is not what was written",
                 tr_row_string(&row, TR_V_NAME));
        status = tr_trace_changed(trace, tr_variables[id].name, how, err);
    }
    tr_row_free(&row);
    return status;
}

// The first variable that a row has a digest of and the file has not; NULL for none.
static const char *lacks(const struct tr_trace *trace) {
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++)
        for (int64_t i = 0; i < trace->rows && !tr_trace_has(trace, id); i++)
            if (tr_row_digest_has(tr_trace_digest(trace, i), id))
                return tr_variables[id].name;
    return NULL;
}

enum tr_status tr_trace_check_whole(const struct tr_trace *trace, struct tr_err *err) {
    const char *missing = lacks(trace);
    if (!missing)
        return TR_OK;
    if (!tr_trace_sealed(trace))
        return tr_trace_changed(trace, missing, "is missing", err);
    return tr_fail(
        err, TR_EFORMAT,
        "%s is a part of a trace, without %s; only the whole can be merged or gone on with",
        trace->path, missing);
}

enum tr_status tr_trace_check(const struct tr_trace *trace, struct tr_err *err) {
    struct tr_source source = trace->source; // which blocks are known is shared
    TR_TRY(tr_source_check(&source, err));
    for (int64_t i = 0; i < trace->rows; i++)
        TR_TRY(tr_trace_check_row(trace, i, err));
    return TR_OK;
}
