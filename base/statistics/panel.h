// SPDX-License-Identifier: Apache-2.0
#ifndef AN_PANEL_H
#define AN_PANEL_H

#include <stdint.h>

#include "base/status.h"

// What was measured: for every checkpoint, unit and sequence the mean over the sequence's tokens. A
// unit is whatever is ranked: a layer's attention, a layer, or all layers and modules of a store in
// a row. Sequences are the independent observations; tokens of one are not.
//
// A sequence whose value is not finite, or that has no tokens, is left out of that mean.
struct an_panel {
    int64_t checkpoints, units, sequences;
    const double *values;   // [checkpoints, units, sequences]
    const uint32_t *tokens; // the same shape; NULL: all equal
};

// The checkpoints [first, first + count) of a panel.
static inline struct an_panel an_panel_slice(const struct an_panel *panel, int64_t first,
                                             int64_t count) {
    struct an_panel slice = *panel;
    int64_t skip = first * panel->units * panel->sequences;
    slice.checkpoints = count;
    slice.values += skip;
    if (slice.tokens)
        slice.tokens += skip;
    return slice;
}

// means[checkpoints, units]: sum(tokens * value) / sum(tokens); NaN where nothing was measured.
void an_checkpoint_means(double *means, const struct an_panel *panel);

// weight[checkpoints], sum 1: each checkpoint's share of the training, by the trapezoidal rule over
// tokens_seen, which must ascend; equal shares when one is not finite, or they do not.
void an_time_weights(double *weight, const double *tokens_seen, int64_t checkpoints);

// One number per unit for the whole time. Checkpoints at which the unit has no mean are left out,
// and the weights of the rest count in full.
enum an_aggregate {
    AN_MEAN,  // sum_c weight_c mean_c / sum_c weight_c
    AN_WORST, // max_c mean_c: importance at its highest
    AN_LAST,  // the mean at the last checkpoint
    AN_AGGREGATES
};

// aggregate[units] of means[checkpoints, units]; weight[checkpoints] (for AN_MEAN), NULL: equal.
void an_aggregate(double *aggregate, enum an_aggregate which, const double *means,
                  const double *weight, int64_t checkpoints, int64_t units);

// pseudo[units, sequences]: the jackknife's pseudo-values n theta - (n - 1) theta_(-s) of each
// unit's aggregate (Tukey 1958), n the sequences measured at some checkpoint that counts; NaN for
// the others. With equal tokens they are the sequence's own aggregate. AN_WORST is taken at the
// checkpoint where the estimate is the highest, held fixed. Their mean and spread give standard
// errors, BCa's acceleration, and paired differences (subtract two units' rows).
enum tr_status an_pseudo_values(double *pseudo, const struct an_panel *panel,
                                enum an_aggregate which, const double *weight, struct tr_err *err);

#endif
