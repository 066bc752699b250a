// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BPE_MERGES_H
#define TR_BPE_MERGES_H

#include "bpe.h"

// Shared by the parts of BPE: the table of merges, and the merging of one word.

// Makes the table for `count` merges.
enum tr_status tr_merges_reserve(struct tr_bpe *bpe, uint64_t count, struct tr_err *err);

// Adds a merge; the same pair again replaces it.
void tr_merges_set(struct tr_bpe *bpe, struct tr_merge merge);

// A stretch of the word: a character, a byte, or what they were merged to.
struct tr_bpe_symbol {
    int32_t id;             // -1: merged into its left neighbour; 0 when pairs go by tokens
    int32_t start, size;    // in the word, when pairs go by tokens
    int32_t previous, next; // positions, -1 at the ends
    bool frozen;
};

// Merges the `count` symbols of the scratch, which lie there one after another; what is left is the
// list from symbol 0 on.
enum tr_status tr_bpe_merge(const struct tr_model *model, struct tr_bpe_scratch *scratch,
                            const char *word, int32_t count, struct tr_err *err);

#endif
