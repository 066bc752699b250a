// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TASK_METRICS_H
#define TR_TASK_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/requests.h"
#include "eval/score.h"
#include "statistics/interval.h"

// What likelihoods say of a task, by the formulas of lm-evaluation-harness 0.4.13, as a table: a
// metric is a row. Every metric is f(sum over documents of value / sum of weight), with one value
// and one weight of each document, so that one formula gives all standard errors and intervals.
//
//   acc              the likeliest choice is right; of equals the first counts, here and below
//   acc_norm, _bytes the same of log p / code points, log p / bytes of the choice's text
//   acc_mutual_info  the same of log p less log p without the context
//   exact_match      a right choice is what greedy decoding would give
//   acc              of loglikelihood: the continuation is
//   exact_match      of generate_until: the text is one of the targets
//   new_tokens       of prompts without targets: how many there are
//   perplexity       exp(-mean log p of a document)
//   word_, byte_perplexity, bits_per_byte
//                    exp(-sum log p / sum of words or bytes), that of bytes / ln 2
//   loss, perplexity of a text in windows: -sum log p / tokens, and its exponential

// Of one document.
struct tr_observation {
    double value, weight;
    bool near_tie; // a likelihood that were off by TR_NEAR_TIE could change the choice
};
// The accuracy in nats to which two right computations in f32 agree on a likelihood.
#define TR_NEAR_TIE 1e-4

enum tr_metric_form { TR_AS_IS, TR_EXP_MINUS, TR_MINUS, TR_MINUS_BITS };

struct tr_metric {
    const char *name;
    enum tr_task_kind kind;
    bool higher_is_better;
    enum tr_metric_form transform;
    bool needs_alone; // the continuations without a context
    // likelihoods[document->count]
    struct tr_observation (*observe)(const struct tr_document *document,
                                     const struct tr_likelihood *likelihoods);
};
extern const struct tr_metric tr_metrics[];
extern const int tr_metric_count;

// Whether the metric says something of the task.
bool tr_metric_applies(const struct tr_metric *metric, const struct tr_task *task);

// A metric over a task's documents that have no fault.
struct tr_measurement {
    double *value, *weight; // [documents]
    int64_t documents;
    double estimate;
    double error; // standard error, by the delta method; NaN of a single document
    int64_t near_ties;
};
// `first`[documents of the task]: where a document's likelihoods begin.
enum tr_status tr_measurement_make(struct tr_measurement *measurement,
                                   const struct tr_metric *metric, const struct tr_task *task,
                                   const struct tr_likelihood *likelihoods, const int64_t *first,
                                   struct tr_err *err);
void tr_measurement_free(struct tr_measurement *measurement);

// One measurement less another of the same documents: paired.
struct tr_task_difference {
    double estimate;
    struct an_interval interval; // of the jackknife's pseudo-values, skewness-corrected t
    // Of right or wrong alone, else NaN: the probability of so many documents or more changing
    // sides one way if both ways were alike (McNemar's test, exact, two-sided).
    double p;
    int64_t gained, lost; // documents
};
enum tr_status tr_task_difference_make(struct tr_task_difference *difference,
                                       const struct tr_metric *metric,
                                       const struct tr_measurement *of,
                                       const struct tr_measurement *against, double level,
                                       struct tr_err *err);

#endif
