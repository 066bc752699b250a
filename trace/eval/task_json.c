// SPDX-License-Identifier: Apache-2.0
// Results of tasks as JSON: in the shape of lm-evaluation-harness, and the differences.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/task_results.h"

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_string("N/A");
}

static json_t *member(json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    if (value)
        return value;
    value = json_object();
    json_object_set_new(object, key, value);
    return value;
}

// "acc,none" and "acc_stderr,none": metric, comma, filter.
static void add_metric(json_t *task, const struct tr_task_cell *cell) {
    char key[80];
    snprintf(key, sizeof key, "%s,none", cell->metric->name);
    json_object_set_new(task, key, number(cell->value));
    snprintf(key, sizeof key, "%s_stderr,none", cell->metric->name);
    json_object_set_new(task, key, number(cell->error));
}

static void add_cell(json_t *value, const struct tr_task_cell *cell) {
    const char *name = cell->task->name;
    json_t *result = member(member(value, "results"), name);
    json_object_set_new(result, "name", json_string(name));
    json_object_set_new(result, "alias", json_string(name));
    json_object_set_new(result, "sample_len", json_integer(cell->documents));
    add_metric(result, cell);
    json_object_set_new(member(value, "versions"), name, json_string("N/A"));
    json_object_set_new(member(value, "n-shot"), name, json_string("N/A"));
    json_object_set_new(member(member(value, "higher_is_better"), name), cell->metric->name,
                        json_boolean(cell->metric->higher_is_better));
    json_object_set_new(member(value, "n-samples"), name,
                        json_pack("{s:I, s:I}", "original", (json_int_t)cell->task->count,
                                  "effective", (json_int_t)cell->documents));
    json_object_set_new(
        member(value, "configs"), name,
        json_pack("{s:s, s:s}", "task", name, "output_type", tr_task_kind_names[cell->task->kind]));
}

static json_t *config_of(const struct tr_task_results *results, int64_t set) {
    struct tr_string drop = {0};
    if (tr_string_append(&drop, "", 0, NULL) == TR_OK && set)
        tr_drop_set_text(&results->sets->sets[set - 1].drop, &drop, NULL);
    json_t *config =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "model", "trace-eval", "model_args",
                  results->model_folder, "drop", drop.data ? drop.data : "", "drop_name",
                  set ? results->sets->sets[set - 1].name : "", "device", results->device, "dtype",
                  results->type);
    tr_string_free(&drop);
    return config;
}

json_t *tr_task_results_json(const struct tr_task_results *results, int64_t checkpoint,
                             int64_t set) {
    json_t *value = json_object();
    member(value, "results");
    for (int64_t i = 0; i < results->count; i++)
        if (results->cells[i].checkpoint == checkpoint && results->cells[i].set == set)
            add_cell(value, &results->cells[i]);
    json_object_set_new(value, "config", config_of(results, set));
    json_object_set_new(value, "model_name", json_string(results->checkpoints[checkpoint]));
    return value;
}

static json_t *difference_json(const struct tr_task_results *results,
                               const struct tr_task_cell *cell) {
    const struct tr_task_difference *d = &cell->difference;
    int64_t before = cell->set ? cell->checkpoint : cell->checkpoint - 1;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:s, s:o, s:I, s:I, s:I}",
                     "checkpoint", results->checkpoints[cell->checkpoint], "drop",
                     cell->set ? results->sets->sets[cell->set - 1].name : "", "against_checkpoint",
                     results->checkpoints[before], "task", cell->task->name, "metric",
                     cell->metric->name, "documents", (json_int_t)cell->documents, "difference",
                     number(d->estimate), "low", number(d->interval.low), "high",
                     number(d->interval.high), "method", an_method_name(d->interval.method),
                     "mcnemar_p", number(d->p), "gained", (json_int_t)d->gained, "lost",
                     (json_int_t)d->lost, "near_ties", (json_int_t)cell->near_ties);
}

json_t *tr_task_differences_json(const struct tr_task_results *results) {
    json_t *list = json_array();
    for (int64_t i = 0; i < results->count; i++)
        if (results->cells[i].is_compared)
            json_array_append_new(list, difference_json(results, &results->cells[i]));
    return json_pack("{s:f, s:o, s:o}", "level", results->level, "differences", list, "means",
                     tr_task_means_json(&results->means, results->checkpoints, results->sets));
}
