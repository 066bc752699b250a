// SPDX-License-Identifier: Apache-2.0
#ifndef AN_BOOTSTRAP_H
#define AN_BOOTSTRAP_H

#include <stdint.h>

#include "base/status.h"
#include "statistics/panel.h"

// Resamples of the sequences: weights[count, sequences] says how often each sequence was drawn
// (multinomial; a row sums to `sequences`). One matrix serves all units and checkpoints, so that
// what they have in common cancels in differences: every difference is paired. A row depends on the
// seed and the rows before it only.
struct an_resamples {
    int64_t count, sequences;
    uint64_t seed;
    double *weights;
};

enum tr_status an_resamples_draw(struct an_resamples *resamples, int64_t count, int64_t sequences,
                                 uint64_t seed, struct tr_err *err);
void an_resamples_free(struct an_resamples *resamples);

// What each resample gives: of[which][count, units], the aggregates of the resampled means
// sum_s(w_s tokens_s value_s) / sum_s(w_s tokens_s). What a resample gives per
// checkpoint is formed and dropped a tile at a time: memory is that of the three results and a copy
// of the panel. `weight` as for an_aggregate.
//
// 2 * count * sequences * checkpoints * units floating-point operations, twice that where units
// were not measured on the same tokens.
struct an_draws {
    int64_t count, units;
    double *of[AN_AGGREGATES];
};

// TR_ENOMEM; TR_EUSAGE when the resamples are of another number of sequences.
enum tr_status an_draws_make(struct an_draws *draws, const struct an_resamples *resamples,
                             const struct an_panel *panel, const double *weight,
                             struct tr_err *err);
void an_draws_free(struct an_draws *draws);

#endif
