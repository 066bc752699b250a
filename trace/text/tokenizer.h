// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TOKENIZER_H
#define TR_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"

// A tokenizer.json of the Hugging Face tokenizers library, byte-level BPE models: text in, token
// ids out, equal to that library's encode(text, add_special_tokens=False) with truncation and
// padding off. Characters that came after Unicode 15 may be split differently.

struct tr_tokenizer; // immutable once open

// Opens tokenizer.json. A model, normaliser or pre-tokenizer outside what we run is
// TR_EUNSUPPORTED by its name, never tokenised wrongly.
enum tr_status tr_tokenizer_open(struct tr_tokenizer **tokenizer_p, const char *path,
                                 struct tr_err *err);

// The same from bytes in memory; `path` is for messages.
enum tr_status tr_tokenizer_parse(struct tr_tokenizer **tokenizer_p, const char *bytes, size_t size,
                                  const char *path, struct tr_err *err);
void tr_tokenizer_free(struct tr_tokenizer *tokenizer); // accepts NULL

// A growing list of token ids; zeroed at start, freed with free(ids).
struct tr_ids {
    int32_t *ids;
    int64_t count;
    uint64_t capacity;
};

// Appends the ids of text[0, size) to `ids`. Invalid UTF-8 is TR_EFORMAT with the byte offset.
enum tr_status tr_tokenizer_encode(const struct tr_tokenizer *tokenizer, const char *text,
                                   size_t size, struct tr_ids *ids, struct tr_err *err);

// The id of an added or vocabulary token by its exact text, -1 when there is none.
int32_t tr_tokenizer_id(const struct tr_tokenizer *tokenizer, const char *token);

// One more than the highest id.
int64_t tr_tokenizer_size(const struct tr_tokenizer *tokenizer);

// The digest of the file's bytes. Borrowed.
const char *tr_tokenizer_digest(const struct tr_tokenizer *tokenizer);

#endif
