// SPDX-License-Identifier: Apache-2.0
// The lines of the table as JSON records (export.schema.json). Written as they come: a trace may
// have more values than fit into memory as a tree.
#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "cells.h"

struct writing {
    FILE *out;
    const char *separator; // before the next record
    int columns;
    struct nx_column column[NX_COLUMNS];
};

// Missing and infinite values are null.
static void put_field(FILE *out, const struct nx_field *field) {
    json_t *text = NULL;
    if (field->text && !field->is_number)
        text = json_string(field->text);
    if (text)
        json_dumpf(text, out, JSON_ENCODE_ANY);
    else if (field->text && isdigit((unsigned char)field->text[strspn(field->text, "-")]))
        fputs(field->text, out);
    else
        fputs("null", out);
    json_decref(text);
}

static enum tr_status put_record(const struct nx_cell *cell, void *user, struct tr_err *err) {
    (void)err;
    struct writing *writing = user;
    FILE *out = writing->out;
    fputs(writing->separator, out);
    writing->separator = ",\n";
    for (int i = 0; i < writing->columns; i++) {
        struct nx_field field;
        nx_field(cell, &writing->column[i], &field);
        fprintf(out, "%s\"%s\": ", i ? ", " : "{", writing->column[i].name);
        put_field(out, &field);
    }
    putc('}', out);
    return TR_OK;
}

// The store's attributes, and the units of the variables.
static enum tr_status put_head(const struct nx_job *job, FILE *out, struct tr_err *err) {
    const struct tr_run_info *info = tr_trace_info(job->trace);
    json_t *attributes = json_object(), *units = json_object();
    for (int64_t i = 0; i < info->count; i++) {
        const struct tr_attribute *attribute = &info->attributes[i];
        json_object_set_new(attributes, attribute->name,
                            attribute->is_number ? json_integer(attribute->number)
                                                 : json_string(attribute->text));
    }
    for (int id = 0; id < TR_VARIABLES; id++)
        if (job->excerpt.wanted[id])
            json_object_set_new(units, tr_variables[id].name, json_string(tr_variables[id].units));
    json_t *head = json_pack("{s:s, s:i, s:o, s:o}", "format", "trace-export", "version", 1,
                             "attributes", attributes, "units", units);
    char *text = head ? json_dumps(head, JSON_INDENT(2)) : NULL;
    json_decref(head);
    if (!text)
        return tr_fail(err, TR_ENOMEM, "no memory for the head of the JSON file");
    fprintf(out, "%.*s,\n  \"records\": [", (int)strlen(text) - 2, text); // without "\n}"
    free(text);
    return TR_OK;
}

enum tr_status nx_json(const struct nx_job *job, FILE *out, struct tr_err *err) {
    struct writing writing = {.out = out, .separator = "\n"};
    TR_TRY(nx_columns(job, false, writing.column, &writing.columns, err));
    TR_TRY(put_head(job, out, err));
    TR_TRY(nx_cells(job, false, put_record, &writing, err));
    fputs("\n]}\n", out);
    return TR_OK;
}
