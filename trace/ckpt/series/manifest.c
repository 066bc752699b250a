// SPDX-License-Identifier: Apache-2.0
// CSV as RFC 4180 has it: fields between commas, quoted ones may hold commas, line ends and
// doubled quotes; lines end in LF or CRLF. Stricter where it leaves a choice: a stray quote, a row
// of another width and a 0 byte are refused.
#include "manifest.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "ckpt/series.h"

enum column { PATH, NAME, STAGE, STEP, TOKENS, COLUMNS };
static const char *const column_names[COLUMNS] = {"path", "name", "stage", "step", "tokens"};

enum { MAX_FIELDS = 256 };

struct csv {
    const char *at, *end;
    char *to; // where the next field's text goes: never ahead of what has been read
    const char *what;
    int64_t line; // of `at`
    int64_t row_line;
    char *fields[MAX_FIELDS];
    int count;
};

static enum tr_status read_quoted(struct csv *csv, struct tr_err *err) {
    int64_t first = csv->line;
    for (csv->at++; csv->at < csv->end; csv->at++) {
        if (*csv->at == '"' && (++csv->at == csv->end || *csv->at != '"'))
            return TR_OK;
        csv->line += *csv->at == '\n';
        *csv->to++ = *csv->at;
    }
    return tr_fail(err, TR_EFORMAT, "%s: the quote opened in line %lld is never closed", csv->what,
                   (long long)first);
}

static bool at_line_end(const struct csv *csv) {
    return csv->at == csv->end || *csv->at == '\n' ||
           (*csv->at == '\r' && csv->end - csv->at > 1 && csv->at[1] == '\n');
}

static enum tr_status read_field(struct csv *csv, struct tr_err *err) {
    if (csv->count == MAX_FIELDS)
        return tr_fail(err, TR_EFORMAT, "%s: line %lld has more than %d fields", csv->what,
                       (long long)csv->line, MAX_FIELDS);
    csv->fields[csv->count++] = csv->to;
    if (csv->at < csv->end && *csv->at == '"')
        TR_TRY(read_quoted(csv, err));
    else
        while (!at_line_end(csv) && *csv->at != ',' && *csv->at != '"')
            *csv->to++ = *csv->at++;
    if (!at_line_end(csv) && *csv->at != ',')
        return tr_fail(err, TR_EFORMAT, "%s: stray quote or text after a quote in line %lld",
                       csv->what, (long long)csv->line);
    return TR_OK;
}

static enum tr_status read_row(struct csv *csv, struct tr_err *err) {
    csv->count = 0;
    csv->row_line = csv->line;
    for (;;) {
        TR_TRY(read_field(csv, err));
        bool comma = csv->at < csv->end && *csv->at == ',';
        if (!comma && csv->at < csv->end)
            csv->at += *csv->at == '\r' ? 2 : 1;
        if (comma)
            csv->at++;
        else
            csv->line++;
        *csv->to++ = 0; // the separator was read, so there is room
        if (!comma)
            return TR_OK;
    }
}

static void skip_empty_lines(struct csv *csv) {
    while (csv->at < csv->end && at_line_end(csv)) {
        csv->at += *csv->at == '\r' ? 2 : 1;
        csv->line++;
    }
}

// Which field each column is in, -1 for those absent. Columns of other names are left alone.
static enum tr_status find_columns(const struct csv *csv, int field_of[COLUMNS],
                                   struct tr_err *err) {
    for (int column = 0; column < COLUMNS; column++) {
        field_of[column] = -1;
        for (int i = 0; i < csv->count; i++) {
            if (strcasecmp(csv->fields[i], column_names[column]))
                continue;
            if (field_of[column] >= 0)
                return tr_fail(err, TR_EFORMAT, "%s: there are two columns named %s", csv->what,
                               column_names[column]);
            field_of[column] = i;
        }
    }
    if (field_of[PATH] < 0)
        return tr_fail(err, TR_EFORMAT, "%s: the first line names no column \"path\"%s", csv->what,
                       csv->count == 1 && strpbrk(csv->fields[0], ";\t")
                           ? "; between columns stand commas"
                           : "");
    return TR_OK;
}

static bool is_read(int field, const int field_of[COLUMNS]) {
    for (int column = 0; column < COLUMNS; column++)
        if (field_of[column] == field)
            return true;
    return false;
}

