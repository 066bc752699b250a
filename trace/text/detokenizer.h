// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DETOKENIZER_H
#define TR_DETOKENIZER_H

#include <stdbool.h>

#include "base/strings.h"
#include "text/tokenizer.h"

// Token ids in, text out: what Hugging Face's tokenizers make of them with special tokens left out
// (decode(ids, skip_special_tokens=True)), and without its old clean-up of spaces.
struct tr_detokenizer;

// TR_EUNSUPPORTED where the tokenizer's decoder has a step that is not run, by name. `tokenizer` is
// borrowed until the free.
enum tr_status tr_detokenizer_new(struct tr_detokenizer **detokenizer_p,
                                  const struct tr_tokenizer *tokenizer, struct tr_err *err);
void tr_detokenizer_free(struct tr_detokenizer *detokenizer); // accepts NULL

// Appends the text of ids[0, count), always UTF-8. Ids that no token has are left out.
enum tr_status tr_detokenize(const struct tr_detokenizer *detokenizer, const int32_t *ids,
                             int64_t count, struct tr_string *text, struct tr_err *err);

#endif
