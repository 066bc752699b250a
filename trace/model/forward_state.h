// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FORWARD_STATE_H
#define TR_FORWARD_STATE_H

#include "kernels/measure.h"
#include "model/forward.h"

// What the steps of the forward pass share: the streams, the scratch, and where a micro-batch
// stands. Private to this folder.

// Events of the kernels that order slabs and downloads, two of each.
enum tr_event { TR_EVENT_COPIED = 0, TR_EVENT_USED = 2, TR_EVENT_SUMMED = 4 };

// A slab as the steps see it, in the backend's memory. Matrices of products have the activation
// type on a device. The vector behind the slots is none.
struct tr_weights {
    const struct tr_slab_plan *plan;
    struct kn_matrix matrix[TR_SLOTS];
    const float *vector[TR_SLOTS + 1]; // NULL: absent
    float xielu[4];                    // parameters of KN_XIELU, on the host
};

// Memory of the backend that only grows.
struct tr_growing {
    char *memory;
    size_t capacity; // bytes
};

// Slabs between the reader and the steps. On a device there are two, so that one is copied while
// the other is used.
struct tr_flow {
    struct tr_reader *reader;
    const struct tr_slab *current, *next; // held; NULL: none
    bool next_taken;                      // next is known, if only to be none
    int64_t taken, used;                  // slabs of this checkpoint so far
    struct tr_growing slab[2], converted;
    double waited, reader_waited; // seconds of this run; the reader's in all, when last looked at
};

// Sums of one layer on the host: while the device works on the next layer, this one's arrive.
struct tr_layer_sums {
    double *sums;
    uint32_t *counts;
    float *importance;
};

// Which experts the item's tokens go to, on the host; T tokens, B micro-batches. The rows of a
// micro-batch for its experts are sorted by expert, then by token.
struct tr_routes {
    float *logits, *switches; // [T, experts], [T]
    int32_t *chosen;          // [T, experts_used]: experts of each token, ascending
    float *weights;           // [T, experts_used]: theirs
    int32_t *positions;       // [T, experts_used]: where they stand among the micro-batch's rows
    int32_t *rows;            // [T, experts_used]: tokens of the micro-batch, in the rows' order
    int64_t *first;           // [B, experts + 1]: where an expert's rows begin in its micro-batch's
};

struct tr_forward {
    struct kn_backend *kn;
    struct tr_config config;
    struct tr_forward_options options;
    const struct tr_calibration *calibration; // the options'
    int64_t begin, end;                       // the item's sequences
    // Streams of the item, in the backend's memory; T = max_sequences * seq_len tokens.
    float *x, *delta;               // [T, hidden]
    double *statistics;             // [3, 3 T]: xx, xd, dd; in each by micro-batch, add, token
    double *maximum, *sum, *target; // [T], the loss so far
    int32_t *ids, *targets;         // [T]
    struct tr_layer_sums layer;     // [3 max_sequences, ...], see struct kn_summary
    double *bin_starts;             // [TR_BINS]
    int32_t *position_bin;          // [seq_len]
    // Models with experts only.
    void *routed_input;       // [T, hidden] activations
    float *logits, *switches; // [T, experts], [T]: of the router, and of the shared expert
    // As in the routes, [T, experts_used] each.
    int32_t *expert_rows, *expert_positions;
    float *expert_weights;
    int32_t *shared_rows;  // [R]: 0, 1, ...
    float *shared_weights; // [T]
    // Scratch of one micro-batch of R tokens; activations are of the backend's type.
    void *normed;           // [R, hidden]
    void *wide;             // [R, wide_cols]: the first product of a sublayer
    void *inner;            // [R, inner_cols]: mixed values, or the MLP's inner activations
    float *branch;          // [R, hidden]: a sublayer's output before its post-norm
    float *mlp_delta;       // [R, hidden], with experts [T, hidden]: what the MLP adds
    int32_t *kept_rows;     // [R]: tokens whose stream is handed out at a boundary
    float *cos[2], *sin[2]; // [seq_len, rotary pairs] of full and of windowed layers
    int32_t *positions;     // [R]: row of the position table of each token
    // On the host.
    struct tr_layer_sums arriving[2];
    int pending_layer;       // whose sums arrive, -1: none
    int64_t layers_summed;   // ever
    double *losses;          // [3, T]
    int32_t *host_rows;      // [R]
    float *slopes;           // [heads], ALiBi; NULL for other families
    struct tr_routes routes; // models with experts only
    bool is_switched;        // the layer's shared expert has a switch
    int64_t routed_rows;
    struct tr_flow flow;
};

// Where one micro-batch stands in one slab.
struct tr_batch {
    const struct tr_slab_plan *plan;
    const struct tr_weights *weights;
    int64_t row, rows;                 // of the item's streams
    int64_t first_sequence, sequences; // of the calibration
    const struct tr_taps *taps;
};

typedef enum tr_status (*tr_step)(struct tr_forward *f, const struct tr_batch *b,
                                  struct tr_err *err);

