// SPDX-License-Identifier: Apache-2.0
#include "excerpt_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "hdf5_util.h"
#include "scales.h"
#include "source.h"

// One variable of the copy beside the trace's.
struct pair {
    const struct tr_trace *trace;
    const struct tr_excerpt *excerpt;
    const char *path;
    enum tr_variable_id id;
    hid_t dataset;
    void *copied, *expected; // of one row
};

static enum tr_status differs(const struct pair *pair, struct tr_err *err) {
    return tr_fail(err, TR_EIO, "writing %s failed: read back, %s is not what was written",
                   pair->path, tr_variables[pair->id].name);
}

static enum tr_status read_copied(const struct pair *pair, int64_t index, struct tr_err *err) {
    const struct tr_variable *variable = &tr_variables[pair->id];
    int rank = tr_variable_rank(pair->id);
    hsize_t start[TR_VARIABLE_DIMS] = {(hsize_t)index}, size[TR_VARIABLE_DIMS] = {1};
    for (int i = 1; i < rank; i++)
        size[i] = (hsize_t)pair->excerpt->count[variable->dims[i]];
    hid_t memory = H5Screate_simple(rank, size, NULL), file = H5Dget_space(pair->dataset);
    enum tr_status status = TR_OK;
    if (memory < 0 || file < 0 ||
        H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, size, NULL) < 0 ||
        H5Dread(pair->dataset, tr_hdf5_memory_type(variable->type), memory, file, H5P_DEFAULT,
                pair->copied) < 0)
        status =
            tr_hdf5_fail(err, TR_EIO, "reading back %s of %s failed", variable->name, pair->path);
    status = tr_hdf5_close(status, H5Sclose, file, variable->name, pair->path, err);
    return tr_hdf5_close(status, H5Sclose, memory, variable->name, pair->path, err);
}

static enum tr_status check_string(const struct pair *pair, int64_t from, struct tr_err *err) {
    char *copied = *(char **)pair->copied;
    bool same = !strcmp(copied ? copied : "", tr_trace_string(pair->trace, pair->id, from));
    H5free_memory(copied);
    *(char **)pair->copied = NULL;
    return same ? TR_OK : differs(pair, err);
}

static enum tr_status check_row(const struct pair *pair, int64_t index, struct tr_err *err) {
    int64_t from = pair->excerpt->index[TR_DIM_CHECKPOINT][index];
    enum tr_value_type type = tr_variables[pair->id].type;
    TR_TRY(read_copied(pair, index, err));
    if (type == TR_VALUE_STRING)
        return check_string(pair, from, err);
    TR_TRY(tr_excerpt_read(pair->trace, pair->excerpt, pair->id, from, pair->expected, err));
    size_t bytes = (size_t)tr_excerpt_elements(pair->excerpt, pair->id) * tr_value_size(type);
    return memcmp(pair->copied, pair->expected, bytes) ? differs(pair, err) : TR_OK;
}

static enum tr_status check_variable(struct pair *pair, struct tr_err *err) {
    const struct tr_variable *variable = &tr_variables[pair->id];
    uint64_t elements = (uint64_t)tr_excerpt_elements(pair->excerpt, pair->id);
    size_t size = tr_value_size(variable->type);
    pair->copied = pair->expected = NULL;
    enum tr_status status = tr_alloc(&pair->copied, elements, size, variable->name, err);
    if (status == TR_OK)
        status = tr_alloc(&pair->expected, elements, size, variable->name, err);
    for (int64_t i = 0; status == TR_OK && i < pair->excerpt->count[TR_DIM_CHECKPOINT]; i++)
        status = check_row(pair, i, err);
    free(pair->copied);
    free(pair->expected);
    return status;
}

static enum tr_status check_variables(hid_t file, struct pair *pair, struct tr_err *err) {
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (tr_variable_rank(id) > 1 && !pair->excerpt->wanted[id])
            continue;
        pair->id = id;
        pair->dataset = H5Dopen2(file, tr_variables[id].name, H5P_DEFAULT);
        if (pair->dataset < 0)
            return tr_hdf5_fail(err, TR_EIO, "reading back %s of %s failed", tr_variables[id].name,
                                pair->path);
        enum tr_status status = check_variable(pair, err);
        TR_TRY(
            tr_hdf5_close(status, H5Dclose, pair->dataset, tr_variables[id].name, pair->path, err));
    }
    return TR_OK;
}

static enum tr_status check_scales(hid_t file, const struct pair *pair, struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(pair->trace)->layout;
    for (enum tr_dim dim = TR_DIM_CHECKPOINT; dim < TR_DIM_COUNT; dim++) {
        bool same = false;
        const char *name = tr_dim_name(dim);
        if (!tr_dim_present(dim, layout))
            continue;
        hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
        if (dataset < 0)
            return tr_hdf5_fail(err, TR_EIO, "reading back %s of %s failed", name, pair->path);
        enum tr_status status =
            tr_scale_check(&same, dataset, pair->path, dim, layout, pair->excerpt->index[dim],
                           pair->excerpt->count[dim], err);
        TR_TRY(tr_hdf5_close(status, H5Dclose, dataset, name, pair->path, err));
        if (!same)
            return tr_fail(err, TR_EIO, "writing %s failed: read back, %s is not what was written",
                           pair->path, name);
    }
    return TR_OK;
}

enum tr_status tr_excerpt_check(const struct tr_trace *trace, const struct tr_excerpt *excerpt,
                                const char *path, struct tr_err *err) {
    struct pair pair = {.trace = trace, .excerpt = excerpt, .path = path};
    struct tr_source source;
    hid_t file = H5I_INVALID_HID;
    TR_TRY(tr_source_open(&source, path, err));
    enum tr_status status = tr_source_hdf5(&source, &file, err);
    if (status == TR_OK)
        status = check_variables(file, &pair, err);
    if (status == TR_OK)
        status = check_scales(file, &pair, err);
    status = tr_hdf5_close(status, H5Fclose, file, "the file", path, err);
    tr_source_close(&source);
    return status;
}
