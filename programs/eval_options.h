// SPDX-License-Identifier: Apache-2.0
#ifndef TR_EVAL_OPTIONS_H
#define TR_EVAL_OPTIONS_H

#include "base/strings.h"
#include "eval/evaluation.h"
#include "option.h"

// trace-eval's command line. It begins with a trace's settings, so that rows are shared.
struct eval_options {
    struct tr_evaluation_settings evaluation;
    struct tr_string drop_sets; // lines as of a file of named sets
};

// `evaluation.run.command` and `stop` are left to the caller, lists and strings are to be freed.
struct eval_options tr_eval_defaults(void);

// Whether there are tasks or prompts, or speed is measured.
bool tr_eval_has_tasks(const struct eval_options *options);

// Whether a text is measured: not where tasks alone are asked for.
bool tr_eval_has_text(const struct eval_options *options);

#endif
