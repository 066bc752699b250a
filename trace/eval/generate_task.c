// SPDX-License-Identifier: Apache-2.0
#include "generate_task.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "eval/generation.h"
#include "python_text.h"

// The texts of one drop set.
struct making {
    const struct tr_generate_task *task;
    struct tr_continuation *texts; // [prompts]
    int32_t *tokens;               // of all
    struct tr_string text;         // the one looked at last
    struct tr_err *err;
    enum tr_status status; // of what `ends` could not do
};

static const struct tr_document *document_of(const struct making *m, int64_t prompt) {
    const struct tr_task_plan *plan = m->task->plan;
    int64_t request = plan->request_of[prompt], d = 0;
    while (d + 1 < plan->task->count && plan->first[d + 1] <= request)
        d++;
    return &plan->task->documents[d];
}

static bool is_end(const struct tr_generate_task *task, int32_t token) {
    for (int64_t i = 0; i < task->end_count; i++)
        if (task->ends[i] == token)
            return true;
    return false;
}

// The text before the token that ended it, and before the first of the texts that end it.
static enum tr_status read_text(struct making *m, const struct tr_continuation *text,
                                const struct tr_generate *g, bool *cut_p) {
    int64_t count = text->count;
    count -= count && is_end(m->task, text->tokens[count - 1]);
    m->text.size = 0;
    *cut_p = false;
    TR_TRY(tr_detokenize(m->task->detokenizer, text->tokens, count, &m->text, m->err));
    for (int64_t i = 0; i < g->until_count; i++) {
        char *at = *g->until[i] ? strstr(m->text.data, g->until[i]) : NULL;
        if (!at)
            continue;
        *at = '\0';
        m->text.size = (size_t)(at - m->text.data);
        *cut_p = true;
    }
    return TR_OK;
}

static bool ends(void *user, int64_t index, const struct tr_continuation *text) {
    struct making *m = user;
    const struct tr_generate *g = &document_of(m, index)->generate;
    bool cut = false;
    if (is_end(m->task, text->tokens[text->count - 1]))
        return true;
    if (!m->task->detokenizer || !g->until_count)
        return false;
    m->status = read_text(m, text, g, &cut);
    return cut || m->status != TR_OK;
}

// ---- what came of it ---------------------------------------------------------------------------

static bool is_target(const struct making *m, const struct tr_generate *g) {
    for (int64_t i = 0; i < g->target_count; i++)
        if (tr_python_same_text(m->text.data, g->targets[i], g->ignore_case, g->ignore_punctuation))
            return true;
    return false;
}

static json_t *ids_json(const struct tr_continuation *text) {
    json_t *list = json_array();
    for (int64_t i = 0; i < text->count; i++)
        json_array_append_new(list, json_integer(text->tokens[i]));
    return list;
}

// A line: the document, how long its prompt was, the new tokens, and their text.
static enum tr_status add_line(const struct making *m, const struct tr_document *document,
                               const struct tr_continuation *text, bool match,
                               struct tr_string *lines) {
    json_t *value =
        json_pack("{s:I, s:I, s:o, s:b}", "doc_id", (json_int_t)document->id, "prompt_tokens",
                  (json_int_t)text->prompt_count, "tokens", ids_json(text), "ended", text->ended);
    if (m->task->detokenizer)
        json_object_set_new(value, "text", json_stringn(m->text.data, m->text.size));
    if (document->generate.target_count)
        json_object_set_new(value, "exact_match", json_boolean(match));
    return tr_json_append(value, JSON_COMPACT, "texts", lines, m->err);
}

static enum tr_status read_texts(struct making *m, struct tr_likelihood *likelihoods,
                                 struct tr_string *lines) {
    const struct tr_task_plan *plan = m->task->plan;
    for (int64_t p = 0; p < plan->prompts.count; p++) {
        const struct tr_document *document = document_of(m, p);
        bool cut, match = false;
        if (m->task->detokenizer) {
            TR_TRY(read_text(m, &m->texts[p], &document->generate, &cut));
            match = is_target(m, &document->generate);
        }
        likelihoods[plan->request_of[p]] = (struct tr_likelihood){(double)m->texts[p].count, match};
        TR_TRY(add_line(m, document, &m->texts[p], match, lines));
    }
    return TR_OK;
}

// ---- one drop set ------------------------------------------------------------------------------

static enum tr_status prepare(struct making *m) {
    const struct tr_prompts *prompts = &m->task->plan->prompts;
    int64_t all = 0;
    for (int64_t p = 0; p < prompts->count; p++)
        all += document_of(m, p)->generate.most;
    TR_TRY(TR_NEW(&m->texts, prompts->count, "the texts", m->err));
    TR_TRY(TR_NEW(&m->tokens, all, "the texts", m->err));
    all = 0;
    for (int64_t p = 0; p < prompts->count; p++) {
        int64_t most = document_of(m, p)->generate.most;
        m->texts[p] = (struct tr_continuation){.prompt = prompts->prompts[p].tokens,
                                               .prompt_count = prompts->prompts[p].count,
                                               .most = most,
                                               .tokens = m->tokens + all};
        all += most;
    }
    return TR_OK;
}

static enum tr_status make_set(struct making *m, int64_t set, struct tr_likelihood *likelihoods,
                               bool *stopped_p) {
    const struct tr_scoring *scoring = m->task->scoring;
    struct tr_generator generator = {.weights = scoring->weights,
                                     .drop = set ? &scoring->sets->sets[set - 1].drop : NULL,
                                     .batch = m->task->batch,
                                     .stop = scoring->stop,
                                     .ends = ends,
                                     .user = m};
    struct tr_string lines = {0};
    TR_TRY(prepare(m));
    TR_TRY(tr_generate(&generator, m->texts, m->task->plan->prompts.count, stopped_p, m->err));
    TR_TRY(m->status);
    if (*stopped_p)
        return TR_OK;
    enum tr_status status = read_texts(m, likelihoods, &lines);
    if (status == TR_OK)
        status = m->task->keep(m->task->user, set, &lines, m->err);
    tr_string_free(&lines);
    return status;
}

enum tr_status tr_generate_task(const struct tr_generate_task *task,
                                struct tr_likelihood *likelihoods, bool *stopped_p,
                                struct tr_err *err) {
    enum tr_status status = TR_OK;
    *stopped_p = false;
    for (int64_t set = 0; set <= task->scoring->sets->count && status == TR_OK && !*stopped_p;
         set++) {
        struct making m = {.task = task, .err = err};
        status = make_set(&m, set, likelihoods + set * task->plan->requests, stopped_p);
        free(m.texts);
        free(m.tokens);
        tr_string_free(&m.text);
    }
    return status;
}
