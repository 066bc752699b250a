// SPDX-License-Identifier: Apache-2.0
#ifndef AN_TIMELINE_H
#define AN_TIMELINE_H

#include <stdint.h>

#include "base/status.h"
#include "store/store.h"

// What rows of a store say of themselves: which checkpoint each is, where it is in training, and
// its loss. The analysis and the figures both read it here.
//
// The loss of a checkpoint is the mean of `nll` over all calibration sequences. When it is not
// finite in even one of them the loss of the checkpoint is NaN: a mean over the others would be of
// another text, and would look better than the model is.

// What orders checkpoints in time: the first of these that is known of all and increases.
enum an_axis { AN_AXIS_TOKENS, AN_AXIS_STEP, AN_AXIS_INDEX, AN_AXES };
extern const char *const an_axis_names[AN_AXES]; // "token", "step", "checkpoint"

struct an_checkpoint {
    char *label;      // "step 512"; the name where no step is known
    char *column;     // the same for narrow columns: "512", "143k", "2M"
    char *name;       // of the checkpoint
    char *stage;      // "" when training has one
    char *digest;     // of the weights
    int64_t row;      // in the store
    int64_t step;     // -1: unknown
    double tokens;    // seen in training; NaN: unknown
    double at;        // on the axis; AN_AXIS_INDEX: 0, 1, 2 ...
    double weight;    // share of training (an_series_weigh); 0: claims do not rest on it
    double nll;       // mean over all sequences, nats; NaN: not measured, or not finite in one
    double nll_error; // standard error of that mean, s / sqrt(sequences); NaN where it has none
    int64_t no_loss;  // sequences whose loss is not finite; 0 where none was measured
};

// The checkpoints of rows[count], indices into the trace, in their order; freed with
// an_timeline_free.
enum tr_status an_timeline_load(struct an_checkpoint **checkpoint_p, enum an_axis *axis_p,
                                const struct tr_trace *trace, const int64_t *rows, int64_t count,
                                struct tr_err *err);
void an_timeline_free(struct an_checkpoint *checkpoint, int64_t count); // accepts NULL

#endif
