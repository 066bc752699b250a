// SPDX-License-Identifier: Apache-2.0
// same_store [--rows-subset] A B: exit 0 when A and B are the same store: the same datasets and
// attributes, bit for bit (NaN equals the same NaN), but for the root's created, host, history,
// scheduler_job and seconds_per_checkpoint.
// --rows-subset: when every row of A is in B unchanged. Prints the first differences, exit 1.
#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

enum { DIFFERENCES_SHOWN = 10 };
static int differences;

static void differ(const char *where, const char *name, const char *how) {
    if (differences++ < DIFFERENCES_SHOWN)
        printf("%s%s%s %s\n", where, *where ? ":" : "", name, how);
}

static void fail(const char *what) {
    fprintf(stderr, "same_store: %s\n", what);
    exit(2);
}

// ---- values ----------------------------------------------------------------------------------

struct values {
    hid_t type;
    int rank;
    hsize_t size[H5S_MAX_RANK];
    size_t count, bytes; // elements; bytes of one in memory
    void *data;
};

static void describe(struct values *values, hid_t type, hid_t space) {
    values->type = H5Tget_native_type(type, H5T_DIR_ASCEND);
    values->rank = H5Sget_simple_extent_dims(space, values->size, NULL);
    values->count = (size_t)H5Sget_simple_extent_npoints(space);
    values->bytes = H5Tget_size(values->type);
    values->data = calloc(values->count + 1, values->bytes);
    if (values->rank < 0 || !values->data)
        fail("cannot describe a dataset");
    H5Tclose(type);
    H5Sclose(space);
}

static bool equal(const struct values *a, const struct values *b) {
    if (a->rank != b->rank || memcmp(a->size, b->size, (size_t)a->rank * sizeof *a->size) ||
        H5Tequal(a->type, b->type) <= 0)
        return false;
    if (H5Tis_variable_str(a->type) <= 0)
        return !memcmp(a->data, b->data, a->count * a->bytes);
    char *const *left = a->data, *const *right = b->data;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(left[i] ? left[i] : "", right[i] ? right[i] : ""))
            return false;
    return true;
}

static void release(struct values *values) {
    if (H5Tis_variable_str(values->type) > 0)
        for (size_t i = 0; i < values->count; i++)
            H5free_memory(((char **)values->data)[i]);
    H5Tclose(values->type);
    free(values->data);
}

// ---- attributes ------------------------------------------------------------------------------

// Attributes that a job may change, and those that hold addresses within one file.
static bool ignored(const char *object, const char *name) {
    static const char *const root[] = {"created", "host", "history", "scheduler_job",
                                       "seconds_per_checkpoint"};
    if (!strcmp(name, "DIMENSION_LIST") || !strcmp(name, "REFERENCE_LIST"))
        return true;
    for (size_t i = 0; !strcmp(object, "/") && i < sizeof root / sizeof *root; i++)
        if (!strcmp(name, root[i]))
            return true;
    return false;
}

static void read_attribute(struct values *values, hid_t file, const char *object,
                           const char *name) {
    hid_t attribute = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    describe(values, H5Aget_type(attribute), H5Aget_space(attribute));
    if (H5Aread(attribute, values->type, values->data) < 0)
        fail("cannot read an attribute");
    H5Aclose(attribute);
}

struct pair {
    hid_t a, b;
    const char *object;
    bool compare; // else only look whether b has it
};

static herr_t attribute_of(hid_t location, const char *name, const H5A_info_t *about, void *user) {
    (void)location;
    (void)about;
    const struct pair *pair = user;
    if (ignored(pair->object, name))
        return 0;
    if (H5Aexists_by_name(pair->b, pair->object, name, H5P_DEFAULT) <= 0) {
        differ(pair->object, name,
               pair->compare ? "is only in the first" : "is only in the second");
        return 0;
    }
    if (!pair->compare)
        return 0;
    struct values a, b;
    read_attribute(&a, pair->a, pair->object, name);
    read_attribute(&b, pair->b, pair->object, name);
    if (!equal(&a, &b))
        differ(pair->object, name, "differs");
    release(&a);
    release(&b);
    return 0;
}

static void attributes(hid_t a, hid_t b, const char *object, bool compare) {
    struct pair pair = {a, b, object, compare};
    hsize_t at = 0;
    if (H5Aiterate_by_name(a, object, H5_INDEX_NAME, H5_ITER_INC, &at, attribute_of, &pair,
                           H5P_DEFAULT) < 0)
        fail("cannot walk over the attributes");
}

// ---- datasets --------------------------------------------------------------------------------

static void read_dataset(struct values *values, hid_t file, const char *name) {
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (dataset < 0)
        fail("an object is no dataset");
    describe(values, H5Dget_type(dataset), H5Dget_space(dataset));
    if (H5Dread(dataset, values->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values->data) < 0)
        fail("cannot read a dataset");
    H5Dclose(dataset);
}

