// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TIKTOKEN_H
#define TR_TIKTOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "model.h"
#include "pretokenize.h"

// A file of ranks as tiktoken reads it: lines of a token in base64, a space and its rank. How text
// is split into words is not in it; the kind of model says that.

// Whether the first line looks like one of such a file.
bool tr_is_tiktoken(const char *bytes, size_t size);

// The pattern of the words of models of that type, as for Oniguruma; NULL: not known.
const char *tr_tiktoken_words(const char *model_type);

// Reads the ranks. `model_type` is config.json's; NULL, or one whose split we do not know, is
// TR_EUNSUPPORTED.
enum tr_status tr_tiktoken_parse(struct tr_model *model, struct tr_pretokenizer **pretokenizer_p,
                                 const char *bytes, size_t size, const char *model_type,
                                 const char *what, struct tr_err *err);

#endif
