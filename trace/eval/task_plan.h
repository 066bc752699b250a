// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TASK_PLAN_H
#define TR_TASK_PLAN_H

#include "base/digest.h"
#include "eval/prompt_tokens.h"
#include "eval/requests.h"
#include "eval/score.h"

// A task made ready once for all checkpoints: its prompts, and which request each answers.
struct tr_task_plan {
    const struct tr_task *task; // borrowed
    struct tr_prompts prompts;
    int64_t *request_of; // [prompts.count]
    uint64_t capacity;
    int64_t *first;             // [task->count]: where a document's requests begin
    int64_t requests;           // of all documents
    char digest[TR_DIGEST_MAX]; // of the prompts: what scores depend on besides the model
};

// Notes as faults which documents cannot be scored.
enum tr_status tr_task_plan_make(struct tr_task_plan *plan, const struct tr_prompt_rules *rules,
                                 struct tr_task *task, struct tr_err *err);
// A task of windows: `ids` [count] in windows of `length` tokens, `stride` apart, each a document.
enum tr_status tr_task_plan_strided(struct tr_task_plan *plan, struct tr_task *task,
                                    const int32_t *ids, int64_t count, int64_t length,
                                    int64_t stride, struct tr_err *err);
void tr_task_plan_free(struct tr_task_plan *plan);

// of_requests[candidates, plan->requests] of of_prompts[candidates, plan->prompts.count]: a request
// of several prompts has their sum.
void tr_task_plan_sum(const struct tr_task_plan *plan, int64_t candidates,
                      const struct tr_likelihood *of_prompts, struct tr_likelihood *of_requests);

#endif
