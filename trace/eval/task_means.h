// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TASK_MEANS_H
#define TR_TASK_MEANS_H

#include <jansson.h>

#include "base/named_sets.h"
#include "base/strings.h"
#include "eval/task_plan.h"
#include "statistics/interval.h"

// One number for several tasks, as papers state what a drop costs: the mean of the tasks' scores,
// each task counting the same, and the share of the whole model's mean that is retained. A task's
// score is its acc or, where text is generated, its exact_match; other tasks have none.
//
// Intervals are paired by document, tasks being strata: with task k's documents i of n_k, N of all
// K tasks, the pseudo-values are theta + N / (K n_k) (d_ki - mean d_k), whose mean is theta and
// whose variance over N is sum_k var(d_k) / n_k / K^2. d is score - whole for the difference and
// (score - R whole) / W for the share R of the whole model's mean W.
struct tr_task_mean {
    int64_t checkpoint, set; // set 0: the whole model
    int64_t tasks, documents;
    double value;
    // Of a set, else NaN.
    double difference, share;
    struct an_interval difference_interval, share_interval;
};

struct tr_task_means {
    struct tr_task_mean *means; // [count] by checkpoint, set
    int64_t count;
    uint64_t capacity;
};

// Adds those of a checkpoint, if two tasks or more have a score. likelihoods[count] of the plans,
// [1 + sets, requests] each.
enum tr_status tr_task_means_add(struct tr_task_means *means, int64_t checkpoint,
                                 const struct tr_named_sets *sets, const struct tr_task_plan *plans,
                                 int64_t count, struct tr_likelihood *const *likelihoods,
                                 double level, struct tr_err *err);
void tr_task_means_free(struct tr_task_means *means);

// A table for people, nothing where there are none; and a list for programs, a new value.
enum tr_status tr_task_means_table(const struct tr_task_means *means, char *const *checkpoints,
                                   const struct tr_named_sets *sets, double level,
                                   struct tr_string *out, struct tr_err *err);
json_t *tr_task_means_json(const struct tr_task_means *means, char *const *checkpoints,
                           const struct tr_named_sets *sets);

#endif
