// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SENTENCEPIECE_TEXT_H
#define TR_SENTENCEPIECE_TEXT_H

#include <stdbool.h>

#include "charsmap.h"
#include "prefix_set.h"

// What SentencePiece does to a text before its model sees it.
struct tr_sentencepiece_text {
    struct tr_charsmap charsmap;
    struct tr_prefix_set defined; // the user's own pieces, which are left as they are
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces, suffix;
};

void tr_sentencepiece_text_free(struct tr_sentencepiece_text *text); // accepts NULL

#endif
