// SPDX-License-Identifier: Apache-2.0
// dump_prompts CHECKPOINT MAX_LENGTH FILE...: of each request of the files a line
//   ["task", document, request, context tokens, [predicted tokens], [fed tokens]]
// and of each document that is not scored ["task", document, "why"].
#include <stdio.h>
#include <stdlib.h>

#include "eval/prompt_tokens.h"

static struct tr_err err;

static void print_ids(const int32_t *ids, int64_t count) {
    putchar('[');
    for (int64_t i = 0; i < count; i++)
        printf("%s%d", i ? ", " : "", (int)ids[i]);
    putchar(']');
}

static void print_prompt(const struct tr_task *task, const struct tr_document *document,
                         int64_t request, const struct tr_prompt *prompt) {
    printf("[\"%s\", %lld, %lld, %lld, ", task->name, (long long)document->id, (long long)request,
           (long long)prompt->first);
    print_ids(prompt->tokens + prompt->first, prompt->count - prompt->first);
    printf(", ");
    print_ids(prompt->tokens, prompt->count - 1);
    printf("]\n");
}

static enum tr_status print_document(const struct tr_prompt_rules *rules,
                                     const struct tr_task *task, struct tr_document *document) {
    struct tr_prompts prompts = {0};
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < document->count && status == TR_OK && !document->fault; i++) {
        int64_t before = prompts.count;
        status = tr_prompts_add(&prompts, rules, task, document, i, &err);
        for (int64_t p = before; p < prompts.count; p++)
            print_prompt(task, document, i, &prompts.prompts[p]);
    }
    if (document->fault)
        printf("[\"%s\", %lld, \"%s\"]\n", task->name, (long long)document->id, document->fault);
    tr_prompts_free(&prompts);
    return status;
}

static enum tr_status print_tasks(const struct tr_prompt_rules *rules, struct tr_tasks *tasks) {
    for (int64_t t = 0; t < tasks->count; t++)
        for (int64_t d = 0; d < tasks->tasks[t].count; d++)
            TR_TRY(print_document(rules, &tasks->tasks[t], &tasks->tasks[t].documents[d]));
    return TR_OK;
}

int main(int argc, char **argv) {
    struct tr_tokenizer *tokenizer = NULL;
    struct tr_prompt_rules rules = {0};
    struct tr_tasks tasks = {0};
    char *path = NULL;
    if (argc < 4)
        return 2;
    enum tr_status status = tr_tokenizer_find(&path, argv[1], &err);
    if (status == TR_OK)
        status = tr_tokenizer_open(&tokenizer, path, NULL, &err);
    if (status == TR_OK)
        status = tr_prompt_rules_make(&rules, tokenizer, path, NULL, TR_BEGIN_AS_TOKENIZER,
                                      atoll(argv[2]), &err);
    for (int i = 3; i < argc && status == TR_OK; i++)
        status = tr_tasks_read(&tasks, argv[i], &err);
    if (status == TR_OK)
        status = print_tasks(&rules, &tasks);
    if (status != TR_OK)
        fprintf(stderr, "%s\n", err.text);
    tr_tasks_free(&tasks);
    tr_prompt_rules_free(&rules);
    tr_tokenizer_free(tokenizer);
    free(path);
    return status == TR_OK ? 0 : 1;
}
