// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SPEED_H
#define TR_SPEED_H

#include "model/decoder.h"
#include "model/pass_weights.h"

// How fast a model takes in prompts (prefill) and generates text (decode), whole and without drop
// sets in turns.

struct tr_speed_shape {
    int64_t prompt, generated; // tokens of a text, 1 or more each
    int64_t batch;             // texts at a time
    bool no_graph;             // each step is called op by op
};

struct tr_speed_model {
    const struct tr_drop_set *drop; // NULL: the whole model; borrowed
    double *prefill, *decode;       // [rounds] seconds of a round, the caller's
    double peak;                    // most bytes of the backend's memory in any of its rounds
};

// One round that nobody measures, then `rounds` of them; in each every model takes its turn.
// Prompts are the same made-up tokens for all; no text ends early. A round's prefill is the pass
// over all prompts up to the first token of each; its decode is `generated` further tokens of each,
// fed back greedily. The device is waited for before a clock is read, and its peak of memory is
// begun anew before each turn.
enum tr_status tr_speed_measure(struct tr_pass_weights *weights, const struct tr_speed_shape *shape,
                                struct tr_speed_model *models, int count, int64_t rounds,
                                struct tr_err *err);

// Bytes a second that a copy within the backend's memory moves, reads and writes counted: what
// weights cannot be read faster than, or hardly.
enum tr_status tr_speed_copy(struct kn_backend *kn, double *rate_p, struct tr_err *err);

// Operations a second of a large product: what a model cannot be run faster than.
enum tr_status tr_speed_product(struct kn_backend *kn, double *rate_p, struct tr_err *err);

#endif
