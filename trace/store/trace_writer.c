// SPDX-License-Identifier: Apache-2.0
// Writing a store file. A write of HDF5 that fails leaves a file that cannot be closed while the
// disk is full, so everything is flushed before closing, and a failed file is cut to nothing first:
// then there is room for HDF5 to close it, and it is removed.
#include "trace_writer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "hdf5_util.h"
#include "row_digest.h"
#include "seal.h"
#include "trace_reader.h"

static enum tr_status create_file(struct tr_writer *writer, struct tr_err *err) {
    // All links and attributes of the root fit into its header: the plainest layout there is.
    enum { LINKS_IN_HEADER = 256 };
    TR_TRY(tr_hdf5_usable(err));
    hid_t access = tr_hdf5_access(), creation = H5Pcreate(H5P_FILE_CREATE);
    if (access >= 0 && creation >= 0 &&
        H5Pset_link_phase_change(creation, LINKS_IN_HEADER, 0) >= 0 &&
        H5Pset_attr_phase_change(creation, LINKS_IN_HEADER, 0) >= 0 &&
        H5Pset_obj_track_times(creation, false) >= 0)
        writer->file = H5Fcreate(writer->path, H5F_ACC_TRUNC, creation, access);
    enum tr_status status = TR_OK;
    if (writer->file < 0)
        status = tr_hdf5_fail(err, TR_EIO, "cannot create %s", writer->path);
    status = tr_hdf5_close(status, H5Pclose, creation, "the properties", writer->path, err);
    return tr_hdf5_close(status, H5Pclose, access, "the properties", writer->path, err);
}

static enum tr_status new_scalars(struct tr_writer *writer, struct tr_err *err) {
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        const struct tr_variable *variable = &tr_variables[id];
        if (tr_variable_rank(id) != 1)
            continue;
        TR_TRY(tr_alloc(&writer->scalar[id], (uint64_t)writer->rows, tr_value_size(variable->type),
                        variable->name, err));
        if (variable->type != TR_VALUE_STRING)
            tr_values_fill(variable->type, writer->rows, writer->scalar[id]);
    }
    return TR_NEW(&writer->digest, writer->rows, "the digests of rows", err);
}

static void free_writer(struct tr_writer *writer) {
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        char **strings = writer->scalar[id];
        if (strings && tr_variables[id].type == TR_VALUE_STRING)
            for (int64_t i = 0; i < writer->rows; i++)
                free(strings[i]);
        free(writer->scalar[id]);
    }
    for (int64_t i = 0; writer->digest && i < writer->rows; i++)
        free(writer->digest[i]);
    free(writer->digest);
    free(writer->chunk);
    free(writer->path);
    *writer = (struct tr_writer){.file = H5I_INVALID_HID};
}

void tr_writer_discard(struct tr_writer *writer) {
    if (writer->file >= 0) {
        // Whether cut or not, what remains to be done is the same.
        if (truncate(writer->path, 0))
            unlink(writer->path);
        if (H5Fclose(writer->file) < 0)
            tr_hdf5_close_failed();
    }
    if (writer->path)
        unlink(writer->path);
    free_writer(writer);
}

static enum tr_status open_writer(struct tr_writer *made, const char *path,
                                  const struct tr_run_info *info, struct tr_err *err) {
    TR_TRY(tr_strdup(&made->path, path, err));
    TR_TRY(new_scalars(made, err));
    TR_TRY(create_file(made, err));
    return tr_schema_create(made, info, err);
}

enum tr_status tr_writer_open(struct tr_writer *writer, const char *path,
                              const struct tr_run_info *info, int64_t rows, struct tr_err *err) {
    struct tr_writer made = {.file = H5I_INVALID_HID, .layout = info->layout, .rows = rows};
    enum tr_status status = open_writer(&made, path, info, err);
    if (status == TR_OK)
        *writer = made;
    else
        tr_writer_discard(&made);
    return status;
}

enum tr_status tr_writer_open_copy(struct tr_writer *writer, const char *path,
                                   const struct tr_run_info *info, enum tr_form form,
                                   const struct tr_excerpt *excerpt, struct tr_err *err) {
    struct tr_writer made = {.file = H5I_INVALID_HID,
                             .layout = info->layout,
                             .rows = excerpt->count[TR_DIM_CHECKPOINT],
                             .form = form,
                             .excerpt = excerpt};
    enum tr_status status = open_writer(&made, path, info, err);
    if (status == TR_OK)
        *writer = made;
    else
        tr_writer_discard(&made);
    return status;
}

