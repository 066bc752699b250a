// SPDX-License-Identifier: Apache-2.0
// Reading a store. Whatever the file claims is checked against the schema and against its own size
// before anything is allocated; compressed values carry a checksum that HDF5 checks.
#include "trace_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "hdf5_util.h"
#include "run_info_file.h"
#include "try_apart.h"

// ---- opening ---------------------------------------------------------------------------------

// The length of an axis. Each of its values takes at least a byte in the file.
static enum tr_status axis_size(const struct tr_trace *trace, enum tr_dim dim, int64_t *size_p,
                                struct tr_err *err) {
    hsize_t size;
    hid_t dataset = H5I_INVALID_HID;
    const char *name = tr_dim_name(dim);
    TR_TRY(tr_trace_dataset(trace, name, TR_VALUE_I64, 1, &size, &dataset, err));
    TR_TRY(tr_hdf5_close(TR_OK, H5Dclose, dataset, name, trace->path, err));
    if (size > trace->bytes)
        return tr_trace_damaged(trace, name, "claims more values than the file has bytes", err);
    *size_p = (int64_t)size;
    return TR_OK;
}

static bool has(const struct tr_trace *trace, enum tr_variable_id id) {
    return H5Lexists(trace->file, tr_variables[id].name, H5P_DEFAULT) > 0;
}

// No variable of this layout overflows when its bytes are counted.
static bool layout_fits(const struct tr_layout *layout) {
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        uint64_t bytes = tr_value_size(tr_variables[id].type);
        for (int i = 0; i < tr_variable_rank(id) && tr_variable_present(id, layout); i++)
            if (!tr_mul(bytes, (uint64_t)tr_dim_size(tr_variables[id].dims[i], layout), &bytes) ||
                bytes > INT64_MAX / 2)
                return false;
    }
    return true;
}

// Sizes that no trace has.
__attribute__((format(printf, 3, 4))) static enum tr_status
claims(const struct tr_trace *trace, struct tr_err *err, const char *format, ...) {
    char how[160] = "claims ";
    size_t length = strlen(how);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(how + length, sizeof how - length, format, arguments);
    va_end(arguments);
    return tr_trace_changed(trace, "it", how, err);
}

// The sizes that only a store with spans has; a span token is one of the calibration's.
static enum tr_status read_spans(struct tr_trace *trace, struct tr_err *err) {
    struct tr_layout *layout = &trace->info.layout;
    uint64_t tokens = 0;
    if (!has(trace, TR_V_SPAN_SIMILARITY)) {
        layout->span_tokens = 0;
        return TR_OK;
    }
    TR_TRY(axis_size(trace, TR_DIM_PROBE, &layout->probes, err));
    TR_TRY(axis_size(trace, TR_DIM_CHANNEL, &layout->channels, err));
    if (layout->probes < 1 || layout->channels < 1 || layout->span_tokens < layout->probes ||
        !tr_mul((uint64_t)layout->sequences, (uint64_t)layout->seq_len, &tokens) ||
        (uint64_t)layout->span_tokens > tokens)
        return claims(trace, err, "%lld span tokens, %lld probes and %lld channels",
                      (long long)layout->span_tokens, (long long)layout->probes,
                      (long long)layout->channels);
    return TR_OK;
}

// The sizes that only a store with costs has; they are of the calibration's sequences.
static enum tr_status read_costs(struct tr_trace *trace, struct tr_err *err) {
    struct tr_layout *layout = &trace->info.layout;
    if (!has(trace, TR_V_BASE_NLL)) {
        layout->cost_batch = 0;
        return TR_OK;
    }
    TR_TRY(axis_size(trace, TR_DIM_COST_SEQUENCE, &layout->cost_sequences, err));
    if (layout->cost_batch < 1 || layout->cost_batch > layout->sequences ||
        layout->cost_sequences < 1 || layout->cost_sequences > layout->sequences)
        return claims(trace, err, "costs on %lld of its %lld sequences, %lld together",
                      (long long)layout->cost_sequences, (long long)layout->sequences,
                      (long long)layout->cost_batch);
    if (!has(trace, TR_V_SET_NLL))
        return TR_OK;
    layout->set_distances = has(trace, TR_V_SET_JS) && has(trace, TR_V_SET_ANGLE);
    return axis_size(trace, TR_DIM_DROP_SET, &layout->drop_sets, err);
}

