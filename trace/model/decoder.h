// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DECODER_H
#define TR_DECODER_H

#include "model/forward.h"

// Greedy decoding of several sequences at once: a pass over their prompts fills a cache, and each
// further pass takes one token a sequence and finds the likeliest to follow, which is the one that
// it takes next. The model may lack sublayers; attention that is left out has no cache.
//
// Steps are queued, and the host reads what they chose later. Where weights stay in a device's
// memory, the step of so many rows becomes a graph the second time it is taken.
//
// All lengths of a sequence have the same rotation tables (tr_rope_reach of its first length), and
// all sequences the same.
struct tr_decoder;

struct tr_decoder_options {
    const struct tr_drop_set *drop; // NULL: none; borrowed
    int64_t sequences;              // at a time, at most
    int64_t positions;              // tokens of a sequence that are fed, at most
    bool no_graph;                  // each step is called op by op
};

enum tr_status tr_decoder_new(struct tr_decoder **decoder_p, struct kn_backend *kn,
                              const struct tr_config *config,
                              const struct tr_decoder_options *options, struct tr_err *err);
void tr_decoder_free(struct tr_decoder *decoder); // accepts NULL

// Bytes that a decoder takes while prompts of `longest` tokens at most go through: `cache` of them
// for keys and values.
struct tr_decoder_bytes {
    struct tr_forward_bytes all;
    double cache;
};
struct tr_decoder_bytes tr_decoder_bytes(const struct kn_backend *kn,
                                         const struct tr_config *config,
                                         const struct tr_decoder_options *options, int64_t longest);

// Tokens that are there: ids of the vocabulary. Borrowed.
struct tr_prompt_row {
    const int32_t *tokens;
    int64_t count; // 1 or more
};

// Begins sequences 0 ... count - 1 anew, with weights from `source`, which is used up. best[count]:
// the likeliest token to follow, of equals the lower. TR_EFORMAT where logits are no numbers.
enum tr_status tr_decoder_begin(struct tr_decoder *decoder, const struct tr_weight_source *source,
                                const struct tr_prompt_row *prompts, int64_t count, int32_t *best,
                                struct tr_err *err);

// Chooses who goes on: sequences[count], ascending, with tokens[count].
enum tr_status tr_decoder_place(struct tr_decoder *decoder, const int32_t *sequences,
                                const int32_t *tokens, int64_t count, struct tr_err *err);

// Queues one more token for each of them. No more than TR_DECODER_AHEAD steps may be queued whose
// tokens have not been taken.
enum { TR_DECODER_AHEAD = 64 };
enum tr_status tr_decoder_step(struct tr_decoder *decoder, const struct tr_weight_source *source,
                               struct tr_err *err);

// Waits for the steps since the last call, or since tr_decoder_place, and gives what each chose:
// tokens[steps, count]. TR_EFORMAT where logits are no numbers.
enum tr_status tr_decoder_take(struct tr_decoder *decoder, int32_t *tokens, struct tr_err *err);

// Whether the last step was a graph's.
bool tr_decoder_has_graph(const struct tr_decoder *decoder);

#endif
