// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BPE_H
#define TR_BPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "text/tokenizer.h"
#include "vocabulary.h"

// The byte-level BPE model: a word is its bytes, then the adjacent pair of lowest rank is merged,
// the leftmost first among equals, until no pair is left that has a rank.

struct tr_merge {
    int32_t left, right; // token ids
    int32_t rank, id;    // id of the merged token
};

struct tr_bpe {
    struct tr_vocabulary vocabulary; // token texts as in the file: bytes spelled as characters
    struct tr_merge *merges;         // [merge_slots] an open-addressing table; left -1 = free
    uint64_t merge_slots;            // a power of two
    int32_t byte_ids[256];           // -1: the byte has no token and is left out
    bool ignore_merges;              // a word that is a token stays whole
};

// Memory for one word after another.
struct tr_bpe_scratch {
    struct tr_bpe_symbol *symbols;
    struct tr_bpe_candidate *heap;
    uint64_t symbol_capacity, heap_capacity;
    int64_t heap_count;
    struct tr_string spelled; // the word with its bytes spelled as characters
};

// The "model" object of a tokenizer.json. Models, and options of BPE, that can change what a
// byte-level tokenizer gives are TR_EUNSUPPORTED by name.
enum tr_status tr_bpe_parse(struct tr_bpe *bpe, const json_t *model, const char *what,
                            struct tr_err *err);
void tr_bpe_free(struct tr_bpe *bpe);

// Appends the ids of one word of raw bytes.
enum tr_status tr_bpe_word(const struct tr_bpe *bpe, struct tr_bpe_scratch *scratch,
                           const char *word, size_t size, struct tr_ids *ids, struct tr_err *err);
void tr_bpe_scratch_free(struct tr_bpe_scratch *scratch);

// Appends one id.
enum tr_status tr_ids_append(struct tr_ids *ids, int32_t id, struct tr_err *err);

#endif
