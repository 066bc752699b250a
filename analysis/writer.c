// SPDX-License-Identifier: Apache-2.0
#include "writer.h"

#include <math.h>
#include <stdlib.h>

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
    return tr_string_format(w->out, err, "\n%s\n\n", heading);
}

enum tr_status an_write_cell(struct an_writer *w, double value, struct tr_err *err) {
    if (isnan(value))
        return tr_string_format(w->out, err, "%10s", "-");
    return tr_string_format(w->out, err, " %9.3g", value);
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

enum tr_status an_add_units(struct an_writer *w, int64_t count, struct tr_err *err) {
    const struct an_unit *unit = w->group->unit;
    qsort(w->list, (size_t)count, sizeof *w->list, compare_units);
    if (w->group->group != AN_JOINT) {
        TR_TRY(tr_string_format(w->text, err, "layer%s ", an_plural(count)));
        return add_layers(w, 0, count, err);
    }
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