// The sizes that only a store with a search has.
static enum tr_status read_search(struct tr_trace *trace, struct tr_err *err) {
    struct tr_layout *layout = &trace->info.layout;
    if (!has(trace, TR_V_SEARCH_DROP))
        return TR_OK;
    TR_TRY(axis_size(trace, TR_DIM_ROUND, &layout->rounds, err));
    TR_TRY(axis_size(trace, TR_DIM_CANDIDATE, &layout->candidates, err));
    if (layout->rounds < 1 || layout->rounds > layout->candidates)
        return claims(trace, err, "a search of %lld rounds among %lld candidates",
                      (long long)layout->rounds, (long long)layout->candidates);
    return TR_OK;
}

static enum tr_status read_layout(struct tr_trace *trace, struct tr_err *err) {
    struct tr_layout *layout = &trace->info.layout;
    TR_TRY(axis_size(trace, TR_DIM_CHECKPOINT, &trace->rows, err));
    TR_TRY(axis_size(trace, TR_DIM_LAYER, &layout->layers, err));
    TR_TRY(axis_size(trace, TR_DIM_SEQUENCE, &layout->sequences, err));
    layout->nll = has(trace, TR_V_NLL);
    layout->per_token = has(trace, TR_V_IMPORTANCE_TOKEN);
    TR_TRY(read_spans(trace, err));
    TR_TRY(read_costs(trace, err));
    TR_TRY(read_search(trace, err));
    if (layout->layers < 1 || layout->sequences < 1 || layout->seq_len < 1 ||
        layout->seq_len > INT32_MAX || !layout_fits(layout))
        return claims(trace, err, "%lld layers and %lld sequences of %lld tokens",
                      (long long)layout->layers, (long long)layout->sequences,
                      (long long)layout->seq_len);
    return TR_OK;
}

static enum tr_status open_variable(struct tr_trace *trace, enum tr_variable_id id,
                                    struct tr_err *err) {
    const struct tr_variable *variable = &tr_variables[id];
    int rank = tr_variable_rank(id);
    hsize_t size[TR_VARIABLE_DIMS];
    TR_TRY(tr_trace_dataset(trace, variable->name, variable->type, rank, size, &trace->dataset[id],
                            err));
    for (int i = 0; i < rank; i++) {
        int64_t expected = i ? tr_dim_size(variable->dims[i], &trace->info.layout) : trace->rows;
        if (size[i] != (hsize_t)expected)
            return tr_trace_changed(trace, variable->name, "does not fit the file's dimensions",
                                    err);
    }
    return TR_OK;
}

// ---- strings ---------------------------------------------------------------------------------

// A string for each index of a dimension.
static enum tr_status read_labels(struct tr_trace *trace, const char *name, enum tr_dim dim,
                                  char ***strings_p, struct tr_err *err) {
    hsize_t size;
    hid_t dataset = H5I_INVALID_HID;
    TR_TRY(tr_trace_dataset(trace, name, TR_VALUE_STRING, 1, &size, &dataset, err));
    enum tr_status status =
        size == (hsize_t)tr_dim_size(dim, &trace->info.layout)
            ? tr_trace_read_strings(trace, name, dataset, (int64_t)size, strings_p, err)
            : tr_trace_changed(trace, name, "does not fit the file's dimensions", err);
    return tr_hdf5_close(status, H5Dclose, dataset, name, trace->path, err);
}

static enum tr_status read_all_labels(struct tr_trace *trace, struct tr_err *err) {
    struct tr_run_info *info = &trace->info;
    TR_TRY(read_labels(trace, "text", TR_DIM_SEQUENCE, &info->text, err));
    TR_TRY(read_labels(trace, "ids_digest", TR_DIM_SEQUENCE, &info->ids_digest, err));
    if (info->layout.drop_sets) {
        TR_TRY(read_labels(trace, "set_name", TR_DIM_DROP_SET, &info->set_name, err));
        TR_TRY(read_labels(trace, "set_drop", TR_DIM_DROP_SET, &info->set_drop, err));
    }
    if (!info->layout.candidates)
        return TR_OK;
    return read_labels(trace, "candidate_drop", TR_DIM_CANDIDATE, &info->candidate, err);
}

