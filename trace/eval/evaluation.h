// SPDX-License-Identifier: Apache-2.0
#ifndef TR_EVALUATION_H
#define TR_EVALUATION_H

#include "base/strings.h"
#include "eval/prompt_tokens.h"
#include "mpi/dist.h"
#include "run/settings.h"

// Tasks of all checkpoints of a series, whole and without each drop set: read, made into tokens,
// scored, kept and compared.

// Which speeds are measured: of each length of prompts.
enum { TR_SPEED_PROMPTS = 8 };
struct tr_speed_settings {
    int64_t prompts[TR_SPEED_PROMPTS]; // [prompt_count], tokens
    int64_t prompt_count;              // 0: none are
    int64_t generated, batch, rounds;
    bool sublayers; // each kind's by itself, too
};

struct tr_evaluation_settings {
    // Checkpoints, text, tokenizer, device and drop sets, as for a trace; `out` is not used.
    struct tr_run_settings run;
    char **task_files; // [task_file_count]
    int64_t task_file_count;
    char **prompt_files; // [prompt_file_count]: texts to be continued
    int64_t prompt_file_count;
    int64_t new_tokens;       // of a prompt, at most
    int64_t batch;            // texts that are continued at a time
    int64_t stride;           // of windows over the text, 0: none
    const char *prefix_token; // NULL: what the tokenizer says
    enum tr_begin_rule begin;
    int64_t max_length; // tokens that the model is fed at most, 0: its positions
    double level;       // of intervals
    struct tr_speed_settings speed;
    // Where results go: FOLDER/CHECKPOINT/TASK.scores.json, which a run that was stopped goes on
    // from, FOLDER/CHECKPOINT[/SET]/TASK.texts.jsonl, FOLDER/CHECKPOINT[/SET]/results.json,
    // FOLDER/differences.json; of speeds FOLDER/CHECKPOINT/speed.json. Borrowed.
    const char *folder;
};

struct tr_evaluation_outcome {
    int64_t failed; // checkpoints, each named in the messages
    bool stopped;   // it was asked to stop and left work
};

// Collective: ranks share tasks and checkpoints, and what is written does not depend on how many
// there are; speeds are rank 0's alone. The table is appended to `page`, on rank 0. Documents that
// cannot be scored are named in the messages, a sentence each; checkpoints that fail are, too, and
// counted, there as well.
enum tr_status tr_evaluate(const struct tr_evaluation_settings *settings, struct dist *dist,
                           struct tr_evaluation_outcome *outcome, struct tr_string *page,
                           struct tr_err *err);

#endif
