// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TEMPLATE_H
#define TR_TEMPLATE_H

#include <jansson.h>

#include "base/status.h"
#include "base/strings.h"
#include "tokenizer.h"

// What a tokenizer puts around a text: recorded, and applied only where it is asked for.
struct tr_template {
    struct tr_ids begin;            // the ids before a text
    struct tr_string before, after; // the tokens as text, each with a space
    struct tr_string whole;         // "before A after", for people
};

// The "post_processor" value of a tokenizer.json (which may be null or absent). Steps that put
// nothing around a text, or that we do not know, leave no trace.
enum tr_status tr_template_parse(struct tr_template *template, const json_t *value,
                                 const char *what, struct tr_err *err);

// One token at the start.
enum tr_status tr_template_begin(struct tr_template *template, const char *token, int32_t id,
                                 struct tr_err *err);
void tr_template_free(struct tr_template *template);

#endif
