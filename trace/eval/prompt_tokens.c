// SPDX-License-Identifier: Apache-2.0
#include "eval/prompt_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "python_text.h"

static bool puts_something(const struct tr_prompt_rules *rules, const char *text) {
    size_t size = strlen(rules->prefix_text);
    if (rules->begin == TR_BEGIN_NEVER || strcmp(tr_tokenizer_template(rules->tokenizer), "A") == 0)
        return false;
    return strncmp(text, rules->prefix_text, size) != 0;
}

// tokenizer.encode(text): what the tokenizer puts before a text, then the text.
static enum tr_status encode(const struct tr_prompt_rules *rules, const char *text, bool begins,
                             struct tr_ids *ids, struct tr_err *err) {
    if (begins && puts_something(rules, text))
        TR_TRY(tr_tokenizer_begin(rules->tokenizer, ids, err));
    return tr_tokenizer_encode(rules->tokenizer, text, strlen(text), ids, err);
}

// context[0, size) with `more` behind it.
static enum tr_status joined(char **text_p, const char *context, size_t size, const char *more,
                             struct tr_err *err) {
    TR_TRY(TR_NEW(text_p, size + strlen(more) + 1, "a prompt", err));
    memcpy(*text_p, context, size);
    strcpy(*text_p + size, more);
    return TR_OK;
}

// The tokens of context and continuation, and how many of them are the context's.
static enum tr_status encode_pair(const struct tr_prompt_rules *rules, const char *context,
                                  size_t context_size, const char *continuation, struct tr_ids *ids,
                                  int64_t *first_p, struct tr_err *err) {
    char *alone = NULL, *whole = NULL;
    struct tr_ids both = {0};
    enum tr_status status;
    TR_GO(status, joined(&alone, context, context_size, "", err), out);
    TR_GO(status, joined(&whole, context, strlen(context), continuation, err), out);
    TR_GO(status, encode(rules, alone, true, ids, err), out);
    TR_GO(status, encode(rules, whole, true, &both, err), out);
    *first_p = ids->count;
    for (int64_t i = ids->count; i < both.count && status == TR_OK; i++)
        status = tr_ids_append(ids, both.ids[i], err);
out:
    free(alone);
    free(whole);
    free(both.ids);
    return status;
}

static enum tr_status encode_alone(const struct tr_prompt_rules *rules, const char *continuation,
                                   struct tr_ids *ids, int64_t *first_p, struct tr_err *err) {
    TR_TRY(tr_ids_append(ids, rules->prefix, err));
    TR_TRY(encode(rules, continuation, false, ids, err));
    *first_p = 1;
    if (ids->count < 2 || ids->ids[1] != rules->prefix)
        return TR_OK;
    memmove(ids->ids, ids->ids + 1, (size_t)(ids->count - 1) * sizeof *ids->ids);
    ids->count--;
    return TR_OK;
}

// ids[begin, end) as a prompt that predicts those from `first` on.
static enum tr_status add(struct tr_prompts *prompts, const int32_t *ids, int64_t begin,
                          int64_t end, int64_t first, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&prompts->prompts, &prompts->capacity, (uint64_t)prompts->count + 1,
                   sizeof *prompts->prompts, "prompts", err));
    struct tr_prompt *prompt = &prompts->prompts[prompts->count];
    *prompt = (struct tr_prompt){.count = end - begin, .first = first - begin};
    TR_TRY(TR_NEW(&prompt->tokens, prompt->count, "a prompt", err));
    memcpy(prompt->tokens, ids + begin, (size_t)prompt->count * sizeof *ids);
    prompts->count++;
    return TR_OK;
}

