// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NORMAL_STEPS_H
#define TR_NORMAL_STEPS_H

#include <jansson.h>

#include "charsmap.h"
#include "normalize.h"
#include "unicode_form.h"

// Shared by the parts of the normaliser: reading the steps, and running them.

// One step at work on one text.
struct tr_normal_run {
    const char *text;
    size_t size;
    struct tr_string *out;
    size_t limit; // bytes that `out` may hold
    struct tr_searcher *searcher;
    size_t lead;     // bytes at the start of `text` that come from the original's first character
    size_t lead_out; // the same of `out`
};

typedef enum tr_status tr_normal_fn(const struct tr_normal_step *step, struct tr_normal_run *run,
                                    struct tr_err *err);

struct tr_normal_step {
    tr_normal_fn *run;
    enum tr_unicode_form form;
    struct tr_string content;             // of Prepend and Replace
    pcre2_code *code;                     // of Replace
    bool left, right;                     // of Strip
    struct tr_charsmap charsmap;          // of Precompiled
    struct tr_sentencepiece_text *pieces; // of a SentencePiece file
};

// Appends to the text that the step makes.
enum tr_status tr_normal_put(struct tr_normal_run *run, const char *bytes, size_t size,
                             struct tr_err *err);

// The same for what became of the text up to `source_end`.
enum tr_status tr_normal_put_from(struct tr_normal_run *run, size_t source_end, const char *bytes,
                                  size_t size, struct tr_err *err);

// A new step at the end, zeroed; `name` is for the sentence when there are too many.
enum tr_status tr_normalizer_add(struct tr_normalizer *normalizer, struct tr_normal_step **step_p,
                                 const char *what, struct tr_err *err);

tr_normal_fn tr_normal_form, tr_normal_prepend, tr_normal_replace, tr_normal_strip,
    tr_normal_lowercase, tr_normal_nmt, tr_normal_bytes, tr_normal_precompiled,
    tr_normal_sentencepiece;

#endif
