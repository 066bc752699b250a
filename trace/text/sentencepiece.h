// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SENTENCEPIECE_H
#define TR_SENTENCEPIECE_H

#include "base/status.h"
#include "model.h"
#include "normalize.h"
#include "template.h"

// A tokenizer.model of SentencePiece: a message with its pieces, how text is normalised, and how
// the model was trained. BPE and Unigram; a WORD or CHAR model is TR_EUNSUPPORTED. The piece that
// begins a text goes to the template.
enum tr_status tr_sentencepiece_parse(struct tr_model *model, struct tr_normalizer *normalizer,
                                      struct tr_template *template, const char *bytes, size_t size,
                                      const char *what, struct tr_err *err);

#endif
