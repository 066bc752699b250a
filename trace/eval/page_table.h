// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PAGE_TABLE_H
#define TR_PAGE_TABLE_H

#include <stdbool.h>

#include "base/strings.h"

// A table for people, as Markdown, its columns as wide as they have to be. One that is wider than a
// page is written as several, one below the other, each with the columns that say what a row is of.

struct tr_page_column {
    const char *title;
    bool is_number; // set to the right
    bool follows;   // stays with the column before it
};
enum { TR_PAGE_WIDTH = 100 };

struct tr_page_table {
    const struct tr_page_column *columns; // [column_count]
    int column_count, keys;               // keys: the first columns, which say what a row is of
    char **cells;                         // [count] row by row
    int64_t count;
    uint64_t capacity;
};

// Adds the next cell, by rows.
enum tr_status tr_page_cell(struct tr_page_table *table, struct tr_err *err, const char *format,
                            ...) __attribute__((format(printf, 3, 4)));
// The same of numbers, which are "N/A" when they are none and have fewer digits when they are
// large.
enum tr_status tr_page_number(struct tr_page_table *table, double value, bool has_sign,
                              struct tr_err *err);
enum tr_status tr_page_interval(struct tr_page_table *table, double low, double high, bool has_sign,
                                struct tr_err *err);

// Appends the table, if it has any rows.
enum tr_status tr_page_write(const struct tr_page_table *table, struct tr_string *out,
                             struct tr_err *err);
void tr_page_free(struct tr_page_table *table);

#endif
