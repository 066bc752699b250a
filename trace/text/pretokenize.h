// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PRETOKENIZE_H
#define TR_PRETOKENIZE_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"
#include "search.h"

// Cutting text into the words that the model works within: steps by name, one after another, each
// on the pieces that the one before yields.

struct tr_pretokenizer; // the steps, immutable
struct tr_splitter;     // what one thread needs to run them

// The "pre_tokenizer" value of a tokenizer.json (which may be null or absent). A step that we do
// not run is TR_EUNSUPPORTED by its type's name.
enum tr_status tr_pretokenizer_parse(struct tr_pretokenizer **pretokenizer_p, const json_t *value,
                                     const char *what, struct tr_err *err);

// One that splits at the matches of a pattern written for Oniguruma.
enum tr_status tr_pretokenizer_split_at(struct tr_pretokenizer **pretokenizer_p,
                                        const char *pattern, const char *what, struct tr_err *err);
void tr_pretokenizer_free(struct tr_pretokenizer *pretokenizer); // accepts NULL

// The searcher is borrowed. A pretokenizer of NULL has no step.
enum tr_status tr_splitter_new(struct tr_splitter **splitter_p,
                               const struct tr_pretokenizer *pretokenizer,
                               struct tr_searcher *searcher, struct tr_err *err);
void tr_splitter_free(struct tr_splitter *splitter); // accepts NULL

// What is done with each piece of text in turn; the bytes are valid during the call only.
typedef enum tr_status tr_piece_fn(void *user, const char *text, size_t size, struct tr_err *err);

// Hands the words of text[0, size), valid UTF-8, to `emit`. Its first `lead` bytes come from the
// first character of the whole text. A pattern that backtracks beyond the searcher's allowance is
// TR_EUNSUPPORTED.
enum tr_status tr_splitter_run(struct tr_splitter *splitter, const char *text, size_t size,
                               size_t lead, tr_piece_fn *emit, void *user, struct tr_err *err);

#endif
