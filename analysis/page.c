// SPDX-License-Identifier: Apache-2.0
#include "page.h"

#include <limits.h>
#include <string.h>

#include "base/printable.h"
#include "base/wrap.h"

// What the formats do not take as it is, and what they take instead.
struct escape {
    char character;
    const char *instead;
};
static const struct escape markdown_escapes[] = {{'\\', "\\\\"}, {'*', "\\*"},  {'_', "\\_"},
                                                 {'`', "\\`"},   {'<', "&lt;"}, {'|', "\\|"}};
static const struct escape latex_escapes[] = {{'\\', "\\textbackslash{}"},
                                              {'{', "\\{"},
                                              {'}', "\\}"},
                                              {'_', "\\_"},
                                              {'%', "\\%"},
                                              {'&', "\\&"},
                                              {'#', "\\#"},
                                              {'$', "\\$"},
                                              {'~', "\\textasciitilde{}"},
                                              {'^', "\\textasciicircum{}"},
                                              {'|', "$|$"},
                                              {'<', "$<$"},
                                              {'>', "$>$"}};

#define COUNT(array) (sizeof(array) / sizeof *(array))
static const struct {
    const struct escape *escape;
    size_t count;
} escapes[AN_FORMATS] = {[AN_MARKDOWN] = {markdown_escapes, COUNT(markdown_escapes)},
                         [AN_LATEX] = {latex_escapes, COUNT(latex_escapes)}};

static const char *escape_of(const struct an_page *page, char character) {
    for (size_t i = 0; i < escapes[page->format].count; i++)
        if (escapes[page->format].escape[i].character == character)
            return escapes[page->format].escape[i].instead;
    return NULL;
}

// Appends words as the format takes them.
static enum tr_status append(struct an_page *page, const char *words, size_t size,
                             struct tr_err *err) {
    for (size_t i = 0; i < size; i++) {
        const char *instead = escape_of(page, words[i]);
        TR_TRY(instead ? tr_string_append(page->out, instead, strlen(instead), err)
                       : tr_string_append(page->out, &words[i], 1, err));
    }
    return TR_OK;
}

static enum tr_status append_line(struct an_page *page, const char *line, struct tr_err *err) {
    TR_TRY(tr_string_append(page->out, line, strlen(line), err));
    return tr_string_append(page->out, "\n", 1, err);
}

enum tr_status an_page_gap(struct an_page *page, struct tr_err *err) {
    const struct tr_string *out = page->out;
    page->below = false;
    if (out->size < 2 || (out->data[out->size - 1] == '\n' && out->data[out->size - 2] == '\n'))
        return TR_OK;
    return tr_string_append(page->out, "\n", 1, err);
}

enum tr_status an_page_paragraph(struct an_page *page, int indent, struct tr_err *err) {
    bool text = page->format == AN_TEXT, item = page->text.size > 1 && page->text.data[0] == '-';
    const struct tr_wrap wrap = {.width = text ? page->width : INT_MAX, .indent = indent};
    if (page->below || (!text && !item))
        TR_TRY(an_page_gap(page, err));
    if (text) {
        TR_TRY(tr_wrap_words(page->out, page->text.data, page->text.size, &wrap, err));
    } else {
        page->text.size = tr_printable(page->text.data, page->text.size, "");
        TR_TRY(append(page, page->text.data, page->text.size, err));
    }
    page->text.size = 0;
    return tr_string_append(page->out, "\n", 1, err);
}

enum tr_status an_page_heading(struct an_page *page, int level, const char *words,
                               struct tr_err *err) {
    static const struct {
        const char *before, *behind;
    } marks[AN_FORMATS][2] = {[AN_TEXT] = {{"== ", " =="}, {"", ""}},
                              [AN_MARKDOWN] = {{"## ", ""}, {"### ", ""}},
                              [AN_LATEX] = {{"\\section*{", "}"}, {"\\subsection*{", "}"}}};
    TR_TRY(an_page_gap(page, err));
    TR_TRY(tr_string_format(page->out, err, "%s", marks[page->format][level - 1].before));
    TR_TRY(append(page, words, strlen(words), err));
    TR_TRY(append_line(page, marks[page->format][level - 1].behind, err));
    return an_page_gap(page, err);
}

