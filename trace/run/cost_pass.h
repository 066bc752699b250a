// SPDX-License-Identifier: Apache-2.0
#ifndef TR_COST_PASS_H
#define TR_COST_PASS_H

#include "model/forward.h"
#include "run/job.h"

// One pass over the weights that measures costs: the whole model and candidates beside it, each
// going on by itself from where it leaves something out.
struct tr_cost_pass {
    const struct tr_job *job;
    const struct tr_config *config; // of this checkpoint
    struct tr_forward *forward;
    struct tr_streams *base;           // of the whole model
    struct tr_streams *const *streams; // of the candidates, one for each of the block's
    struct tr_cost_block block;
    struct tr_measured *measured;
    void (*slab)(void *user, int64_t index); // as in struct tr_taps
    void *user;
};

enum tr_status tr_cost_pass_run(const struct tr_cost_pass *pass,
                                const struct tr_weight_source *source, struct tr_err *err);

// Options of the candidates' streams, for so many of the costs' micro-batches.
struct tr_forward_options tr_cost_stream_options(const struct tr_job *job, int64_t batches);

#endif
