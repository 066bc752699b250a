// SPDX-License-Identifier: Apache-2.0
#ifndef TR_REQUESTS_H
#define TR_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

// Tasks as finished requests: strings that are scored as they are. Prompts are never built here,
// because few-shot examples, templates and descriptions change them (docs/evaluation.md has the two
// kinds of lines that are read: our own, and the samples that lm-evaluation-harness logs).

enum tr_task_kind {
    TR_TASK_CHOICE,     // multiple_choice: which of several continuations is the likeliest
    TR_TASK_LIKELIHOOD, // loglikelihood: one continuation
    TR_TASK_ROLLING,    // loglikelihood_rolling: a whole text
    TR_TASK_GENERATE,   // generate_until: what comes behind a context
    TR_TASK_FILE_KINDS,
    TR_TASK_STRIDED = TR_TASK_FILE_KINDS, // windows of a text, see tr_prompts_add_strided
    TR_TASK_KINDS
};
extern const char *const tr_task_kind_names[TR_TASK_KINDS]; // the harness's words

// Of a rolling document `continuation` is the text and `context` is empty; of a generated one the
// continuation is empty.
struct tr_request {
    char *context, *continuation;
};

// How a context is continued, and what makes the continuation right.
struct tr_generate {
    int32_t *ids; // [id_count] in place of the context's; NULL: it is a text
    int64_t id_count;
    int64_t most;   // new tokens, at most
    char **until;   // [until_count]: texts before which it ends
    char **targets; // [target_count]: texts of which any is right; none: nothing is
    int64_t until_count, target_count;
    bool ignore_case, ignore_punctuation; // in the comparison
};

struct tr_document {
    int64_t id;
    struct tr_request *requests; // [count]
    int64_t count;
    // Choices: the first `choices` requests. As many behind them, if any, are their continuations
    // without a context.
    int64_t choices;
    int64_t *characters, *bytes; // [choices] of the choices' texts
    bool *gold;                  // [choices] which are right
    struct tr_generate generate;
    int64_t words, text_bytes; // rolling: what the perplexities are per; strided: tokens, 0
    char *fault;               // why it is not scored, a sentence; NULL: it is
};

struct tr_task {
    char *name;
    enum tr_task_kind kind;
    struct tr_document *documents; // [count], in the order of lines
    int64_t count;
    uint64_t capacity;
};

struct tr_tasks {
    struct tr_task *tasks; // [count], in the order of their first lines
    int64_t count;
    uint64_t capacity;
};

// Appends the documents of a file of lines, each our own or the harness's. Zeroed at start. A line
// that makes no sense is TR_EUSAGE and names the file, the line and the key; a document that makes
// sense and cannot be scored has a fault.
enum tr_status tr_tasks_read(struct tr_tasks *tasks, const char *path, struct tr_err *err);
// The same of a file of prompts, a task of the file's name: lines with "prompt" or "input_ids",
// each continued by so many tokens at most unless it says "max_gen_toks".
enum tr_status tr_tasks_read_prompts(struct tr_tasks *tasks, const char *path, int64_t new_tokens,
                                     struct tr_err *err);
void tr_tasks_free(struct tr_tasks *tasks); // leaves zeros

// A new task without documents, and a new document of one; borrowed until there is another.
enum tr_status tr_tasks_add(struct tr_task **task_p, struct tr_tasks *tasks, const char *name,
                            enum tr_task_kind kind, struct tr_err *err);
enum tr_status tr_task_add(struct tr_document **document_p, struct tr_task *task, int64_t id,
                           struct tr_err *err);

// Notes why a document is not scored; the first reason stays.
enum tr_status tr_document_fault(struct tr_document *document, struct tr_err *err,
                                 const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
