// SPDX-License-Identifier: Apache-2.0
#ifndef TR_MODEL_H
#define TR_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "bpe.h"
#include "tokenizer.h"
#include "unigram.h"
#include "vocabulary.h"

// What turns a word, the piece of text that the steps before leave, into token ids.

struct tr_model_type; // BPE or Unigram: a row of the table in model.c

struct tr_model {
    const struct tr_model_type *type;
    struct tr_vocabulary vocabulary; // texts of tokens as in the file
    struct tr_vocabulary reserved;   // SentencePiece's tokens that no text is looked up as
    int32_t byte_ids[256];           // the token <0xHH> that a byte falls back to, or -1
    bool byte_fallback;
    bool merges_unknown; // what is unknown in a row becomes one token
    int32_t unknown;     // its id, -1: unknown characters are left out
    char *missing;       // the unknown token's name when it has no id; owned
    struct tr_bpe bpe;
    struct tr_unigram unigram;
};

// Memory for one word after another.
struct tr_model_scratch {
    struct tr_bpe_scratch bpe;
    struct tr_unigram_scratch unigram;
};

// The "model" object of a tokenizer.json. A model, or an option of it, that we do not run is
// TR_EUNSUPPORTED by name.
enum tr_status tr_model_parse(struct tr_model *model, const json_t *value, const char *what,
                              struct tr_err *err);
void tr_model_free(struct tr_model *model);

// Tokens of the model, from where the library numbers those that are added.
int64_t tr_model_size(const struct tr_model *model);

// The row of that name, NULL when there is none.
const struct tr_model_type *tr_model_type_find(const char *name);

// Finds the tokens <0x00> to <0xFF> among `texts`; whether all of them are there.
bool tr_model_find_bytes(struct tr_model *model, const struct tr_vocabulary *texts);

// Appends the ids of one word.
enum tr_status tr_model_word(const struct tr_model *model, struct tr_model_scratch *scratch,
                             const char *word, size_t size, struct tr_ids *ids, struct tr_err *err);
void tr_model_scratch_free(struct tr_model_scratch *scratch);

// Appends what an unknown text becomes: its bytes, the unknown token (not again when `again` says
// that the text before was unknown too and the model merges them), or nothing.
enum tr_status tr_model_unknown(const struct tr_model *model, const char *text, size_t size,
                                bool again, struct tr_ids *ids, struct tr_err *err);

#endif
