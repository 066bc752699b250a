// SPDX-License-Identifier: Apache-2.0
#ifndef TR_REQUEST_LINES_H
#define TR_REQUEST_LINES_H

#include <jansson.h>

#include "requests.h"

// One line of a file of requests. Private to this folder.
struct tr_request_line {
    const json_t *object;
    const char *what;      // file and line
    const char *task_name; // what the file's name says; a line's own goes before
    struct tr_tasks *tasks;
    int64_t new_tokens; // of a prompt, at most
};

enum tr_status tr_request_line_own(const struct tr_request_line *line, struct tr_err *err);
enum tr_status tr_request_line_sample(const struct tr_request_line *line, struct tr_err *err);

// A prompt to be continued (generate_lines.c), a request of the type generate_until, and one that
// the harness logged: its context, and what it says of how to go on.
enum tr_status tr_request_line_prompt(const struct tr_request_line *line, struct tr_err *err);
enum tr_status tr_request_line_generate(struct tr_document *document,
                                        const struct tr_request_line *line, struct tr_err *err);
enum tr_status tr_request_line_generated(struct tr_document *document,
                                         const struct tr_request_line *line, const json_t *context,
                                         const json_t *options, struct tr_err *err);

// The text of a value, borrowed; NULL when it is none, or holds a zero character, which ends texts
// here.
const char *tr_request_text(const json_t *value);

// A new document of the task of this name, which must be of this kind.
enum tr_status tr_document_new(struct tr_document **document_p, const struct tr_request_line *line,
                               const char *task, enum tr_task_kind kind, int64_t id,
                               struct tr_err *err);
// Room for so many requests.
enum tr_status tr_document_requests(struct tr_document *document, int64_t count,
                                    struct tr_err *err);
enum tr_status tr_document_request(struct tr_document *document, int64_t index, const char *context,
                                   const char *continuation, struct tr_err *err);
// Room for so many choices; then each choice's text without what joins it to the context.
enum tr_status tr_document_choices(struct tr_document *document, int64_t count, struct tr_err *err);
enum tr_status tr_document_choice(struct tr_document *document, int64_t index, const char *text,
                                  struct tr_err *err);
// A right choice; one that there is not is a fault.
enum tr_status tr_document_gold(struct tr_document *document, int64_t choice, struct tr_err *err);

#endif
