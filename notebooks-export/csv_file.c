// SPDX-License-Identifier: Apache-2.0
// CSV as RFC 4180 has it: CRLF, quotes where they are needed. What is missing is an empty field.
// The unit row and the comment are not in the RFC; readers skip them when told to.
#include <string.h>

#include "cells.h"

struct sheet {
    FILE *out;
    int columns;
    struct nx_column column[NX_COLUMNS];
};

static void put_field(FILE *out, const char *text) {
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, out);
        return;
    }
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            putc('"', out);
        putc(*text, out);
    }
    putc('"', out);
}

static enum tr_status put_line(const struct nx_cell *cell, void *user, struct tr_err *err) {
    (void)err;
    const struct sheet *sheet = user;
    for (int i = 0; i < sheet->columns; i++) {
        struct nx_field field;
        nx_field(cell, &sheet->column[i], &field);
        if (i)
            putc(',', sheet->out);
        if (field.text)
            put_field(sheet->out, field.text);
    }
    fputs("\r\n", sheet->out);
    return TR_OK;
}

static void put_header(const struct sheet *sheet, bool units) {
    for (int i = 0; i < sheet->columns; i++) {
        if (i)
            putc(',', sheet->out);
        put_field(sheet->out, units ? sheet->column[i].units : sheet->column[i].name);
    }
    fputs("\r\n", sheet->out);
}

// One line for each attribute of the store, its line ends and control characters as spaces.
static void put_comment(const struct nx_job *job, FILE *out) {
    const struct tr_run_info *info = tr_trace_info(job->trace);
    for (int64_t i = 0; i < info->count; i++) {
        const struct tr_attribute *attribute = &info->attributes[i];
        fprintf(out, "# %s: ", attribute->name);
        if (attribute->is_number)
            fprintf(out, "%lld", (long long)attribute->number);
        for (const char *text = attribute->is_number ? "" : attribute->text; *text; text++)
            putc((unsigned char)*text < 0x20 ? ' ' : *text, out);
        fputs("\r\n", out);
    }
}

enum tr_status nx_csv(const struct nx_job *job, FILE *out, struct tr_err *err) {
    struct sheet sheet = {.out = out};
    TR_TRY(nx_columns(job, job->options->wide, sheet.column, &sheet.columns, err));
    if (job->options->comment)
        put_comment(job, out);
    put_header(&sheet, false);
    if (job->options->units)
        put_header(&sheet, true);
    return nx_cells(job, job->options->wide, put_line, &sheet, err);
}
