// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TOKENIZER_PARTS_H
#define TR_TOKENIZER_PARTS_H

#include "added_tokens.h"
#include "decode_steps.h"
#include "model.h"
#include "normalize.h"
#include "pretokenize.h"
#include "template.h"
#include "tokenizer.h"

// Shared by the parts of the tokenizer: reading its files, encoding and decoding.

// The pipeline: added tokens on the raw text, normaliser, added tokens on the normalised text,
// pre-tokenizer, model.
struct tr_tokenizer {
    struct tr_normalizer normalizer;
    struct tr_added_tokens added;
    struct tr_pretokenizer *pretokenizer; // NULL: no step
    struct tr_model model;
    struct tr_template template;
    struct tr_decode_steps decode; // the way back
    char digest[TR_DIGEST_MAX];
};

#endif
