// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BPE_H
#define TR_BPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "prefix_set.h"

// Byte pair encoding: a word is its characters (or its bytes), then the adjacent pair of lowest
// rank is merged, the leftmost first among equals, until no pair is left that has a rank. A pair
// has a rank by the list of merges of a tokenizer.json or, in SentencePiece's and tiktoken's files,
// when the two together are a token: then by that token.

struct tr_ids;
struct tr_model;

struct tr_merge {
    int32_t left, right; // token ids
    int32_t rank, id;    // id of the merged token
};

struct tr_bpe {
    struct tr_merge *merges;     // [merge_slots] an open-addressing table; left -1 = free
    uint64_t merge_slots;        // a power of two
    int32_t *ranks;              // [ids] of each token, when pairs go by tokens; else NULL
    size_t longest;              // bytes of the longest token, when pairs go by tokens
    bool bytes;                  // a word is its bytes
    bool ignore_merges;          // a word that is a token stays whole
    bool *unused;                // [ids] tokens that are taken apart again; NULL: none
    struct tr_prefix_set frozen; // texts that are one symbol from the start and never merge
};

struct tr_bpe_scratch {
    struct tr_bpe_symbol *symbols;
    struct tr_bpe_candidate *heap;
    uint64_t symbol_capacity, heap_capacity;
    int64_t heap_count;
    int32_t *left_sizes; // [ids] where an unused token came from: bytes of its left part
};

// The "model" object of a tokenizer.json, whose vocabulary goes to the model.
enum tr_status tr_bpe_parse(struct tr_model *model, const json_t *value, const char *what,
                            struct tr_err *err);
void tr_bpe_free(struct tr_bpe *bpe);

// Appends the ids of one word.
enum tr_status tr_bpe_word(const struct tr_model *model, struct tr_bpe_scratch *scratch,
                           const char *word, size_t size, struct tr_ids *ids, struct tr_err *err);
void tr_bpe_scratch_free(struct tr_bpe_scratch *scratch);

#endif
