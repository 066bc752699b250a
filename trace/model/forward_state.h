// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FORWARD_STATE_H
#define TR_FORWARD_STATE_H

#include "forward.h"

// What the steps of the forward pass share: the streams, the scratch, and where a micro-batch
// stands. Private to this folder.

struct tr_forward {
    struct kn_backend *kn;
    struct tr_config config;
    const struct tr_calibration *calibration;
    int64_t max_sequences;
    bool head;
    // Streams of the item, in the backend's memory; T = max_sequences * seq_len tokens.
    float *x, *delta;               // [T, hidden]
    double *maximum, *sum, *target; // [T], the loss so far
    int32_t *ids, *targets;         // [T]
    void *routed_input;             // [T, hidden] activations, models with experts only
    // Scratch of one micro-batch of R tokens; activations are of the backend's type.
    void *normed;           // [R, hidden]
    void *wide;             // [R, wide_cols]: the first product of a sublayer
    void *inner;            // [R, inner_cols]: mixed values, or the MLP's inner activations
    float *branch;          // [R, hidden]: a sublayer's output before its post-norm
    float *mlp_delta;       // [R, hidden], with experts [T, hidden]: what the MLP adds
    double *statistics;     // [3, R]: xx, xd, dd
    int32_t *kept_rows;     // [R]: tokens whose stream is handed out at a boundary
    float *cos[2], *sin[2]; // [seq_len, rotary pairs] of full and of windowed layers
    int32_t *positions;     // [R]: row of the position table of each token
    float *logits;          // [R, experts], router
    int32_t *expert_rows;   // [R]: tokens routed to one expert
    float *expert_weights;  // [R]
    // On the host.
    double *host;    // [3, R]
    float *slopes;   // [heads], ALiBi; NULL for other families
    float *router;   // [R, experts]
    int32_t *chosen; // [T, experts_used]: experts of each token, ascending
    float *shares;   // [T, experts_used]: their weights
    int64_t routed_rows;
    // The slab on the device, when that is not the host's memory.
    char *device_slab;
    size_t device_slab_bytes;
};

// Where one micro-batch stands in one slab.
struct tr_batch {
    const struct tr_slab_plan *plan;
    char *weights;                     // the slab, in the backend's memory
    char *host_weights;                // and in the host's
    int64_t row, rows;                 // of the item's streams
    int64_t first_sequence, sequences; // of the calibration
    const struct tr_taps *taps;
};

typedef enum tr_status (*tr_step)(struct tr_forward *f, const struct tr_batch *b,
                                  struct tr_err *err);

enum tr_status tr_step_attention(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err);
enum tr_status tr_step_mlp(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_router(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
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
// rows.
enum tr_status tr_activate(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix inner,
                           struct kn_matrix x, struct kn_matrix w, const float *bias,
                           struct tr_err *err);

// delta = residual scale * post-norm(branch), whichever of the two the model has.
enum tr_status tr_finish_branch(struct tr_forward *f, const struct tr_batch *b,
                                struct kn_matrix delta, struct kn_matrix branch,
                                struct tr_err *err);
// Whether a sublayer's output needs that step at all; else it is computed in place.
bool tr_has_post_norm(const struct tr_forward *f, enum tr_weight norm);

// Measures one residual add (x + x_addend) + (delta + delta_addend) and hands it to the tap.
enum tr_status tr_measure(struct tr_forward *f, const struct tr_batch *b, enum tr_module module,
                          struct kn_matrix x_addend, struct kn_matrix delta,
                          struct kn_matrix delta_addend, struct tr_err *err);

// Hands the stream of the micro-batch's chosen tokens at a boundary between blocks to the tap.
enum tr_status tr_keep_boundary(struct tr_forward *f, const struct tr_batch *b, int64_t boundary,
                                struct tr_err *err);

// The end of a block: the MLP's and the block's taps, then x += delta + mlp_delta.
enum tr_status tr_close_block(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);

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
