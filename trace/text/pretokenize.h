// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PRETOKENIZE_H
#define TR_PRETOKENIZE_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"
#include "search.h"

// Cutting text into the words that BPE merges within.

struct tr_pretokenizer; // the steps of a "pre_tokenizer", immutable
struct tr_splitter;     // what one thread needs to run them

// The "pre_tokenizer" value of a tokenizer.json: ByteLevel last, before it any Split and Digits,
// alone or in Sequences. Anything else is TR_EUNSUPPORTED by its type's name.
enum tr_status tr_pretokenizer_parse(struct tr_pretokenizer **pretokenizer_p, const json_t *value,
                                     const char *what, struct tr_err *err);
void tr_pretokenizer_free(struct tr_pretokenizer *pretokenizer); // accepts NULL

// The searcher is borrowed.
enum tr_status tr_splitter_new(struct tr_splitter **splitter_p,
                               const struct tr_pretokenizer *pretokenizer,
                               struct tr_searcher *searcher, struct tr_err *err);
void tr_splitter_free(struct tr_splitter *splitter); // accepts NULL

// What is done with each piece of text in turn; the bytes are valid during the call only.
typedef enum tr_status tr_piece_fn(void *user, const char *text, size_t size, struct tr_err *err);

// Hands the words of text[0, size), valid UTF-8, to `emit`. A pattern that backtracks beyond the
// searcher's allowance is TR_EUNSUPPORTED.
enum tr_status tr_splitter_run(struct tr_splitter *splitter, const char *text, size_t size,
                               tr_piece_fn *emit, void *user, struct tr_err *err);

#endif
