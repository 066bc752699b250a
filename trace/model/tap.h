// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TAP_H
#define TR_TAP_H

#include <stdint.h>

#include "variables.h"

// What the run hands to whoever measures. A tap is a residual add: x is the residual stream
// entering the sublayer, before any norm; delta is everything the sublayer adds to it. For every
// token the tap gives xx = x.x, xd = x.delta, dd = delta.delta; cosines and ratios follow from
// these three.
struct tr_tap {
    int layer;
    enum tr_module module;
    int64_t first_sequence, sequences, seq_len; // of the calibration rows
    const double *xx, *xd, *dd;                 // [sequences * seq_len]
};

// Next-token losses in nats: loss[s * seq_len + i] of token i + 1 given tokens 0..i; the last
// position of a row has none and is NaN.
struct tr_loss_tap {
    int64_t first_sequence, sequences, seq_len;
    const double *loss;
};

struct tr_taps {
    void *user;
    void (*tap)(void *user, const struct tr_tap *tap);
    void (*loss)(void *user, const struct tr_loss_tap *tap);
    // Called when slab `index` begins; for progress and for asking for more work.
    void (*slab)(void *user, int64_t index);
};

#endif
