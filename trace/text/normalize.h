// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NORMALIZE_H
#define TR_NORMALIZE_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"
#include "base/strings.h"
#include "search.h"

// What is done to a text before it is cut into words: steps by name, one after another.

enum { TR_NORMAL_STEPS_MAX = 16 };

struct tr_normal_step; // a row of the table of steps, and its options

struct tr_normalizer {
    struct tr_normal_step *steps; // [count]
    int count;
};

// Memory for one text after another.
struct tr_normal_memory {
    struct tr_searcher *searcher; // borrowed
    struct tr_string texts[2];
};

// The "normalizer" value of a tokenizer.json (which may be null or absent). A step that we do not
// run is TR_EUNSUPPORTED by its type's name.
enum tr_status tr_normalizer_parse(struct tr_normalizer *normalizer, const json_t *value,
                                   const char *what, struct tr_err *err);
void tr_normalizer_free(struct tr_normalizer *normalizer);

// A text that was normalised: `text` itself where no step is, else held by the memory.
struct tr_normal_text {
    const char *text;
    size_t size;
    size_t lead; // bytes at its start that come from the first character of the original
};

// TR_EUNSUPPORTED when the steps blow the text up beyond reason.
enum tr_status tr_normalize(const struct tr_normalizer *normalizer, const char *text, size_t size,
                            struct tr_normal_memory *memory, struct tr_normal_text *out,
                            struct tr_err *err);
void tr_normal_memory_free(struct tr_normal_memory *memory);

#endif
