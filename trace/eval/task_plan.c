// SPDX-License-Identifier: Apache-2.0
#include "eval/task_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

// Notes that the prompts from `from` on belong to the request.
static enum tr_status belong(struct tr_task_plan *plan, int64_t from, int64_t request,
                             struct tr_err *err) {
    TR_TRY(tr_grow((void **)&plan->request_of, &plan->capacity, (uint64_t)plan->prompts.count,
                   sizeof *plan->request_of, "prompts", err));
    for (int64_t p = from; p < plan->prompts.count; p++)
        plan->request_of[p] = request;
    return TR_OK;
}

static void digest_texts(struct tr_digest *digest, char *const *texts, int64_t count) {
    tr_digest_update(digest, &count, sizeof count);
    for (int64_t i = 0; i < count; i++)
        tr_digest_update(digest, texts[i], strlen(texts[i]) + 1);
}

static void digest_generate(struct tr_digest *digest, const struct tr_generate *g) {
    int64_t numbers[] = {g->most, g->ignore_case, g->ignore_punctuation};
    tr_digest_update(digest, numbers, sizeof numbers);
    digest_texts(digest, g->until, g->until_count);
    digest_texts(digest, g->targets, g->target_count);
}

static enum tr_status digest_prompts(struct tr_task_plan *plan, struct tr_err *err) {
    struct tr_digest *digest;
    TR_TRY(tr_digest_new(&digest, err));
    for (int64_t p = 0; p < plan->prompts.count; p++) {
        const struct tr_prompt *prompt = &plan->prompts.prompts[p];
        int64_t numbers[] = {plan->request_of[p], prompt->count, prompt->first};
        tr_digest_update(digest, numbers, sizeof numbers);
        tr_digest_update(digest, prompt->tokens, (size_t)prompt->count * sizeof *prompt->tokens);
    }
    for (int64_t d = 0; plan->task->kind == TR_TASK_GENERATE && d < plan->task->count; d++)
        digest_generate(digest, &plan->task->documents[d].generate);
    tr_digest_text(digest, plan->digest);
    tr_digest_free(digest);
    return TR_OK;
}

// Where each document's requests are.
static enum tr_status number_requests(struct tr_task_plan *plan, const struct tr_task *task,
                                      struct tr_err *err) {
    plan->task = task;
    TR_TRY(TR_NEW(&plan->first, task->count, "documents", err));
    for (int64_t d = 0; d < task->count; d++) {
        plan->first[d] = plan->requests;
        plan->requests += task->documents[d].count;
    }
    return TR_OK;
}

// Frees what was made unless all went well.
static enum tr_status finish(struct tr_task_plan *plan, struct tr_task_plan *made,
                             enum tr_status status, struct tr_err *err) {
    if (status == TR_OK)
        status = digest_prompts(made, err);
    if (status == TR_OK)
        *plan = *made;
    else
        tr_task_plan_free(made);
    return status;
}

static enum tr_status add_document(struct tr_task_plan *plan, const struct tr_prompt_rules *rules,
                                   struct tr_task *task, int64_t d, struct tr_err *err) {
    struct tr_document *document = &task->documents[d];
    for (int64_t i = 0; i < document->count && !document->fault; i++) {
        int64_t before = plan->prompts.count;
        TR_TRY(tr_prompts_add(&plan->prompts, rules, task, document, i, err));
        TR_TRY(belong(plan, before, plan->first[d] + i, err));
    }
    return TR_OK;
}

enum tr_status tr_task_plan_make(struct tr_task_plan *plan, const struct tr_prompt_rules *rules,
                                 struct tr_task *task, struct tr_err *err) {
    struct tr_task_plan made = {0};
    enum tr_status status = number_requests(&made, task, err);
    for (int64_t d = 0; d < task->count && status == TR_OK; d++)
        status = add_document(&made, rules, task, d, err);
    return finish(plan, &made, status, err);
}

// Each window is a document of one request, whose words are the tokens that it predicts.
static enum tr_status add_windows(struct tr_task_plan *plan, struct tr_task *task,
                                  struct tr_err *err) {
    TR_TRY(belong(plan, 0, 0, err));
    for (int64_t p = 0; p < plan->prompts.count; p++) {
        const struct tr_prompt *prompt = &plan->prompts.prompts[p];
        struct tr_document *document;
        TR_TRY(tr_task_add(&document, task, p, err));
        document->count = 1;
        document->words = prompt->count - prompt->first;
        plan->request_of[p] = p;
    }
    return number_requests(plan, task, err);
}

enum tr_status tr_task_plan_strided(struct tr_task_plan *plan, struct tr_task *task,
                                    const int32_t *ids, int64_t count, int64_t length,
                                    int64_t stride, struct tr_err *err) {
    struct tr_task_plan made = {0};
    enum tr_status status = tr_prompts_add_strided(&made.prompts, ids, count, length, stride, err);
    if (status == TR_OK)
        status = add_windows(&made, task, err);
    return finish(plan, &made, status, err);
}

void tr_task_plan_free(struct tr_task_plan *plan) {
    tr_prompts_free(&plan->prompts);
    free(plan->request_of);
    free(plan->first);
    *plan = (struct tr_task_plan){0};
}

static void sum_requests(const struct tr_task_plan *plan, const struct tr_likelihood *of_prompts,
                         struct tr_likelihood *of_requests) {
    for (int64_t r = 0; r < plan->requests; r++)
        of_requests[r] = (struct tr_likelihood){0, true};
    for (int64_t p = 0; p < plan->prompts.count; p++) {
        struct tr_likelihood *to = &of_requests[plan->request_of[p]];
        to->sum += of_prompts[p].sum;
        to->greedy = to->greedy && of_prompts[p].greedy;
    }
}

void tr_task_plan_sum(const struct tr_task_plan *plan, int64_t candidates,
                      const struct tr_likelihood *of_prompts, struct tr_likelihood *of_requests) {
    for (int64_t c = 0; c < candidates; c++)
        sum_requests(plan, of_prompts + c * plan->prompts.count, of_requests + c * plan->requests);
}
