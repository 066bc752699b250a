// SPDX-License-Identifier: Apache-2.0
#ifndef TR_GENERATION_H
#define TR_GENERATION_H

#include <signal.h>
#include <stdbool.h>

#include "model/decoder.h"
#include "model/pass_weights.h"

// Texts continued greedily, several at a time, through a cache of keys and values.

struct tr_continuation {
    const int32_t *prompt; // [prompt_count], 1 or more; borrowed
    int64_t prompt_count;
    int64_t most;    // new tokens, 1 or more
    int32_t *tokens; // [most], the caller's: what was generated
    int64_t count;   // of them
    bool ended;      // for what it says, not for its length
};

struct tr_generator {
    struct tr_pass_weights *weights;
    const struct tr_drop_set *drop; // NULL: the whole model
    int64_t batch;                  // texts at a time, fewer where memory has no room for so many
    const volatile sig_atomic_t *stop; // not 0: give up; NULL: never
    // Whether a text ends with the token that it has last; NULL: none does.
    bool (*ends)(void *user, int64_t index, const struct tr_continuation *text);
    void *user;
    // What was done so far.
    int64_t prompt_tokens, tokens; // fed, and chosen
    int64_t prefills, steps;       // passes over prompts, and of one token a text
    double prompt_seconds, seconds;
};

// Generates all of them. Texts of like length go together: which do depends on the texts and the
// batch alone. *stopped_p: it was asked to stop, and not all are complete. TR_EFORMAT when a prompt
// has a token that the model has no row for, or logits are no numbers.
//
// Where the rotation of keys depends on the length of the text (rope types dynamic and longrope),
// what is cached is computed anew when the text grows out of it, so that each token is the one that
// the text without a cache would get.
enum tr_status tr_generate(struct tr_generator *generator, struct tr_continuation *texts,
                           int64_t count, bool *stopped_p, struct tr_err *err);

#endif
