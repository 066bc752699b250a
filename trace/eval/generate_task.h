// SPDX-License-Identifier: Apache-2.0
#ifndef TR_GENERATE_TASK_H
#define TR_GENERATE_TASK_H

#include "eval/score.h"
#include "eval/task_plan.h"
#include "text/detokenizer.h"

// The texts of a task of the kind generate_until: whole, and without each drop set one after the
// other, for each makes a text of its own.

struct tr_generate_task {
    const struct tr_task_plan *plan;
    struct tr_scoring *scoring;
    const struct tr_detokenizer *detokenizer; // NULL: tokens are all that is made
    const int32_t *ends;                      // [end_count]: tokens that end a text
    int64_t end_count, batch;
    // Takes the texts of drop set `set` (0: the whole model) as lines of JSON.
    enum tr_status (*keep)(void *user, int64_t set, const struct tr_string *lines,
                           struct tr_err *err);
    void *user;
};

// likelihoods[1 + sets, plan->requests], see struct tr_likelihood. *stopped_p as for
// tr_score_prompts.
enum tr_status tr_generate_task(const struct tr_generate_task *task,
                                struct tr_likelihood *likelihoods, bool *stopped_p,
                                struct tr_err *err);

#endif