static enum tr_status list_unknown(struct tr_manifest *manifest, const struct csv *csv,
                                   const int field_of[COLUMNS], struct tr_err *err) {
    for (int i = 0; i < csv->count; i++)
        if (!is_read(i, field_of))
            TR_TRY(tr_string_format(&manifest->unknown, err, "%s\"%.40s\"",
                                    manifest->unknown.size ? ", " : "", csv->fields[i]));
    return TR_OK;
}

static enum tr_status bad_field(const struct csv *csv, enum column column, const char *text,
                                const char *expected, struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT, "%s: line %lld: %s must be %s, it is \"%s\"", csv->what,
                   (long long)csv->row_line, column_names[column], expected, text);
}

static enum tr_status convert_row(const struct csv *csv, const int field_of[COLUMNS],
                                  struct tr_manifest_row *row, struct tr_err *err) {
    const char *text[COLUMNS];
    for (int column = 0; column < COLUMNS; column++)
        text[column] = field_of[column] < 0 ? "" : csv->fields[field_of[column]];
    *row = (struct tr_manifest_row){
        .path = text[PATH], .name = text[NAME], .stage = text[STAGE], .step = -1, .tokens = NAN};
    if (!*row->path)
        return bad_field(csv, PATH, "", "a folder", err);
    if (strchr(row->name, '/'))
        return bad_field(csv, NAME, row->name, "without slashes", err);
    if (strpbrk(row->name, "\r\n"))
        return bad_field(csv, NAME, row->name, "one line", err);
    if (strlen(row->stage) >= TR_STAGE_MAX)
        return bad_field(csv, STAGE, row->stage, "shorter than 64 bytes", err);
    if (strpbrk(row->stage, "\r\n"))
        return bad_field(csv, STAGE, row->stage, "one line", err);
    if (*text[STEP] && !tr_parse_i64(text[STEP], 0, INT64_MAX, &row->step))
        return bad_field(csv, STEP, text[STEP], "a whole number of at least 0", err);
    if (*text[TOKENS] && !tr_parse_f64(text[TOKENS], 0, 1e30, &row->tokens))
        return bad_field(csv, TOKENS, text[TOKENS], "a number of at least 0", err);
    return TR_OK;
}

static enum tr_status read_rows(struct tr_manifest *manifest, struct csv *csv, struct tr_err *err) {
    int field_of[COLUMNS];
    uint64_t capacity = 0;
    skip_empty_lines(csv);
    TR_TRY(read_row(csv, err));
    TR_TRY(find_columns(csv, field_of, err));
    TR_TRY(list_unknown(manifest, csv, field_of, err));
    int width = csv->count;
    for (skip_empty_lines(csv); csv->at < csv->end; skip_empty_lines(csv)) {
        TR_TRY(read_row(csv, err));
        if (csv->count != width)
            return tr_fail(err, TR_EFORMAT, "%s: line %lld has %d fields, the first line has %d",
                           csv->what, (long long)csv->row_line, csv->count, width);
        TR_TRY(tr_grow((void **)&manifest->rows, &capacity, (uint64_t)manifest->count + 1,
                       sizeof *manifest->rows, "the manifest", err));
        TR_TRY(convert_row(csv, field_of, &manifest->rows[manifest->count], err));
        manifest->count++;
    }
    if (!manifest->count)
        return tr_fail(err, TR_EFORMAT, "%s names no checkpoint", csv->what);
    return TR_OK;
}

enum tr_status tr_manifest_parse(struct tr_manifest *manifest, const char *bytes, size_t size,
                                 const char *what, struct tr_err *err) {
    static const char byte_order_mark[] = "\xef\xbb\xbf"; // spreadsheets write it
    if (memchr(bytes, 0, size) || !tr_utf8_valid(bytes, size))
        return tr_fail(err, TR_EFORMAT, "%s is not UTF-8 text", what);
    struct tr_manifest read = {0};
    TR_TRY(TR_NEW(&read.text, size + 1, "the manifest", err));
    struct csv csv = {
        .at = bytes, .end = bytes + size, .to = read.text, .what = what, .line = 1, .row_line = 1};
    if (size >= 3 && !memcmp(bytes, byte_order_mark, 3))
        csv.at += 3;
    enum tr_status status = read_rows(&read, &csv, err);
    if (status != TR_OK) {
        tr_manifest_free(&read);
        return status;
    }
    *manifest = read;
    return TR_OK;
}

void tr_manifest_free(struct tr_manifest *manifest) {
    free(manifest->rows);
    free(manifest->text);
    tr_string_free(&manifest->unknown);
    *manifest = (struct tr_manifest){0};
}
