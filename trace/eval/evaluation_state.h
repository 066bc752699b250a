// SPDX-License-Identifier: Apache-2.0
#ifndef TR_EVALUATION_STATE_H
#define TR_EVALUATION_STATE_H

#include "end_tokens.h"
#include "eval/evaluation.h"
#include "eval/task_plan.h"
#include "eval/task_results.h"
#include "run/affinity.h"
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
    int64_t shared;                     // those that the ranks scored before (task_share.c)
    int64_t joined;                     // those that several of them scored together
    int64_t parts;                      // into which ranks cut a task, 0: they do not
    struct tr_device compute;           // that of this rank
    int node_ranks;
    bool is_over;            // rank 0 has said why
    double copy_rate;        // see tr_speed_copy
    double product_rate;     // see tr_speed_product
    struct tr_string speeds; // the checkpoints' tables
};

// A checkpoint whose tasks are scored: its weights are read when the first one needs them.
struct tr_evaluated {
    struct evaluation *e;
    const struct tr_series_entry *entry;
    struct tr_loaded loaded;
    struct tr_end_tokens ends;
    char *folder; // of its results
    bool stopped;
};

// Closed with tr_evaluated_close, whatever the status.
enum tr_status tr_evaluated_open(struct tr_evaluated *c, struct evaluation *e, int64_t index,
                                 struct tr_err *err);
// e->now[task]: scored, and kept in a file, or what such a file has. *scored_p: it was not there.
// c->stopped: it was asked to stop, and nothing was kept.
enum tr_status tr_evaluated_take(struct tr_evaluated *c, int64_t task, bool *scored_p,
                                 struct tr_err *err);
// Scores one of e->parts of a task into a file of its own, which tr_evaluated_take puts together
// with the others. Texts are made as a whole, by who takes the first part.
enum tr_status tr_evaluated_take_part(struct tr_evaluated *c, int64_t task, int64_t part,
                                      bool *scored_p, struct tr_err *err);
void tr_evaluated_close(struct tr_evaluated *c);

// Takes all tasks of a checkpoint, adds their cells and writes its results. *stopped_p: it was
// asked to stop, and nothing was added.
enum tr_status tr_evaluate_checkpoint(struct evaluation *e, int64_t index, bool *stopped_p,
                                      struct tr_err *err);

// Collective. Ranks score the tasks of all checkpoints, each one task, or one part of it, at a
// time, into the files that tr_evaluated_take looks for. What a rank cannot score is left to
// whoever takes it next.
enum tr_status tr_task_share(struct evaluation *e, struct dist *dist, struct tr_err *err);
// Collective. Calls `work` on rank 0 while the others wait without burning a core.
enum tr_status tr_first_rank_alone(struct dist *dist,
                                   enum tr_status (*work)(void *user, struct tr_err *err),
                                   void *user, struct tr_err *err);

// Frees likelihoods[count] and leaves NULLs; accepts NULL.
void tr_forget_scores(struct tr_likelihood **likelihoods, int64_t count);

#endif
