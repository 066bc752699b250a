// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ADDED_TOKENS_H
#define TR_ADDED_TOKENS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "model.h"
#include "normalize.h"
#include "prefix_set.h"
#include "vocabulary.h"

// Tokens that are cut out of the text before anything else sees it: first those matched against
// the text as it is, then, in what is left, those matched against the normalised text.

struct tr_added_token {
    int32_t id;
    bool single_word, lstrip, rstrip;
};

struct tr_added_set {
    struct tr_prefix_set texts;    // what is matched, each with its index among the tokens
    struct tr_added_token *tokens; // [count]
    uint64_t count, capacity;
};

struct tr_added_tokens {
    struct tr_added_set raw, normalized;
    struct tr_vocabulary names; // those that the model's vocabulary lacks
};

// The "added_tokens" value of a tokenizer.json (may be absent) beside the model. Ids that are not
// those the library would give are TR_EFORMAT.
enum tr_status tr_added_tokens_parse(struct tr_added_tokens *added, const json_t *value,
                                     const struct tr_model *model,
                                     const struct tr_normalizer *normalizer, const char *what,
                                     struct tr_err *err);

// The "added_tokens_decoder" of a tokenizer_config.json (may be absent), whose keys are the ids:
// all are matched against the text as it is.
enum tr_status tr_added_tokens_decode(struct tr_added_tokens *added, const json_t *root,
                                      const char *what, struct tr_err *err);
void tr_added_tokens_free(struct tr_added_tokens *added);

// Receives the pieces of a text in order: an added token (text NULL) or text without any (id -1).
typedef enum tr_status tr_added_fn(void *user, int32_t id, const char *text, size_t size,
                                   struct tr_err *err);

// The leftmost match counts, of several there the longest.
enum tr_status tr_added_split(const struct tr_added_set *set, const char *text, size_t size,
                              tr_added_fn *emit, void *user, struct tr_err *err);

#endif
