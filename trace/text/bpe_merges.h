// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BPE_MERGES_H
#define TR_BPE_MERGES_H

#include "bpe.h"

// The table of merges, and how bytes are spelled in a vocabulary: shared by the two halves of bpe.

// Makes the table for `count` merges.
enum tr_status tr_merges_reserve(struct tr_bpe *bpe, uint64_t count, struct tr_err *err);

// Adds a merge; the same pair again replaces it.
void tr_merges_set(struct tr_bpe *bpe, struct tr_merge merge);

// The merge of a pair, NULL when it has none.
const struct tr_merge *tr_merges_find(const struct tr_bpe *bpe, int32_t left, int32_t right);

// The UTF-8 character that stands for a byte; returns its size, 1 or 2.
size_t tr_byte_spell(unsigned char byte, char out[2]);

#endif