static enum tr_status read_digests(struct tr_trace *trace, struct tr_err *err) {
    static const char name[] = "row_digest";
    hsize_t size;
    hid_t dataset = H5I_INVALID_HID;
    if (H5Lexists(trace->file, name, H5P_DEFAULT) <= 0)
        return trace->minor ? tr_trace_changed(trace, name, "is missing", err) : TR_OK;
    TR_TRY(tr_trace_dataset(trace, name, TR_VALUE_STRING, 1, &size, &dataset, err));
    enum tr_status status =
        size == (hsize_t)trace->rows
            ? tr_trace_read_strings(trace, name, dataset, trace->rows, &trace->digest, err)
            : tr_trace_changed(trace, name, "does not fit the file's dimensions", err);
    return tr_hdf5_close(status, H5Dclose, dataset, name, trace->path, err);
}

static enum tr_status open_trace(struct tr_trace *trace, struct tr_err *err) {
    TR_TRY(tr_source_hdf5(&trace->source, &trace->file, err));
    TR_TRY(tr_run_info_read(&trace->info, &trace->minor, trace->file, trace->path, err));
    TR_TRY(read_layout(trace, err));
    TR_TRY(read_all_labels(trace, err));
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!has(trace, id))
            continue;
        TR_TRY(open_variable(trace, id, err));
        if (tr_variables[id].type == TR_VALUE_STRING)
            TR_TRY(tr_trace_read_strings(trace, tr_variables[id].name, trace->dataset[id],
                                         trace->rows, &trace->strings[id], err));
    }
    if (!trace->strings[TR_V_NAME])
        return tr_trace_changed(trace, "name", "is missing", err);
    TR_TRY(read_digests(trace, err));
    TR_TRY(tr_trace_check_scales(trace, err));
    return tr_trace_check_rows(trace, err);
}

// The bytes alone; HDF5 has seen nothing yet.
static enum tr_status open_bytes(struct tr_trace **trace_p, const char *path, struct tr_err *err) {
    struct tr_trace *trace;
    TR_TRY(TR_NEW(&trace, 1, "a trace", err));
    trace->file = H5I_INVALID_HID;
    trace->source.fd = -1;
    enum tr_status status = tr_strdup(&trace->path, path, err);
    if (status == TR_OK)
        status = tr_source_open(&trace->source, trace->path, err);
    trace->bytes = trace->source.seal.size;
    if (status == TR_OK)
        *trace_p = trace;
    else
        tr_trace_close(trace);
    return status;
}

// Everything that a reader may ask for.
static enum tr_status read_all(const char *path, struct tr_err *err) {
    struct tr_trace *trace;
    TR_TRY(open_bytes(&trace, path, err));
    enum tr_status status = open_trace(trace, err);
    if (status == TR_OK)
        status = tr_trace_check(trace, err);
    tr_trace_close(trace);
    return status;
}

enum tr_status tr_trace_open(struct tr_trace **trace_p, const char *path, struct tr_err *err) {
    struct tr_trace *trace;
    TR_TRY(open_bytes(&trace, path, err));
    enum tr_status status = TR_OK;
    tr_hdf5_enter();
    if (!trace->source.seal.digests)
        status = tr_try_apart(read_all, path, trace->bytes, err);
    if (status == TR_OK)
        status = open_trace(trace, err);
    tr_hdf5_leave();
    if (status == TR_OK)
        *trace_p = trace;
    else
        tr_trace_close(trace);
    return status;
}

void tr_trace_close(struct tr_trace *trace) {
    if (!trace)
        return;
    tr_hdf5_enter();
    if (trace->file >= 0)
        H5Fclose(trace->file); // and every dataset in it; nothing was written
    tr_hdf5_leave();
    for (int id = 0; id < TR_VARIABLES; id++)
        tr_trace_free_strings(trace->strings[id], trace->rows);
    tr_trace_free_strings(trace->digest, trace->rows);
    tr_source_close(&trace->source);
    tr_run_info_free(&trace->info);
    free(trace->path);
    free(trace);
}

