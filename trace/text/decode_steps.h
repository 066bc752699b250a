// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DECODE_STEPS_H
#define TR_DECODE_STEPS_H

#include <jansson.h>

#include "base/strings.h"
#include "tokenizer.h"

// How the texts of tokens become text again: the "decoder" of a tokenizer.json, as a list.
enum tr_decode_kind {
    TR_DECODE_BYTE_LEVEL, // characters that stand for bytes
    TR_DECODE_BYTES,      // texts are bytes already
    TR_DECODE_REPLACE,    // `from` by `to` in every token
    TR_DECODE_BYTE_FALLBACK,
    TR_DECODE_FUSE,  // all tokens become one
    TR_DECODE_STRIP, // up to `start` times `from` at a token's beginning, `stop` times at its end
    TR_DECODE_METASPACE, // `from` by a space; at the beginning, if `begins`, by nothing
    TR_DECODE_WORDS      // without a decoder: a space between tokens
};

struct tr_decode_step {
    enum tr_decode_kind kind;
    char *from, *to; // owned
    int64_t start, stop;
    bool begins;
};

struct tr_decode_steps {
    struct tr_decode_step *steps; // [count]
    uint64_t count, capacity;
    char *refused;         // a step that is not run, NULL: all are
    struct tr_ids special; // tokens that are no text
};

// The "decoder" value of a tokenizer.json (may be null or absent), and which of its "added_tokens"
// are special. What is not run is noted, because texts can be encoded all the same.
enum tr_status tr_decode_steps_parse(struct tr_decode_steps *steps, const json_t *decoder,
                                     const json_t *added, const char *what, struct tr_err *err);
// Those of a SentencePiece model, and of a file of ranks.
enum tr_status tr_decode_steps_pieces(struct tr_decode_steps *steps, struct tr_err *err);
enum tr_status tr_decode_steps_bytes(struct tr_decode_steps *steps, struct tr_err *err);
void tr_decode_steps_free(struct tr_decode_steps *steps);

// Tokens' texts, one behind the other. Zeroed at start.
struct tr_pieces_of_text {
    struct tr_string text;
    size_t *ends; // [count] where each ends
    uint64_t count, capacity;
};
enum tr_status tr_pieces_of_text_add(struct tr_pieces_of_text *pieces, const char *text,
                                     size_t size, struct tr_err *err);
void tr_pieces_of_text_free(struct tr_pieces_of_text *pieces);

// Runs the steps over the tokens, whose texts together are the text then.
enum tr_status tr_decode_steps_run(const struct tr_decode_steps *steps,
                                   struct tr_pieces_of_text *pieces, struct tr_err *err);

#endif
