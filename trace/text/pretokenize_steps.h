// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PRETOKENIZE_STEPS_H
#define TR_PRETOKENIZE_STEPS_H

#include <stdbool.h>

#include "base/strings.h"
#include "pretokenize.h"
#include "search.h"

// Shared by the parts of the pre-tokenizer: reading it and running it.

// What becomes of the matches of a split and the text between them.
enum tr_behavior {
    TR_ISOLATED, // each is a piece
    TR_REMOVED,  // matches are dropped
    TR_CONTIGUOUS,
    TR_MERGED_WITH_PREVIOUS,
    TR_MERGED_WITH_NEXT
};

// When a Metaspace puts its mark before a piece that has none: never, before every piece, before
// the first piece of the text.
enum tr_prepend { TR_PREPEND_NEVER, TR_PREPEND_ALWAYS, TR_PREPEND_FIRST };

enum { TR_STEPS_MAX = 32 };

struct tr_piece {
    const char *text;
    size_t size;
    size_t lead; // bytes at its start that come from the first character of the whole text
};

struct tr_step {
    // Hands what becomes of a piece to tr_splitter_next.
    enum tr_status (*run)(struct tr_splitter *splitter, int index, struct tr_piece piece,
                          struct tr_err *err);
    enum tr_behavior behavior;
    bool invert;      // the text between the matches takes the part of the matches
    pcre2_code *code; // of a split
    enum tr_prepend prepend;
    bool cut;     // a Metaspace cuts before each mark
    char mark[8]; // its mark, UTF-8
};

struct tr_pretokenizer {
    struct tr_step steps[TR_STEPS_MAX];
    int count;
};

struct tr_splitter {
    const struct tr_pretokenizer *pretokenizer;
    struct tr_searcher *searcher;
    struct tr_string memory[TR_STEPS_MAX]; // what each step made of its present piece
    tr_piece_fn *emit;
    void *user;
};

// Takes a piece, unless it is empty, to the step after `index`, or to the end.
enum tr_status tr_splitter_next(struct tr_splitter *splitter, int index, struct tr_piece piece,
                                struct tr_err *err);

enum tr_status tr_run_split(struct tr_splitter *splitter, int index, struct tr_piece piece,
                            struct tr_err *err);
enum tr_status tr_run_prefix(struct tr_splitter *splitter, int index, struct tr_piece piece,
                             struct tr_err *err);
enum tr_status tr_run_spell(struct tr_splitter *splitter, int index, struct tr_piece piece,
                            struct tr_err *err);
enum tr_status tr_run_metaspace(struct tr_splitter *splitter, int index, struct tr_piece piece,
                                struct tr_err *err);

#endif
