// SPDX-License-Identifier: Apache-2.0
#ifndef TR_STEPS_H
#define TR_STEPS_H

#include <stdbool.h>
#include <stdint.h>

// The forward pass as a list: what is done, in which order, with which slab of weights. A sublayer
// that is left out is a step that is not there.
enum tr_step_kind {
    TR_STEP_EMBED, // a panel of the table
    TR_STEP_POSITIONS,
    TR_STEP_EMBED_NORM,
    TR_STEP_BLOCKS, // the stream before the first block is complete: boundary 0
    TR_STEP_ATTENTION,
    TR_STEP_SCAN, // in attention's place
    TR_STEP_MLP,
    TR_STEP_ROUTER, // each token's experts are chosen
    TR_STEP_SHARED_EXPERT,
    TR_STEP_EXPERTS,     // a group of them
    TR_STEP_EXPERTS_END, // what they add is complete
    TR_STEP_BLOCK_END,   // statistics of the residual adds, the adds, boundary layer + 1
    TR_STEP_LAYER_END,   // the statistics become sums per sequence
    TR_STEP_HEAD_DENSE,  // the product before the head, where the model has one
    TR_STEP_HEAD,        // a panel of it
    TR_STEP_COMPARE,     // the same panel again, when all have passed
    TR_STEP_LOSSES,
    TR_STEPS
};

struct tr_step {
    enum tr_step_kind kind;
    int layer;              // of steps of a block
    int64_t slab;           // the weights that it needs, -1: none
    bool has_attn, has_mlp; // which sublayers the block has
};

#endif