static herr_t dataset_of(hid_t group, const char *name, const H5L_info_t *about, void *user) {
    (void)group;
    (void)about;
    struct pair *pair = user;
    if (H5Lexists(pair->b, name, H5P_DEFAULT) <= 0) {
        differ("", name, pair->compare ? "is only in the first" : "is only in the second");
        return 0;
    }
    attributes(pair->a, pair->b, name, pair->compare);
    if (!pair->compare)
        return 0;
    struct values a, b;
    read_dataset(&a, pair->a, name);
    read_dataset(&b, pair->b, name);
    if (!equal(&a, &b))
        differ("", name, "differs");
    release(&a);
    release(&b);
    return 0;
}

static void walk(hid_t a, hid_t b, bool compare) {
    struct pair pair = {a, b, "/", compare};
    attributes(a, b, "/", compare);
    if (H5Literate(a, H5_INDEX_NAME, H5_ITER_INC, NULL, dataset_of, &pair) < 0)
        fail("cannot walk over the datasets");
}

static void compare_files(const char *path_a, const char *path_b) {
    hid_t a = H5Fopen(path_a, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t b = H5Fopen(path_b, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (a < 0 || b < 0)
        fail("cannot open a file");
    walk(a, b, true);
    walk(b, a, false);
    H5Fclose(a);
    H5Fclose(b);
}

// ---- rows ------------------------------------------------------------------------------------

static bool same_values(const struct tr_row *a, const struct tr_row *b, int id,
                        const struct tr_layout *layout) {
    if (!a->data[id] || !b->data[id])
        return a->data[id] == b->data[id];
    if (tr_variables[id].type == TR_VALUE_STRING)
        return !strcmp(tr_row_string(a, id), tr_row_string(b, id));
    return !memcmp(a->data[id], b->data[id],
                   (size_t)tr_variable_elements(id, layout) * tr_value_size(tr_variables[id].type));
}

static void compare_row(const struct tr_trace *a, int64_t row_a, const struct tr_trace *b,
                        int64_t row_b) {
    struct tr_row left, right;
    struct tr_err err;
    if (tr_trace_row(a, row_a, &left, &err) != TR_OK ||
        tr_trace_row(b, row_b, &right, &err) != TR_OK)
        fail(err.text);
    const struct tr_layout *layout = &tr_trace_info(a)->layout;
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++)
        if (tr_variable_present(id, layout) && !same_values(&left, &right, (int)id, layout))
            differ(tr_trace_string(a, TR_V_NAME, row_a), tr_variables[id].name, "differs");
    tr_row_free(&left);
    tr_row_free(&right);
}

// A may lack costs and sets, which can be added to its rows.
static bool same_additions(const struct tr_layout *a, const struct tr_layout *b) {
    bool same_costs = a->cost_sequences == b->cost_sequences && a->cost_batch == b->cost_batch;
    bool same_search = a->rounds == b->rounds && a->candidates == b->candidates;
    return (!a->cost_sequences || same_costs) && (!a->drop_sets || a->drop_sets == b->drop_sets) &&
           (!a->rounds || same_search) && a->set_distances <= b->set_distances;
}

static bool same_layout(const struct tr_layout *a, const struct tr_layout *b) {
    return a->layers == b->layers && a->sequences == b->sequences && a->seq_len == b->seq_len &&
           a->nll == b->nll && a->per_token == b->per_token && a->span_tokens == b->span_tokens &&
           a->probes == b->probes && a->channels == b->channels && same_additions(a, b);
}

static void compare_rows(const struct tr_trace *a, const struct tr_trace *b) {
    if (!same_layout(&tr_trace_info(a)->layout, &tr_trace_info(b)->layout))
        fail("the layouts differ");
    for (int64_t i = 0; i < tr_trace_rows(a); i++) {
        const char *name = tr_trace_string(a, TR_V_NAME, i);
        int64_t j = 0;
        while (j < tr_trace_rows(b) && strcmp(tr_trace_string(b, TR_V_NAME, j), name))
            j++;
        if (j == tr_trace_rows(b))
            differ("", name, "is only in the first");
        else
            compare_row(a, i, b, j);
    }
}

int main(int argc, char **argv) {
    bool subset = argc == 4 && !strcmp(argv[1], "--rows-subset");
    if (argc != 3 && !subset)
        fail("usage: same_store [--rows-subset] A B");
    struct tr_trace *a, *b;
    struct tr_err err;
    if (tr_trace_open(&a, argv[argc - 2], &err) != TR_OK ||
        tr_trace_open(&b, argv[argc - 1], &err) != TR_OK)
        fail(err.text);
    if (subset)
        compare_rows(a, b);
    tr_trace_close(a);
    tr_trace_close(b);
    if (!subset)
        compare_files(argv[1], argv[2]);
    if (differences > DIFFERENCES_SHOWN)
        printf("and %d more\n", differences - DIFFERENCES_SHOWN);
    return differences ? 1 : 0;
}
