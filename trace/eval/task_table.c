// SPDX-License-Identifier: Apache-2.0
// Results of tasks as a table for people: that of lm-evaluation-harness, with what it lacks.
#include "eval/task_results.h"
#include "page_table.h"

static const struct tr_page_column columns[] = {
    {"Checkpoint", false, false}, {"Left out", false, false}, {"Tasks", false, false},
    {"n", true, false},           {"Metric", false, false},   {"", false, false},
    {"Value", true, true},        {"", false, true},          {"Stderr", true, true},
    {"Difference", true, false},  {"Interval", true, true},   {"Ties", true, false}};
enum { KEYS = 5 };

static enum tr_status add_difference(struct tr_page_table *table, const struct tr_task_cell *cell,
                                     struct tr_err *err) {
    const struct tr_task_difference *d = &cell->difference;
    if (!cell->is_compared) {
        TR_TRY(tr_page_cell(table, err, "%s", ""));
        return tr_page_cell(table, err, "%s", "");
    }
    TR_TRY(tr_page_number(table, d->estimate, true, err));
    return tr_page_interval(table, d->interval.low, d->interval.high, true, err);
}

static enum tr_status add_row(struct tr_page_table *table, const struct tr_task_results *results,
                              const struct tr_task_cell *cell, struct tr_err *err) {
    TR_TRY(tr_page_cell(table, err, "%s", results->checkpoints[cell->checkpoint]));
    TR_TRY(tr_page_cell(table, err, "%s",
                        cell->set ? results->sets->sets[cell->set - 1].name : "nothing"));
    TR_TRY(tr_page_cell(table, err, "%s", cell->task->name));
    TR_TRY(tr_page_cell(table, err, "%lld", (long long)cell->documents));
    TR_TRY(tr_page_cell(table, err, "%s", cell->metric->name));
    TR_TRY(tr_page_cell(table, err, "%s", cell->metric->higher_is_better ? "↑" : "↓"));
    TR_TRY(tr_page_number(table, cell->value, false, err));
    TR_TRY(tr_page_cell(table, err, "±"));
    TR_TRY(tr_page_number(table, cell->error, false, err));
    TR_TRY(add_difference(table, cell, err));
    if (!cell->near_ties)
        return tr_page_cell(table, err, "%s", "");
    return tr_page_cell(table, err, "%lld", (long long)cell->near_ties);
}

// Cells come by task; people compare what a drop set does, so all tasks of one set are together.
static enum tr_status add_rows(struct tr_page_table *table, const struct tr_task_results *results,
                               int64_t checkpoint, struct tr_err *err) {
    for (int64_t set = 0; set <= results->sets->count; set++)
        for (int64_t i = 0; i < results->count; i++)
            if (results->cells[i].checkpoint == checkpoint && results->cells[i].set == set)
                TR_TRY(add_row(table, results, &results->cells[i], err));
    return TR_OK;
}

static enum tr_status write_legend(struct tr_string *out, const struct tr_task_results *results,
                                   struct tr_err *err) {
    bool ties = false, compared = false;
    for (int64_t i = 0; i < results->count; i++) {
        ties = ties || results->cells[i].near_ties > 0;
        compared = compared || results->cells[i].is_compared;
    }
    if (compared)
        TR_TRY(tr_string_format(
            out, err,
            "Difference: from the whole model, of the whole model from the checkpoint before; "
            "paired by\ndocument, with its %.3g %% interval (skewness-corrected t).\n",
            100 * results->level));
    if (!ties)
        return TR_OK;
    return tr_string_format(out, err,
                            "Ties: documents whose choice a likelihood that were off by %g could "
                            "change.\n",
                            TR_NEAR_TIE);
}

enum tr_status tr_task_results_table(const struct tr_task_results *results, struct tr_string *out,
                                     struct tr_err *err) {
    struct tr_page_table table = {
        .columns = columns, .column_count = sizeof columns / sizeof *columns, .keys = KEYS};
    enum tr_status status = TR_OK;
    for (int64_t c = 0; c < results->checkpoint_count && status == TR_OK; c++)
        status = add_rows(&table, results, c, err);
    if (status == TR_OK)
        status = tr_page_write(&table, out, err);
    tr_page_free(&table);
    TR_TRY(status);
    TR_TRY(write_legend(out, results, err));
    return tr_task_means_table(&results->means, results->checkpoints, results->sets, results->level,
                               out, err);
}
