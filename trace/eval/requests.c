// SPDX-License-Identifier: Apache-2.0
#include "eval/requests.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "python_text.h"
#include "request_lines.h"
#include "text/jsonl.h"

const char *const tr_task_kind_names[TR_TASK_KINDS] = {
    "multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until", "strided"};

// ---- tasks and documents -----------------------------------------------------------------------

static struct tr_task *find_task(const struct tr_tasks *tasks, const char *name) {
    for (int64_t i = 0; i < tasks->count; i++)
        if (strcmp(tasks->tasks[i].name, name) == 0)
            return &tasks->tasks[i];
    return NULL;
}

enum tr_status tr_tasks_add(struct tr_task **task_p, struct tr_tasks *tasks, const char *name,
                            enum tr_task_kind kind, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&tasks->tasks, &tasks->capacity, (uint64_t)tasks->count + 1,
                   sizeof *tasks->tasks, "tasks", err));
    struct tr_task *task = &tasks->tasks[tasks->count];
    *task = (struct tr_task){.kind = kind};
    TR_TRY(tr_strdup(&task->name, name, err));
    tasks->count++;
    *task_p = task;
    return TR_OK;
}

enum tr_status tr_task_add(struct tr_document **document_p, struct tr_task *task, int64_t id,
                           struct tr_err *err) {
    TR_TRY(tr_grow((void **)&task->documents, &task->capacity, (uint64_t)task->count + 1,
                   sizeof *task->documents, "documents", err));
    *document_p = &task->documents[task->count++];
    **document_p = (struct tr_document){.id = id};
    return TR_OK;
}

enum tr_status tr_document_new(struct tr_document **document_p, const struct tr_request_line *line,
                               const char *name, enum tr_task_kind kind, int64_t id,
                               struct tr_err *err) {
    struct tr_task *task = find_task(line->tasks, name);
    if (!task)
        TR_TRY(tr_tasks_add(&task, line->tasks, name, kind, err));
    if (task->kind != kind)
        return tr_fail(err, TR_EUSAGE, "%s: task \"%s\" is %s, and was %s before", line->what, name,
                       tr_task_kind_names[kind], tr_task_kind_names[task->kind]);
    return tr_task_add(document_p, task, id, err);
}

