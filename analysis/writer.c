// SPDX-License-Identifier: Apache-2.0
#include "writer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const an_group_titles[AN_GROUPS] = {
    [AN_ATTN] = "Attention",
    [AN_MLP] = "MLP",
    [AN_BLOCK] = "Blocks",
    [AN_JOINT] = "Attention and MLP ranked together",
};

bool an_is_wanted(const struct an_writer *w, enum an_section section) {
    return w->how->sections & 1U << section;
}

void an_begin_group(struct an_writer *w, const struct an_group_result *group) {
    w->group = group;
    if (group->count == 1)
        snprintf(w->lowest, sizeof w->lowest, "lowest");
    else
        snprintf(w->lowest, sizeof w->lowest, "%lld lowest", (long long)group->count);
}

const char *an_label(const struct an_writer *w, int64_t checkpoint) {
    return w->result->series.checkpoint[checkpoint].label;
}

const struct an_criterion *an_criterion_of(const struct an_writer *w) {
    return &an_criteria[w->result->settings.by];
}

const char *an_plural(int64_t count) {
    return count == 1 ? "" : "s";
}

enum tr_status an_write_paragraph(struct an_writer *w, struct tr_err *err) {
    return an_page_paragraph(&w->page, 2, err);
}

enum tr_status an_write_heading(struct an_writer *w, const char *heading, struct tr_err *err) {
    return an_page_heading(&w->page, 2, heading, err);
}

// Whether the line text[0, size) is one of the legend's.
static bool is_said(const struct tr_string *legend, const char *text, size_t size) {
    const char *line = legend->data;
    for (size_t length; line && *line; line += length + 1) {
        length = strcspn(line, "\n");
        if (length == size && memcmp(line, text, size) == 0)
            return true;
    }
    return false;
}

enum tr_status an_end_legend(struct an_writer *w, struct tr_err *err) {
    if (!is_said(&w->legend, w->text->data, w->text->size)) {
        TR_TRY(tr_string_append(&w->legend, w->text->data, w->text->size, err));
        TR_TRY(tr_string_append(&w->legend, "\n", 1, err));
    }
    w->text->size = 0;
    return TR_OK;
}

enum tr_status an_cell(struct an_writer *w, struct tr_err *err, const char *format, ...) {
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return an_page_cell(&w->page, text, err);
}

enum tr_status an_cell_number(struct an_writer *w, double value, struct tr_err *err) {
    return isnan(value) ? an_page_cell(&w->page, "-", err) : an_cell(w, err, "%.3g", value);
}

// The mark of a divergence that may be rounding alone.
static const char *mark_of(struct an_writer *w, double value) {
    bool marked = fabs(value) < w->floor;
    w->marked |= marked;
    return marked ? "~" : "";
}

enum tr_status an_cell_divergence(struct an_writer *w, double value, struct tr_err *err) {
    return isnan(value) ? an_page_cell(&w->page, "-", err)
                        : an_cell(w, err, "%.3g%s", value, mark_of(w, value));
}

enum tr_status an_cell_layer(struct an_writer *w, int module, int64_t layer, bool joint,
                             struct tr_err *err) {
    return an_cell(w, err, "%s%s%lld", joint ? tr_module_names[module] : "", joint ? " " : "",
                   (long long)layer);
}

enum tr_status an_cell_line(struct an_writer *w, const struct an_sparkline *line,
                            struct tr_err *err) {
    w->cell.size = 0;
    TR_TRY(tr_string_append(&w->cell, "", 0, err));
    TR_TRY(an_sparkline(&w->cell, line, err));
    return an_page_cell(&w->page, w->cell.data, err);
}

enum tr_status an_add_estimate(struct an_writer *w, const struct an_estimate *estimate,
                               struct tr_err *err) {
    if (isnan(estimate->value))
        return tr_string_format(w->text, err, "unknown");
    if (isnan(estimate->low))
        return tr_string_format(w->text, err, "%.3g (no interval)", estimate->value);
    return tr_string_format(w->text, err, "%.3g [%.3g, %.3g]", estimate->value, estimate->low,
                            estimate->high);
}

enum tr_status an_add_divergence(struct an_writer *w, const struct an_estimate *estimate,
                                 struct tr_err *err) {
    const char *mark = mark_of(w, estimate->value);
    if (!*mark || isnan(estimate->low))
        return an_add_estimate(w, estimate, err);
    return tr_string_format(w->text, err, "%.3g%s [%.3g, %.3g]", estimate->value, mark,
                            estimate->low, estimate->high);
}

static int compare_units(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

enum { RANGE = 5 }; // so many in a row are "3 to 7"

// The last of the run of consecutive layers that begins at list[i], all before list[end].
static int64_t end_of_run(const struct an_writer *w, int64_t i, int64_t end) {
    const struct an_unit *unit = w->group->unit;
    int64_t last = i;
    while (last + 1 < end && unit[w->list[last + 1]].layer == unit[w->list[last]].layer + 1)
        last++;
    return last - i + 1 < RANGE ? i : last;
}

// "0, 1, 4 to 9 and 12" of list[begin, end), which are of one module.
static enum tr_status add_layers(struct an_writer *w, int64_t begin, int64_t end,
                                 struct tr_err *err) {
    for (int64_t i = begin, last; i < end; i = last + 1) {
        last = end_of_run(w, i, end);
        TR_TRY(tr_string_format(w->text, err, "%s%lld",
                                i == begin        ? ""
                                : last == end - 1 ? " and "
                                                  : ", ",
                                (long long)w->group->unit[w->list[i]].layer));
        if (last > i)
            TR_TRY(tr_string_format(w->text, err, " to %lld",
                                    (long long)w->group->unit[w->list[last]].layer));
    }
    return TR_OK;
}

enum tr_status an_add_numbers(struct an_writer *w, int64_t count, struct tr_err *err) {
    qsort(w->list, (size_t)count, sizeof *w->list, compare_units);
    return add_layers(w, 0, count, err);
}

enum tr_status an_add_units(struct an_writer *w, int64_t count, struct tr_err *err) {
    const struct an_unit *unit = w->group->unit;
    if (w->group->group != AN_JOINT) {
        TR_TRY(tr_string_format(w->text, err, "layer%s ", an_plural(count)));
        return an_add_numbers(w, count, err);
    }
    qsort(w->list, (size_t)count, sizeof *w->list, compare_units);
    for (int64_t begin = 0, end; begin < count; begin = end) {
        for (end = begin; end < count && unit[w->list[end]].module == unit[w->list[begin]].module;)
            end++;
        TR_TRY(tr_string_format(w->text, err, "%s%s ", begin == 0 ? "" : ", ",
                                tr_module_names[unit[w->list[begin]].module]));
        TR_TRY(add_layers(w, begin, end, err));
    }
    return TR_OK;
}

enum tr_status an_add_unit(struct an_writer *w, int64_t unit, struct tr_err *err) {
    w->list[0] = unit;
    return an_add_units(w, 1, err);
}