// ---- reading ---------------------------------------------------------------------------------

int64_t tr_trace_rows(const struct tr_trace *trace) {
    return trace->rows;
}

const struct tr_run_info *tr_trace_info(const struct tr_trace *trace) {
    return &trace->info;
}

bool tr_trace_has(const struct tr_trace *trace, enum tr_variable_id id) {
    return trace->dataset[id] > 0;
}

const char *tr_trace_string(const struct tr_trace *trace, enum tr_variable_id id, int64_t row) {
    return trace->strings[id] ? trace->strings[id][row] : "";
}

static enum tr_status read_rows(const struct tr_trace *trace, enum tr_variable_id id, int64_t first,
                                int64_t count, void *values, struct tr_err *err) {
    const struct tr_variable *variable = &tr_variables[id];
    int rank = tr_variable_rank(id);
    hsize_t start[TR_VARIABLE_DIMS] = {(hsize_t)first}, size[TR_VARIABLE_DIMS];
    for (int i = 0; i < rank; i++)
        size[i] = (hsize_t)(i ? tr_dim_size(variable->dims[i], &trace->info.layout) : count);
    hid_t memory = H5Screate_simple(rank, size, NULL), file = H5Dget_space(trace->dataset[id]);
    enum tr_status status = TR_OK;
    if (memory < 0 || file < 0 ||
        H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, size, NULL) < 0 ||
        H5Dread(trace->dataset[id], tr_hdf5_memory_type(variable->type), memory, file, H5P_DEFAULT,
                values) < 0)
        status = tr_trace_read_failed(trace, variable->name, err);
    status = tr_hdf5_close(status, H5Sclose, file, variable->name, trace->path, err);
    return tr_hdf5_close(status, H5Sclose, memory, variable->name, trace->path, err);
}

enum tr_status tr_trace_read(const struct tr_trace *trace, enum tr_variable_id id, int64_t first,
                             int64_t count, void *values, struct tr_err *err) {
    const struct tr_variable *variable = &tr_variables[id];
    if (variable->type == TR_VALUE_STRING || first < 0 || count < 0 || first > trace->rows - count)
        return tr_fail(err, TR_EUSAGE,
                       "rows %lld to %lld of %s cannot be read from %s, which has %lld",
                       (long long)first, (long long)(first + count), variable->name, trace->path,
                       (long long)trace->rows);
    if (!tr_trace_has(trace, id)) {
        tr_values_fill(variable->type, count * tr_variable_elements(id, &trace->info.layout),
                       values);
        return TR_OK;
    }
    tr_hdf5_enter();
    enum tr_status status = read_rows(trace, id, first, count, values, err);
    tr_hdf5_leave();
    return status;
}

static enum tr_status fill_row(const struct tr_trace *trace, int64_t index, struct tr_row *row,
                               struct tr_err *err) {
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!row->data[id])
            continue;
        if (tr_variables[id].type == TR_VALUE_STRING)
            TR_TRY(tr_row_set_string(row, id, tr_trace_string(trace, id, index), err));
        else
            TR_TRY(tr_trace_read(trace, id, index, 1, row->data[id], err));
    }
    return TR_OK;
}

enum tr_status tr_trace_row(const struct tr_trace *trace, int64_t index, struct tr_row *row,
                            struct tr_err *err) {
    struct tr_row made;
    TR_TRY(tr_row_new(&made, &trace->info.layout, err));
    enum tr_status status = fill_row(trace, index, &made, err);
    if (status == TR_OK)
        *row = made;
    else
        tr_row_free(&made);
    return status;
}

void tr_trace_sizes(const struct tr_trace *trace, uint64_t *values_p, uint64_t *disk_p) {
    *values_p = *disk_p = 0;
    tr_hdf5_enter();
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!tr_trace_has(trace, id) || tr_variable_rank(id) == 1)
            continue;
        *values_p += (uint64_t)(trace->rows * tr_variable_elements(id, &trace->info.layout)) *
                     tr_value_size(tr_variables[id].type);
        *disk_p += H5Dget_storage_size(trace->dataset[id]);
    }
    tr_hdf5_leave();
}
