// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SCORE_ROWS_H
#define TR_SCORE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/prompt_tokens.h"

// Which rows the model is run over so that every prompt is answered. A prompt whose tokens are
// those with which another begins rides on that one's row: what a token is given depends on what
// comes before it alone. Equal prompts share a row.
//
// (lm-evaluation-harness shares by what is fed, and takes the scores of the prompt that came first
// for all where they are split into context and continuation at different places, unless it runs
// with logits_cache=False. Here every prompt takes its own positions.)

struct tr_score_row {
    int64_t first, last; // order[first .. last) ride on it; order[last - 1] is the longest
    int64_t fed;         // tokens of it
    int64_t length;      // of the rows it is run with: fed, rounded up
};

struct tr_score_rows {
    int64_t *order;            // [prompts] their indices
    struct tr_score_row *rows; // [count] by descending length
    int64_t count;
};

// `longest`: rows are not rounded up beyond it. `exact`: they are not at all, and none rides on a
// longer one, because rotations depend on the row's length.
enum tr_status tr_score_rows_make(struct tr_score_rows *rows, const struct tr_prompts *prompts,
                                  int64_t longest, bool exact, struct tr_err *err);
void tr_score_rows_free(struct tr_score_rows *rows);

#endif
