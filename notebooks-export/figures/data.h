// SPDX-License-Identifier: Apache-2.0
#ifndef NX_DATA_H
#define NX_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/result.h"
#include "analysis/timeline.h"
#include "figures/scale.h"
#include "store/excerpt.h"
#include "store/store.h"

// What figures draw, in memory: the excerpt's checkpoints (complete ones), layers and modules.

// What leaving a module's layers out costs, and its proxies on trial; NULL where the analysis has
// none. NaN: not measured there.
struct nx_trial {
    // [layers, checkpoints] nats per token, by loss it may be below 0, and the interval's ends
    double *cost[AN_COSTS], *low[AN_COSTS], *high[AN_COSTS];
    // [AN_COSTS, AN_PROXIES, checkpoints] and the interval's ends
    double *spearman, *spearman_low, *spearman_high;
    double *told;                    // [AN_COSTS, AN_TRIED, checkpoints] of the cheapest at the end
    double itself[AN_COSTS], chance; // what these tell of themselves, and what chance would
};

// What less of a resource costs, at NX_PRICE_STEPS shares of it from the whole model's on.
enum { NX_PRICE_STEPS = 101 };
struct nx_prices {
    double *share;             // [NX_PRICE_STEPS] falling; NULL: not known
    char **name;               // [NX_PRICE_STEPS] "20 % saved"
    double *sum[AN_RESOURCES]; // [AN_GROUPS, NX_PRICE_STEPS] NaN: no set leaves so little
    bool has[AN_RESOURCES][AN_GROUPS];
    int64_t context;        // tokens of the text that caches and operations are counted for
    enum an_aggregate over; // what is summed, of each layer
};

// What greedy searches left out of the checkpoints that are shown and searched.
struct nx_search {
    int64_t rounds;                      // 0: nothing is known
    int64_t searched;                    // checkpoints
    int64_t *place;                      // [searched] which of the shown ones
    double *at;                          // [rounds] 1, 2, 3 ...: so many are left out
    char **name;                         // [rounds] "3 left out"
    double *attention, *depth, *longest; // [searched, rounds] struct an_round's, in percent, too
    double *round[TR_MODULES]; // [layers, checkpoints] in which round each layer went; NaN: in none
    char *by;
};

struct nx_data {
    int64_t checkpoints, layers;
    int64_t *store_row; // [checkpoints]
    enum an_axis by;    // the first that is known of all these checkpoints and increases
    double *at;         // [checkpoints] tokens, steps or 1, 2, 3 ...
    char **column;      // [checkpoints] the same, short: "12.6M"
    char **label;       // [checkpoints] in full: "step 512, 12.6M tokens"; may quote the file
    char **layer;       // [layers] their numbers in the model
    int64_t *number;    // [layers]
    bool shown[TR_MODULES];
    double *importance[TR_MODULES]; // [layers, checkpoints] mean 1 - cos; NaN: absent
    // What is ranked by where that is another thing (nx_data_choose), the same shape; NULL: it is
    // importance.
    const struct an_criterion *criterion; // NULL: importance
    double *ranked[TR_MODULES];
    // [checkpoints] nats per token, NaN by the rule of timeline.h; NULL: not measured. And the
    // interval of the mean over sequences, NaN where there is one sequence.
    double *nll, *nll_low, *nll_high;
    // Where a store has them, else NULL, at the last checkpoint.
    int64_t boundaries;
    double *spans;           // [boundaries, boundaries] mean cosine of the stream at two boundaries
    const char *spans_label; // that checkpoint's label
    // The least important layers as the analysis chose them (nx_data_choose); NULL: not chosen.
    int64_t *chosen[TR_MODULES]; // [chosen_count] least important first
    int64_t chosen_count[TR_MODULES];
    char *rule; // by which they were chosen
    // Those that are below tau at every checkpoint, where that was asked for (else tau is NaN).
    int64_t *below[TR_MODULES]; // [below_count] least important first
    int64_t below_count[TR_MODULES];
    double tau;
    double level;                      // of intervals
    struct nx_trial trial[TR_MODULES]; // nx_data_choose, too
    struct nx_prices prices;           // and these
    struct nx_search search;           // and these
};

enum tr_status nx_data_load(struct nx_data *data, const struct tr_trace *trace,
                            const struct tr_excerpt *excerpt, struct tr_err *err);
void nx_data_free(struct nx_data *data);

// Adds the sets and trials of an analysis of the same store, so that figures show these and make
// none; and where it ranks by another thing than importance, what it ranks by.
enum tr_status nx_data_choose(struct nx_data *data, const struct an_result *result,
                              struct tr_err *err);

// How many are the lowest of the module: as many as were chosen, else about a quarter of the
// layers.
int64_t nx_lowest_count(const struct nx_data *data, int module);

// [layers, checkpoints] of a shown module: what is ranked by.
const double *nx_values(const struct nx_data *data, int module);

// "Attention", "MLP", "Block": for people.
extern const char *const nx_module_titles[TR_MODULES];

// "Tokens seen", "Training step" or "Checkpoint".
const char *nx_progress_label(enum an_axis by);

// The scale of a continuous axis over the checkpoints: logarithmic, with a place for 0 when the
// series begins there; linear for AN_AXIS_INDEX.
struct nx_scale nx_progress_scale(const struct nx_data *data);

#endif
