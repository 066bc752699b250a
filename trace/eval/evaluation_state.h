// SPDX-License-Identifier: Apache-2.0
#ifndef TR_EVALUATION_STATE_H
#define TR_EVALUATION_STATE_H

#include "eval/evaluation.h"
#include "eval/task_plan.h"
#include "eval/task_results.h"
#include "run/job.h"
#include "text/detokenizer.h"

// An evaluation under way. Private to this folder.
struct evaluation {
    const struct tr_evaluation_settings *settings;
    struct tr_run_settings run; // the job's
    struct tr_job job;
    struct kn_backend *kn;
    struct tr_tokenizer *tokenizer;
    struct tr_prompt_rules rules;
    struct tr_tasks tasks;
    struct tr_task_plan *plans; // [tasks.count]
    struct tr_task_results results;
    char **names; // [series.count] of the checkpoints that were scored
    // Of the checkpoint under way and the one before: [tasks.count] likelihoods of a plan.
    struct tr_likelihood **now, **before;
    struct tr_scoring scoring;
    struct tr_pass_weights weights;     // of the checkpoint under way, once a task needs them
    struct tr_detokenizer *detokenizer; // NULL: texts stay tokens
    int64_t kept;                       // tasks of checkpoints whose scores were there
    double copy_rate;                   // see tr_speed_copy
    struct tr_string speeds;            // the checkpoints' tables
};

// Scores the tasks of a checkpoint, or takes what is kept of them, adds their cells and writes its
// results. *stopped_p: it was asked to stop, and nothing was added.
enum tr_status tr_evaluate_checkpoint(struct evaluation *e, int64_t index, bool *stopped_p,
                                      struct tr_err *err);
// Frees likelihoods[count] and leaves NULLs; accepts NULL.
void tr_forget_scores(struct tr_likelihood **likelihoods, int64_t count);

#endif
