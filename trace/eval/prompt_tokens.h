// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PROMPT_TOKENS_H
#define TR_PROMPT_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/requests.h"
#include "text/tokenizer.h"

// Requests as token ids, token by token as lm-evaluation-harness 0.4.13 makes them for a decoder
// (its hf backend: _encode_pair, loglikelihood, loglikelihood_rolling).

enum tr_begin_rule {
    TR_BEGIN_AS_TOKENIZER, // what the tokenizer puts before a text, if anything
    TR_BEGIN_ALWAYS,       // the same; a tokenizer that puts nothing is refused
    TR_BEGIN_NEVER
};

struct tr_prompt_rules {
    const struct tr_tokenizer *tokenizer;
    // The context of what has none: the tokenizer's beginning-of-sequence token, else its end. A
    // text that starts with its spelling gets nothing before it.
    int32_t prefix;
    const char *prefix_text;
    enum tr_begin_rule begin;
    int64_t max_length; // tokens that the model is fed at most
};

// The rules of a tokenizer: `prefix_text` names the prefix token (NULL: what tokenizer_config.json
// or special_tokens_map.json beside `path` say). Owns the text; freed with tr_prompt_rules_free.
// TR_EUSAGE when there is no such token, or the tokenizer ends texts with something.
enum tr_status tr_prompt_rules_make(struct tr_prompt_rules *rules,
                                    const struct tr_tokenizer *tokenizer, const char *path,
                                    const char *prefix_text, enum tr_begin_rule begin,
                                    int64_t max_length, struct tr_err *err);
void tr_prompt_rules_free(struct tr_prompt_rules *rules);

// A row of tokens of which the likelihood of some is asked: all but the last are fed to the model,
// and tokens [first, count), first >= 1, are predicted. To be continued: all are fed, and first is
// count.
struct tr_prompt {
    int32_t *tokens; // [count], owned
    int64_t count, first;
};

// Prompts of all requests of all documents: of a document without a fault
// prompts[document's first, + as many], several where a rolled text is longer than the model.
struct tr_prompts {
    struct tr_prompt *prompts; // [count]
    int64_t count;
    uint64_t capacity;
};

// Appends the prompts of request `index` of a document. What cannot be scored becomes the
// document's fault, and nothing is appended.
//
// context and continuation: white space at the context's end belongs to the continuation; tokens of
// both together, of which as many are context as the context alone has. An empty context is the
// prefix token, unless the continuation begins with it. Longer than max_length + 1 tokens: the
// first ones go. A context of white space alone is what the tokenizer puts before a text, if
// anything. generate: the context's tokens, none of which is predicted, of too many the last ones.
// rolling: windows of max_length tokens; the first sees the prefix token, later ones the token
// before them, and the last is moved back so that it is full.
enum tr_status tr_prompts_add(struct tr_prompts *prompts, const struct tr_prompt_rules *rules,
                              const struct tr_task *task, struct tr_document *document,
                              int64_t index, struct tr_err *err);
void tr_prompts_free(struct tr_prompts *prompts);

// The windows of a long row of ids as the perplexity with a stride has them: window i ends at
// min(length + i stride, count), has the last `length` tokens up to there and predicts those that
// the one before did not; the first token of all is not predicted.
enum tr_status tr_prompts_add_strided(struct tr_prompts *prompts, const int32_t *ids, int64_t count,
                                      int64_t length, int64_t stride, struct tr_err *err);

#endif
