// SPDX-License-Identifier: Apache-2.0
#include "run_info_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "hdf5_util.h"

static const char schema[] = "trace-ckpts";

static enum tr_status write_reserved(const struct tr_run_info *info, hid_t file, const char *path,
                                     const char *identities, struct tr_err *err) {
    static const int64_t version = TR_SCHEMA_VERSION, minor = TR_SCHEMA_MINOR;
    TR_TRY(tr_hdf5_put_text(file, path, "Conventions", "CF-1.9", err));
    TR_TRY(tr_hdf5_put_text(file, path, "schema", schema, err));
    TR_TRY(tr_hdf5_put_values(file, path, "schema_version", TR_VALUE_I64, 1, &version, err));
    TR_TRY(tr_hdf5_put_values(file, path, "schema_minor", TR_VALUE_I64, 1, &minor, err));
    TR_TRY(tr_hdf5_put_values(file, path, "seq_len", TR_VALUE_I64, 1, &info->layout.seq_len, err));
    if (info->layout.span_tokens)
        TR_TRY(tr_hdf5_put_values(file, path, "span_tokens", TR_VALUE_I64, 1,
                                  &info->layout.span_tokens, err));
    if (info->layout.cost_sequences)
        TR_TRY(tr_hdf5_put_values(file, path, "cost_batch", TR_VALUE_I64, 1,
                                  &info->layout.cost_batch, err));
    return tr_hdf5_put_text(file, path, "identity_attributes", identities, err);
}

enum tr_status tr_run_info_write(const struct tr_run_info *info, hid_t file, const char *path,
                                 struct tr_err *err) {
    struct tr_string identities = {0};
    enum tr_status status = tr_string_append(&identities, "", 0, err);
    for (int64_t i = 0; status == TR_OK && i < info->count; i++) {
        const struct tr_attribute *attribute = &info->attributes[i];
        if (attribute->role == TR_IDENTITY)
            TR_GO(status,
                  tr_string_format(&identities, err, "%s%s", identities.size ? " " : "",
                                   attribute->name),
                  out);
        if (attribute->is_number)
            status = tr_hdf5_put_values(file, path, attribute->name, TR_VALUE_I64, 1,
                                        &attribute->number, err);
        else
            status = tr_hdf5_put_text(file, path, attribute->name, attribute->text, err);
    }
    if (status == TR_OK)
        status = write_reserved(info, file, path, identities.data, err);
out:
    tr_string_free(&identities);
    return status;
}

// ---- reading ---------------------------------------------------------------------------------

// Attributes are small; a file that says otherwise is not ours.
enum { ATTRIBUTE_MAX = 1 << 20, ATTRIBUTE_NAME_MAX = 256 };

struct value {
    bool is_number;
    int64_t number;
    char *text; // owned
};

static enum tr_status read_fixed(hid_t attribute, hid_t type, char **text_p) {
    size_t size = H5Tget_size(type);
    char *text = size < ATTRIBUTE_MAX ? calloc(size + 1, 1) : NULL;
    if (!text || H5Aread(attribute, type, text) < 0) {
        free(text);
        return TR_EFORMAT;
    }
    *text_p = text;
    return TR_OK;
}

static enum tr_status read_variable(hid_t attribute, char **text_p) {
    char *read = NULL;
    if (H5Aread(attribute, tr_hdf5_string_type(), &read) < 0)
        return TR_EFORMAT;
    *text_p = strdup(read ? read : "");
    H5free_memory(read);
    return *text_p ? TR_OK : TR_ENOMEM;
}

// An attribute of one element, integer or string; others are TR_EUNSUPPORTED and left alone.
static enum tr_status read_value(hid_t attribute, struct value *value) {
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    enum tr_status status = type < 0 || space < 0 ? TR_EFORMAT : TR_EUNSUPPORTED;
    H5T_class_t class = H5Tget_class(type);
    if (status == TR_EFORMAT || H5Sget_simple_extent_npoints(space) != 1)
        ; // nothing to read
    else if (class == H5T_INTEGER && H5Tget_size(type) <= sizeof(int64_t)) {
        value->is_number = true;
        status = H5Aread(attribute, H5T_NATIVE_INT64, &value->number) < 0 ? TR_EFORMAT : TR_OK;
    } else if (class == H5T_STRING && H5Tis_variable_str(type) > 0)
        status = read_variable(attribute, &value->text);
    else if (class == H5T_STRING)
        status = read_fixed(attribute, type, &value->text);
    bool closed = space < 0 || H5Sclose(space) >= 0;
    closed &= type < 0 || H5Tclose(type) >= 0;
    return status == TR_OK && !closed ? TR_EFORMAT : status;
}

struct reading {
    struct tr_run_info *info;
    const char *path;
    const char *identities; // names with a space before and after each
    struct tr_err *err;
    enum tr_status status;
};

