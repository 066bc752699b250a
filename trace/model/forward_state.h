// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FORWARD_STATE_H
#define TR_FORWARD_STATE_H

#include "events.h"
#include "kernels/measure.h"
#include "model/backend_status.h"
#include "model/forward.h"
#include "streams.h"

// What the steps of the forward pass share: the scratch, the tables, and where a micro-batch
// stands. Private to this folder.

struct tr_forward {
    struct kn_backend *kn;
    struct tr_config config;
    struct tr_forward_options options;
    struct tr_rows rows; // the pass's
    const struct tr_cached_rows *cached;
    int64_t begin, end; // the item's sequences
    bool goes_on;       // the pass, see struct tr_pass
    // Of the item, in the backend's memory; T = max_sequences * seq_len tokens.
    int32_t *ids, *targets; // [T]
    double *bin_starts;     // [TR_BINS]
    int32_t *position_bin;  // [seq_len]
    int32_t *shared_rows;   // [R]: 0, 1, ...; models with experts only
    // Scratch of one micro-batch of R tokens; activations are of the backend's type.
    // With experts there is room in the first four for experts_used rows of each token.
    void *normed;           // [R, hidden]
    void *wide;             // [R, wide_cols]: the first product of a sublayer
    void *inner;            // [R, inner_cols]: mixed values, or the MLP's inner activations
    float *branch;          // [R, hidden]: a sublayer's output before its post-norm
    float *router_logits;   // [R, experts]
    float *shared_gates;    // [R]
    float *mlp_delta;       // [R, hidden]: what the MLP adds; with experts the streams have it
    int32_t *kept_rows;     // [R]: tokens whose stream is handed out at a boundary
    float *cos[3], *sin[3]; // [seq_len, rotary pairs] of full and of windowed layers, and of layers
                            // without rotation whose queries grow: cos is the factor, sin 0
    int32_t *positions;     // [R]: row of the position table of each token
    // With a cache: where in it each token's keys and values go, in full and in windowed layers
    // (-1: nowhere); for rows of one token their positions, rows of the position table and
    // sequences.
    int32_t *cache_rows[2];                              // [T]
    int32_t *row_positions, *table_rows, *row_sequences; // [T]
    int32_t *chosen, *steps_done; // [TR_FORWARD_AHEAD, T], [1]: of passes that go on
    // On the host.
    int32_t *host_rows;   // [R]
    int32_t *host_cached; // [5, T]: the same five
    float *slopes;        // [heads], ALiBi; NULL for other families
    int64_t routed_rows;
};

// Where one micro-batch of a candidate stands in one step.
struct tr_batch {
    const struct tr_step *step;
    const struct tr_weights *weights; // of the slab; nothing where the step needs none
    struct tr_streams *streams;
    const struct tr_streams *base; // of the first candidate
    const struct tr_taps *taps;
    bool compares;                     // as the candidate
    bool has_attn, has_mlp;            // which sublayers the candidate's block has
    int64_t row, rows;                 // of the item's streams
    int64_t first_sequence, sequences; // of the pass's rows
};

typedef enum tr_status (*tr_step_func)(struct tr_forward *f, const struct tr_batch *b,
                                       struct tr_err *err);
// Of a step that takes all candidates' micro-batches at once, the first candidate's first.
typedef enum tr_status (*tr_step_together_func)(struct tr_forward *f,
                                                const struct tr_batch *batches, int count,
                                                struct tr_err *err);

