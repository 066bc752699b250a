// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TRAINING_ORDER_H
#define TR_TRAINING_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// The order of a run's checkpoints in training, from what is said of each: one rule for the series
// that is to be traced and for the rows of a store, so that both are in one order.

// Stages by the words that runs name them with: warmup, pretrain, stable, stage1 ... < mid < decay
// < long context < sft, dpo, rl < a word that is not known. "" is pretraining. Numbers count, and
// the words behind the first: it-mid-training comes before it-SFT.
int tr_stage_compare(const char *a, const char *b);
// The place in training that the words alone give, as a number to compare by. Where two are equal,
// natural order decides.
int64_t tr_stage_key(const char *stage);
bool tr_stage_known(const char *stage);
// The N of a stage called stageN or phaseN; -1 for another name.
int64_t tr_stage_number(const char *stage);

// Whether a name says the end of training and nothing else: main, final, latest ...
bool tr_names_the_end(const char *name);
// Likewise its beginning: init, random_init, untrained ...
bool tr_names_the_beginning(const char *name);

// A checkpoint as its place in training is found from; strings are borrowed.
struct tr_moment {
    const char *name, *stage;
    const char *digest; // of its weights; "" when not known
    int64_t step;       // -1 when not known
    double tokens;      // NaN when not known
    int64_t index;      // the caller's
};

// Sorts by stage, step, tokens, name; what is not known comes last in its stage, and a name that
// without a stage says the beginning or the end first or last of all. A checkpoint of no stage,
// step and tokens with the weights of one that has them stands behind that one.
//
// `rule` is what differs from that, as lines; NULL or "" for nothing. The first line is "tokens"
// where tokens come before steps, else "step"; the others are stages in their order. A stage that
// is not among them is placed by its words. With a space and a number behind the first word, that
// many of the last lines are names instead: of checkpoints without step and tokens, which stand in
// that order before others without.
enum tr_status tr_moments_sort(struct tr_moment *moments, int64_t count, const char *rule,
                               struct tr_err *err);

#endif
