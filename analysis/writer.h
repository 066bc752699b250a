// SPDX-License-Identifier: Apache-2.0
#ifndef AN_WRITER_H
#define AN_WRITER_H

#include "analysis/heatmap.h"
#include "analysis/result.h"
#include "page.h"

// A report in the making, passed through its chapters.
struct an_writer {
    const struct an_result *result;
    const struct an_group_result *group; // the chapter's
    char lowest[32];                     // "3 lowest", "lowest"
    struct an_style style;
    struct an_page page;
    struct tr_string *text; // page.text: the paragraph
    struct tr_string *out;  // page.out
    int64_t *list;          // room for numbers of units
};

// The chapters of a group.
enum tr_status an_write_table(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_sets(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_stability(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_history(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_chance(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_trial(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_forecast(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_set_costs(struct an_writer *w, struct tr_err *err); // of the whole store
enum tr_status an_write_spans(struct an_writer *w, struct tr_err *err);

// Ends the paragraph: broken into lines, those after the first indented by 2.
enum tr_status an_write_paragraph(struct an_writer *w, struct tr_err *err);
// A blank line and a heading.
enum tr_status an_write_heading(struct an_writer *w, const char *heading, struct tr_err *err);
// " %9.3g", or a dash where there is no number.
enum tr_status an_write_cell(struct an_writer *w, double value, struct tr_err *err);

// To the paragraph: "0.01 [0.009, 0.011]", "0.01 (no interval)" or "unknown".
enum tr_status an_add_estimate(struct an_writer *w, const struct an_estimate *estimate,
                               struct tr_err *err);
// To the paragraph: the units w->list[0, count) of the group, as "layers 0, 1 and 2" or, in the
// joint ranking, "attn 0, 1 and 2, mlp 4". Sorts them.
enum tr_status an_add_units(struct an_writer *w, int64_t count, struct tr_err *err);
enum tr_status an_add_unit(struct an_writer *w, int64_t unit, struct tr_err *err);

// What the report ranks by.
const struct an_criterion *an_criterion_of(const struct an_writer *w);
// "step 512" of a checkpoint of the series.
const char *an_label(const struct an_writer *w, int64_t checkpoint);
const char *an_plural(int64_t count); // "" or "s"

#endif
