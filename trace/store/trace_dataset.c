// SPDX-License-Identifier: Apache-2.0
// Opening a dataset of a store: what it must be, and the sentences on what it is.
#include <stdio.h>

#include "base/strings.h"
#include "hdf5_util.h"
#include "trace_reader.h"

enum tr_status tr_trace_damaged(const struct tr_trace *trace, const char *name, const char *how,
                                struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT, "%s is damaged: %s %s", trace->path, name, how);
}

enum tr_status tr_trace_changed(const struct tr_trace *trace, const char *name, const char *how,
                                struct tr_err *err) {
    if (trace->source.seal.digests)
        return tr_trace_damaged(trace, name, how, err);
    return tr_fail(err, TR_EFORMAT,
                   "%s was changed by another program since it was traced: %s %s; the file that "
                   "trace-ckpts wrote is needed",
                   trace->path, name, how);
}

enum tr_status tr_trace_read_failed(const struct tr_trace *trace, const char *name,
                                    struct tr_err *err) {
    return tr_hdf5_fail(err, TR_EFORMAT, "reading %s of %s failed", name, trace->path);
}

// Whose values are in the file itself.
static enum tr_status check_place(const struct tr_trace *trace, const char *name, hid_t dataset,
                                  struct tr_err *err) {
    hid_t properties = H5Dget_create_plist(dataset);
    int outside = properties < 0 ? -1 : H5Pget_external_count(properties);
    H5D_layout_t kind = properties < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(properties);
    enum tr_status status = TR_OK;
    if (outside < 0 || kind == H5D_LAYOUT_ERROR)
        status = tr_trace_read_failed(trace, name, err);
    else if (outside > 0 || kind == H5D_VIRTUAL)
        status =
            tr_fail(err, TR_EUNSUPPORTED, "%s is refused: the values of %s are in other files (%s)",
                    trace->path, name, outside > 0 ? "external storage" : "a virtual dataset");
    return tr_hdf5_close(status, H5Pclose, properties, name, trace->path, err);
}

static enum tr_status check_link(const struct tr_trace *trace, const char *name,
                                 struct tr_err *err) {
    H5L_info_t about;
    if (!H5Lexists(trace->file, name, H5P_DEFAULT))
        return tr_trace_changed(trace, name, "is missing", err);
    if (H5Lget_info(trace->file, name, &about, H5P_DEFAULT) < 0)
        return tr_trace_read_failed(trace, name, err);
    if (about.type == H5L_TYPE_HARD)
        return TR_OK;
    return tr_fail(err, TR_EUNSUPPORTED, "%s is refused: %s is a link to another %s", trace->path,
                   name, about.type == H5L_TYPE_SOFT ? "name" : "file");
}

static const char *type_name(hid_t type, char out[TR_HUMAN_MAX]) {
    H5T_class_t class = H5Tget_class(type);
    int bits = (int)H5Tget_size(type) * 8;
    if (class == H5T_STRING)
        return H5Tis_variable_str(type) > 0 ? "strings" : "strings of one length";
    if (class == H5T_INTEGER)
        snprintf(out, TR_HUMAN_MAX, "%c%d", H5Tget_sign(type) == H5T_SGN_NONE ? 'u' : 'i', bits);
    else
        snprintf(out, TR_HUMAN_MAX, class == H5T_FLOAT ? "f%d" : "another type", bits);
    return out;
}

// Its type and rank.
static enum tr_status check_shape(const struct tr_trace *trace, const char *name, hid_t dataset,
                                  enum tr_value_type type, int rank, hsize_t *size,
                                  struct tr_err *err) {
    hid_t found = H5Dget_type(dataset), space = H5Dget_space(dataset);
    enum tr_status status = TR_OK;
    char is[TR_HUMAN_MAX], should_be[TR_HUMAN_MAX], how[3 * TR_HUMAN_MAX];
    if (found < 0 || space < 0)
        status = tr_trace_read_failed(trace, name, err);
    else if (type == TR_VALUE_STRING ? H5Tis_variable_str(found) <= 0
                                     : H5Tequal(found, tr_hdf5_file_type(type)) <= 0) {
        snprintf(how, sizeof how, "has another type: %s, not %s", type_name(found, is),
                 type_name(tr_hdf5_file_type(type), should_be));
        status = tr_trace_changed(trace, name, how, err);
    } else if (H5Sget_simple_extent_ndims(space) != rank ||
               H5Sget_simple_extent_dims(space, size, NULL) != rank)
        status = tr_trace_changed(trace, name, "has another rank", err);
    status = tr_hdf5_close(status, H5Sclose, space, name, trace->path, err);
    return tr_hdf5_close(status, H5Tclose, found, name, trace->path, err);
}

enum tr_status tr_trace_dataset(const struct tr_trace *trace, const char *name,
                                enum tr_value_type type, int rank, hsize_t *size, hid_t *dataset_p,
                                struct tr_err *err) {
    TR_TRY(check_link(trace, name, err));
    hid_t dataset = H5Dopen2(trace->file, name, H5P_DEFAULT);
    if (dataset < 0)
        return tr_trace_read_failed(trace, name, err);
    enum tr_status status = check_place(trace, name, dataset, err);
    if (status == TR_OK)
        status = check_shape(trace, name, dataset, type, rank, size, err);
    if (status == TR_OK)
        *dataset_p = dataset;
    else
        H5Dclose(dataset); // there is a failure to report already
    return status;
}
