// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NAME_H
#define TR_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// What the name of a checkpoint's folder tells of its place in training.

enum { TR_STAGE_MAX = 64 };

// Unknown step: -1; unknown tokens: NaN, never invented.
struct tr_name {
    char stage[TR_STAGE_MAX]; // "" when the name has none, e.g. "stage1", "stage2-ingredient3"
    int64_t step;
    double tokens;            // tokens seen
    char other[TR_STAGE_MAX]; // a word before the step that is no known stage; ""
    char line[TR_STAGE_MAX];  // what is left without step and tokens, e.g. "seed7"; ""
    bool unclear;             // there are numbers that may or may not be a step or tokens
};

// The rules that names are read by.
struct tr_name_rules;

// `pattern`: a PCRE2 expression with groups named step, tokens or stage, which alone says these;
// NULL: none. It is matched with the whole path when there is a slash in it. TR_EUSAGE when it is
// none of that.
enum tr_status tr_name_rules_new(struct tr_name_rules **rules_p, const char *pattern,
                                 struct tr_err *err);
// Whether the caller's pattern alone says the stages.
bool tr_name_rules_give_stage(const struct tr_name_rules *rules);
void tr_name_rules_free(struct tr_name_rules *rules);

// Reads a name by the rules of published series and of trainers: name.c lists them, and
// tests/unit/names.tsv shows 200. What is not recognised is unknown, and so are numbers that do not
// fit. `path`: the folder's, for the pattern. TR_EUSAGE only when the pattern takes too long.
enum tr_status tr_name_parse(const struct tr_name_rules *rules, const char *path, const char *name,
                             struct tr_name *out, struct tr_err *err);

#endif
