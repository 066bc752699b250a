// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BPE_JOINER_H
#define TR_BPE_JOINER_H

#include <stdbool.h>

#include "bpe_files.h"

// Shared by the parts of bpe_files.h: the class of a tokenizer, and the document that is made.

// A class of Hugging Face's transformers, whose name may end with "Fast".
struct tr_tokenizer_class {
    const char *name, *normalizer;
    const char *words;    // text is split as tiktoken's of that model type; NULL: as ByteLevel does
    const char *settings; // what it has where no file says otherwise, as JSON
    bool plain;           // special tokens are matched without flags
};

struct tr_bpe_joiner {
    const struct tr_bpe_files *files;
    const struct tr_tokenizer_class *class;
    const json_t *numbered;    // "added_tokens_decoder" of tokenizer_config.json, NULL: none
    json_t *settings;          // the class's, tokenizer_config.json's, special_tokens_map.json's
    json_t *document, *tokens; // tokens: the document's "added_tokens", borrowed
    json_t *places, *special;  // where a content is among them; the contents that are special
    json_int_t given;          // how many of them come from the files that give ids
    json_int_t next_id;        // of a token that the vocabulary lacks
    const char *what;
    struct tr_err *err;
};

enum tr_status tr_bpe_no_memory(const struct tr_bpe_joiner *j);

// That a key of one of the files is not supported.
enum tr_status tr_bpe_unsupported(const struct tr_bpe_joiner *j, const char *key);

// A new member of the document, which takes the value over.
enum tr_status tr_bpe_put(const struct tr_bpe_joiner *j, const char *key, json_t *value);

// Puts "added_tokens": those of the files that give ids, then the special ones.
enum tr_status tr_bpe_put_tokens(struct tr_bpe_joiner *j);

// What is matched of a token, which is a string or an object with one; NULL: it is neither.
json_t *tr_bpe_content(const json_t *token);

// The entry of that text in "added_tokens", NULL for none.
json_t *tr_bpe_find_added(const struct tr_bpe_joiner *j, const char *text);

#endif
