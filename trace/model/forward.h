// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FORWARD_H
#define TR_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "calibration.h"
#include "config.h"
#include "kernels.h"
#include "slab_reader.h"
#include "tap.h"

// The layer-streamed run: slab by slab over all sequences of an item, micro-batch by micro-batch
// within a slab, so that each weight is read once and memory does not depend on the model's depth.
//
// Two f32 streams are kept for the item's tokens: x, the residual stream at the block's entry, and
// delta, what attention added. The MLP reads x + delta (sequential residual) or x (parallel), so
// that the block's own delta is a sum of deltas and never a difference of streams. Models with
// experts keep two more: the normed stream that the router saw, and what the experts add.

// Sequences per micro-batch: a function of seq_len alone, because the bits of a result depend on
// the rows of a product.
int64_t tr_micro_batch(int64_t seq_len);

struct tr_forward; // scratch and streams for one shape of model

// Room for items of at most `max_sequences` sequences; `head`: with the loss. All memory is taken
// here. The calibration is borrowed.
enum tr_status tr_forward_new(struct tr_forward **forward_p, struct kn_backend *kn,
                              const struct tr_config *config,
                              const struct tr_calibration *calibration, int64_t max_sequences,
                              bool head, struct tr_err *err);
void tr_forward_free(struct tr_forward *forward); // accepts NULL

// Bytes tr_forward_new takes: fixed scratch, and what each sequence adds.
double tr_forward_scratch_bytes(const struct tr_config *config, int64_t seq_len);
double tr_forward_sequence_bytes(const struct tr_config *config, int64_t seq_len, bool head);

// Runs the begun checkpoint of `reader` over calibration sequences [begin, end), at most
// max_sequences of them, begin a multiple of the micro-batch. The taps are called in order of
// layers, and of sequences within a layer. The checkpoint's config is the one the scratch was made
// for.
enum tr_status tr_forward_run(struct tr_forward *forward, struct tr_reader *reader, int64_t begin,
                              int64_t end, const struct tr_taps *taps, struct tr_err *err);

// Rows times experts that the routed products have worked on since tr_forward_new: with k experts
// used per token, k times the tokens times the layers with experts, not all experts times that.
int64_t tr_forward_routed_rows(const struct tr_forward *forward);

#endif