// ---- rows from memory ------------------------------------------------------------------------

// String variables are written last; until then the rows given are kept.
static enum tr_status set_string(struct tr_writer *writer, enum tr_variable_id id, int64_t index,
                                 const char *text, struct tr_err *err) {
    char **slot = (char **)writer->scalar[id] + index;
    char *copy;
    TR_TRY(tr_strdup(&copy, text, err));
    free(*slot);
    *slot = copy;
    return TR_OK;
}

static enum tr_status write_values(struct tr_writer *writer, enum tr_variable_id id, int64_t index,
                                   const void *values, struct tr_err *err) {
    const struct tr_variable *variable = &tr_variables[id];
    int rank = tr_variable_rank(id);
    hsize_t start[TR_VARIABLE_DIMS] = {(hsize_t)index}, size[TR_VARIABLE_DIMS] = {1};
    for (int i = 1; i < rank; i++)
        size[i] = (hsize_t)tr_writer_size(writer, variable->dims[i]);
    hid_t memory = H5Screate_simple(rank, size, NULL), file = H5Dget_space(writer->dataset[id]);
    enum tr_status status = TR_OK;
    if (memory < 0 || file < 0 ||
        H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, size, NULL) < 0 ||
        H5Dwrite(writer->dataset[id], tr_hdf5_memory_type(variable->type), memory, file,
                 H5P_DEFAULT, values) < 0)
        status = tr_hdf5_fail(err, TR_EIO, "writing %s to %s failed", variable->name, writer->path);
    status = tr_hdf5_close(status, H5Sclose, file, variable->name, writer->path, err);
    return tr_hdf5_close(status, H5Sclose, memory, variable->name, writer->path, err);
}

static void *scalar_at(const struct tr_writer *writer, enum tr_variable_id id, int64_t index) {
    return (char *)writer->scalar[id] + (size_t)index * tr_value_size(tr_variables[id].type);
}

static enum tr_status set_digest(struct tr_writer *writer, int64_t index, const struct tr_row *row,
                                 struct tr_err *err) {
    char *text;
    TR_TRY(tr_row_digest(&text, row, &writer->layout, err));
    free(writer->digest[index]);
    writer->digest[index] = text;
    return TR_OK;
}

enum tr_status tr_writer_row(struct tr_writer *writer, int64_t index, const struct tr_row *row,
                             struct tr_err *err) {
    TR_TRY(set_digest(writer, index, row, err));
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!row->data[id])
            continue;
        if (tr_variables[id].type == TR_VALUE_STRING)
            TR_TRY(set_string(writer, id, index, tr_row_string(row, id), err));
        else if (writer->scalar[id])
            memcpy(scalar_at(writer, id, index), row->data[id],
                   tr_value_size(tr_variables[id].type));
        else if (writer->dataset[id])
            TR_TRY(write_values(writer, id, index, row->data[id], err));
    }
    return TR_OK;
}

// ---- rows from another file ------------------------------------------------------------------

static H5Z_filter_t filter_at(hid_t properties, int index) {
    size_t no_values = 0;
    return H5Pget_filter2(properties, (unsigned)index, NULL, &no_values, NULL, 0, NULL, NULL);
}

// Whether the row's first chunk was ever written. HDF5 1.10 has no answer for one that was not
// where others were, and later versions say 0 bytes.
static bool is_written(hid_t dataset, int64_t row) {
    hsize_t at[TR_VARIABLE_DIMS] = {(hsize_t)row}, bytes = 0;
    return H5Dget_chunk_storage_size(dataset, at, &bytes) >= 0 && bytes > 0;
}