static enum tr_attribute_role role_of(const char *identities, const char *name) {
    const struct tr_attribute_row *row = tr_attribute_row(name);
    if (row && row->role != TR_IDENTITY && row->role != TR_RECORDED)
        return row->role;
    size_t size = strlen(name);
    for (const char *at = strstr(identities, name); at; at = strstr(at + 1, name))
        if ((at == identities || at[-1] == ' ') && (at[size] == ' ' || !at[size]))
            return TR_IDENTITY;
    return TR_RECORDED;
}

static enum tr_status add(struct reading *reading, const char *name, const struct value *value) {
    enum tr_attribute_role role = role_of(reading->identities, name);
    if (value->is_number)
        return tr_run_info_number(reading->info, role, name, value->number, reading->err);
    return tr_run_info_text(reading->info, role, name, value->text, reading->err);
}

static herr_t read_one(hid_t file, const char *name, const H5A_info_t *about, void *user) {
    (void)about;
    struct reading *reading = user;
    if (tr_run_info_reserved(name) || !*name || strpbrk(name, " /"))
        return 0;
    struct value value = {0};
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    reading->status = attribute < 0 ? TR_EFORMAT : read_value(attribute, &value);
    if (reading->status == TR_OK)
        reading->status = add(reading, name, &value);
    else if (reading->status == TR_EUNSUPPORTED)
        reading->status = TR_OK;
    else
        tr_hdf5_fail(reading->err, reading->status, "reading the attribute %s of %s failed", name,
                     reading->path);
    free(value.text);
    if (attribute >= 0)
        H5Aclose(attribute);
    return reading->status == TR_OK ? 0 : -1;
}

// Those that have to agree first, in the order in which the file names them, so that a copy names
// them alike.
static void read_identities(hid_t file, struct reading *reading) {
    char name[ATTRIBUTE_NAME_MAX];
    for (const char *at = reading->identities; *at && reading->status == TR_OK;) {
        size_t size = strcspn(at, " ");
        snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : 0), at);
        if (*name && H5Aexists(file, name) > 0)
            read_one(file, name, NULL, reading);
        at += size + (at[size] == ' ');
    }
}

// A reserved attribute; false when the file lacks it or it is of another type.
static bool read_reserved(hid_t file, const char *name, bool is_number, struct value *value) {
    if (H5Aexists(file, name) <= 0)
        return false;
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    bool ok = attribute >= 0 && read_value(attribute, value) == TR_OK;
    if (attribute >= 0)
        H5Aclose(attribute);
    return ok && value->is_number == is_number;
}

static enum tr_status check_schema(hid_t file, const char *path, struct tr_err *err) {
    struct value value = {0};
    bool ours = read_reserved(file, "schema", false, &value) && !strcmp(value.text, schema);
    free(value.text);
    if (!ours)
        return tr_fail(err, TR_EFORMAT,
                       "%s is an HDF5 file, but not a trace: its attribute schema is not \"%s\"",
                       path, schema);
    struct value version = {0};
    bool known = read_reserved(file, "schema_version", true, &version);
    free(version.text);
    if (!known)
        return tr_fail(err, TR_EFORMAT, "%s is damaged: it has no schema_version", path);
    if (version.number != TR_SCHEMA_VERSION)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s has schema version %lld, and this program knows version %d", path,
                       (long long)version.number, TR_SCHEMA_VERSION);
    return TR_OK;
}

enum tr_status tr_run_info_read(struct tr_run_info *info, int64_t *minor_p, hid_t file,
                                const char *path, struct tr_err *err) {
    TR_TRY(check_schema(file, path, err));
    struct value minor = {0}, seq_len = {0}, span_tokens = {0}, cost_batch = {0}, identities = {0};
    bool ok = read_reserved(file, "seq_len", true, &seq_len) &&
              read_reserved(file, "identity_attributes", false, &identities);
    free(seq_len.text);
    struct reading reading = {.info = info, .path = path, .err = err};
    if (!ok) {
        free(identities.text);
        return tr_fail(err, TR_EFORMAT, "%s is damaged: it has no seq_len or identity_attributes",
                       path);
    }
    read_reserved(file, "span_tokens", true, &span_tokens); // of a store without spans: 0
    free(span_tokens.text);
    read_reserved(file, "cost_batch", true, &cost_batch); // of a store without costs: 0
    free(cost_batch.text);
    read_reserved(file, "schema_minor", true, &minor); // of schema 1.0: 0
    free(minor.text);
    *minor_p = minor.number;
    info->layout.seq_len = seq_len.number;
    info->layout.span_tokens = span_tokens.number;
    info->layout.cost_batch = cost_batch.number;
    reading.identities = identities.text;
    hsize_t at = 0;
    read_identities(file, &reading);
    if (reading.status == TR_OK &&
        H5Aiterate2(file, H5_INDEX_NAME, H5_ITER_INC, &at, read_one, &reading) < 0 &&
        reading.status == TR_OK)
        reading.status = tr_hdf5_fail(err, TR_EFORMAT, "reading the attributes of %s failed", path);
    free(identities.text);
    return reading.status;
}
