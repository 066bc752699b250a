// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FORWARD_H
#define TR_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/drop_set.h"
#include "kernels/backend.h"
#include "model/cache.h"
#include "model/config.h"
#include "model/rows.h"
#include "model/tap.h"
#include "model/weight_source.h"

// The layer-streamed run: the steps of a model one after the other, each over all sequences of an
// item, micro-batch by micro-batch, so that each weight is taken once and memory does not depend on
// the model's depth. Steps that need no weights follow the step before them within a micro-batch.
//
// What an item's tokens are on the way is in streams: x, the residual stream at the block's entry,
// and delta, what attention added. The MLP reads x + delta (sequential residual) or x (parallel),
// so that the block's own delta is a sum of deltas and never a difference of streams. Several
// streams may go through a step while its weights are there; all else (scratch, tables) they share.
//
// On a device the host only queues work: slabs are copied ahead of their use, a layer's sums are
// handed out one layer later, and within a slab nothing waits.

// Sequences per micro-batch: about 1024 tokens on the host, on a device 16,384 or as many as keep
// the widest rows of scratch within 1.5 GB. A function of the model's shape and of seq_len alone,
// because the bits of a result depend on the rows of a product.
int64_t tr_micro_batch(const struct tr_config *config, int64_t seq_len, bool device);

struct tr_forward_options {
    int64_t seq_len;
    int64_t max_sequences; // of an item
    int64_t micro_batch;   // sequences
    bool head;             // the loss is measured
    bool per_token;        // taps have the importance of each token
    bool divergences;      // how far candidates end from the first one is measured; needs the head
    bool comparisons;      // and how alike; needs divergences, and weights that come so (tr_wanted)
    bool losses_only;      // of streams: residual adds are not measured, so they take less memory
    bool best;             // with the loss comes which token is the likeliest; needs the head
    bool cached;           // passes leave keys and values in a cache (tr_cached_rows)
    int64_t positions;     // rows of one token each, at positions of their own below this, that
                           // find those before them in the cache; 0: rows begin at position 0
};

// Bytes that something takes: of the backend (the host's own where it is unified) and of the host
// beside it.
struct tr_forward_bytes {
    double backend, host;
};

// Scratch and tables for one shape of model. All memory is taken here.
struct tr_forward;
enum tr_status tr_forward_new(struct tr_forward **forward_p, struct kn_backend *kn,
                              const struct tr_config *config,
                              const struct tr_forward_options *options, struct tr_err *err);
void tr_forward_free(struct tr_forward *forward); // accepts NULL
struct tr_forward_bytes tr_forward_bytes(const struct kn_backend *kn,
                                         const struct tr_config *config,
                                         const struct tr_forward_options *options);

// The streams of an item, for the same shape and options.
struct tr_streams;
enum tr_status tr_streams_new(struct tr_streams **streams_p, struct kn_backend *kn,
                              const struct tr_config *config,
                              const struct tr_forward_options *options, struct tr_err *err);
void tr_streams_free(struct tr_streams *streams); // accepts NULL
struct tr_forward_bytes tr_streams_bytes(const struct kn_backend *kn,
                                         const struct tr_config *config,
                                         const struct tr_forward_options *options);

// One of the models that go through the steps together: the whole one, or the one without the
// sublayers of `drop` (NULL: none; borrowed), and who measures it. One with a parent, which comes
// before it in the list, is that one up to the first step that only one of both leaves out, where
// it takes over the parent's streams (up to the head, when there is none): what comes before is
// computed once.
struct tr_candidate {
    struct tr_streams *streams;
    const struct tr_drop_set *drop;
    const struct tr_taps *taps;
    const struct tr_candidate *parent; // NULL: it runs by itself from the beginning
    bool compares; // with the first one, where comparisons are measured; its streams are for that
    // The first one alone: its streams are those of an earlier pass over the same rows, behind the
    // blocks, so that only the head is left. Nothing has it for a parent before the head.
    bool at_head;
    bool blocks_only; // not the first one: others go on from its streams, and it ends at the head
    // Its stream at the entry of block l as it comes by is kept in bookmarks[l], f32 [the pass's
    // tokens, hidden] in the backend's memory, where that is not NULL. With resume > 0 it goes on
    // with bookmarks[resume], whatever came before: of the same rows, and of a set that is the same
    // before that block.
    float *const *bookmarks; // [layers]; NULL: nothing is kept
    int64_t resume;
};

// Which part of the work is done: sequences [begin, end) of the rows, at most max_sequences of
// them, begin a multiple of the micro-batch; steps [first_step, last_step) of the source's plan,
// last_step 0: to the end. A pass that starts after step 0 goes on with what is in the streams.
struct tr_pass {
    const struct tr_rows *rows;
    int64_t begin, end;
    int64_t first_step, last_step;
    const struct tr_cached_rows *cached; // with options.cached, and then there is one candidate
    // The rows are those that tr_forward_place brought, each by as many tokens further as there
    // were such passes since: what goes in and what comes out stays in the backend's memory, and
    // the host waits for nothing.
    bool goes_on;
};

// Runs the candidates over the pass, with weights from `source`, whose checkpoint has the config
// that forward and streams were made for. The taps of each candidate are called in order of layers,
// and of sequences within a layer; `slab` of the first candidate's alone. With several candidates
// and divergences, the first one's loss and the others' divergences from it are measured. What a
// candidate's taps say does not depend on which others there are.
enum tr_status tr_forward_run(struct tr_forward *forward, const struct tr_weight_source *source,
                              const struct tr_candidate *candidates, int count,
                              const struct tr_pass *pass, struct tr_err *err);

// Brings rows of one token each, from which passes go on: with options.positions and options.best.
// chosen[TR_FORWARD_AHEAD, rows] in the backend's memory has the tokens that such a pass found the
// likeliest to follow, in row i % TR_FORWARD_AHEAD those of the i-th.
enum { TR_FORWARD_AHEAD = 64 };
enum tr_status tr_forward_place(struct tr_forward *forward, const struct tr_candidate *candidate,
                                const struct tr_pass *pass, struct tr_err *err);
const int32_t *tr_forward_chosen(const struct tr_forward *forward);

// What a sublayer added to the last micro-batch that went through one of its steps, f32 [tokens,
// hidden] in the backend's memory, until the next step of that kind; its tokens' streams do not
// have it before the block's end.
const float *tr_forward_delta(const struct tr_forward *forward, const struct tr_streams *streams,
                              enum tr_module module);

// Rows times experts that the routed products have worked on since tr_forward_new: with k experts
// used per token, k times the tokens times the layers with experts, not all experts times that.
int64_t tr_forward_routed_rows(const struct tr_forward *forward);

#endif
