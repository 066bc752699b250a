// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FORWARD_H
#define TR_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"
#include "kernels/ops.h"
#include "model/config.h"
#include "model/slab_reader.h"
#include "model/tap.h"
#include "text/calibration.h"

// The layer-streamed run: slab by slab over all sequences of an item, micro-batch by micro-batch
// within a slab, so that each weight is read once and memory does not depend on the model's depth.
//
// Two f32 streams are kept for the item's tokens: x, the residual stream at the block's entry, and
// delta, what attention added. The MLP reads x + delta (sequential residual) or x (parallel), so
// that the block's own delta is a sum of deltas and never a difference of streams. Models with
// experts keep two more: the normed stream that the router saw, and what the experts add.

// On a device the host only queues work: slabs are copied ahead of their use, a layer's sums are
// handed out one layer later, and within a slab nothing waits.

// Sequences per micro-batch: about 1024 tokens on the host, on a device 16,384 or as many as keep
// the widest rows of scratch within 1.5 GB. A function of the model's shape and of seq_len alone,
// because the bits of a result depend on the rows of a product.
int64_t tr_micro_batch(const struct tr_config *config, int64_t seq_len, bool device);

struct tr_forward; // scratch and streams for one shape of model

struct tr_forward_options {
    const struct tr_calibration *calibration; // borrowed
    int64_t max_sequences;                    // of an item
    int64_t micro_batch;                      // sequences
    bool head;                                // the loss is measured
    bool per_token;                           // taps have the importance of each token
    // Of the largest slab: its bytes, and those of its matrices in the type that a device wants;
    // more is taken when a slab is larger.
    size_t slab_bytes, converted_bytes;
};

// All memory is taken here.
enum tr_status tr_forward_new(struct tr_forward **forward_p, struct kn_backend *kn,
                              const struct tr_config *config,
                              const struct tr_forward_options *options, struct tr_err *err);
void tr_forward_free(struct tr_forward *forward); // accepts NULL

// Bytes that tr_forward_new takes: of the backend (the host's own where it is unified) and of the
// host beside it.
struct tr_forward_bytes {
    double backend, host;
};
struct tr_forward_bytes tr_forward_bytes(const struct kn_backend *kn,
                                         const struct tr_config *config,
                                         const struct tr_forward_options *options);

// Runs the begun checkpoint of `reader` over calibration sequences [begin, end), at most
// max_sequences of them, begin a multiple of the micro-batch. Its slabs are in memory as
// tr_reader_open was told of the same backend. The taps are called in order of
// layers, and of sequences within a layer. The checkpoint's config is the one the scratch was made
// for.
enum tr_status tr_forward_run(struct tr_forward *forward, struct tr_reader *reader, int64_t begin,
                              int64_t end, const struct tr_taps *taps, struct tr_err *err);

// Seconds that the last run's steps could not go on for lack of weights: those that were being read
// and, on a device, those that were being copied.
double tr_forward_waited(const struct tr_forward *forward);

// Rows times experts that the routed products have worked on since tr_forward_new: with k experts
// used per token, k times the tokens times the layers with experts, not all experts times that.
int64_t tr_forward_routed_rows(const struct tr_forward *forward);

#endif
