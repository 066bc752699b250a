// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PATTERN_H
#define TR_PATTERN_H

#include <jansson.h>

#include "base/status.h"
#include "base/strings.h"
#include "search.h"

// The patterns of a tokenizer.json are written for Oniguruma and run here by PCRE2. Appends to
// `out` the PCRE2 spelling (for PCRE2_UTF | PCRE2_MULTILINE, newline LF) of
// pattern[0, size). What would mean something else, or nothing, in PCRE2 is TR_EUNSUPPORTED by
// name: only what is known to agree passes.
enum tr_status tr_pattern_translate(const char *pattern, size_t size, struct tr_string *out,
                                    const char *what, struct tr_err *err);

// The same for a text that is to be found as it is.
enum tr_status tr_pattern_quote(const char *text, size_t size, struct tr_string *out,
                                struct tr_err *err);

// The "pattern" value of a step, {"Regex": ...} or {"String": ...}, compiled; freed with
// pcre2_code_free. `step` names the step in sentences.
enum tr_status tr_pattern_parse(pcre2_code **code_p, const json_t *value, const char *step,
                                const char *what, struct tr_err *err);

// The same for a pattern that is written as for Oniguruma in the program itself.
enum tr_status tr_pattern_build(pcre2_code **code_p, const char *pattern, const char *what,
                                struct tr_err *err);

#endif
