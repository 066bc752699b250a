// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TOKENIZER_H
#define TR_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"

// Text in, token ids out, equal to what the library that the file belongs to gives without special
// tokens around the text: a tokenizer.json to Hugging Face's tokenizers (with truncation and
// padding off), a tokenizer.model to SentencePiece, a file of ranks to tiktoken with the special
// tokens of a tokenizer_config.json beside it. Characters that came after Unicode 15 may be split
// differently.

struct tr_tokenizer; // immutable once open

// Opens a tokenizer file of any of these kinds, which is told from its content. A model,
// normaliser or pre-tokenizer outside what we run is TR_EUNSUPPORTED by its name, never tokenised
// wrongly. `model_type` is config.json's, or NULL: a file of ranks needs it.
enum tr_status tr_tokenizer_open(struct tr_tokenizer **tokenizer_p, const char *path,
                                 const char *model_type, struct tr_err *err);

// The same from bytes in memory; `path` is for messages.
enum tr_status tr_tokenizer_parse(struct tr_tokenizer **tokenizer_p, const char *bytes, size_t size,
                                  const char *path, const char *model_type, struct tr_err *err);
void tr_tokenizer_free(struct tr_tokenizer *tokenizer); // accepts NULL

// The tokenizer file of a folder, of several the one that says most, freed with free(); NULL when
// there is none.
enum tr_status tr_tokenizer_find(char **path_p, const char *folder, struct tr_err *err);

// A growing list of token ids; zeroed at start, freed with free(ids).
struct tr_ids {
    int32_t *ids;
    int64_t count;
    uint64_t capacity;
};

// Appends the ids of text[0, size) to `ids`. Invalid UTF-8 is TR_EFORMAT with the byte offset.
enum tr_status tr_tokenizer_encode(const struct tr_tokenizer *tokenizer, const char *text,
                                   size_t size, struct tr_ids *ids, struct tr_err *err);

// Appends the ids that the tokenizer puts before a text when it is asked for special tokens.
// TR_EUSAGE when it names none.
enum tr_status tr_tokenizer_begin(const struct tr_tokenizer *tokenizer, struct tr_ids *ids,
                                  struct tr_err *err);

// Appends one id.
enum tr_status tr_ids_append(struct tr_ids *ids, int32_t id, struct tr_err *err);

// The id of an added or vocabulary token by its exact text, -1 when there is none.
int32_t tr_tokenizer_id(const struct tr_tokenizer *tokenizer, const char *token);

// One more than the highest id.
int64_t tr_tokenizer_size(const struct tr_tokenizer *tokenizer);

// The digest of the file's bytes. Borrowed.
const char *tr_tokenizer_digest(const struct tr_tokenizer *tokenizer);

// What the tokenizer puts around a text A when it is asked for special tokens, such as "<s> A
// </s>"; never applied but for tr_tokenizer_begin. Borrowed.
const char *tr_tokenizer_template(const struct tr_tokenizer *tokenizer);

#endif
