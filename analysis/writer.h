// SPDX-License-Identifier: Apache-2.0
#ifndef AN_WRITER_H
#define AN_WRITER_H

#include "analysis/heatmap.h"
#include "analysis/result.h"
#include "page.h"
#include "sparkline.h"

// A report in the making, passed through its chapters.
struct an_writer {
    const struct an_result *result;
    const struct an_comparison *comparison; // NULL: one run
    const struct an_result *second;
    const struct an_group_result *group; // the chapter's
    char lowest[32];                     // "3 lowest", "lowest"
    const struct an_report *how;
    struct an_style style;
    struct an_page page;
    struct tr_string *text;  // page.text: the paragraph
    struct tr_string *out;   // page.out
    struct tr_string legend; // what words mean, a line each
    struct tr_string cell;   // room for one
    int64_t *list;           // room for numbers of units
    double floor;            // an_noise_floor of the store
    bool marked;             // a divergence below it was printed
};

// The parts of the whole report.
enum tr_status an_write_answer(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_budget(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_data(struct an_writer *w, struct tr_err *err);

// The parts of a group.
enum tr_status an_write_table(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_texts(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_map(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_sets(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_below(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_stability(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_history(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_chance(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_trial(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_forecast(struct an_writer *w, struct tr_err *err);

enum tr_status an_write_set_costs(struct an_writer *w, struct tr_err *err); // of the whole store
enum tr_status an_write_spans(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_search(struct an_writer *w, struct tr_err *err);
enum tr_status an_write_runs(struct an_writer *w, struct tr_err *err);

// The layers of all groups as CSV.
enum tr_status an_write_csv(const struct an_result *result, struct tr_string *out,
                            struct tr_err *err);

// To the paragraph: whether each text alone gives the group's set.
enum tr_status an_add_texts(struct an_writer *w, struct tr_err *err);

// Whether a section is asked for.
bool an_is_wanted(const struct an_writer *w, enum an_section section);
// Sets the group, and `lowest` after it.
void an_begin_group(struct an_writer *w, const struct an_group_result *group);

// Ends the paragraph: broken into lines, those after the first indented by 2.
enum tr_status an_write_paragraph(struct an_writer *w, struct tr_err *err);
// A heading of a part of a chapter.
enum tr_status an_write_heading(struct an_writer *w, const char *heading, struct tr_err *err);
// Ends the paragraph: it is what words mean, said once, at the end of the report.
enum tr_status an_end_legend(struct an_writer *w, struct tr_err *err);

// The next cell of a table: words, a number (a dash where there is none), a layer's name, or a
// drawing.
enum tr_status an_cell(struct an_writer *w, struct tr_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum tr_status an_cell_number(struct an_writer *w, double value, struct tr_err *err);
// A divergence, with a mark where it is below the noise floor.
enum tr_status an_cell_divergence(struct an_writer *w, double value, struct tr_err *err);
enum tr_status an_cell_layer(struct an_writer *w, int module, int64_t layer, bool joint,
                             struct tr_err *err);
enum tr_status an_cell_line(struct an_writer *w, const struct an_sparkline *line,
                            struct tr_err *err);

// To the paragraph: "0.01 [0.009, 0.011]", "0.01 (no interval)" or "unknown".
enum tr_status an_add_estimate(struct an_writer *w, const struct an_estimate *estimate,
                               struct tr_err *err);
// The same of a divergence, marked behind its value.
enum tr_status an_add_divergence(struct an_writer *w, const struct an_estimate *estimate,
                                 struct tr_err *err);
// To the paragraph: the units w->list[0, count) of the group, as "layers 0, 1 and 2" or, in the
// joint ranking, "attn 0, 1 and 2, mlp 4". Sorts them.
enum tr_status an_add_units(struct an_writer *w, int64_t count, struct tr_err *err);
// Their numbers alone, "0, 1 and 2", of a group of one module. Sorts them.
enum tr_status an_add_numbers(struct an_writer *w, int64_t count, struct tr_err *err);
enum tr_status an_add_unit(struct an_writer *w, int64_t unit, struct tr_err *err);

// What the report ranks by.
const struct an_criterion *an_criterion_of(const struct an_writer *w);
// "step 512" of a checkpoint of the series.
const char *an_label(const struct an_writer *w, int64_t checkpoint);
const char *an_plural(int64_t count); // "" or "s"

extern const char *const an_group_titles[AN_GROUPS];

#endif
