// SPDX-License-Identifier: Apache-2.0
#ifndef TR_COST_PASS_H
#define TR_COST_PASS_H

#include "measure/measures.h"
#include "model/forward.h"
#include "run/job.h"

// Streams of one candidate that are kept from pass to pass, and the one it goes on with, as in
// struct tr_candidate.
struct tr_bookmarks {
    float *const *at; // [layers]; NULL: none
    int64_t resume;
};

// One pass over the weights that measures costs: the whole model and candidates beside it, each
// going on by itself from where it leaves something out that the whole model has, or, where a set
// is given, that the set has.
struct tr_cost_pass {
    const struct tr_config *config;   // of this checkpoint
    const struct tr_drop_set *absent; // what every model of the job lacks
    const struct tr_rows *rows;       // on which they are measured
    int64_t micro_batch;
    struct tr_forward *forward;
    struct tr_streams *base;           // of the whole model
    bool base_at_head;                 // as in struct tr_candidate
    bool compares;                     // named sets and those of a search, likewise
    struct tr_streams *set_streams;    // NULL: candidates fork from the whole model
    const struct tr_drop_set *set;     // what all candidates leave out; it measures nothing
    struct tr_streams *const *streams; // of the candidates, one for each of the block's
    const struct tr_cost_candidate *candidates; // of which the block speaks
    struct tr_cost_block block;
    struct tr_bookmarks base_marks, set_marks;
    const struct tr_bookmarks *marks; // of the candidates; NULL: none
    void (*removal)(void *user, const struct tr_removal *removal);
    void (*slab)(void *user, int64_t index); // as in struct tr_taps
    void *user;
};

enum tr_status tr_cost_pass_run(const struct tr_cost_pass *pass,
                                const struct tr_weight_source *source, struct tr_err *err);

// Options of the candidates' streams, for so many of the costs' micro-batches.
struct tr_forward_options tr_cost_stream_options(const struct tr_job *job, int64_t batches);

#endif