// Whether a compressed chunk means the same in both datasets. A file rewritten by other tools
// (h5repack) may differ.
static bool same_storage(hid_t a, hid_t b, int rank, hsize_t *chunk) {
    hsize_t other[TR_VARIABLE_DIMS];
    hid_t of_a = H5Dget_create_plist(a), of_b = H5Dget_create_plist(b);
    bool same = of_a >= 0 && of_b >= 0 && H5Pget_layout(of_a) == H5D_CHUNKED &&
                H5Pget_chunk(of_a, rank, other) == rank &&
                H5Pget_chunk(of_b, rank, chunk) == rank &&
                !memcmp(chunk, other, (size_t)rank * sizeof *chunk) &&
                H5Pget_nfilters(of_a) == H5Pget_nfilters(of_b);
    for (int i = 0; same && i < H5Pget_nfilters(of_a); i++)
        same = filter_at(of_a, i) == filter_at(of_b, i);
    bool closed = of_a < 0 || H5Pclose(of_a) >= 0;
    closed &= of_b < 0 || H5Pclose(of_b) >= 0;
    return same && closed;
}

static enum tr_status copy_chunk(struct tr_writer *writer, enum tr_variable_id id, hsize_t *to,
                                 const struct tr_trace *trace, const hsize_t *from,
                                 struct tr_err *err) {
    const char *name = tr_variables[id].name;
    hid_t source = trace->dataset[id], target = writer->dataset[id];
    hsize_t bytes;
    uint32_t skipped_filters;
    if (H5Dget_chunk_storage_size(source, from, &bytes) < 0)
        return tr_hdf5_fail(err, TR_EFORMAT, "reading %s of %s failed", name, trace->path);
    if (bytes == 0)
        return TR_OK; // never written: missing there and here
    if (bytes > trace->bytes)
        return tr_fail(err, TR_EFORMAT, "%s is damaged: a chunk of %s is larger than the file",
                       trace->path, name);
    TR_TRY(tr_grow(&writer->chunk, &writer->capacity, bytes, 1, "a compressed chunk", err));
    if (H5Dread_chunk(source, H5P_DEFAULT, from, &skipped_filters, writer->chunk) < 0)
        return tr_hdf5_fail(err, TR_EFORMAT, "reading %s of %s failed", name, trace->path);
    if (H5Dwrite_chunk(target, H5P_DEFAULT, skipped_filters, to, (size_t)bytes, writer->chunk) < 0)
        return tr_hdf5_fail(err, TR_EIO, "writing %s to %s failed", name, writer->path);
    return TR_OK;
}

// Every chunk of a row: an odometer over the dimensions behind the checkpoint's.
static enum tr_status copy_chunks(struct tr_writer *writer, enum tr_variable_id id, int64_t index,
                                  const struct tr_trace *trace, int64_t row, const hsize_t *chunk,
                                  struct tr_err *err) {
    int rank = tr_variable_rank(id), axis;
    hsize_t at[TR_VARIABLE_DIMS] = {0};
    do {
        hsize_t from[TR_VARIABLE_DIMS], to[TR_VARIABLE_DIMS];
        memcpy(from, at, sizeof at);
        memcpy(to, at, sizeof at);
        from[0] = (hsize_t)row;
        to[0] = (hsize_t)index;
        TR_TRY(copy_chunk(writer, id, to, trace, from, err));
        for (axis = rank - 1; axis > 0; axis--) {
            at[axis] += chunk[axis];
            if (at[axis] < (hsize_t)tr_dim_size(tr_variables[id].dims[axis], &writer->layout))
                break;
            at[axis] = 0;
        }
    } while (axis > 0);
    return TR_OK;
}

static enum tr_status copy_values(struct tr_writer *writer, enum tr_variable_id id, int64_t index,
                                  const struct tr_trace *trace, int64_t row, struct tr_err *err) {
    void *values;
    TR_TRY(tr_alloc(&values, (uint64_t)tr_variable_elements(id, &writer->layout),
                    tr_value_size(tr_variables[id].type), tr_variables[id].name, err));
    enum tr_status status = tr_trace_read(trace, id, row, 1, values, err);
    if (status == TR_OK)
        status = write_values(writer, id, index, values, err);
    free(values);
    return status;
}

// The digest travels with its row; only what schema 1.0 wrote gets one now.
static enum tr_status copy_digest(struct tr_writer *writer, int64_t index,
                                  const struct tr_trace *trace, int64_t from, struct tr_err *err) {
    if (trace->digest)
        return tr_strdup(&writer->digest[index], trace->digest[from], err);
    struct tr_row row;
    TR_TRY(tr_trace_row(trace, from, &row, err));
    enum tr_status status = set_digest(writer, index, &row, err);
    tr_row_free(&row);
    return status;
}

