// SPDX-License-Identifier: Apache-2.0
// What a store looks like in HDF5: root attributes, one dimension scale per axis, one dataset per
// variable with its attributes, as netCDF-4 has them.
#include <hdf5_hl.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "hdf5_util.h"
#include "run_info_file.h"
#include "scales.h"
#include "trace_writer.h"
#include "zstd_filter.h"

enum { SCALAR_CHUNK = 256, GZIP_LEVEL = 1 }; // values per chunk of a 1-D dataset

static const uint64_t chunk_limit = (uint64_t)1 << 31; // bytes; HDF5 stops at 4 GiB

// A dataset over `rank` dimensions; `chunk` may be NULL, and is made to fit in them. None grows: a
// file is written whole, and where a dimension has no limit h5netcdf looks at all that lies over it
// whenever it is asked for a size. Without times, so that equal content makes equal files. Closes
// the properties.
static enum tr_status create(struct tr_writer *writer, const char *name, hid_t type, int rank,
                             const hsize_t *size, hsize_t *chunk, hid_t properties,
                             hid_t *dataset_p, struct tr_err *err) {
    for (int i = 0; chunk && i < rank; i++)
        if (size[i] > 0 && chunk[i] > size[i])
            chunk[i] = size[i];
    hid_t space = H5Screate_simple(rank, size, NULL), dataset = H5I_INVALID_HID;
    if (space >= 0 && properties >= 0 && H5Pset_obj_track_times(properties, false) >= 0 &&
        (!chunk || H5Pset_chunk(properties, rank, chunk) >= 0))
        dataset = H5Dcreate2(writer->file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    enum tr_status status = TR_OK;
    if (dataset < 0)
        status = tr_hdf5_fail(err, TR_EIO, "creating %s in %s failed", name, writer->path);
    else
        *dataset_p = dataset;
    status = tr_hdf5_close(status, H5Sclose, space, name, writer->path, err);
    return tr_hdf5_close(status, H5Pclose, properties, name, writer->path, err);
}

static enum tr_status write_all(const struct tr_writer *writer, const char *name, hid_t dataset,
                                enum tr_value_type type, const void *values, struct tr_err *err) {
    if (H5Dwrite(dataset, tr_hdf5_memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        return tr_hdf5_fail(err, TR_EIO, "writing %s of %s failed", name, writer->path);
    return TR_OK;
}

// What gzip writes carries a checksum of its own. A checksum of variable-length strings would cover
// only where they are, and netCDF takes no filter on them.
static bool has_checksum(const struct tr_writer *writer, enum tr_value_type type) {
    return writer->form == TR_FORM_STORE && type != TR_VALUE_STRING;
}

// ---- dimension scales ------------------------------------------------------------------------

int64_t tr_writer_size(const struct tr_writer *writer, enum tr_dim dim) {
    if (writer->excerpt)
        return writer->excerpt->count[dim];
    return dim == TR_DIM_CHECKPOINT ? writer->rows : tr_dim_size(dim, &writer->layout);
}

static enum tr_status fill_scale(struct tr_writer *writer, enum tr_dim dim, struct tr_err *err) {
    hid_t dataset = writer->scale[dim];
    const char *name = tr_dim_name(dim);
    void *values;
    TR_TRY(tr_scale_values(&values, dim, &writer->layout,
                           writer->excerpt ? writer->excerpt->index[dim] : NULL,
                           tr_writer_size(writer, dim), err));
    enum tr_status status = write_all(writer, name, dataset, tr_scale_type(dim), values, err);
    free(values);
    TR_TRY(status);
    if (H5DSset_scale(dataset, name) < 0)
        return tr_hdf5_fail(err, TR_EIO, "writing %s of %s failed", name, writer->path);
    if (tr_scale_type(dim) != TR_VALUE_STRING)
        TR_TRY(tr_hdf5_put_text(dataset, writer->path, "units", "1", err));
    return tr_hdf5_put_text(dataset, writer->path, "long_name", tr_scale_long_name(dim), err);
}

// Negative on failure.
static hid_t scale_properties(bool checksum) {
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    if (properties < 0 || !checksum || H5Pset_fletcher32(properties) >= 0)
        return properties;
    H5Pclose(properties); // the failure is reported as it is
    return H5I_INVALID_HID;
}

// A checksum needs chunks.
static enum tr_status create_scale(struct tr_writer *writer, enum tr_dim dim, struct tr_err *err) {
    if (!tr_dim_present(dim, &writer->layout))
        return TR_OK;
    bool checksum = has_checksum(writer, tr_scale_type(dim));
    hsize_t size = (hsize_t)tr_writer_size(writer, dim), chunk = SCALAR_CHUNK;
    TR_TRY(create(writer, tr_dim_name(dim), tr_hdf5_file_type(tr_scale_type(dim)), 1, &size,
                  checksum ? &chunk : NULL, scale_properties(checksum), &writer->scale[dim], err));
    return fill_scale(writer, dim, err);
}

static enum tr_status attach(struct tr_writer *writer, const char *name, hid_t dataset,
                             const enum tr_dim *dims, int rank, struct tr_err *err) {
    for (int i = 0; i < rank; i++)
        if (H5DSattach_scale(dataset, writer->scale[dims[i]], (unsigned)i) < 0)
            return tr_hdf5_fail(err, TR_EIO, "writing the dimensions of %s of %s failed", name,
                                writer->path);
    return TR_OK;
}

// ---- variables -------------------------------------------------------------------------------

// One checkpoint per chunk, split along the sequences, then the layers and so on, when that is too
// large.
static void chunk_shape(const struct tr_writer *writer, enum tr_variable_id id, hsize_t *chunk) {
    static const enum tr_dim splits[] = {TR_DIM_SEQUENCE, TR_DIM_LAYER,       TR_DIM_POSITION,
                                         TR_DIM_BOUNDARY, TR_DIM_BOUNDARY_TO, TR_DIM_PROBE};
    const struct tr_variable *variable = &tr_variables[id];
    int rank = tr_variable_rank(id);
    uint64_t bytes = tr_value_size(variable->type);
    for (int i = 0; i < rank; i++) {
        chunk[i] = i ? (hsize_t)tr_writer_size(writer, variable->dims[i]) : 1;
        bytes *= chunk[i];
    }
    for (size_t s = 0; s < sizeof splits / sizeof *splits; s++)
        for (int i = 1; i < rank; i++)
            while (variable->dims[i] == splits[s] && bytes > chunk_limit && chunk[i] > 1) {
                bytes = bytes / chunk[i] * ((chunk[i] + 1) / 2);
                chunk[i] = (chunk[i] + 1) / 2;
            }
    if (rank == 1)
        chunk[0] = SCALAR_CHUNK;
}

static bool compress(hid_t properties, enum tr_form form) {
    static const unsigned level = TR_ZSTD_LEVEL;
    if (H5Pset_shuffle(properties) < 0)
        return false;
    if (form != TR_FORM_STORE)
        return H5Pset_deflate(properties, GZIP_LEVEL) >= 0;
    return H5Pset_filter(properties, TR_ZSTD_FILTER, H5Z_FLAG_MANDATORY, 1, &level) >= 0;
}

static bool set_properties(const struct tr_writer *writer, enum tr_variable_id id,
                           hid_t properties) {
    enum tr_value_type type = tr_variables[id].type;
    double fill; // large enough for every type
    if (type != TR_VALUE_STRING) {
        tr_values_fill(type, 1, &fill);
        if (H5Pset_fill_value(properties, tr_hdf5_memory_type(type), &fill) < 0)
            return false;
    }
    if (tr_variable_rank(id) > 1 && !compress(properties, writer->form))
        return false;
    return !has_checksum(writer, type) || H5Pset_fletcher32(properties) >= 0;
}

// Negative on failure.
static hid_t variable_properties(const struct tr_writer *writer, enum tr_variable_id id) {
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    if (properties < 0 || set_properties(writer, id, properties))
        return properties;
    H5Pclose(properties); // the failure is reported as it is
    return H5I_INVALID_HID;
}

// Zero counts are counts: only types whose fill value cannot be a value have a _FillValue.
static enum tr_status describe_fill(const struct tr_writer *writer, enum tr_variable_id id,
                                    hid_t dataset, struct tr_err *err) {
    enum tr_value_type type = tr_variables[id].type;
    if (type != TR_VALUE_F64 && type != TR_VALUE_F32 && type != TR_VALUE_I64)
        return TR_OK;
    double fill;
    tr_values_fill(type, 1, &fill);
    return tr_hdf5_put_values(dataset, writer->path, "_FillValue", type, 1, &fill, err);
}

// UDUNITS, which the CF conventions go by, knows neither tokens nor nats: both are numbers.
static const char *units_of(const struct tr_variable *variable, enum tr_form form) {
    return form == TR_FORM_NETCDF && variable->units ? "1" : variable->units;
}

static enum tr_status describe(const struct tr_writer *writer, enum tr_variable_id id,
                               hid_t dataset, struct tr_err *err) {
    static const uint8_t flags[] = {TR_ROW_COMPLETE, TR_ROW_FAILED};
    const struct tr_variable *variable = &tr_variables[id];
    const char *path = writer->path;
    TR_TRY(tr_hdf5_put_text(dataset, path, "long_name", variable->long_name, err));
    const char *units = units_of(variable, writer->form);
    if (units)
        TR_TRY(tr_hdf5_put_text(dataset, path, "units", units, err));
    TR_TRY(describe_fill(writer, id, dataset, err));
    if (id == TR_V_STATUS) {
        TR_TRY(tr_hdf5_put_values(dataset, path, "flag_values", TR_VALUE_U8, 2, flags, err));
        TR_TRY(tr_hdf5_put_text(dataset, path, "flag_meanings", "complete failed", err));
    }
    if (tr_variable_rank(id) > 1)
        TR_TRY(tr_hdf5_put_text(dataset, path, "coordinates", "stage step tokens_seen name", err));
    return TR_OK;
}

static enum tr_status create_variable(struct tr_writer *writer, enum tr_variable_id id,
                                      hid_t *dataset_p, struct tr_err *err) {
    const struct tr_variable *variable = &tr_variables[id];
    int rank = tr_variable_rank(id);
    hsize_t size[TR_VARIABLE_DIMS], chunk[TR_VARIABLE_DIMS];
    for (int i = 0; i < rank; i++)
        size[i] = (hsize_t)tr_writer_size(writer, variable->dims[i]);
    chunk_shape(writer, id, chunk);
    TR_TRY(create(writer, variable->name, tr_hdf5_file_type(variable->type), rank, size, chunk,
                  variable_properties(writer, id), dataset_p, err));
    TR_TRY(describe(writer, id, *dataset_p, err));
    return attach(writer, variable->name, *dataset_p, variable->dims, rank, err);
}

// One string for each index of a dimension: what is no variable of the schema's table.
static enum tr_status write_strings(struct tr_writer *writer, const char *name, enum tr_dim dim,
                                    const char *long_name, char *const *strings,
                                    struct tr_err *err) {
    hsize_t size = (hsize_t)tr_writer_size(writer, dim);
    hid_t dataset = H5I_INVALID_HID;
    TR_TRY(create(writer, name, tr_hdf5_string_type(), 1, &size, NULL,
                  H5Pcreate(H5P_DATASET_CREATE), &dataset, err));
    TR_TRY(write_all(writer, name, dataset, TR_VALUE_STRING, strings, err));
    TR_TRY(tr_hdf5_put_text(dataset, writer->path, "long_name", long_name, err));
    TR_TRY(attach(writer, name, dataset, &dim, 1, err));
    return tr_hdf5_close(TR_OK, H5Dclose, dataset, name, writer->path, err);
}

static bool is_kept(const struct tr_writer *writer, enum tr_variable_id id) {
    return writer->excerpt ? writer->excerpt->wanted[id] : tr_variable_present(id, &writer->layout);
}

enum tr_status tr_schema_create(struct tr_writer *writer, const struct tr_run_info *info,
                                struct tr_err *err) {
    TR_TRY(tr_run_info_write(info, writer->file, writer->path, err));
    for (enum tr_dim dim = TR_DIM_CHECKPOINT; dim < TR_DIM_COUNT; dim++)
        TR_TRY(create_scale(writer, dim, err));
    TR_TRY(write_strings(writer, "text", TR_DIM_SEQUENCE, "calibration text of the sequence",
                         info->text, err));
    TR_TRY(write_strings(writer, "ids_digest", TR_DIM_SEQUENCE,
                         "digest of the sequence's token ids", info->ids_digest, err));
    if (tr_dim_present(TR_DIM_DROP_SET, &writer->layout)) {
        TR_TRY(write_strings(writer, "set_name", TR_DIM_DROP_SET, "name of the set", info->set_name,
                             err));
        TR_TRY(write_strings(writer, "set_drop", TR_DIM_DROP_SET, "sublayers that are left out",
                             info->set_drop, err));
    }
    if (tr_dim_present(TR_DIM_CANDIDATE, &writer->layout))
        TR_TRY(write_strings(writer, "candidate_drop", TR_DIM_CANDIDATE,
                             "sublayer or block that the search may drop", info->candidate, err));
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++)
        if (tr_variable_rank(id) > 1 && is_kept(writer, id))
            TR_TRY(create_variable(writer, id, &writer->dataset[id], err));
    return TR_OK;
}

enum tr_status tr_schema_scalars(struct tr_writer *writer, struct tr_err *err) {
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!writer->scalar[id])
            continue;
        hid_t dataset = H5I_INVALID_HID;
        TR_TRY(create_variable(writer, id, &dataset, err));
        TR_TRY(write_all(writer, tr_variables[id].name, dataset, tr_variables[id].type,
                         writer->scalar[id], err));
        TR_TRY(tr_hdf5_close(TR_OK, H5Dclose, dataset, tr_variables[id].name, writer->path, err));
    }
    return write_strings(writer, "row_digest", TR_DIM_CHECKPOINT,
                         "XXH3-128, cut to half, of the row and of each variable's values",
                         writer->digest, err);
}
