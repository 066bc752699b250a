// SPDX-License-Identifier: Apache-2.0
#ifndef TR_COST_PLAN_H
#define TR_COST_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/named_sets.h"
#include "base/strings.h"
#include "model/costs.h"
#include "store/variables.h"

// What of a checkpoint's costs of removal is measured: which sublayers and blocks are left out,
// each alone, and which named sets (the candidates), on which whole micro-batches of the
// calibration (tr_cost_sequence). Zeros measure none.
//
// A unit of this work is one candidate on one micro-batch: unit u is candidate u % count on
// micro-batch u / count. Candidates come in an order in which the first and the last layers take
// turns, so that any stretch of units has its share of those that fork early and late.

struct tr_cost_candidate {
    enum tr_module module; // TR_MODULES: a named set
    int layer;             // of a set its number
    struct tr_drop_set drop;
};

struct tr_cost_plan {
    struct tr_cost_candidate *candidates; // [count]
    int64_t count;
    int64_t batches; // micro-batches of the calibration on which they are measured
};

// "attn,mlp" or so to whether each module is wanted. TR_EUSAGE names the word that is none.
enum tr_status tr_cost_modules(const char *text, bool wanted[TR_MODULES], struct tr_err *err);

// Whether a model without the sublayers of `drop` has it, or of a block anything.
bool tr_cost_is_there(const struct tr_config *config, const struct tr_drop_set *drop,
                      enum tr_module module, int layer);

// What a plan is made of. `text` names modules (NULL: no single sublayers); `sets` may be empty;
// `samples` of the layout's sequences at least, 0: so many that all costs take about four times as
// long as the trace, and 32 at least.
struct tr_cost_wishes {
    const char *text;
    const struct tr_named_sets *sets;
    int64_t samples, micro_batch;
};

// The candidates of a model without the sublayers of `drop`; what the model lacks is none. Sets the
// layout's costs.
enum tr_status tr_cost_plan_new(struct tr_cost_plan *plan, const struct tr_cost_wishes *wishes,
                                const struct tr_config *config, const struct tr_drop_set *drop,
                                struct tr_layout *layout, struct tr_err *err);
void tr_cost_plan_free(struct tr_cost_plan *plan); // leaves zeros

// Units [begin, end) as rectangles of micro-batches and candidates, at most three: what is left of
// a micro-batch that was begun, whole ones, the beginning of one.
struct tr_cost_block {
    int64_t first_batch, last_batch, first_candidate, last_candidate; // [first, last)
};
enum { TR_COST_BLOCKS = 3 };
int tr_cost_blocks(const struct tr_cost_plan *plan, int64_t begin, int64_t end,
                   struct tr_cost_block blocks[TR_COST_BLOCKS]);

// Floating-point operations of the candidates [first, last) on so many tokens, each from where it
// forks, and of the whole model once beside them; and of as many whole forward passes as there are
// candidates, to compare with. blocks_done, blocks_whole: the same without the head, which every
// candidate needs whole.
struct tr_cost_flops {
    double done, whole, blocks_done, blocks_whole;
};
struct tr_cost_flops tr_cost_plan_flops(const struct tr_cost_plan *plan,
                                        const struct tr_config *config, int64_t first, int64_t last,
                                        double tokens, int64_t seq_len,
                                        const struct tr_wanted *wanted);

#endif