static enum tr_status add_pair(struct tr_prompts *prompts, const struct tr_prompt_rules *rules,
                               struct tr_document *document, int64_t index, struct tr_ids *ids,
                               struct tr_err *err) {
    const struct tr_request *request = &document->requests[index];
    size_t size = strlen(request->context);
    size_t context_size = size - tr_python_trailing_space(request->context, size);
    int64_t first = 0;
    if (size)
        TR_TRY(encode_pair(rules, request->context, context_size, request->continuation, ids,
                           &first, err));
    else
        TR_TRY(encode_alone(rules, request->continuation, ids, &first, err));
    if (first < 1 || ids->count == first)
        return tr_document_fault(document, err,
                                 first > 0       ? "the continuation of request %lld has no tokens"
                                 : !context_size ? "the context of request %lld is white space only"
                                                 : "the context of request %lld has no tokens",
                                 (long long)index);
    if (ids->count - first > rules->max_length)
        return tr_document_fault(
            document, err,
            "the continuation of request %lld has %lld tokens, and the model takes %lld",
            (long long)index, (long long)(ids->count - first), (long long)rules->max_length);
    int64_t most = rules->max_length + 1;
    return add(prompts, ids->ids, ids->count > most ? ids->count - most : 0, ids->count, first,
               err);
}

static enum tr_status add_rolling(struct tr_prompts *prompts, const struct tr_prompt_rules *rules,
                                  struct tr_document *document, struct tr_ids *ids,
                                  struct tr_err *err) {
    int64_t length = rules->max_length;
    TR_TRY(tr_ids_append(ids, rules->prefix, err));
    TR_TRY(encode(rules, document->requests[0].continuation, true, ids, err));
    if (ids->count < 2)
        return tr_document_fault(document, err, "the text has no tokens");
    for (int64_t first = 1, end; first < ids->count; first = end) {
        end = first + length < ids->count ? first + length : ids->count;
        int64_t begin = end - length - 1 > 0 ? end - length - 1 : 0;
        TR_TRY(add(prompts, ids->ids, begin, end, first, err));
    }
    return TR_OK;
}

static enum tr_status take_ids(const struct tr_generate *g, struct tr_ids *ids,
                               struct tr_err *err) {
    for (int64_t i = 0; i < g->id_count; i++)
        TR_TRY(tr_ids_append(ids, g->ids[i], err));
    return TR_OK;
}

static enum tr_status add_generate(struct tr_prompts *prompts, const struct tr_prompt_rules *rules,
                                   struct tr_document *document, struct tr_ids *ids,
                                   struct tr_err *err) {
    const struct tr_generate *g = &document->generate;
    if (g->ids)
        TR_TRY(take_ids(g, ids, err));
    else
        TR_TRY(encode(rules, document->requests[0].context, true, ids, err));
    if (!ids->count)
        return tr_document_fault(document, err, "the context has no tokens");
    if (g->most >= rules->max_length)
        return tr_document_fault(document, err,
                                 "%lld new tokens leave no room for a context in the model's %lld",
                                 (long long)g->most, (long long)rules->max_length);
    int64_t most = rules->max_length - g->most;
    return add(prompts, ids->ids, ids->count > most ? ids->count - most : 0, ids->count, ids->count,
               err);
}

enum tr_status tr_prompts_add(struct tr_prompts *prompts, const struct tr_prompt_rules *rules,
                              const struct tr_task *task, struct tr_document *document,
                              int64_t index, struct tr_err *err) {
    struct tr_ids ids = {0};
    enum tr_status status =
        task->kind == TR_TASK_ROLLING    ? add_rolling(prompts, rules, document, &ids, err)
        : task->kind == TR_TASK_GENERATE ? add_generate(prompts, rules, document, &ids, err)
                                         : add_pair(prompts, rules, document, index, &ids, err);
    free(ids.ids);
    // A text that cannot be cut into words, because that would take too long.
    if (status == TR_EUNSUPPORTED)
        status = tr_document_fault(document, err, "%.200s", err->text);
    return status;
}

enum tr_status tr_prompts_add_strided(struct tr_prompts *prompts, const int32_t *ids, int64_t count,
                                      int64_t length, int64_t stride, struct tr_err *err) {
    int64_t done = 0;
    for (int64_t begin = 0; done < count; begin += stride) {
        int64_t end = begin + length < count ? begin + length : count;
        int64_t first = done > begin ? done : begin + 1;
        if (first < end)
            TR_TRY(add(prompts, ids, begin, end, first, err));
        done = end;
    }
    return TR_OK;
}

void tr_prompts_free(struct tr_prompts *prompts) {
    for (int64_t i = 0; i < prompts->count; i++)
        free(prompts->prompts[i].tokens);
    free(prompts->prompts);
    *prompts = (struct tr_prompts){0};
}