// Found once for a file of many rows, which stays open while they are copied; one of a single row
// is closed behind it, and the next may stand in its place.
static void compare_storage(struct tr_writer *writer, const struct tr_trace *trace) {
    if (trace->rows > 1 && writer->compared == trace)
        return;
    writer->compared = trace;
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++)
        writer->as_is[id] = trace->dataset[id] > 0 && writer->dataset[id] > 0 &&
                            same_storage(trace->dataset[id], writer->dataset[id],
                                         tr_variable_rank(id), writer->chunks[id]);
}

enum tr_status tr_writer_copy(struct tr_writer *writer, int64_t index, const struct tr_trace *trace,
                              int64_t from, struct tr_err *err) {
    TR_TRY(copy_digest(writer, index, trace, from, err));
    compare_storage(writer, trace);
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!tr_trace_has(trace, id))
            continue;
        if (tr_variables[id].type == TR_VALUE_STRING)
            TR_TRY(set_string(writer, id, index, tr_trace_string(trace, id, from), err));
        else if (writer->scalar[id])
            TR_TRY(tr_trace_read(trace, id, from, 1, scalar_at(writer, id, index), err));
        else if (writer->as_is[id] && is_written(trace->dataset[id], from))
            TR_TRY(copy_chunks(writer, id, index, trace, from, writer->chunks[id], err));
        else
            TR_TRY(copy_values(writer, id, index, trace, from, err));
    }
    return TR_OK;
}

static enum tr_status copy_excerpt(struct tr_writer *writer, enum tr_variable_id id, int64_t index,
                                   const struct tr_trace *trace, int64_t row, struct tr_err *err) {
    void *values;
    TR_TRY(tr_alloc(&values, (uint64_t)tr_excerpt_elements(writer->excerpt, id),
                    tr_value_size(tr_variables[id].type), tr_variables[id].name, err));
    enum tr_status status = tr_excerpt_read(trace, writer->excerpt, id, row, values, err);
    if (status == TR_OK)
        status = write_values(writer, id, index, values, err);
    free(values);
    return status;
}

enum tr_status tr_writer_excerpt(struct tr_writer *writer, int64_t index,
                                 const struct tr_trace *trace, int64_t from, struct tr_err *err) {
    TR_TRY(copy_digest(writer, index, trace, from, err));
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (tr_variables[id].type == TR_VALUE_STRING)
            TR_TRY(set_string(writer, id, index, tr_trace_string(trace, id, from), err));
        else if (writer->scalar[id])
            TR_TRY(tr_trace_read(trace, id, from, 1, scalar_at(writer, id, index), err));
        else if (writer->dataset[id])
            TR_TRY(copy_excerpt(writer, id, index, trace, from, err));
    }
    return TR_OK;
}

// ---- the end ---------------------------------------------------------------------------------

static enum tr_status finish(struct tr_writer *writer, struct tr_err *err) {
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        char **strings = writer->scalar[id];
        for (int64_t i = 0; strings && tr_variables[id].type == TR_VALUE_STRING && i < writer->rows;
             i++)
            if (!strings[i])
                TR_TRY(set_string(writer, id, i, "", err));
    }
    TR_TRY(tr_schema_scalars(writer, err));
    if (H5Fflush(writer->file, H5F_SCOPE_GLOBAL) < 0)
        return tr_hdf5_fail(err, TR_EIO, "writing %s failed", writer->path);
    hid_t file = writer->file;
    writer->file = H5I_INVALID_HID;
    if (H5Fclose(file) >= 0)
        return TR_OK;
    tr_hdf5_close_failed();
    return tr_hdf5_fail(err, TR_EIO, "closing %s failed", writer->path);
}

enum tr_status tr_writer_close(struct tr_writer *writer, struct tr_err *err) {
    enum tr_status status = finish(writer, err);
    if (status == TR_OK)
        status = tr_seal_append(writer->path, err);
    if (status != TR_OK)
        tr_writer_discard(writer);
    else
        free_writer(writer);
    return status;
}
