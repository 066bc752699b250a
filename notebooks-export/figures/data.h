// SPDX-License-Identifier: Apache-2.0
#ifndef NX_DATA_H
#define NX_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/timeline.h"
#include "figures/scale.h"
#include "store/excerpt.h"
#include "store/store.h"

// What figures draw, in memory: the excerpt's checkpoints (complete ones), layers and modules.

struct nx_data {
    int64_t checkpoints, layers;
    enum an_axis by; // the first that is known of all these checkpoints and increases
    double *at;      // [checkpoints] tokens, steps or 1, 2, 3 ...
    char **column;   // [checkpoints] the same, short: "12.6M"
    char **label;    // [checkpoints] in full: "step 512, 12.6M tokens"; may quote the file
    char **layer;    // [layers] their numbers in the model
    int64_t *number; // [layers]
    bool shown[TR_MODULES];
    double *importance[TR_MODULES]; // [layers, checkpoints] mean 1 - cos; NaN: absent
    double *nll; // [checkpoints] nats per token, NaN by the rule of timeline.h; NULL: not measured
    // Where a store has them, else NULL. Both at the last checkpoint that has them.
    int64_t boundaries;
    double *spans; // [boundaries, boundaries] mean cosine of the stream at two boundaries
    double
        *cost[TR_MODULES]; // [layers] KL divergence when the sublayer is left out, nats per token
    const char *spans_label, *cost_label; // that checkpoint's label
};

enum tr_status nx_data_load(struct nx_data *data, const struct tr_trace *trace,
                            const struct tr_excerpt *excerpt, struct tr_err *err);
void nx_data_free(struct nx_data *data);

// "Attention", "MLP", "Block": for people.
extern const char *const nx_module_titles[TR_MODULES];

// "Tokens seen", "Training step" or "Checkpoint".
const char *nx_progress_label(enum an_axis by);

// The scale of a continuous axis over the checkpoints: logarithmic, with a place for 0 when the
// series begins there; linear for AN_AXIS_INDEX.
struct nx_scale nx_progress_scale(const struct nx_data *data);

#endif
