// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SEARCH_H
#define TR_SEARCH_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Searching text for a pattern at a bounded cost. A pattern may backtrack, and each step back may
// look at all that follows, so one attempt costs at most (steps back) x (bytes looked at). Every
// attempt begins with few of both; what the larger attempts after it cost is taken from an
// allowance of so much for each byte of text, over all matches together.

struct tr_searcher; // what one thread needs to search

enum tr_status tr_searcher_new(struct tr_searcher **searcher_p, struct tr_err *err);
void tr_searcher_free(struct tr_searcher *searcher); // accepts NULL

// Begins the allowance of a text of `size` bytes.
void tr_searcher_allow(struct tr_searcher *searcher, size_t size);

// What has been taken from it, and all there was.
uint64_t tr_searcher_spent(const struct tr_searcher *searcher);
uint64_t tr_searcher_allowance(const struct tr_searcher *searcher);

// A pattern in PCRE2's spelling, freed with pcre2_code_free. What PCRE2 refuses is
// TR_EUNSUPPORTED.
enum tr_status tr_pattern_compile(pcre2_code **code_p, const char *pattern, size_t size,
                                  const char *what, struct tr_err *err);

// The matches in text[0, size), valid UTF-8, from left to right; an empty one right after a match
// does not count. Zeroed but for the first four.
struct tr_matches {
    struct tr_searcher *searcher;
    const pcre2_code *code;
    const char *text;
    size_t size;
    size_t start, end; // of the present match
    size_t from;
    bool after_match;
};

// Finds the next match; *found_p false: there is none. TR_EUNSUPPORTED when the allowance is spent.
enum tr_status tr_matches_next(struct tr_matches *matches, bool *found_p, struct tr_err *err);

#endif
