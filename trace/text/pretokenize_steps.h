// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PRETOKENIZE_STEPS_H
#define TR_PRETOKENIZE_STEPS_H

#include <stdbool.h>

#include "search.h"

// Shared by the two halves of the pre-tokenizer: reading it and running it.

// What becomes of the matches of a split and the text between them.
enum tr_behavior {
    TR_ISOLATED, // each is a piece
    TR_REMOVED,  // matches are dropped
    TR_CONTIGUOUS,
    TR_MERGED_WITH_PREVIOUS,
    TR_MERGED_WITH_NEXT
};

enum tr_step_kind { TR_STEP_PREFIX_SPACE, TR_STEP_SPLIT };

struct tr_step {
    enum tr_step_kind kind;
    enum tr_behavior behavior;
    bool invert;      // the text between the matches takes the part of the matches
    pcre2_code *code; // of a split
};

enum { TR_STEPS_MAX = 32 };

struct tr_pretokenizer {
    struct tr_step steps[TR_STEPS_MAX];
    int count;
    bool byte_level; // set once ByteLevel was read, which must be the last
};

#endif
