// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TASK_RESULTS_H
#define TR_TASK_RESULTS_H

#include <jansson.h>

#include "base/named_sets.h"
#include "base/strings.h"
#include "eval/task_means.h"
#include "eval/task_metrics.h"
#include "eval/task_plan.h"

// What comes out of tasks: a cell for each checkpoint, drop set, task and metric, and what is
// printed and written of them.

struct tr_task_cell {
    int64_t checkpoint, set; // set 0: the whole model, i: without the names' set i - 1
    const struct tr_task *task;
    const struct tr_metric *metric;
    int64_t documents, near_ties;
    double value, error;
    // Of a drop set: from the whole model. Of the whole model: from the checkpoint before.
    bool is_compared;
    struct tr_task_difference difference;
};

struct tr_task_results {
    char **checkpoints; // [checkpoint_count] names, borrowed
    int64_t checkpoint_count;
    const struct tr_named_sets *sets;
    double level;               // of intervals
    struct tr_task_cell *cells; // [count] by checkpoint, set, task, metric
    int64_t count;
    uint64_t capacity;
    struct tr_task_means means; // over tasks
    // What tells readers how it was made, for the "config" of the harness's files.
    const char *model_folder, *type, *device;
};

// Adds the cells of a task at a checkpoint. likelihoods[1 + sets, plan->requests]; `before`: those
// of the checkpoint before, NULL: there is none. Cells have to come by checkpoint and task.
enum tr_status tr_task_results_add(struct tr_task_results *results, int64_t checkpoint,
                                   const struct tr_task_plan *plan,
                                   const struct tr_likelihood *likelihoods,
                                   const struct tr_likelihood *before, struct tr_err *err);
void tr_task_results_free(struct tr_task_results *results);

// A table for people, in the order checkpoint, drop set, task, metric.
enum tr_status tr_task_results_table(const struct tr_task_results *results, struct tr_string *out,
                                     struct tr_err *err);

// The cells of one checkpoint and set as lm-evaluation-harness writes its results_*.json: its own
// tools read it. A new value.
json_t *tr_task_results_json(const struct tr_task_results *results, int64_t checkpoint,
                             int64_t set);
// All paired differences, and the means over tasks. A new value.
json_t *tr_task_differences_json(const struct tr_task_results *results);

#endif
