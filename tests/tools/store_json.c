// SPDX-License-Identifier: Apache-2.0
// store_json FILE... [-v VARIABLE...]: the rows of stores or parts as JSON on stdout, for tests in
// languages without HDF5: [{"layers", "sequences", "seq_len", "rows": [{...}]}, ...], in each row
// all strings and scalars, and the variables named, flattened. What is not a number is null.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

static void print_string(const char *text) {
    putchar('"');
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            printf("\\u%04x", (unsigned char)*text);
        else
            putchar(*text);
    putchar('"');
}

static void print_real(double value) {
    if (isfinite(value))
        printf("%.17g", value);
    else
        printf("null");
}

static void print_element(const struct tr_row *row, enum tr_variable_id id, int64_t at) {
    switch (tr_variables[id].type) {
    case TR_VALUE_F64:
        print_real(tr_row_f64(row, id)[at]);
        break;
    case TR_VALUE_F32:
        print_real((double)tr_row_f32(row, id)[at]);
        break;
    case TR_VALUE_U32:
        printf("%u", (unsigned)tr_row_u32(row, id)[at]);
        break;
    case TR_VALUE_I64:
        printf("%lld", (long long)tr_row_i64(row, id)[at]);
        break;
    case TR_VALUE_U8:
        printf("%u", (unsigned)tr_row_u8(row, id)[at]);
        break;
    case TR_VALUE_STRING:
        print_string(tr_row_string(row, id));
        break;
    }
}

static bool is_wanted(enum tr_variable_id id, char **names) {
    if (tr_variable_rank(id) == 1 && id < TR_V_SIMILARITY)
        return true;
    for (; *names; names++)
        if (!strcmp(*names, tr_variables[id].name))
            return true;
    return false;
}

static void print_row(const struct tr_row *row, const struct tr_layout *layout, char **names) {
    const char *separator = "{";
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!row->data[id] || !is_wanted(id, names))
            continue;
        printf("%s\"%s\": ", separator, tr_variables[id].name);
        separator = ", ";
        int64_t count = tr_variable_elements(id, layout);
        bool scalar = tr_variable_rank(id) == 1;
        printf(scalar ? "" : "[");
        for (int64_t i = 0; i < count; i++) {
            printf(i ? ", " : "");
            print_element(row, id, i);
        }
        printf(scalar ? "" : "]");
    }
    printf("}");
}

static enum tr_status print_trace(const struct tr_trace *trace, char **names, struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    printf("{\"layers\": %lld, \"sequences\": %lld, \"seq_len\": %lld, \"rows\": [",
           (long long)layout->layers, (long long)layout->sequences, (long long)layout->seq_len);
    for (int64_t i = 0; i < tr_trace_rows(trace); i++) {
        struct tr_row row;
        TR_TRY(tr_trace_row(trace, i, &row, err));
        printf(i ? ",\n" : "\n");
        print_row(&row, layout, names);
        tr_row_free(&row);
    }
    printf("]}");
    return TR_OK;
}

static enum tr_status print_file(const char *path, char **names, struct tr_err *err) {
    struct tr_trace *trace;
    TR_TRY(tr_trace_open(&trace, path, err));
    enum tr_status status = print_trace(trace, names, err);
    tr_trace_close(trace);
    return status;
}

int main(int argc, char **argv) {
    struct tr_err err = {.text = "usage: store_json FILE... [-v VARIABLE...]"};
    int files = 0;
    while (files + 1 < argc && strcmp(argv[files + 1], "-v"))
        files++;
    char **names = argv + files + 1 + (files + 1 < argc); // behind -v; argv ends in NULL
    enum tr_status status = files ? TR_OK : TR_EUSAGE;
    for (int i = 0; i < files && status == TR_OK; i++) {
        printf(i ? "," : "[");
        status = print_file(argv[i + 1], names, &err);
    }
    printf("]\n");
    if (status != TR_OK)
        fprintf(stderr, "store_json: %s\n", err.text);
    return status == TR_OK ? 0 : 1;
}
