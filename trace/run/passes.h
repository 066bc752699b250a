// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PASSES_H
#define TR_PASSES_H

#include "mpi/work.h"
#include "run/fit.h"

// An item as passes over the weights of its checkpoint: waves of sequences that are traced, and
// behind them candidates of the costs, as many at a time as a rank has room for.
struct tr_item_pass {
    int64_t begin, end;              // sequences that are traced; none: costs are measured
    struct tr_cost_block costs;      // micro-batches of the costs' rows, and candidates
    double tokens, flops;            // of this pass; tokens as in tr_job_tokens
    struct tr_cost_flops cost_flops; // of costs
};

struct tr_item_passes {
    struct tr_item_pass *passes; // [count]
    int64_t count;
    uint64_t capacity;
};

// `traced`: the store has the checkpoint but for its costs.
enum tr_status tr_item_passes(struct tr_item_passes *passes, const struct tr_job *job,
                              const struct tr_fit *fit, const struct dist_item *item, bool traced,
                              struct tr_err *err);
// How many they are.
int64_t tr_item_pass_count(const struct tr_job *job, const struct tr_fit *fit,
                           const struct dist_item *item, bool traced);
void tr_item_passes_free(struct tr_item_passes *passes); // leaves zeros

// The sequences [begin, end) that an item traces: none when its units are all of costs.
void tr_item_sequences(const struct tr_job *job, const struct dist_item *item, int64_t *begin_p,
                       int64_t *end_p);

#endif
