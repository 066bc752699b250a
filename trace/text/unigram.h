// SPDX-License-Identifier: Apache-2.0
#ifndef TR_UNIGRAM_H
#define TR_UNIGRAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "prefix_set.h"

// The unigram model: of all ways to write a word as pieces, the one with the largest sum of scores
// (Viterbi); of equal ones the one whose last piece is longest.

struct tr_ids;
struct tr_model;

struct tr_unigram {
    struct tr_prefix_set pieces; // to their ids
    double *scores;              // [ids]
    double unknown_score;        // of a character that is no piece
    bool single; // sums are rounded to f32, as SentencePiece does, and unknown runs are never
                 // looked up as a piece
};

struct tr_unigram_scratch {
    struct tr_unigram_node *nodes;
    uint64_t capacity;
};

// The "model" object of a tokenizer.json, whose vocabulary goes to the model.
enum tr_status tr_unigram_parse(struct tr_model *model, const json_t *value, const char *what,
                                struct tr_err *err);
void tr_unigram_free(struct tr_unigram *unigram);

// Appends the ids of one word.
enum tr_status tr_unigram_word(const struct tr_model *model, struct tr_unigram_scratch *scratch,
                               const char *word, size_t size, struct tr_ids *ids,
                               struct tr_err *err);

#endif
