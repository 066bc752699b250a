// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TAP_H
#define TR_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/module.h"
#include "base/status.h"
#include "kernels/measure.h"
#include "kernels/ops.h"
#include "model/weights.h"

// What the run hands to whoever measures. A tap is the residual adds of one block over a
// micro-batch: x is the residual stream entering a sublayer, before any norm; delta is everything
// the sublayer adds to it. What x.x, x.delta and delta.delta of each token say is derived and
// summed per sequence where they are computed, because no value per token may leave a device:
// struct kn_summary has the formulas and the layouts.
struct tr_tap {
    int layer;
    int64_t first_sequence, sequences, seq_len; // of the pass's rows
    bool has[TR_MODULES]; // a residual add that the model lacks has nothing to say: what stands in
                          // its place below means nothing
    const double *sums;   // [TR_MODULES, sequences, KN_SUMS + position bins of seq_len]
    const uint32_t *counts;  // [TR_MODULES, sequences, KN_COUNTS + TR_BINS + position bins]
    const float *importance; // [TR_MODULES, sequences, seq_len]; NULL unless asked for
};

// Next-token losses in nats: loss[s * seq_len + i] of token i + 1 given tokens 0..i, or of the
// rows' target there; a position without one, as the last of a row, is NaN. likeliest[...]: 1 where
// no token is likelier than the target, else 0. best[...], where it is asked for, else NULL: the
// likeliest token, of equals the lower; -1 where a logit is no number.
struct tr_loss_tap {
    int64_t first_sequence, sequences, seq_len;
    const double *loss;
    const int32_t *likeliest, *best;
};

// What a candidate makes of the rows in the end, beside the first one (the base). loss: as above;
// divergence[s * seq_len + i], in nats: of the candidate's distribution of token i + 1 from the
// base's, KL(base || candidate); agrees[...]: 1 where both find the same token most likely, else 0.
// Of a candidate that compares, else NULL: jensen[...], in nats, the Jensen-Shannon divergence of
// both distributions; reversed[...], in nats, half of KL(m || base) + KL(m || candidate) with m
// their mean; angle[...], in radians, and distance[...] those of their logits.
struct tr_divergence_tap {
    int64_t first_sequence, sequences, seq_len;
    const double *loss, *divergence;
    const int32_t *agrees;
    const double *jensen, *angle, *distance, *reversed;
};

// A product that is about to be computed. op->product.x is what meets the weights of `slot`, in the
// backend's memory. For products of experts op->first is not NULL; it is the backend's memory, too.
// Who wants nothing of what the product gives says so in *use.
enum tr_product_use {
    TR_PRODUCT_COMPUTED,
    TR_PRODUCT_LEFT_OUT, // what stands in op->product.y is of no meaning then
    TR_PRODUCT_LAST      // the same, and all that the step would do behind it is left out
};
struct tr_product_tap {
    const struct tr_slab_plan *plan;
    enum tr_slot slot;
    const struct kn_grouped_product *op;
    enum tr_product_use *use;
};

struct tr_taps {
    void *user;
    void (*tap)(void *user, const struct tr_tap *tap);
    void (*loss)(void *user, const struct tr_loss_tap *tap);
    void (*divergence)(void *user, const struct tr_divergence_tap *tap); // not of the first
    // NULL: nobody looks at products.
    enum tr_status (*product)(void *user, struct kn_backend *kn, const struct tr_product_tap *tap,
                              struct tr_err *err);
    // Called when slab `index` begins; for progress and for asking for more work.
    void (*slab)(void *user, int64_t index);
    // Tokens whose residual stream is kept at every boundary between blocks (0: before the first
    // block, l: after block l - 1): indices into the flattened rows, strictly
    // ascending. None: 0 and NULL.
    int64_t token_count;
    const int64_t *tokens;
    // Where the streams of tokens[first .. first + count) at a boundary go: f32 [count, hidden] in
    // the host's memory, filled after the call and complete before the next one of any callback.
    // Called in order of boundaries, and of tokens within a boundary.
    float *(*boundary)(void *user, int64_t boundary, int64_t first, int64_t count);
};

#endif