// The functions of the steps, one for each kind. Those that run once for the item find no
// micro-batch in b.
enum tr_status tr_step_embed(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_positions(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err);
enum tr_status tr_step_embed_norm(struct tr_forward *f, const struct tr_batch *b,
                                  struct tr_err *err);
enum tr_status tr_step_blocks(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_attention(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err);
enum tr_status tr_step_scan(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_mlp(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_router(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_shared_expert(struct tr_forward *f, const struct tr_batch *b,
                                     struct tr_err *err);
enum tr_status tr_step_experts(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_experts_end(struct tr_forward *f, const struct tr_batch *b,
                                   struct tr_err *err);
enum tr_status tr_step_block_end(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err);
// Sums a layer's statistics and lets them come to the host; hands out those of the layer before.
enum tr_status tr_step_layer_end(struct tr_forward *f, const struct tr_batch *b,
                                 struct tr_err *err);
enum tr_status tr_step_head_dense(struct tr_forward *f, const struct tr_batch *b,
                                  struct tr_err *err);
enum tr_status tr_step_head(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);
enum tr_status tr_step_heads(struct tr_forward *f, const struct tr_batch *batches, int count,
                             struct tr_err *err);
enum tr_status tr_step_no_comparison(struct tr_forward *f, const struct tr_batch *b,
                                     struct tr_err *err);
enum tr_status tr_step_compare(struct tr_forward *f, const struct tr_batch *batches, int count,
                               struct tr_err *err);
// Downloads the losses, or what the candidate's divergence is made of, and hands them to the tap.
enum tr_status tr_step_losses(struct tr_forward *f, const struct tr_batch *b, struct tr_err *err);

// ---- shared pieces of a step -------------------------------------------------------------------

// The rows of this micro-batch in an f32 stream, and a scratch matrix of activations.
struct kn_matrix tr_stream(const struct tr_forward *f, const struct tr_batch *b, float *data);
struct kn_matrix tr_scratch(const struct tr_forward *f, const struct tr_batch *b, void *data,
                            int64_t cols);
struct kn_matrix tr_mlp_delta(const struct tr_forward *f, const struct tr_batch *b);
// What the MLP reads beside x: the delta of attention; absent in a parallel residual or without
// attention.
struct kn_matrix tr_mlp_entering(const struct tr_forward *f, const struct tr_batch *b);

// y = norm(x + addend), or x + addend where the family has no pre-norm.
enum tr_status tr_normalise(struct tr_forward *f, const struct tr_batch *b, struct kn_matrix y,
                            struct kn_matrix addend, bool pre_norm, struct tr_err *err);

// What a step returns of which nobody wants what is left: that is well.
static const enum tr_status tr_enough = (enum tr_status)1;

// The one way to a product of activations with weights: that of `op`, which is grouped where
// op->groups is not 0, with the weights of `slot`. A tap on products sees its input, and may leave
// it out.
enum tr_status tr_product(struct tr_forward *f, const struct tr_batch *b,
                          const struct kn_grouped_product *op, enum tr_slot slot,
                          struct tr_err *err);

// y = x w^T + bias with the slab's matrix and vector.
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

// ---- the cache ---------------------------------------------------------------------------------

// Tells the device where the pass's rows stand in the cache.
enum tr_status tr_cache_place(struct tr_forward *f, struct tr_err *err);

// Leaves the micro-batch's keys and values in the layer's cache.
enum tr_status tr_cache_keep(struct tr_forward *f, const struct tr_batch *b, struct kn_heads k,
                             struct kn_heads v, struct tr_err *err);

// The same of keys that are yet to be rotated, beside queries; op k has them.
enum tr_status tr_cache_turn(struct tr_forward *f, const struct tr_batch *b,
                             const struct kn_rope *q, const struct kn_rope *k, struct kn_heads v,
                             struct tr_err *err);

// Leaves the micro-batch's latents and, behind each, its shared key there, as one head.
enum tr_status tr_cache_keep_latent(struct tr_forward *f, const struct tr_batch *b,
                                    struct kn_heads latent, struct tr_err *err);

// Makes the rows of a pass that goes on those of the next.
enum tr_status tr_cache_advance(struct tr_forward *f, const struct tr_streams *streams,
                                struct tr_err *err);

// Attention of rows of one token with what the cache has; op->k and op->v are the rows' own.
enum tr_status tr_cache_attend(struct tr_forward *f, const struct tr_batch *b,
                               const struct kn_attention *op, struct tr_err *err);

// ---- items, layers -----------------------------------------------------------------------------

// Uploads the item's ids and next-token targets, and begins the candidates' losses and divergences.
enum tr_status tr_start_item(struct tr_forward *f, const struct tr_candidate *candidates, int count,
                             struct tr_err *err);

// Whether so many candidates are measured by how far they end from the first one.
bool tr_measures_divergences(const struct tr_forward *f, int count);

// Waits for the sums of a layer that are on their way, if any, and hands them out.
enum tr_status tr_deliver_layer(struct tr_forward *f, struct tr_streams *streams,
                                const struct tr_taps *taps, struct tr_err *err);

// ---- memory ------------------------------------------------------------------------------------

enum tr_status tr_forward_allocate(struct tr_forward *f, struct tr_err *err);
void tr_forward_release(struct tr_forward *f);

#define KN_TRY(call, doing) KN_TRY_ON(f->kn, call, doing)

static const struct kn_matrix tr_no_matrix = {0};

#endif
