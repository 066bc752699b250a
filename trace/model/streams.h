// SPDX-License-Identifier: Apache-2.0
#ifndef TR_STREAMS_H
#define TR_STREAMS_H

#include "model/forward.h"

// What belongs to one run of an item's tokens through the model and lives from step to step; T =
// max_sequences * seq_len tokens. Private to this folder.

// Bytes: products choose how they compute by where their operands lie.
enum { TR_HEAD_ALIGNMENT = 256 };

// Sums of one layer on the host: while the device works on the next layer, this one's arrive.
struct tr_layer_sums {
    double *sums;
    uint32_t *counts;
    float *importance;
};

struct tr_streams {
    struct kn_backend *kn;
    struct tr_config config;
    struct tr_forward_options options;
    // In the backend's memory.
    float *x;                       // [T, hidden]: the residual stream
    float *delta;                   // [T, hidden]: what attention adds; with several candidates at
                                    // the head: the normed stream, of the type of activations
    double *statistics;             // [3, 3 T]: xx, xd, dd; in each by micro-batch, add, token
    double *maximum, *sum, *target; // [T], the loss so far
    // Where divergences are measured: cross as in struct kn_head_candidate; then and where it is
    // asked for, best and its logit [T].
    double *cross, *best_logit;
    int32_t *best;
    double *compared; // of each micro-batch [KN_COMPARED, its tokens], where candidates compare
    struct tr_layer_sums layer; // [3 max_sequences, ...], see struct kn_summary
    // Models with experts only.
    float *mlp_delta;   // [T, hidden]: what the MLP adds
    void *routed_input; // [T, hidden] activations
    // As in struct kn_route, micro-batch by micro-batch: [T, experts_used] each, and
    // [micro-batches, experts + 1].
    int32_t *expert_rows, *expert_positions;
    float *expert_weights;
    int64_t *expert_first;
    float *shared_weights; // [T]
    // On the host.
    struct tr_layer_sums arriving[2];
    int pending_layer;            // whose sums arrive, -1: none
    bool pending_has[TR_MODULES]; // which of its residual adds there are
    int64_t layers_summed;        // ever
    double *losses;               // [4, T]: maximum, sum, target, cross; then what they make
    double *comparisons;          // as `compared`
    int32_t *bests;               // [T]
    int32_t *likeliest;           // [T]: whether no token is likelier than the target
};

#endif