const char *tr_request_text(const json_t *value) {
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

enum tr_status tr_document_requests(struct tr_document *document, int64_t count,
                                    struct tr_err *err) {
    TR_TRY(TR_NEW(&document->requests, count, "requests", err));
    document->count = count;
    return TR_OK;
}

enum tr_status tr_document_request(struct tr_document *document, int64_t index, const char *context,
                                   const char *continuation, struct tr_err *err) {
    struct tr_request *request = &document->requests[index];
    TR_TRY(tr_strdup(&request->context, context, err));
    return tr_strdup(&request->continuation, continuation, err);
}

enum tr_status tr_document_choices(struct tr_document *document, int64_t count,
                                   struct tr_err *err) {
    TR_TRY(TR_NEW(&document->characters, count, "choices", err));
    TR_TRY(TR_NEW(&document->bytes, count, "choices", err));
    TR_TRY(TR_NEW(&document->gold, count, "choices", err));
    document->choices = count;
    return TR_OK;
}

enum tr_status tr_document_choice(struct tr_document *document, int64_t index, const char *text,
                                  struct tr_err *err) {
    document->characters[index] = tr_python_length(text);
    document->bytes[index] = (int64_t)strlen(text);
    if (*text)
        return TR_OK;
    return tr_document_fault(document, err, "choice %lld is empty", (long long)index);
}

enum tr_status tr_document_gold(struct tr_document *document, int64_t choice, struct tr_err *err) {
    if (choice < 0 || choice >= document->choices)
        return tr_document_fault(document, err, "gold is %lld, and the choices are 0 to %lld",
                                 (long long)choice, (long long)document->choices - 1);
    document->gold[choice] = true;
    return TR_OK;
}

enum tr_status tr_document_fault(struct tr_document *document, struct tr_err *err,
                                 const char *format, ...) {
    char text[256];
    va_list arguments;
    if (document->fault)
        return TR_OK;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return tr_strdup(&document->fault, text, err);
}

static void free_texts(char **texts, int64_t count) {
    for (int64_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
}

static void free_document(struct tr_document *document) {
    free(document->generate.ids);
    free_texts(document->generate.until, document->generate.until_count);
    free_texts(document->generate.targets, document->generate.target_count);
    for (int64_t i = 0; document->requests && i < document->count; i++) {
        free(document->requests[i].context);
        free(document->requests[i].continuation);
    }
    free(document->requests);
    free(document->characters);
    free(document->bytes);
    free(document->gold);
    free(document->fault);
}

void tr_tasks_free(struct tr_tasks *tasks) {
    for (int64_t t = 0; t < tasks->count; t++) {
        struct tr_task *task = &tasks->tasks[t];
        for (int64_t d = 0; d < task->count; d++)
            free_document(&task->documents[d]);
        free(task->documents);
        free(task->name);
    }
    free(tasks->tasks);
    *tasks = (struct tr_tasks){0};
}

// ---- files -------------------------------------------------------------------------------------

// Cuts "_2026-08-21T10-11-12.345678", with which the harness ends its files' names.
static void cut_date(char *name) {
    char *date = strrchr(name, '_');
    if (date && strspn(date + 1, "0123456789-") == 10 && date[11] == 'T')
        *date = '\0';
}

// What samples_TASK_DATE.jsonl and TASK.jsonl say.
static enum tr_status task_of_path(char **name_p, const char *path, struct tr_err *err) {
    TR_TRY(tr_path_name(name_p, path, err));
    char *name = *name_p, *end = strrchr(name, '.');
    if (end && end > name)
        *end = '\0';
    cut_date(name);
    if (strncmp(name, "samples_", 8) == 0 && name[8])
        memmove(name, name + 8, strlen(name + 8) + 1);
    return TR_OK;
}

struct reading {
    struct tr_tasks *tasks;
    const char *task_name;
    int64_t new_tokens; // of prompts; 0: a file of requests
};

static enum tr_status take(void *user, const json_t *object, const char *what, bool *more_p,
                           struct tr_err *err) {
    const struct reading *r = user;
    struct tr_request_line line = {object, what, r->task_name, r->tasks, r->new_tokens};
    (void)more_p;
    if (r->new_tokens)
        return tr_request_line_prompt(&line, err);
    return json_object_get(object, "arguments") ? tr_request_line_sample(&line, err)
                                                : tr_request_line_own(&line, err);
}

static int by_id(const void *a, const void *b) {
    const struct tr_document *const *x = a, *const *y = b;
    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

// A document that is there twice would count twice.
static enum tr_status check_ids(const struct tr_task *task, const char *path, struct tr_err *err) {
    const struct tr_document **sorted;
    TR_TRY(TR_NEW(&sorted, task->count, "documents", err));
    for (int64_t i = 0; i < task->count; i++)
        sorted[i] = &task->documents[i];
    qsort(sorted, (size_t)task->count, sizeof *sorted, by_id);
    enum tr_status status = TR_OK;
    for (int64_t i = 1; i < task->count && status == TR_OK; i++)
        if (sorted[i]->id == sorted[i - 1]->id)
            status = tr_fail(err, TR_EUSAGE, "%s: document %lld of task \"%s\" is there twice",
                             path, (long long)sorted[i]->id, task->name);
    free(sorted);
    return status;
}

static enum tr_status read_bytes(struct tr_tasks *tasks, const char *path, int64_t new_tokens,
                                 const char *bytes, size_t size, struct tr_err *err) {
    char *name;
    TR_TRY(task_of_path(&name, path, err));
    struct reading r = {tasks, name, new_tokens};
    enum tr_status status = tr_jsonl_each(bytes, size, path, take, &r, err);
    free(name);
    for (int64_t i = 0; i < tasks->count && status == TR_OK; i++)
        status = check_ids(&tasks->tasks[i], path, err);
    return status;
}

static enum tr_status read_file(struct tr_tasks *tasks, const char *path, int64_t new_tokens,
                                struct tr_err *err) {
    static const uint64_t limit = UINT64_C(4) << 30;
    char *bytes;
    size_t size;
    int64_t before = tasks->count;
    enum tr_status status = tr_file_load(path, limit, &bytes, &size, err);
    if (status == TR_OK) {
        status = read_bytes(tasks, path, new_tokens, bytes, size, err);
        free(bytes);
    }
    if (status == TR_OK && !before && !tasks->count)
        status = tr_fail(err, TR_EUSAGE, "%s has no requests", path);
    return status == TR_EFORMAT ? TR_EUSAGE : status;
}

enum tr_status tr_tasks_read(struct tr_tasks *tasks, const char *path, struct tr_err *err) {
    return read_file(tasks, path, 0, err);
}

enum tr_status tr_tasks_read_prompts(struct tr_tasks *tasks, const char *path, int64_t new_tokens,
                                     struct tr_err *err) {
    return read_file(tasks, path, new_tokens, err);
}
