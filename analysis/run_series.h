// SPDX-License-Identifier: Apache-2.0
#ifndef AN_RUN_SERIES_H
#define AN_RUN_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/criterion.h"
#include "analysis/timeline.h"
#include "base/status.h"
#include "store/store.h"

// What a store says of the layers over training: its complete checkpoints, in order.

// Means over the tokens of a sequence: of what is ranked by, and, when that is importance, of what
// explains it (else NaN).
enum an_measure { AN_RANKED, AN_UPDATE_RATIO, AN_ALIGNMENT, AN_MEASURES };

struct an_series {
    char *path, *model, *tokens_digest, *dtype; // "" where the store does not say
    char *scans; // "attn:0,2": where attn is the scan of a state space; "": nowhere
    int64_t layers, sequences, seq_len;
    enum an_by by;       // what is ranked by
    int64_t sampled;     // sequences whose means are known; 1: only the mean of all
    int64_t cost_batch;  // neighbours among them, where they are the rows of costs; 0: all rows
    int64_t checkpoints; // complete ones
    int64_t first;       // claims rest on checkpoints from here on,
    int64_t claimed;     // on so many of them,
    int64_t *claim;      // [claimed] these, ascending
    bool *gappy;         // [layers, TR_MODULES] left out: without a value at some of them
    int64_t untrained;   // the checkpoint of step 0; -1: none
    enum an_axis axis;
    struct an_checkpoint *checkpoint; // [checkpoints]
    double *value;       // [checkpoints, layers, TR_MODULES] mean of what is ranked by; NaN: absent
    double *importance;  // the same shape: mean 1 - cos
    double *stream_norm; // the same shape: mean |x|
    // [checkpoints, layers, TR_MODULES] tokens left out of the mean: not finite; without an angle,
    // x or x + delta being 0 (none where no token is counted, as in a sublayer that is absent)
    uint32_t *nonfinite, *angleless;
    // [checkpoints, layers, TR_MODULES, sampled]
    double *by_sequence[AN_MEASURES];
    uint32_t *tokens; // counted; NULL: the same number everywhere
    int64_t texts;    // of which the rows are, where that is known; else 0
    char **text;      // [texts] their names
    int64_t *text_of; // [sampled] which text a row is of; NULL: not known, or one
    int64_t failed;
    char **failure;  // [failed] "step 512 (name): reason"
    bool unfinished; // parts lie beside the store: the run goes on, or was cut off
};

// Reads all complete rows; `first` is the first whose step is at least `from` (INT64_MIN: all, also
// those of unknown step). TR_EFORMAT naming `path` when no row is complete, TR_EUSAGE when none is
// from that step on, or none has what is ranked by.
enum tr_status an_series_load(struct an_series *series, const struct tr_trace *trace,
                              const char *path, enum an_by by, int64_t from, struct tr_err *err);
void an_series_free(struct an_series *series);

// Fills in the weights of the checkpoints in `claim`.
enum tr_status an_series_weigh(struct an_series *series, struct tr_err *err);

// Makes claims rest on values that can be compared: over the same checkpoints for all layers of the
// modules that `wanted` names. While a layer has a value at some of the checkpoints only, the
// checkpoint or the layer that lacks the larger share is left out (of equal ones the checkpoint).
enum tr_status an_series_close_gaps(struct an_series *series, const bool wanted[TR_MODULES],
                                    struct tr_err *err);

// Where (checkpoint, layer, module) is in `value` and `nonfinite`; times `sampled`, in
// `by_sequence` and `tokens`.
static inline int64_t an_series_cell(const struct an_series *series, int64_t checkpoint,
                                     int64_t layer, int module) {
    return (checkpoint * series->layers + layer) * TR_MODULES + module;
}

#endif