// ---- tables ----------------------------------------------------------------------------------

static bool is_shown(const struct an_page *page, int column) {
    return page->format != AN_LATEX || !page->column[column].drawn;
}

static int columns_of(const char *text) {
    int columns = 0;
    for (; *text; text++)
        columns += (*text & 0xc0) != 0x80; // no UTF-8 continuation byte
    return columns;
}

static enum tr_status cell_of_text(struct an_page *page, const char *text, struct tr_err *err) {
    const struct an_column *column = &page->column[page->at];
    bool last = page->at == page->columns - 1;
    int room = column->width - columns_of(text);
    if (last && !*text)
        return TR_OK;
    if (column->words)
        return tr_string_format(page->out, err, "  %s%*s", text, last || room < 0 ? 0 : room, "");
    if (room < 1 && page->at > 0)
        room = 1;
    return tr_string_format(page->out, err, "%*s%s", room < 0 ? 0 : room, "", text);
}

static enum tr_status cell_of_markup(struct an_page *page, const char *text, struct tr_err *err) {
    bool latex = page->format == AN_LATEX;
    TR_TRY(tr_string_format(page->out, err, "%s",
                            latex ? (page->at ? " & " : "") : (page->at ? " | " : "| ")));
    return append(page, text, strlen(text), err);
}

static enum tr_status end_row(struct an_page *page, struct tr_err *err) {
    static const char *const ends[AN_FORMATS] = {
        [AN_TEXT] = "", [AN_MARKDOWN] = " |", [AN_LATEX] = " \\\\"};
    page->at = 0;
    return append_line(page, ends[page->format], err);
}

enum tr_status an_page_cell(struct an_page *page, const char *text, struct tr_err *err) {
    if (is_shown(page, page->at))
        TR_TRY(page->format == AN_TEXT ? cell_of_text(page, text, err)
                                       : cell_of_markup(page, text, err));
    return ++page->at == page->columns ? end_row(page, err) : TR_OK;
}

static enum tr_status begin_latex(struct an_page *page, struct tr_err *err) {
    TR_TRY(tr_string_format(page->out, err, "\\begin{tabular}{"));
    for (int i = 0; i < page->columns; i++)
        if (is_shown(page, i))
            TR_TRY(tr_string_format(page->out, err, "%s", page->column[i].words ? "l" : "r"));
    return append_line(page, "}", err);
}

// The line of Markdown below the head, which says how columns are aligned.
static enum tr_status align_markdown(struct an_page *page, struct tr_err *err) {
    for (int i = 0; i < page->columns; i++)
        TR_TRY(tr_string_format(page->out, err, "%s", page->column[i].words ? "|:--" : "|--:"));
    return append_line(page, "|", err);
}

enum tr_status an_page_table(struct an_page *page, const struct an_column *column, int columns,
                             struct tr_err *err) {
    page->column = column;
    page->columns = columns;
    TR_TRY(an_page_gap(page, err));
    if (page->format == AN_LATEX)
        TR_TRY(begin_latex(page, err));
    for (int i = 0; i < columns; i++)
        TR_TRY(an_page_cell(page, column[i].name, err));
    if (page->format == AN_LATEX)
        return append_line(page, "\\hline", err);
    return page->format == AN_MARKDOWN ? align_markdown(page, err) : TR_OK;
}

enum tr_status an_page_table_end(struct an_page *page, struct tr_err *err) {
    page->below = true;
    return page->format == AN_LATEX ? append_line(page, "\\end{tabular}", err) : TR_OK;
}

enum tr_status an_page_picture(struct an_page *page, struct tr_err *err) {
    TR_TRY(an_page_gap(page, err));
    return page->format == AN_MARKDOWN ? append_line(page, "```", err) : TR_OK;
}

enum tr_status an_page_picture_end(struct an_page *page, struct tr_err *err) {
    page->below = true;
    return page->format == AN_MARKDOWN ? append_line(page, "```", err) : TR_OK;
}

void an_page_free(struct an_page *page) {
    tr_string_free(&page->text);
}
