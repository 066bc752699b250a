// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SCORE_H
#define TR_SCORE_H

#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/named_sets.h"
#include "eval/prompt_tokens.h"
#include "model/pass_weights.h"

// How likely a model finds prompts, whole and without each of several drop sets. All of them go
// through the model together (docs/design.md, D12).

// log p of the predicted tokens, in nats: the sum over tokens [first, count) of a prompt, each
// given all before it; and whether none of them has a likelier one.
// Of a generated text: its tokens, and whether it is what was wanted.
struct tr_likelihood {
    double sum;
    bool greedy;
};

// What is not known yet.
static inline struct tr_likelihood tr_unknown_likelihood(void) {
    return (struct tr_likelihood){NAN, false};
}

struct tr_scoring {
    struct kn_backend *kn;
    struct tr_pass_weights *weights;
    const struct tr_named_sets *sets;
    const volatile sig_atomic_t *stop; // not 0: give up
    int64_t part, parts;               // only every parts-th micro-batch from this one on; 0: all
    int64_t rows, tokens;              // run over so far: the work that was done
};

// likelihoods[1 + sets->count, prompts->count]: of the whole model, then without each set. What is
// known already is given; a micro-batch whose prompts are all known is not run, and of other parts
// the unknown stays so. A prompt's bits depend on the prompts and the device, neither on which sets
// there are nor on parts. *stopped_p: it was asked to stop, and the likelihoods are not complete.
// TR_EFORMAT when a prompt has a token that the model has no row for, or a likelihood is not a
// number.
enum tr_status tr_score_prompts(struct tr_scoring *scoring, const struct tr_prompts *prompts,
                                struct tr_likelihood *likelihoods, bool *stopped_p,
                                struct tr_err *err);

#endif
