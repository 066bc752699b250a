// SPDX-License-Identifier: Apache-2.0
#ifndef AN_COMPUTATION_H
#define AN_COMPUTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/result.h"
#include "statistics/bootstrap.h"
#include "statistics/interval.h"
#include "statistics/panel.h"

// What is computed once for all units of a store and used while a result is made. A panel's unit is
// layer * TR_MODULES + module, as the store has it.
struct an_work {
    const struct an_settings *settings;
    const struct an_series *series;
    struct an_panel panel;   // all complete checkpoints
    struct an_panel claimed; // those of series.claim, without the layers that have gaps there
    double *values;          // its values where they are not the series' own; NULL: they are
    uint32_t *tokens;        // its tokens, as above
    double *weight;          // [claimed.checkpoints] share of training
    double *means;           // [claimed.checkpoints, units] importance
    double *share;           // [sampled] each sequence's tokens over their mean
    struct an_resamples resamples;
    struct an_draws draws;
    double *estimate[AN_AGGREGATES]; // [units]
    double *pseudo[AN_AGGREGATES];   // [units, sampled]
    double *untrained;               // [units, sampled] pseudo-values at step 0; NULL: no step 0
    double *bound;                   // [units] one-sided, of the worst case
    double *below_p;                 // [units] of the below-tau test; NULL: not asked
};

enum tr_status an_work_prepare(struct an_work *work, const struct an_settings *settings,
                               const struct an_series *series, struct tr_err *err);
void an_work_free(struct an_work *work);

// A unit's aggregate as the intervals take it. Nothing is resampled when there is one sample, nor
// for AN_WORST, whose interval is no percentile.
struct an_sample an_work_sample(const struct an_work *work, enum an_aggregate which, int64_t unit);

// The estimate of a sample; of a difference a - b. Limits that lie outside of what the quantity can
// be are cut there, which takes nothing from what an interval covers.
enum tr_status an_estimate_sample(struct an_estimate *estimate, const struct an_sample *sample,
                                  struct an_range range, double level, struct tr_err *err);
enum tr_status an_estimate_difference(struct an_estimate *estimate, const struct an_sample *a,
                                      const struct an_sample *b, struct an_range range,
                                      double level, struct tr_err *err);

// Cuts the limits; those that are NaN stay.
void an_keep_within(struct an_estimate *estimate, struct an_range range);

// Whether all units of the group have a value at the checkpoint: rankings of fewer are not
// compared.
bool an_is_whole(const struct an_group_result *group, int64_t checkpoint);

// The parts of a result, each by its own file. A group is NULL when nothing of it was measured.
enum tr_status an_group_make(struct an_group_result **group_p, const struct an_work *work,
                             enum an_group group, struct tr_err *err);
void an_group_free(struct an_group_result *group); // accepts NULL

enum tr_status an_stability_make(struct an_group_result *group, const struct an_work *work,
                                 struct tr_err *err);
enum tr_status an_texts_make(struct an_group_result *group, const struct an_work *work,
                             struct tr_err *err);
enum tr_status an_history_make(struct an_group_result *group, const struct an_work *work,
                               struct tr_err *err);
enum tr_status an_changes_make(struct an_group_result *group, const struct an_work *work,
                               struct tr_err *err);
enum tr_status an_faults_find(struct an_result *result, struct tr_err *err);
enum tr_status an_spans_make(struct an_spans **spans_p, const struct an_series *series,
                             const struct tr_trace *trace, double level, struct tr_err *err);
void an_spans_free(struct an_spans *spans); // accepts NULL

#endif