enum tr_status tr_step_attention(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err);
enum tr_status tr_step_mlp(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_embed(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_positions(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err);
enum tr_status tr_step_embed_norm(struct tr_forward *f, const struct tr_batch *b,
                                  struct tr_err *err);
enum tr_status tr_step_head(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_router(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_shared_expert(struct tr_forward *f, const struct tr_batch *b,
                                     struct tr_err *err);
enum tr_status tr_step_experts(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);

// ---- shared pieces of a step -------------------------------------------------------------------

// The rows of this micro-batch in an f32 stream, and a scratch matrix of activations.
struct kn_matrix tr_stream(const struct tr_forward *f, const struct tr_batch *b, float *data);
struct kn_matrix tr_scratch(const struct tr_forward *f, const struct tr_batch *b, void *data,
                            int64_t cols);
struct kn_matrix tr_mlp_delta(const struct tr_forward *f, const struct tr_batch *b);
// What the MLP reads beside x: delta, or nothing in a parallel residual.
struct kn_matrix tr_mlp_entering(const struct tr_forward *f, const struct tr_batch *b);

// y = norm(x + addend), or x + addend where the family has no pre-norm.
enum tr_status tr_normalise(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix y,
                            struct kn_matrix addend, bool pre_norm, struct tr_err *err);

// y = activation(x w^T + bias) with the slab's matrix and vector.
enum tr_status tr_multiply(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix y,
                           struct kn_matrix x, enum tr_slot weight, enum tr_slot bias,
                           struct tr_err *err);

// inner = the MLP's inner activations: act(w x) or act(gate x) * (up x), for a w of ffn or 2 ffn
// rows. `in` has x, w and the bias, and groups where first is not NULL.
enum tr_status tr_activate(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix inner,
                           struct kn_grouped_product in, struct tr_err *err);

// delta = residual scale * post-norm(branch), whichever of the two the model has.
enum tr_status tr_finish_branch(struct tr_forward *f, const struct tr_batch *b,
                                struct kn_matrix delta, struct kn_matrix branch,
                                struct tr_err *err);
// Whether a sublayer's output needs that step at all; else it is computed in place.
bool tr_has_post_norm(const struct tr_forward *f, enum tr_weight norm);

// Hands the stream of the micro-batch's chosen tokens at a boundary between blocks to the tap.
enum tr_status tr_keep_boundary(struct tr_forward *f, const struct tr_batch *b, int64_t boundary,
                                struct tr_err *err);

// The end of a block: the statistics of its three residual adds, and x += delta + mlp_delta.
enum tr_status tr_close_block(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);

// ---- items, layers -----------------------------------------------------------------------------

// Uploads the item's ids and next-token targets, and begins its losses.
enum tr_status tr_start_item(struct tr_forward *f, struct tr_err *err);

// Downloads the losses and hands them to the tap.
enum tr_status tr_finish_losses(struct tr_forward *f, const struct tr_taps *taps,
                                struct tr_err *err);

// Chooses the experts of all tokens of the item, between the router's micro-batches and the shared
// expert's.
enum tr_status tr_route(struct tr_forward *f, struct tr_err *err);

// Sums a layer's statistics and lets them come to the host; hands out those of the layer before.
enum tr_status tr_end_layer(struct tr_forward *f, const struct tr_taps *taps, int layer,
                            struct tr_err *err);
// Waits for the sums that are on their way, if any, and hands them out.
enum tr_status tr_deliver_layer(struct tr_forward *f, const struct tr_taps *taps,
                                struct tr_err *err);

// ---- slabs -------------------------------------------------------------------------------------

void tr_flow_start(struct tr_forward *f, struct tr_reader *reader);
// The next slab, ready for the steps, or *more_p = false. On a device the one after begins to come
// when it has been read.
enum tr_status tr_flow_next(struct tr_forward *f, struct tr_weights *weights, bool *more_p,
                            struct tr_err *err);
// All steps of the slab have been queued; its memory is given back.
enum tr_status tr_flow_done(struct tr_forward *f, struct tr_err *err);
// Waits until no copy reads the reader's memory any more. After a failure, too.
void tr_flow_stop(struct tr_forward *f);

// ---- memory ------------------------------------------------------------------------------------

enum tr_status tr_forward_allocate(struct tr_forward *f, struct tr_err *err);
void tr_forward_release(struct tr_forward *f);

// A status of the kernels as a sentence, once.
enum tr_status tr_kernel_failed(const struct kn_backend *kn, enum kn_status status,
                                const char *doing, struct tr_err *err);
#define KN_TRY(call, doing)                                                                        \
    do {                                                                                           \
        enum kn_status kn_try_status_ = (call);                                                    \
        if (kn_try_status_ != KN_OK)                                                               \
            return tr_kernel_failed(f->kn, kn_try_status_, (doing), err);                          \
    } while (0)

static const struct kn_matrix tr_no_matrix = {0};

#endif
