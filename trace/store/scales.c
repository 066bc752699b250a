// SPDX-License-Identifier: Apache-2.0
#include "scales.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "hdf5_util.h"

static const struct {
    enum tr_value_type type;
    const char *long_name;
} scales[TR_DIM_COUNT] = {
    [TR_DIM_CHECKPOINT] = {TR_VALUE_I64, "index of the checkpoint in training order"},
    [TR_DIM_LAYER] = {TR_VALUE_I64, "index of the layer, from the input"},
    [TR_DIM_MODULE] = {TR_VALUE_STRING, "attention, MLP, or the whole block"},
    [TR_DIM_SEQUENCE] = {TR_VALUE_I64, "index of the calibration sequence"},
    [TR_DIM_BIN] = {TR_VALUE_F64, "lower edge of the importance bin"},
    [TR_DIM_POSITION_BIN] = {TR_VALUE_I64, "first position of the position bin"},
    [TR_DIM_POSITION] = {TR_VALUE_I64, "position in the sequence"},
    [TR_DIM_BOUNDARY] = {TR_VALUE_I64, "blocks that the residual stream has passed"},
    [TR_DIM_BOUNDARY_TO] = {TR_VALUE_I64, "blocks that the compared stream has passed"},
    [TR_DIM_PROBE] = {TR_VALUE_I64, "index of the token in the calibration rows, end to end"},
    [TR_DIM_CHANNEL] = {TR_VALUE_I64, "channel of the residual stream"},
    [TR_DIM_DROP_SET] = {TR_VALUE_I64, "index of the named set of sublayers that is left out"},
    [TR_DIM_COST_SEQUENCE] =
        {TR_VALUE_I64, "index of the calibration sequence, of those on which costs were measured"},
    [TR_DIM_ROUND] = {TR_VALUE_I64, "round of the greedy search"},
    [TR_DIM_CANDIDATE] = {TR_VALUE_I64, "index of a sublayer or block that the search may drop"},
};

enum tr_value_type tr_scale_type(enum tr_dim dim) {
    return scales[dim].type;
}

const char *tr_scale_long_name(enum tr_dim dim) {
    return scales[dim].long_name;
}

static int64_t scale_value(const struct tr_layout *layout, enum tr_dim dim, int64_t index) {
    if (dim == TR_DIM_POSITION_BIN)
        return tr_position_bin_start(index);
    if (dim == TR_DIM_PROBE)
        return tr_span_token(layout, tr_probe(layout, index));
    if (dim == TR_DIM_COST_SEQUENCE)
        return tr_cost_sequence(layout, index);
    return index;
}

enum tr_status tr_scale_values(void **values_p, enum tr_dim dim, const struct tr_layout *layout,
                               const int64_t *index, int64_t size, struct tr_err *err) {
    void *values;
    TR_TRY(tr_alloc(&values, (uint64_t)size, sizeof(int64_t), tr_dim_name(dim), err));
    for (int64_t i = 0; i < size; i++) {
        int64_t at = index ? index[i] : i;
        if (dim == TR_DIM_MODULE)
            ((const char **)values)[i] = tr_module_names[at];
        else if (dim == TR_DIM_BIN)
            ((double *)values)[i] = tr_bin_start((int)at);
        else
            ((int64_t *)values)[i] = scale_value(layout, dim, at);
    }
    *values_p = values;
    return TR_OK;
}

// Compares, and frees the strings that were read.
static bool same_strings(char **read, const char *const *expected, int64_t size) {
    bool same = true;
    for (int64_t i = 0; i < size; i++) {
        same &= read[i] && !strcmp(read[i], expected[i]);
        H5free_memory(read[i]);
    }
    return same;
}

static enum tr_status compare(bool *same_p, hid_t dataset, const char *path, enum tr_dim dim,
                              const void *expected, void *read, int64_t size, struct tr_err *err) {
    hid_t type = tr_hdf5_memory_type(scales[dim].type);
    if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, read) < 0)
        return tr_hdf5_fail(err, TR_EFORMAT, "reading %s of %s failed", tr_dim_name(dim), path);
    if (scales[dim].type == TR_VALUE_STRING)
        *same_p = same_strings(read, expected, size);
    else
        *same_p = !memcmp(read, expected, (size_t)size * sizeof(int64_t));
    return TR_OK;
}

enum tr_status tr_scale_check(bool *same_p, hid_t dataset, const char *path, enum tr_dim dim,
                              const struct tr_layout *layout, const int64_t *index, int64_t size,
                              struct tr_err *err) {
    void *expected, *read;
    hid_t space = H5Dget_space(dataset);
    bool fits = space >= 0 && H5Sget_simple_extent_npoints(space) == size;
    *same_p = false;
    TR_TRY(tr_hdf5_close(TR_OK, H5Sclose, space, tr_dim_name(dim), path, err));
    if (!fits)
        return TR_OK;
    TR_TRY(tr_scale_values(&expected, dim, layout, index, size, err));
    enum tr_status status = tr_alloc(&read, (uint64_t)size, sizeof(int64_t), tr_dim_name(dim), err);
    if (status == TR_OK) {
        status = compare(same_p, dataset, path, dim, expected, read, size, err);
        free(read);
    }
    free(expected);
    return status;
}
