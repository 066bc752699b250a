// SPDX-License-Identifier: Apache-2.0
#ifndef AN_PAGE_H
#define AN_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/report.h"
#include "base/status.h"
#include "base/strings.h"

// Text for people in the making, as plain text, Markdown or LaTeX: paragraphs, headings, tables and
// what has lines of its own. Parts are set apart by one blank line where the format asks for it.

// A column of a table. Text sets numbers flush right in `width` columns, the space before them
// included, and words flush left behind two spaces.
struct an_column {
    const char *name;
    int width;
    bool words;
    bool drawn; // made of characters as a picture: LaTeX leaves it out
};

#define AN_COLUMN(title, columns)                                                                  \
    { .name = (title), .width = (columns) }
#define AN_WORDS(title, columns)                                                                   \
    { .name = (title), .width = (columns), .words = true }
#define AN_DRAWN(columns)                                                                          \
    { .name = "over time", .width = (columns), .words = true, .drawn = true }

struct an_page {
    struct tr_string *out;
    enum an_format format;
    struct tr_string text;          // the paragraph being written
    int width;                      // columns
    bool below;                     // a table or a picture stands right above
    const struct an_column *column; // [columns] of the table being written
    int columns, at;                // `at` of which the next cell is
};

// Moves the paragraph to `out`, broken between words, lines after the first indented. It may quote
// a file: control characters become '?', and what means something to the format is escaped.
enum tr_status an_page_paragraph(struct an_page *page, int indent, struct tr_err *err);

// A blank line, unless there is one or nothing stands above.
enum tr_status an_page_gap(struct an_page *page, struct tr_err *err);

// A heading: level 1 for chapters, 2 for their parts.
enum tr_status an_page_heading(struct an_page *page, int level, const char *words,
                               struct tr_err *err);

// A table: its head; its cells, row after row; its end. `column` stays the caller's until the end.
enum tr_status an_page_table(struct an_page *page, const struct an_column *column, int columns,
                             struct tr_err *err);
enum tr_status an_page_cell(struct an_page *page, const char *text, struct tr_err *err);
enum tr_status an_page_table_end(struct an_page *page, struct tr_err *err);

// Around what is appended to `out` with lines of its own.
enum tr_status an_page_picture(struct an_page *page, struct tr_err *err);
enum tr_status an_page_picture_end(struct an_page *page, struct tr_err *err);

void an_page_free(struct an_page *page); // not `out`

#endif
