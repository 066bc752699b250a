// SPDX-License-Identifier: Apache-2.0
#include "page_table.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

enum { MOST_COLUMNS = 32 };

enum tr_status tr_page_cell(struct tr_page_table *table, struct tr_err *err, const char *format,
                            ...) {
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    TR_TRY(tr_grow((void **)&table->cells, &table->capacity, (uint64_t)table->count + 1,
                   sizeof *table->cells, "a table", err));
    TR_TRY(tr_strdup(&table->cells[table->count], text, err));
    table->count++;
    return TR_OK;
}

static bool is_large(double value) {
    return fabs(value) >= 1e4;
}

enum tr_status tr_page_number(struct tr_page_table *table, double value, bool has_sign,
                              struct tr_err *err) {
    if (isnan(value))
        return tr_page_cell(table, err, "N/A");
    if (has_sign)
        return tr_page_cell(table, err, is_large(value) ? "%+.5g" : "%+.4f", value);
    return tr_page_cell(table, err, is_large(value) ? "%.5g" : "%.4f", value);
}

enum tr_status tr_page_interval(struct tr_page_table *table, double low, double high, bool has_sign,
                                struct tr_err *err) {
    bool large = is_large(low) || is_large(high);
    if (isnan(low) || isnan(high))
        return tr_page_cell(table, err, "N/A");
    if (has_sign)
        return tr_page_cell(table, err, large ? "[%+.5g, %+.5g]" : "[%+.4f, %+.4f]", low, high);
    return tr_page_cell(table, err, large ? "[%.5g, %.5g]" : "[%.4f, %.4f]", low, high);
}

// Columns of a terminal that UTF-8 text takes, as far as characters are one wide.
static int width_of(const char *text) {
    int width = 0;
    for (; *text; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

static void measure(const struct tr_page_table *table, int width[MOST_COLUMNS]) {
    for (int c = 0; c < table->column_count; c++)
        width[c] = width_of(table->columns[c].title);
    for (int64_t i = 0; i < table->count; i++) {
        int *column = &width[i % table->column_count];
        *column = width_of(table->cells[i]) > *column ? width_of(table->cells[i]) : *column;
    }
}

static enum tr_status write_cell(struct tr_string *out, const char *text, int width, bool to_right,
                                 struct tr_err *err) {
    int padding = width - width_of(text);
    return tr_string_format(out, err, "|%*s%s%*s", to_right ? padding : 0, "", text,
                            to_right ? 0 : padding, "");
}

// The keys and columns [begin, end) of a table.
struct part {
    const struct tr_page_table *table;
    const int *width; // of all columns
    int begin, end;
};

static bool is_in(const struct part *p, int c) {
    return c < p->table->keys || (c >= p->begin && c < p->end);
}

static int part_width(const struct part *p) {
    int width = 1;
    for (int c = 0; c < p->table->column_count; c++)
        width += is_in(p, c) ? p->width[c] + 1 : 0;
    return width;
}

static enum tr_status write_titles(const struct part *p, struct tr_string *out,
                                   struct tr_err *err) {
    const struct tr_page_column *columns = p->table->columns;
    for (int c = 0; c < p->table->column_count; c++)
        if (is_in(p, c))
            TR_TRY(write_cell(out, columns[c].title, p->width[c], columns[c].is_number, err));
    TR_TRY(tr_string_format(out, err, "|\n"));
    for (int c = 0; c < p->table->column_count; c++) {
        if (!is_in(p, c))
            continue;
        TR_TRY(tr_string_format(out, err, "|"));
        for (int i = 0; i < p->width[c]; i++)
            TR_TRY(tr_string_format(out, err,
                                    columns[c].is_number && i + 1 == p->width[c] ? ":" : "-"));
    }
    return tr_string_format(out, err, "|\n");
}

// Whether a row has something to say beside its keys.
static bool says_something(const struct part *p, char *const *row) {
    for (int c = p->begin; c < p->end; c++)
        if (*row[c])
            return true;
    return false;
}

static enum tr_status write_part(const struct part *p, struct tr_string *out, struct tr_err *err) {
    const struct tr_page_table *table = p->table;
    TR_TRY(write_titles(p, out, err));
    for (int64_t i = 0; i < table->count; i += table->column_count) {
        char *const *row = table->cells + i;
        if (!says_something(p, row))
            continue;
        for (int c = 0; c < table->column_count; c++)
            if (is_in(p, c))
                TR_TRY(write_cell(out, row[c], p->width[c], table->columns[c].is_number, err));
        TR_TRY(tr_string_format(out, err, "|\n"));
    }
    return TR_OK;
}

// The end of the columns that stay with the one at `begin`.
static int group_end(const struct tr_page_table *table, int begin) {
    int end = begin + 1;
    while (end < table->column_count && table->columns[end].follows)
        end++;
    return end;
}

enum tr_status tr_page_write(const struct tr_page_table *table, struct tr_string *out,
                             struct tr_err *err) {
    int width[MOST_COLUMNS];
    if (!table->count)
        return TR_OK;
    measure(table, width);
    for (struct part p = {table, width, table->keys, table->keys}; p.end < table->column_count;
         p.begin = p.end) {
        p.end = group_end(table, p.begin);
        for (struct part more = p; p.end < table->column_count; p.end = more.end) {
            more.end = group_end(table, p.end);
            if (part_width(&more) > TR_PAGE_WIDTH)
                break;
        }
        TR_TRY(tr_string_format(out, err, "%s", p.begin > table->keys ? "\n" : ""));
        TR_TRY(write_part(&p, out, err));
    }
    return TR_OK;
}

void tr_page_free(struct tr_page_table *table) {
    for (int64_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    table->cells = NULL;
    table->count = 0;
}
