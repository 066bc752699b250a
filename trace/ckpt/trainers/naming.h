// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NAMING_H
#define TR_NAMING_H

#include "model_numbers.h"
#include "reader.h"

// How trainers name the tensors that Hugging Face's folders name otherwise, and how they lay out
// their rows: tables. A new naming is a table in naming_rows.c. Internal.

// Which rows of the trainer's tensor are those of Hugging Face's, and in which order.
enum tr_layout {
    TR_AS_IT_IS,
    TR_META_ORDER, // rows of a head: pairs of the rotation side by side, there one half behind the
                   // other
    TR_GROUP_Q,    // of a fused matrix, for each group of heads: its queries, its key, its value
    TR_GROUP_K,
    TR_GROUP_V,
    TR_STACK_Q, // of a fused matrix: all queries, all keys, all values. Where the configuration
                // says rope_interleaved, queries and keys are in Meta's order
    TR_STACK_K,
    TR_STACK_V,
    TR_STACK_HEADS, // the same, wanted as query, key and value of each head
    TR_FIRST_HALF,
    TR_SECOND_HALF,
    TR_TRANSPOSED,
    TR_VOCABULARY, // without the rows that pad the vocabulary
};

// How ranks of model parallelism have cut a tensor.
enum tr_split {
    TR_REPEATED,     // each has all of it
    TR_BY_ROWS,      // along the first axis
    TR_BY_COLUMNS,   // along the second
    TR_BY_HALVES,    // along the first axis, both halves of it
    TR_BY_EMBEDDING, // along the second where that is not whole, else the first
};

// Patterns: '#' stands for a number, of a layer as a rule. Where `to` has one more than `from`, the
// tensors are stacked along a first axis. A name may fit several rows, each of which takes its
// part.
struct tr_naming_row {
    const char *from, *to; // `to` NULL: nothing that a model needs
    enum tr_layout layout;
    enum tr_split split;
};

struct tr_naming {
    const char *whose; // "Megatron's": in sentences
    const char *sign;  // pattern of a tensor that all models named so have
    const char *types; // model types whose rows these are, with spaces around each; NULL: any
    bool partial;      // names that fit no row stay as they are; else they are refused
    int first_layer;   // the number that the trainer gives the first block
    bool linear;       // nn.Linear's orientation: `sign` counts only for [3n, n]
    const struct tr_naming_row *rows; // ended by one without `from`
};

extern const struct tr_naming tr_namings[];
extern const int tr_naming_count;

enum { TR_NUMBERS = 2, TR_RENAMED_MAX = 512 };

// Whether `name` fits the pattern; its numbers into numbers[TR_NUMBERS], their count into *count_p.
bool tr_naming_fits(const char *pattern, const char *name, int64_t *numbers, int *count_p);

// The name that a pattern makes of numbers.
void tr_naming_fill(const char *pattern, const int64_t *numbers, char out[TR_RENAMED_MAX]);

#endif
